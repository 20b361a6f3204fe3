import numpy as np
import pytest
import torch
from torchvision import transforms

from spared_bench.data import Patches
from spared_bench.errors import UsageError
from spared_bench.models.device_patches import CPU_BUDGET, DevicePatches, resident_budget
from spared_bench.models.units import PatchUnits


@pytest.fixture
def patches(rng):
    return Patches([rng.integers(0, 256, (n, 8, 8, 3), np.uint8) for n in (5, 7)])


def test_patches_that_stay_on_the_device_and_patches_that_are_read_are_the_same(patches):
    n_bytes = 12 * 8 * 8 * 3
    kept, read = (DevicePatches(patches, "cpu", budget=b) for b in (n_bytes, n_bytes - 1))
    rows = torch.tensor([11, 0, 4, 5, 0])

    assert kept.resident
    assert not read.resident
    assert torch.equal(kept[rows], read[rows])
    np.testing.assert_array_equal(kept[rows].numpy(), patches[rows.numpy()])


def test_on_a_cpu_at_most_a_gibibyte_of_patches_is_kept():
    assert resident_budget("cpu") == CPU_BUDGET == 1024**3


def test_a_batch_holds_the_target_and_mask_of_its_rows(tiny_slides):
    train = tiny_slides.train
    rows = torch.tensor([7, 3, 60])

    batch = PatchUnits(train).batch(rows)

    assert batch.images.shape == (3, 3, 24, 24)
    np.testing.assert_array_equal(batch.target.numpy(), train.target[rows])
    np.testing.assert_array_equal(batch.mask.numpy(), train.mask[rows])


def test_without_expression_a_batch_has_images_and_no_columns(tiny_slides):
    batch = PatchUnits(tiny_slides.test.without_expression()).batch(torch.arange(4))
    assert batch.target.shape == (4, 0)
    assert batch.mask.shape == (4, 0)


def test_the_patches_of_one_batch_are_turned_differently(tiny_slides):
    units = PatchUnits(tiny_slides.train)
    same_spot = torch.zeros(64, dtype=torch.int64)

    plain = units.batch(same_spot).images
    turned = units.batch(same_spot, torch.Generator().manual_seed(0)).images

    assert len(plain.flatten(1).unique(dim=0)) == 1
    assert len(turned.flatten(1).unique(dim=0)) == 8


def test_patches_are_normalised_by_the_constants_of_the_name(tiny_slides):
    rows = torch.arange(3)
    bytes_ = torch.from_numpy(tiny_slides.train.patches[rows.numpy()]).permute(0, 3, 1, 2).double()
    for name, mean, std in (
        ("imagenet", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ("egn", (0.5476, 0.5218, 0.6881), (0.2461, 0.2101, 0.1649)),
        ("unit", (0, 0, 0), (1, 1, 1)),
    ):
        found = PatchUnits(tiny_slides.train, normalisation=name).batch(rows).images
        expected = transforms.Normalize(mean, std)(bytes_ / 255)
        torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-4)
    raw = PatchUnits(tiny_slides.train, normalisation="raw").batch(rows).images
    torch.testing.assert_close(raw.double(), bytes_, rtol=1e-5, atol=1e-3)
    with pytest.raises(UsageError, match=r"normalisation must be one of imagenet.*'imagnet'.*mean"):
        PatchUnits(tiny_slides.train, normalisation="imagnet")
