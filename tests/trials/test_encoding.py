"""Encoding a dataset: in shards, at the scale of the encoder, told in the record."""

import numpy as np
import pytest

from spared_bench.data import Patches
from spared_bench.errors import PluginError
from spared_bench.trials.encoding import encode_sharded, reporting


class Sums:
    """Features that say which patch they are of; fails on demand."""

    def __init__(self, fails_at: int = -1) -> None:
        self.fails_at, self.calls = fails_at, 0

    def identity(self):
        return {"encoder": "sums"}

    def encode(self, patches):
        self.calls += 1
        if self.calls == self.fails_at:
            raise KeyboardInterrupt
        return patches[np.arange(len(patches))].reshape(len(patches), -1).sum(axis=1)[:, None]


@pytest.fixture
def patches(rng):
    return Patches([rng.integers(0, 256, (n, 4, 4, 3), np.uint8) for n in (5, 6)])


def expected(patches):
    return patches[np.arange(11)].reshape(11, -1).sum(axis=1)[:, None].astype(np.float32)


def test_an_interrupted_encoding_goes_on_where_it_was(patches, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        encode_sharded(Sums(fails_at=4), "cpu", patches, np.zeros(11), tmp_path, shard=3)
    again = Sums()

    found, told = encode_sharded(again, "cpu", patches, np.zeros(11), tmp_path, shard=3)

    np.testing.assert_array_equal(found, expected(patches))
    assert again.calls == 3  # the third asks for some of the second's patches again
    assert told["resumed"] == 6


def test_what_is_half_written_or_damaged_is_no_shard(patches, tmp_path):
    encode_sharded(Sums(), "cpu", patches, np.zeros(11), tmp_path, shard=3)
    shards = sorted(tmp_path.iterdir())
    shards[0].rename(tmp_path / f".1-00000000.{shards[0].name}")
    shards[1].write_bytes(shards[1].read_bytes()[:-2])  # a power cut
    shards[2].write_bytes(b"")
    np.save(shards[3], np.zeros((7, 1), np.float32))  # of another time's shards

    found, told = encode_sharded(Sums(), "cpu", patches, np.zeros(11), tmp_path, shard=3)
    np.testing.assert_array_equal(found, expected(patches))
    assert told["resumed"] == 0


def test_progress_is_told_with_patches_per_second(patches, tmp_path):
    told = []
    with reporting(lambda step, values: told.append((step, values))):
        encode_sharded(Sums(), "cpu", patches, np.zeros(11), tmp_path, shard=4)
    assert [step for step, _ in told] == [4, 8, 11]
    assert told[-1][1]["encoded"] == 1
    assert all(values["patches_per_s"] > 0 for _, values in told)


class Shared(Sums):
    """Features of the kind that go wrong without a word: they depend on more than the patch."""

    def __init__(self, fault):
        super().__init__()
        self.fault = fault

    def encode(self, patches):
        return self.fault(super().encode(patches).astype(np.float32), self.calls)


@pytest.mark.parametrize(
    "fault",
    [
        lambda found, call: found[::-1],  # rows in another order
        lambda found, call: (found - found.mean(0)) / (found.std(0) + 1e-9),  # normalised by batch
        lambda found, call: found * np.random.default_rng(call).binomial(1, 0.5, found.shape),
        lambda found, call: found * (1 + 0.5 * call),  # what it has seen before
    ],
    ids=["reversed", "by batch", "dropout", "running"],
)
def test_features_that_depend_on_more_than_the_patch_are_refused(fault, patches, tmp_path):
    with pytest.raises(PluginError, match=r"'Shared' gave 4 patches other features"):
        encode_sharded(Shared(fault), "cpu", patches, np.zeros(11), tmp_path)
    assert not list(tmp_path.iterdir())  # nothing is kept of it


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (lambda found, call: found[:-1], r"shape \(10, 1\) for 11 patches; expected \(11, width\)"),
        (lambda found, call: found[:, 0], r"shape \(11,\) for 11 patches"),
        (lambda found, call: found[..., None], r"shape \(11, 1, 1\) for 11 patches"),
        (lambda found, call: np.repeat(found, call, 1), r"shape \(4, 2\) for 4 .* \(4, 1\)"),
        (
            lambda found, call: np.where(np.arange(len(found))[:, None] > 8, np.nan, found),
            "infinite features for 2 of 11 patches, first for number 9",
        ),
    ],
)
def test_what_is_no_row_of_numbers_for_each_patch_is_refused(fault, told, patches, tmp_path):
    with pytest.raises(PluginError, match=told):
        encode_sharded(Shared(fault), "cpu", patches, np.zeros(11), tmp_path)


def test_rounding_that_goes_with_the_size_of_a_batch_is_no_fault(patches, tmp_path):
    """Half precision gives other last digits for other batches, by up to a tenth of the spread."""
    nearly = Shared(lambda found, call: found + 0.1 * found.std() * (-1) ** call)
    found, _ = encode_sharded(nearly, "cpu", patches, np.zeros(11), tmp_path)
    assert found.shape == (11, 1)
