import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision.transforms.v2 import functional as torchvision_functional

from spared_bench.models.augment import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    N_SYMMETRIES,
    apply_symmetries,
    draw_symmetries,
    normalise,
)


def turn_with_numpy(image, code):
    if code & 1:
        image = np.fliplr(image)
    if code & 2:
        image = np.flipud(image)
    return np.rot90(image) if code & 4 else image


@given(codes=st.lists(st.integers(0, 7), min_size=1, max_size=12), size=st.integers(1, 9))
def test_each_patch_is_turned_by_its_own_symmetry_and_no_pixel_changes(codes, size):
    images = np.random.default_rng(size).integers(0, 256, (len(codes), size, size, 3), np.uint8)

    turned = apply_symmetries(torch.tensor(images), torch.tensor(codes))

    expected = [turn_with_numpy(i, c) for i, c in zip(images, codes, strict=True)]
    np.testing.assert_array_equal(turned.numpy(), np.stack(expected))


def test_the_eight_codes_are_eight_different_symmetries():
    image = torch.arange(16).view(1, 4, 4, 1).repeat(N_SYMMETRIES, 1, 1, 1)
    turned = apply_symmetries(image, torch.arange(N_SYMMETRIES))
    assert len({tuple(t.flatten().tolist()) for t in turned}) == N_SYMMETRIES


def test_symmetries_are_drawn_for_every_patch_and_evenly():
    codes = draw_symmetries(8_000, torch.Generator().manual_seed(3))
    counts = torch.bincount(codes, minlength=N_SYMMETRIES)
    # Binomial(8000, 1/8) has standard deviation 29.6.
    assert counts.min() > 1_000 - 5 * 30
    assert counts.max() < 1_000 + 5 * 30


def test_normalise_agrees_with_torchvision_and_keeps_channels_last(rng):
    images = torch.tensor(rng.integers(0, 256, (3, 5, 5, 3), np.uint8))

    result = normalise(images)

    scaled = images.permute(0, 3, 1, 2).float() / 255
    expected = torchvision_functional.normalize(scaled, IMAGENET_MEAN, IMAGENET_STD)
    torch.testing.assert_close(result, expected)
    assert result.is_contiguous(memory_format=torch.channels_last)
