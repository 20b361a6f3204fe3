from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from spared_bench.data import (
    Patches,
    Slides,
    validate_counts,
    validate_prepared,
    validate_raw_slide,
)
from spared_bench.errors import (
    ContractError,
    CoordinateError,
    CountsError,
    ShapeMismatchError,
    WithheldError,
)
from tests.toy_plugin import read_slide


@pytest.fixture
def slide(tmp_path):
    return read_slide(tmp_path, "one")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([[0.0, 1.5]], r"X holds fractions \(1.5, for example\), so it is normalised"),
        ([[0.0, -2.0]], r"X holds negative values \(-2\), so it is scaled"),
        ([[0.0, np.nan]], "X holds nan or infinite values"),
    ],
)
@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix])
def test_what_is_not_raw_counts_is_refused_by_the_name_of_its_layer(values, message, form):
    with pytest.raises(CountsError, match=message):
        validate_counts(form(np.array(values)), "X")


def test_text_is_no_counts():
    with pytest.raises(CountsError, match="raw counts must be numbers"):
        validate_counts(np.array([["a", "b"]]), "X")


def test_a_sound_slide_passes_and_stays_as_it_is(slide):
    before = slide.copy()
    validate_raw_slide(slide, "one")
    assert (slide.X != before.X).sum() == 0
    assert slide.obs.equals(before.obs)
    assert slide.var.equals(before.var)


def breaks(change):
    def apply(slide):
        return change(slide) or slide

    return apply


@pytest.mark.parametrize(
    ("damage", "error", "message"),
    [
        (lambda s: s[:0].copy(), CountsError, "slide 'one' is empty: 0 spots"),
        (breaks(lambda s: s.obsm.pop("spatial") is None), CoordinateError, "has no obsm"),
        (
            breaks(lambda s: s.obsm.update(spatial=np.zeros((49, 3)))),
            CoordinateError,
            r"must have shape \(49, 2\), found \(49, 3\)",
        ),
        (
            breaks(lambda s: s.obsm.update(spatial=np.full((49, 2), np.nan))),
            CoordinateError,
            "nan or infinite coordinates",
        ),
        (breaks(lambda s: s.obs.pop("array_row") is None), ContractError, r"\['array_row'\]"),
        (breaks(lambda s: s.uns.pop("slide") is None), ContractError, "lacks .* in uns"),
        (
            breaks(lambda s: s.uns["slide"].update(spot_diameter_px=0)),
            ContractError,
            "must be positive, found 0",
        ),
    ],
)
def test_a_slide_that_breaks_the_contract_is_told_what_is_wrong(slide, damage, error, message):
    damaged = damage(slide)
    with pytest.raises(error, match=message):
        validate_raw_slide(slide if isinstance(damaged, bool) else damaged, "one")


@pytest.mark.parametrize(("axis", "what"), [("var_names", "gene 'g0'"), ("obs_names", "spot 's0'")])
def test_duplicated_names_are_named(slide, axis, what):
    names = list(getattr(slide, axis))
    names[1] = names[0]
    setattr(slide, axis, names)
    with pytest.raises(CountsError, match=f"names {what} more than once"):
        validate_raw_slide(slide, "one")


@pytest.mark.parametrize("key", ["counts", "expression", "prefilled", "target", "mask"])
def test_a_dataset_without_a_layer_is_not_prepared(tiny_slides, key):
    adata = tiny_slides.train.adata.copy()
    del adata.layers[key]
    with pytest.raises(ContractError, match=rf"layers lacks \['{key}'\].*data prepare"):
        validate_prepared(adata)


def test_a_prepared_dataset_holds_nothing_where_nothing_was_measured(tiny_slides):
    adata = tiny_slides.train.adata.copy()
    target = np.array(adata.layers["target"])
    target[~adata.layers["mask"]] = 1
    adata.layers["target"] = target
    with pytest.raises(ContractError, match="not 0 at an unmeasured entry"):
        validate_prepared(adata)


def test_a_mask_of_numbers_and_an_unknown_split_are_refused(tiny_slides):
    adata = tiny_slides.train.adata.copy()
    adata.obs["split"] = "trian"
    with pytest.raises(ContractError, match=r"obs\['split'\] holds \['trian'\]"):
        validate_prepared(adata)
    adata.layers["mask"] = adata.layers["mask"].astype(int)
    with pytest.raises(ContractError, match="must be bool, found int"):
        validate_prepared(adata)


def test_patches_are_read_across_slides_in_any_order(rng):
    arrays = [rng.integers(0, 255, (n, 4, 4, 3), dtype=np.uint8) for n in (3, 0, 5)]
    whole = np.concatenate(arrays)
    patches = Patches(arrays)
    rows = rng.permutation(8)
    np.testing.assert_array_equal(patches[:], whole)
    np.testing.assert_array_equal(patches.subset(rows)[2:6], whole[rows][2:6])
    np.testing.assert_array_equal(
        patches.subset(whole[:, 0, 0, 0] > 99)[:], whole[whole[:, 0, 0, 0] > 99]
    )
    assert patches.subset(rows).whole[:].shape == whole.shape


def test_withheld_expression_cannot_be_reached(tiny_slides):
    bare = tiny_slides.test.without_expression()
    for layer in ("target", "mask"):
        with pytest.raises(WithheldError, match=f"Layer '{layer}' is not visible here"):
            getattr(bare, layer)
    assert bare.adata.X is None
    assert list(bare.adata.layers) == []
    assert len(bare.patches) == len(bare) == len(tiny_slides.test)


def test_each_slide_comes_once_with_its_own_spots(tiny_slides):
    found = dict(tiny_slides.train.each())
    assert set(found) == {"a", "b"}
    assert sum(map(len, found.values())) == len(tiny_slides.train)
    for name, slide in found.items():
        assert set(slide.slide_ids) == {name}


def test_another_target_leaves_the_original_as_it_was(tiny_slides):
    before = tiny_slides.train.target.copy()
    changed = tiny_slides.train.with_target(before + 1)
    np.testing.assert_array_equal(tiny_slides.train.target, before)
    np.testing.assert_array_equal(changed.target, before + 1)
    with pytest.raises(ShapeMismatchError, match="must have shape"):
        tiny_slides.train.with_target(before[1:])


def test_one_patch_per_spot_is_demanded(tiny_slides):
    with pytest.raises(ShapeMismatchError, match="one patch per spot"):
        Slides(tiny_slides.train.adata, tiny_slides.test.patches)
