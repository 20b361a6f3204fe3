"""RandStainNA against the source's steps, done here with scikit-image and numpy in float64."""

import numpy as np
import pytest
import torch
from skimage import color

from spared_bench.errors import UsageError
from spared_bench.models.augmentation.colour_spaces import SPACES
from spared_bench.models.augmentation.names import made
from spared_bench.models.augmentation.randstainna import PUBLISHED, RandStainNA, looks

# What the source's bytes of LAB and HSV hold, as OpenCV documents them.
TO_BYTES = {"lab": ([2.55, 1, 1], [0, 128, 128]), "hsv": ([180, 255, 255], [0, 0, 0])}


def channels_of(image, space):
    """(height, width, 3) bytes -> the same of channels, by scikit-image."""
    if space == "hed":
        return color.rgb2hed(image)
    scale, offset = TO_BYTES[space]
    into = color.rgb2lab if space == "lab" else color.rgb2hsv
    return into(image) * scale + offset


def colours_of(channels, space):
    if space == "hed":
        light = color.hed2rgb(channels)
        return 255 * (light - light.min()) / (light.max() - light.min())
    scale, offset = TO_BYTES[space]
    plain = (channels - offset) / scale
    if space == "lab":
        return 255 * color.lab2rgb(plain)
    plain[..., 0] %= 1  # OpenCV: a hue beyond the circle goes round
    return 255 * color.hsv2rgb(plain)


@pytest.fixture
def patches(rng):
    """Pieces like tissue, white, black, greys and any colours: (n, 40, 40, 3), bytes."""
    tissue = rng.normal([[[[170, 110, 160]]]], 30, (4, 40, 40, 3))
    made_up = rng.integers(0, 256, (4, 40, 40, 3))
    made_up[0, :, :10], made_up[0, :, 10:20] = 0, 255
    made_up[1] = made_up[1, :, :, :1]
    return np.concatenate([tissue, made_up]).clip(0, 255).astype(np.uint8)


def batch(patches):
    return torch.from_numpy(patches).permute(0, 3, 1, 2)


@pytest.mark.parametrize("space", SPACES)
def test_a_space_is_that_of_scikit_image_there_and_back(space, patches):
    found = SPACES[space].channels(batch(patches).float())
    expected = np.stack([channels_of(each, space) for each in patches])
    atol = {"lab": 0.1, "hsv": 1e-3, "hed": 1e-5}[space]
    np.testing.assert_allclose(found.permute(0, 2, 3, 1), expected, atol=atol)

    # Amounts below 0, which rgb2hed cuts, do not come back: these are channels that do.
    kept = torch.from_numpy(expected).float().permute(0, 3, 1, 2)
    back = SPACES[space].colours(kept.clone()).permute(0, 2, 3, 1)
    for image, channels in zip(back, expected, strict=True):
        np.testing.assert_allclose(image, colours_of(channels, space), atol=0.5)


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("distribution", ["normal", "laplace"])
def test_patches_are_what_the_source_makes_of_the_same_draws(space, distribution, patches):
    method = RandStainNA(space, spread=0.7, distribution=distribution)
    drawn = method._drawn(len(patches), _after_the_choice(len(patches))).numpy().astype(float)
    location, width = (np.array(each) for each in PUBLISHED[space])
    found = method(batch(patches), torch.Generator().manual_seed(4)).permute(0, 2, 3, 1).numpy()

    for at, image in enumerate(patches):
        wanted = location + 0.7 * width * drawn[at]
        channels = channels_of(image, space)
        mean, deviation = channels.mean((0, 1)), channels.std((0, 1))
        moved = (channels - mean) * (np.maximum(wanted[3:], 0) / np.maximum(deviation, 1e-4))
        moved += wanted[:3]
        if space != "hed":
            moved = moved.clip(0, 255)
        expected = colours_of(moved, space)
        if deviation.min() < 1e-3:  # a grey: 0 over 0, which rounding decides
            continue
        # A hue on the edge of the circle may fall on either side of it.
        off = np.abs(found[at] - expected) > 1.01
        assert off.mean() < 0.002, (at, np.abs(found[at] - expected).max())


def _after_the_choice(n):
    """Return the generator as it is once it has said which patches are changed."""
    generator = torch.Generator().manual_seed(4)
    torch.rand(n, generator=generator)
    return generator


@pytest.mark.parametrize(("distribution", "deviation"), [("normal", 1.0), ("laplace", 2**0.5)])
def test_draws_have_the_distribution_that_is_named(distribution, deviation):
    import scipy.stats

    drawn = RandStainNA(distribution=distribution)._drawn(4000, torch.Generator().manual_seed(1))
    assert drawn.std() == pytest.approx(deviation, rel=0.03)
    law = scipy.stats.norm if distribution == "normal" else scipy.stats.laplace
    assert scipy.stats.kstest(drawn.numpy().ravel(), law.cdf).pvalue > 0.001
    assert abs(np.corrcoef(drawn.T.numpy()) - np.eye(6)).max() < 0.06


def test_looks_are_the_means_and_deviations_of_each_patch(patches):
    means, deviations = looks(batch(patches), "hsv")
    for at, image in enumerate(patches):
        channels = channels_of(image, "hsv")
        np.testing.assert_allclose(means[at], channels.mean((0, 1)), atol=1e-3)
        np.testing.assert_allclose(deviations[at], channels.std((0, 1)), atol=1e-3)


def test_without_spread_all_patches_get_one_look_and_a_share_is_left_alone(patches):
    tissue = batch(patches[:4])
    location, _ = PUBLISHED["lab"]
    made_alike = RandStainNA(spread=0.0)(tissue, torch.Generator().manual_seed(0))
    means, deviations = looks(made_alike, "lab")
    np.testing.assert_allclose(means, np.tile(location[:3], (4, 1)), atol=2.0)
    np.testing.assert_allclose(deviations, np.tile(location[3:], (4, 1)), atol=3.0)

    many = tissue.repeat(100, 1, 1, 1)
    found = RandStainNA(p=0.25)(many, torch.Generator().manual_seed(0))
    same = (found == many).flatten(1).all(dim=1).float().mean()
    assert same == pytest.approx(0.75, abs=0.06)


def test_own_looks_take_the_place_of_the_published(patches):
    own = {"space": "lab", "means": [150, 140, 120, 20, 5, 5], "deviations": [0] * 6}
    (method,) = made([{"randstainna": own}])
    means, _ = looks(method(batch(patches[:4]), torch.Generator().manual_seed(0)), "lab")
    np.testing.assert_allclose(means, np.tile([150, 140, 120], (4, 1)), atol=1.0)


def test_the_published_numbers_are_in_the_units_of_the_spaces():
    """A patch of the published mean look is pink to violet tissue in each of the spaces."""
    for space, (location, _) in PUBLISHED.items():
        flat = torch.tensor(location[:3]).view(1, 3, 1, 1).expand(1, 3, 2, 2).contiguous()
        if space == "hed":  # of one colour, nothing is left once it is stretched
            red, green, blue = 255 * color.hed2rgb(np.array(location[:3])[None, None])[0, 0]
        else:
            red, green, blue = SPACES[space].colours(flat)[0, :, 0, 0].tolist()
        assert green < blue + 25 and green < red, (space, red, green, blue)
        assert 100 < red < 250, (space, red)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"space": "LAB"}, r"space of RandStainNA is 'LAB'\..*Expected one of lab, hsv, hed"),
        ({"distribution": "uniform"}, r"distribution of RandStainNA is 'uniform'\. .*normal, lap"),
        ({"means": [0.1, 0.2, 0.3], "deviations": [0] * 6}, "has 3 numbers; expected six"),
        ({"means": [0.1] * 6}, r"one of means and deviations\. Give both, or neither"),
        ({"p": 2}, r"p of an augmentation is 2; expected 0 to 1"),
        ({"spread": -0.3}, r"spread of an augmentation is -0.3"),
        ({"space": 3}, r"space of RandStainNA is 3\."),
        ({"means": 5, "deviations": 5}, r"cannot be made with"),
        ({"means": [1] * 6, "deviations": [-1] * 6}, r"deviations of an augmentation is -1"),
        ({"means": [float("nan")] * 6, "deviations": [1] * 6}, r"means of an augmentation is nan"),
        ({"means": ["a"] * 6, "deviations": [1] * 6}, r"cannot be made with"),
    ],
)
def test_wrong_parameters_are_refused_with_what_was_expected(parameters, message):
    with pytest.raises(UsageError, match=message):
        made([{"randstainna": parameters}])
