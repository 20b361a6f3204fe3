"""Shifts of images against Pillow, scikit-image and numpy."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from spared_bench.errors import StudyError
from spared_bench.studies.shifts import (
    SHIFTS,
    as_jpeg,
    blurred,
    brightened,
    chosen_shifts,
    halved,
    stained,
)


@pytest.fixture
def patches(rng):
    return rng.integers(60, 230, (3, 24, 24, 3), dtype=np.uint8)


def test_no_change_of_stain_changes_nothing(patches):
    assert np.abs(stained(1.0, 1.0)(patches).astype(int) - patches).max() <= 1


def test_haematoxylin_is_multiplied_as_scikit_image_takes_stains_apart(rng):
    from skimage.color import hed_from_rgb, rgb_from_hed

    amounts = rng.uniform(0.2, 1.0, (2, 20, 20, 3)) * [1, 1, 0]
    patches = np.rint(255 * np.exp(-amounts @ rgb_from_hed)).astype(np.uint8)

    made = stained(haematoxylin=0.5)(patches)

    found = -np.log(made / 255) @ hed_from_rgb
    np.testing.assert_allclose(found[..., 0], 0.5 * amounts[..., 0], atol=0.05)
    np.testing.assert_allclose(found[..., 1], amounts[..., 1], atol=0.05)


def test_jpeg_is_pillows(patches):
    file = io.BytesIO()
    Image.fromarray(patches[1]).save(file, "JPEG", quality=30)
    np.testing.assert_array_equal(as_jpeg(30)(patches)[1], np.asarray(Image.open(file)))


def test_a_blur_is_that_of_scikit_image(patches):
    from skimage.filters import gaussian

    expected = gaussian(patches[0], sigma=1.5, channel_axis=-1, mode="nearest", preserve_range=True)
    assert np.abs(blurred(1.5)(patches)[0] - expected).max() <= 0.51


def test_brightness_is_multiplied_and_cut(patches):
    expected = np.minimum(255, patches * 1.3)
    assert np.abs(brightened(1.3)(patches) - expected).max() <= 0.5 + 1e-4


def test_half_resolution_keeps_what_is_even_and_takes_fine_detail_away():
    even = np.full((1, 16, 16, 3), 90, np.uint8)
    np.testing.assert_array_equal(halved(even), even)
    stripes = np.zeros((1, 16, 16, 3), np.uint8)
    stripes[:, :, ::2] = 200
    assert halved(stripes).std() < 0.2 * stripes.std()


@pytest.mark.parametrize("shift", [s for s in SHIFTS if s.change], ids=lambda shift: shift.name)
def test_every_shift_keeps_shape_and_type_and_changes_something(patches, shift):
    made = shift.change(patches)

    assert (made.shape, made.dtype) == (patches.shape, np.uint8)
    assert not np.array_equal(made, patches)


def test_shifts_are_chosen_by_name_or_kind_and_a_wrong_one_is_refused():
    assert [s.name for s in chosen_shifts(("half resolution", "blur"))] == [
        *("blur, 1 px", "blur, 2 px", "half resolution")
    ]
    assert chosen_shifts(()) == list(SHIFTS)
    with pytest.raises(StudyError, match=r"Did you mean 'blur'\?"):
        chosen_shifts(("blurr",))
