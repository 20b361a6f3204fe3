"""Stain normalisation, held against torchstain, scikit-image and scikit-learn on real slides."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from spared_bench.errors import ImageError
from spared_bench.processing.stains import mean_look, measure, recolouring
from spared_bench.processing.stains.colours import recoloured, sample
from spared_bench.processing.stains.density import density, stained
from spared_bench.processing.stains.vahadane import amounts, factorise
from tests.conftest import EMBEDDED_IMAGES

torchstain = pytest.importorskip("torchstain")


@pytest.fixture(scope="module")
def tissue() -> list[np.ndarray]:
    """A piece of tissue of each of two sections, (300, 300, 3)."""
    found = []
    for path in sorted(EMBEDDED_IMAGES.glob("C/C*/*.jpg"))[:2]:
        with Image.open(path) as image:
            found.append(np.array(image.convert("RGB").crop((900, 1000, 1200, 1300))))
    return found


def ours(method, source, template):
    looks = [measure(method, each.reshape(-1, 3)) for each in (source, template)]
    return recolouring(method, *looks)(source.reshape(-1, 3)).reshape(source.shape)


def test_macenko_is_torchstains(tissue):
    theirs = torchstain.normalizers.MacenkoNormalizer(backend="numpy")
    theirs.fit(tissue[1])
    expected, _, _ = theirs.normalize(tissue[0])

    np.testing.assert_array_equal(ours("macenko", *tissue), expected)


def test_reinhard_is_torchstains_up_to_rounding(tissue):
    theirs = torchstain.normalizers.ReinhardNormalizer(backend="numpy")
    theirs.fit(tissue[1])
    expected = np.asarray(theirs.normalize(tissue[0])).astype(int)

    assert np.abs(ours("reinhard", *tissue) - expected).max() <= 1


def test_reinhard_gives_the_moments_of_the_template_in_cielab(tissue):
    from skimage.color import rgb2lab

    made, wanted = rgb2lab(ours("reinhard", *tissue)), rgb2lab(tissue[1])

    np.testing.assert_allclose(made.mean((0, 1)), wanted.mean((0, 1)), atol=0.5)
    np.testing.assert_allclose(made.std((0, 1)), wanted.std((0, 1)), rtol=0.05)


def test_vahadanes_stains_are_those_of_scikit_learns_factorisation(tissue):
    from sklearn.decomposition import DictionaryLearning

    found = stained(density(tissue[0].reshape(-1, 3)))[::60]
    mine = factorise(found, 0.1)
    begin = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11]])
    theirs = DictionaryLearning(
        2, alpha=0.1, max_iter=60, fit_algorithm="cd", transform_algorithm="lasso_cd",
        positive_code=True, positive_dict=True, random_state=0,
        dict_init=begin / np.linalg.norm(begin, axis=1, keepdims=True),
        code_init=np.ones((len(found), 2)),
    ).fit(found).components_  # fmt: skip
    theirs = theirs[::-1] if theirs[0, 0] < theirs[1, 0] else theirs

    assert (np.sum(mine * theirs, axis=1) > 0.999).all()  # cosine: 2.6 degrees at most


def test_vahadanes_amounts_solve_the_lasso(rng):
    from scipy.optimize import minimize

    stains = np.array([[0.7, 0.65, 0.3], [0.35, 0.85, 0.4]])
    stains /= np.linalg.norm(stains, axis=1, keepdims=True)
    densities = rng.uniform(-0.2, 1.5, (40, 3))
    found = amounts(densities, stains, 0.05)

    for each, got in zip(densities, found, strict=True):

        def loss(c, each=each):
            return 0.5 * np.sum((each - c @ stains) ** 2) + 0.05 * c.sum()

        best = minimize(loss, [0.5, 0.5], bounds=[(0, None)] * 2).fun
        assert loss(got) <= best + 1e-8
    assert (found >= 0).all()


@pytest.mark.parametrize("method", ["macenko", "vahadane", "reinhard"])
def test_a_slide_that_is_its_own_template_keeps_its_colours(tissue, method):
    change = np.abs(ours(method, tissue[0], tissue[0]).astype(int) - tissue[0].astype(int))

    # Of two stains, a third direction of colour is lost; what is left is small.
    assert np.median(change) <= (1 if method == "reinhard" else 4)


@pytest.mark.parametrize("method", ["macenko", "vahadane", "reinhard"])
def test_the_table_of_colours_changes_nothing(tissue, method):
    looks = [measure(method, each.reshape(-1, 3)) for each in tissue]
    patches = tissue[0].reshape(25, 60, 60, 3)
    change = recolouring(method, *looks)

    quick = np.concatenate([*recoloured(patches, change)])

    np.testing.assert_array_equal(quick, change(patches.reshape(-1, 3)).reshape(patches.shape))


def test_a_mean_look_has_stains_of_length_one(tissue):
    looks = [measure("macenko", each.reshape(-1, 3)) for each in tissue]
    mean = mean_look("macenko", looks)

    np.testing.assert_allclose(np.linalg.norm(mean["stains"], axis=1), 1)
    np.testing.assert_allclose(mean["highest"], (looks[0]["highest"] + looks[1]["highest"]) / 2)


def test_a_sample_is_of_all_patches(rng):
    patches = np.repeat(np.arange(200, dtype=np.uint8), 32 * 32 * 3).reshape(200, 32, 32, 3)

    assert set(sample(patches, 5_000)[:, 0]) == set(range(200))
    assert len(sample(patches, 50)) <= 100


@pytest.mark.parametrize("method", ["reinhard", "macenko", "vahadane"])
@pytest.mark.parametrize("glass", [250, 255])
def test_a_slide_without_tissue_says_so(method, glass):
    with pytest.raises(ImageError, match=r"0 of 900 pixels .* too few to tell its stains"):
        measure(method, np.full((900, 3), glass, np.uint8))
