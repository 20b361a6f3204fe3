"""Augmentations against torchvision, scikit-image and scipy, one patch at a time."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage, stats
from skimage.color import hed2rgb, rgb2hed
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as vision

from spared_bench.errors import UsageError
from spared_bench.models.augmentation import mixing
from spared_bench.models.augmentation.blur import Blur, blurred
from spared_bench.models.augmentation.colour_jitter import ColourJitter, jitter
from spared_bench.models.augmentation.crop_scale import CropScale, crop
from spared_bench.models.augmentation.grey import Grey, without_colour
from spared_bench.models.augmentation.hed_jitter import HedJitter, restain
from spared_bench.models.augmentation.mixing import mixed
from spared_bench.models.augmentation.names import BUILT_IN, made, modules, named
from spared_bench.models.augmentation.noise import Noise
from spared_bench.models.augmentation.rotation import Rotation, rotate

N = 7


@pytest.fixture
def images():
    """Smooth and sharp: blobs of colour with a little noise, (7, 3, 20, 20)."""
    rng = np.random.default_rng(5)
    coarse = rng.uniform(20, 235, (N, 3, 5, 5)).repeat(4, axis=2).repeat(4, axis=3)
    noisy = np.clip(coarse + rng.normal(0, 8, coarse.shape), 0, 255)
    return torch.tensor(noisy.astype(np.uint8)).contiguous(memory_format=torch.channels_last)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def every(name):
    (augmentation,) = made([name])
    return augmentation


@pytest.mark.parametrize("name", BUILT_IN)
def test_shape_type_and_layout_stay_and_one_seed_draws_the_same(name, images):
    before = images.clone()

    first, again = (every(name)(images, generator(3)) for _ in range(2))

    assert (first.shape, first.dtype) == (images.shape, torch.uint8)
    assert torch.equal(first, again)
    assert torch.equal(images, before)
    assert first.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("name", BUILT_IN)
def test_patches_are_drawn_each_by_itself_and_from_the_seed(name):
    one = torch.randint(0, 256, (1, 3, 12, 12), dtype=torch.uint8, generator=generator(9))
    copies = one.repeat(64, 1, 1, 1)

    changed = every(name)(copies, generator(1))

    kinds = len({patch.numpy().tobytes() for patch in changed})
    few = {"symmetries": 8, "quarter-turns": 4, "flips": 4, "grey": 2}
    assert kinds == few.get(name, kinds)
    assert kinds >= few.get(name, 25)
    assert not torch.equal(changed, every(name)(copies, generator(2)))


@pytest.mark.parametrize("name", BUILT_IN)
def test_the_global_random_state_neither_matters_nor_moves(name, images):
    torch.manual_seed(1)
    first, state = every(name)(images, generator()), torch.get_rng_state()
    torch.manual_seed(1)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    assert torch.equal(every(name)(images, generator()), first)


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_batch_without_patches_and_one_of_a_single_pixel_survive(name):
    assert every(name)(torch.empty(0, 3, 6, 6, dtype=torch.uint8), generator()).shape[0] == 0
    pixel = torch.full((2, 3, 1, 1), 90, dtype=torch.uint8)
    assert every(name)(pixel, generator()).shape == pixel.shape


def test_quarter_turns_and_flips_are_those_of_numpy_and_evenly_drawn():
    image = torch.arange(48, dtype=torch.uint8).view(1, 3, 4, 4)
    plain = image[0].permute(1, 2, 0).numpy()
    expected = {
        "quarter-turns": [np.rot90(plain, k) for k in range(4)],
        "flips": [plain, np.fliplr(plain), np.flipud(plain), np.flipud(np.fliplr(plain))],
    }
    for name, kinds in expected.items():
        drawn = every(name)(image.repeat(4000, 1, 1, 1), generator()).permute(0, 2, 3, 1).numpy()
        counts = [int((drawn == kind).all(axis=(1, 2, 3)).sum()) for kind in kinds]
        assert sum(counts) == 4000
        assert min(counts) > 1000 - 5 * 27.4  # Binomial(4000, 1/4)


@pytest.mark.parametrize("angle", [-137.0, -90.0, 0.0, 12.5, 180.0])
def test_a_rotation_is_torchvisions(images, angle):
    turned = rotate(images, torch.full((N,), angle), "zeros")

    expected = vision.rotate(images.float(), angle, interpolation=InterpolationMode.BILINEAR)
    # Beside the image torchvision's bilinear corners are zeros, too.
    assert (turned.float() - expected).abs().max() <= 0.51


def test_corners_of_a_rotation_are_reflected_as_by_scipy(images):
    angles = torch.linspace(-170, 170, N)
    turned = rotate(images, angles).float().numpy()
    for patch, angle, found in zip(images.numpy(), np.deg2rad(angles.numpy()), turned, strict=True):
        # Rows and columns of the source, from those of the result, about the middle.
        matrix = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        middle = np.full(2, 9.5)
        for channel in range(3):
            expected = ndimage.affine_transform(
                patch[channel].astype(float), matrix, middle - matrix @ middle, order=1,
                mode="reflect",
            )  # fmt: skip
            assert np.abs(found[channel] - expected).max() <= 0.51


def test_angles_are_drawn_evenly_between_the_bounds():
    dot = torch.zeros(2000, 3, 41, 41, dtype=torch.uint8)
    dot[:, :, 20, 38:41] = 255
    turned = Rotation(90.0, "zeros")(dot, generator())[:, 0].double().numpy()
    rows, columns = np.mgrid[-20:21, -20:21]
    weights = turned.sum(axis=(1, 2))
    angles = np.arctan2(-(turned * rows).sum(axis=(1, 2)), (turned * columns).sum(axis=(1, 2)))
    assert weights.min() > 0
    assert stats.kstest(np.rad2deg(angles), stats.uniform(-90, 180).cdf).pvalue > 1e-3


def test_a_crop_is_torchvisions_resized_crop(images):
    rng = np.random.default_rng(2)
    parts = rng.integers(1, 21, (N, 2))
    corners = rng.integers(0, 21 - parts)

    cut = crop(images, torch.tensor(corners), torch.tensor(parts)).float()

    for patch, (top, left), (height, width), found in zip(images, corners, parts, cut, strict=True):
        expected = vision.resized_crop(patch.float(), top, left, height, width, [20, 20])
        assert (found - expected).abs().max() <= 0.51


def test_parts_of_a_crop_have_the_sides_that_are_asked_for_and_lie_everywhere():
    ramp = torch.arange(100, dtype=torch.uint8).view(1, 1, 100, 1).expand(1500, 3, 100, 100)

    cut = CropScale((0.4, 0.6))(ramp, generator())[:, 0, :, 0].float()

    sides = (cut[:, -1] - cut[:, 0] + 1).numpy()
    assert (sides.min(), sides.max()) == (40, 60)
    starts = cut[:, 0].numpy() / (100 - sides)
    assert stats.kstest(starts, stats.uniform().cdf).statistic < 0.05


def test_colours_change_as_torchvision_changes_them(images):
    rng = np.random.default_rng(1)
    factors = [torch.tensor(rng.uniform(0.5, 1.5, N), dtype=torch.float32) for _ in range(3)]
    hue = torch.tensor(rng.uniform(-0.5, 0.5, N), dtype=torch.float32)

    changed = jitter(images, *factors, hue).float()

    for i, patch in enumerate(images.float() / 255):
        x = vision.adjust_brightness(patch, float(factors[0][i]))
        x = vision.adjust_contrast(x, float(factors[1][i]))
        x = vision.adjust_saturation(x, float(factors[2][i]))
        x = vision.adjust_hue(x, float(hue[i]))
        assert (changed[i] - 255 * x).abs().max() < 0.52


def test_colours_without_a_range_stay(images):
    assert torch.equal(ColourJitter(0.0, 0.0, 0.0)(images, generator()), images)
    assert torch.equal(ColourJitter(0.0, 0.0, 0.0, 1e-9)(images, generator()), images)


def test_grey_is_torchvisions_and_of_the_share_that_is_asked_for(images):
    expected = vision.rgb_to_grayscale(images.float(), num_output_channels=3)
    assert (without_colour(images).float() - expected).abs().max() <= 0.51

    many = images[:1].repeat(2000, 1, 1, 1)
    changed = (Grey(0.1)(many, generator()) != many).flatten(1).any(dim=1)
    assert abs(int(changed.sum()) - 200) < 5 * 13.4  # Binomial(2000, 0.1)


def test_a_blur_is_torchvisions_with_a_width_per_patch(images):
    sigmas = torch.linspace(0.2, 3.0, N)
    found = blurred(images, sigmas, radius=9).float()
    for patch, sigma, each in zip(images, sigmas, found, strict=True):
        expected = vision.gaussian_blur(patch.float(), [19, 19], [float(sigma)])
        assert (each - expected).abs().max() <= 0.51


def test_a_share_of_patches_is_blurred(images):
    many = images[:1].repeat(1000, 1, 1, 1)
    changed = (Blur(0.3, (1.0, 2.0))(many, generator()) != many).flatten(1).any(dim=1)
    assert abs(int(changed.sum()) - 300) < 5 * 14.5  # Binomial(1000, 0.3)


def test_noise_is_normal_of_the_strength_drawn_and_independent():
    flat = torch.full((40, 3, 64, 64), 128, dtype=torch.uint8)
    noise = Noise((0.02, 0.02))(flat, generator()).double() - 128
    # Rounding to whole bytes adds a variance of 1/12.
    assert noise.std() == pytest.approx(np.sqrt((0.02 * 255) ** 2 + 1 / 12), rel=0.01)
    assert abs(noise.mean()) < 0.05
    assert abs(stats.kurtosis(noise.flatten())) < 0.05
    rows = noise.flatten(1).numpy()
    between = np.corrcoef(rows)[np.triu_indices(40, 1)]
    assert np.abs(between).max() < 5 / np.sqrt(rows.shape[1])

    spread = Noise((0.0, 0.1))(flat, generator()).double().flatten(1).std(dim=1) / 255
    assert spread.min() < 0.02
    assert 0.08 < spread.max() < 0.105


def test_stains_change_as_by_scikit_image():
    rng = np.random.default_rng(4)
    amounts = rng.uniform(0.02, 0.08, (N, 8, 8, 3))  # of haematoxylin, eosin and DAB
    pictures = np.rint(255 * hed2rgb(amounts)).astype(np.uint8)
    factors, shifts = rng.uniform(0.8, 1.2, (N, 3)), rng.uniform(-0.005, 0.02, (N, 3))

    # scikit-image's unit of an amount is a factor of a million less light.
    unit = -np.log(1e-6)
    found = restain(
        torch.tensor(pictures).permute(0, 3, 1, 2),
        torch.tensor(factors),
        torch.tensor(shifts * unit),
    )

    stains = rgb2hed(pictures) * factors[:, None, None] + shifts[:, None, None]
    assert stains.min() > 0  # else scikit-image cuts it off
    expected = 255 * hed2rgb(stains)
    assert np.abs(found.permute(0, 2, 3, 1).numpy() - expected).max() < 0.52


def test_no_change_of_stains_leaves_every_colour_as_it_is():
    bytes_ = torch.randint(0, 256, (3, 3, 30, 30), dtype=torch.uint8, generator=generator())
    assert torch.equal(HedJitter(0.0, 0.0)(bytes_, generator()), bytes_)


def test_names_make_augmentations_with_parameters_in_their_order():
    asked = ["flips", {"blur": {"p": 1.0, "sigma": [1, 2]}}, {"grey": None}]
    parts = made(asked)
    assert [type(part).__name__ for part in parts] == ["Flips", "Blur", "Grey"]
    assert (parts[1].p, parts[1].sigma) == (1.0, (1, 2))
    assert named(True) == named(False) == made([]) == []
    assert named("noise") == [("noise", {})]
    assert modules(asked) == [
        f"spared_bench.models.augmentation.{name}" for name in ("blur", "flips", "grey")
    ]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("blurr", r"No augmentation is named 'blurr'\. Did you mean 'blur'\? There are: symm"),
        ([{"blur": {"sigm": 1}}], r"'blur' has no parameter 'sigm'\. Did you mean 'sigma'\? Its"),
        ([{"blur": 2}], r"parameters of augmentation 'blur' are 2; expected a mapping"),
        ([{"blur": {"sigma": [2, 1]}}], r"sigma of an augmentation is \[2, 1\]; expected two"),
        ([{"blur": {"sigma": 2}}], r"'blur' cannot be made with \{'sigma': 2\}"),
        ([{"blur": {"p": "often"}}], r"cannot be made with \{'p': 'often'\}.*parameters: p:"),
        ([{"grey": {"p": 1.5}}], r"p of an augmentation is 1\.5; expected 0 to 1"),
        ([{"grey": {"p": True}}], r"p of an augmentation is True; expected 0 to 1"),
        ([{"noise": {"sigma": [0, True]}}], r"sigma of an augmentation is \[0, True\]"),
        ([{"rotation": {"padding": "white"}}], r"'white'; expected reflection, border, zeros"),
        (7, r"`augment` holds 7\. Expected true, false, a name"),
        ([7], r"`augment` holds 7\."),
    ],
)
def test_a_wrong_name_or_parameter_is_refused_with_what_there_is(asked, message):
    with pytest.raises(UsageError, match=message):
        made(asked)


@pytest.mark.parametrize("offsets", [(), (3,), (4, 3)])
@pytest.mark.parametrize("way", [mixed, mixing._sums])
def test_channels_are_mixed_as_by_numpy(way, offsets):
    rng = np.random.default_rng(5)
    values, matrices = rng.normal(size=(4, 3, 6, 5)), rng.normal(size=(4, 3, 3))
    offset = rng.normal(size=offsets) if offsets else None
    expected = np.einsum("nij,njhw->nihw", matrices, values)
    if offset is not None:
        expected += np.broadcast_to(offset, (4, 3))[..., None, None]
    given = (None if each is None else torch.tensor(each).float() for each in (matrices, offset))
    np.testing.assert_allclose(way(torch.tensor(values).float(), *given), expected, atol=1e-5)
