"""Encoding on several devices: each batch once, joined in the order of the patches."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch
from torch import nn

from spared_bench.data import Patches
from spared_bench.models import encoding
from spared_bench.models.encoding import FrozenNetwork, devices_of
from spared_bench.trials.encoding import encode_sharded

SIDE, N, BATCH = 4, 23, 2


@pytest.fixture
def devices(monkeypatch):
    """Three devices, which are all this CPU, and batches of two patches."""
    monkeypatch.setattr(encoding, "devices_of", lambda device: ("cpu",) * 3)
    monkeypatch.setattr(encoding, "_CPU_BYTES", BATCH * SIDE * SIDE * 3 * 4)


@pytest.fixture
def patches():
    """Patches of which each is filled with its number."""
    images = np.repeat(np.arange(N, dtype=np.uint8), SIDE * SIDE * 3).reshape(N, SIDE, SIDE, 3)
    return Patches([images[:10], images[10:]])


def as_inputs(images, um):
    return images.float().permute(0, 3, 1, 2) + 100 * um


class Number(nn.Module):
    """Gives the number of a patch, and notes which copy of itself was asked, in which thread.

    The thread that has the first batch waits until two others have done one.
    """

    shared: tuple[list, threading.Semaphore] = ([], threading.Semaphore(0))

    def __init__(self, wait: bool = False) -> None:
        super().__init__()
        self.wait = wait
        type(self).shared = ([], threading.Semaphore(0))

    def forward(self, x):
        asked, done = self.shared
        found = x.mean(dim=(1, 2, 3))[:, None]
        asked.append((id(self), threading.get_ident(), found.ravel().tolist()))
        if self.wait and found[0] == 0:
            assert done.acquire(timeout=60)
            assert done.acquire(timeout=60)
        done.release()
        return found


def test_features_come_in_the_order_of_the_patches_though_the_first_batch_is_done_last(
    devices, patches
):
    found = FrozenNetwork(Number(wait=True), as_inputs)(patches)

    np.testing.assert_array_equal(found, np.arange(N)[:, None])
    asked = Number.shared[0]
    numbers = sorted(number for *_, batch in asked for number in batch)
    assert numbers == list(range(N))  # none twice
    by_copy = {}
    for copy, thread, _ in asked:
        by_copy.setdefault(copy, set()).add(thread)
    assert len(by_copy) >= 2
    assert all(len(threads) == 1 for threads in by_copy.values())  # a copy to each device


def test_patches_of_several_scales_keep_their_order_and_scale(devices, patches):
    um = np.array([1.0] * 5 + [2.0] * 13 + [1.0] * 5)
    found = FrozenNetwork(Number(), as_inputs)(patches, um)
    np.testing.assert_array_equal(found.ravel(), np.arange(N) + 100 * um)


def test_shards_are_joined_in_order_on_several_devices_as_on_one(devices, patches, tmp_path):
    class Encoder:
        def opened(self, device):
            return FrozenNetwork(Number(), as_inputs, device)

    found, _ = encode_sharded(Encoder(), "cuda", patches, np.zeros(N), tmp_path, shard=5)
    np.testing.assert_array_equal(found, np.arange(N)[:, None])


def test_what_fails_on_one_device_ends_the_encoding(devices, patches):
    class Fails(Number):
        def forward(self, x):
            if x.mean() > 15:
                raise RuntimeError("device 1 is lost")
            return super().forward(x)

    with pytest.raises(RuntimeError, match="device 1 is lost"):
        FrozenNetwork(Fails(), as_inputs)(patches)


def test_all_gpus_are_taken_unless_one_is_named(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    assert devices_of("cuda") == ("cuda:0", "cuda:1", "cuda:2")
    assert devices_of("cuda:1") == ("cuda:1",)
    assert devices_of("cpu") == ("cpu",)
