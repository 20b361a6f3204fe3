"""Running a frozen network over many patches: batches by memory, precision by device, all GPUs.

Batches are read in a thread of their own while the network computes, and features stay on the
device until the last batch, so that the network waits for nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from dataclasses import dataclass
from itertools import pairwise
from queue import Empty, SimpleQueue
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from spared_bench.data import Patches
from spared_bench.errors import PluginError

#: ``(images, um_per_px) -> inputs``: uint8 (n, size, size, 3) on the device, to what it is fed.
Prepare = Callable[[Tensor, float], Tensor]

_CPU_BYTES = 16 << 20  # of a batch of patches as float32
_PROBE = 8  # patches by which the memory of one is measured on a GPU
_SHARE = 0.6  # of the free memory of a GPU that a batch may take
_MOST = 1024


@dataclass(frozen=True)
class Run:
    """Patches of one scale: rows ``start`` to ``stop``, at so many µm per pixel (0: unknown)."""

    start: int
    stop: int
    um_per_px: float


class FrozenNetwork:
    """A network on its devices, which turns patches into features.

    Parameters
    ----------
    network : nn.Module
        Inputs to (n, width).
    prepare : callable
        See ``Prepare``.
    device : str
        ``"cuda"`` without a number: all GPUs that this process sees.
    precision : {"float32", "float16", "bfloat16"}
        Taken where the device has it (``precision_on``).
    """

    def __init__(
        self, network: nn.Module, prepare: Prepare, device: str = "cpu", precision: str = "float32"
    ) -> None:
        self.devices = devices_of(device)
        self.precision = precision_on(self.devices[0], precision)
        self._prepare = prepare
        network = network.eval().requires_grad_(False)
        copies = [deepcopy(network) for _ in self.devices[1:]]
        self._networks = [
            each.to(where, memory_format=torch.channels_last)  # type: ignore[call-overload]
            for each, where in zip([network, *copies], self.devices, strict=True)
        ]
        self._batch: dict[tuple[int, float], int] = {}

    def __call__(self, patches: Patches, um_per_px: float | np.ndarray = 0.0) -> np.ndarray:
        """Return features of patches.

        Parameters
        ----------
        patches : Patches
            (n, size, size, 3).
        um_per_px : float or ndarray of shape (n,)
            Micrometres per pixel of each; 0 where unknown.

        Returns
        -------
        ndarray of float32, of shape (n, width)
        """
        runs = runs_of(um_per_px, len(patches))
        parts = [self._run(patches, run) for run in runs]
        if not parts:
            size = patches.shape[1] or 8
            empty = np.zeros((1, size, size, 3), dtype=np.uint8)
            return self._run(Patches([empty]), Run(0, 1, 0.0))[:0]
        return np.concatenate(parts)

    def _run(self, patches: Patches, run: Run) -> np.ndarray:
        step = self._batch_size(patches, run)
        jobs: SimpleQueue[int] = SimpleQueue()
        for start in range(run.start, run.stop, step):
            jobs.put(start)
        found: dict[int, Tensor] = {}
        if len(self.devices) == 1:
            self._work(0, patches, run, step, jobs, found)
        else:
            with ThreadPoolExecutor(len(self.devices)) as pool:
                work = [
                    pool.submit(self._work, at, patches, run, step, jobs, found)
                    for at in range(len(self.devices))
                ]
                for each in work:
                    each.result()
        return np.concatenate([found[start].float().cpu().numpy() for start in sorted(found)])

    def _work(
        self,
        at: int,
        patches: Patches,
        run: Run,
        step: int,
        jobs: SimpleQueue[int],
        found: dict[int, Tensor],
    ) -> None:
        """Take batches until none is left; the next is read while one is computed."""
        device = self.devices[at]
        for start, images in _read_ahead(patches, run, step, jobs, device):
            found[start] = self._compute(at, images, run.um_per_px)

    def _compute(self, at: int, images: Tensor, um: float) -> Tensor:
        """Return features of one batch; after the memory did not hold it, of its halves."""
        try:
            return self._forward(at, images, um)
        except torch.OutOfMemoryError:
            if len(images) == 1:
                raise
            torch.cuda.empty_cache()
            halves = images.split(-(-len(images) // 2))
            return torch.cat([self._compute(at, half, um) for half in halves])

    def _forward(self, at: int, images: Tensor, um: float) -> Tensor:
        kind = torch.device(self.devices[at]).type
        low = self.precision != "float32"
        dtype = getattr(torch, self.precision) if low else None
        with torch.inference_mode(), torch.autocast(kind, dtype=dtype, enabled=low):
            inputs = self._prepare(images, um)
            inputs = inputs.contiguous(memory_format=torch.channels_last)
            features: Tensor = self._networks[at](inputs)
        if not isinstance(features, Tensor) or features.shape[:1] != (len(images),):
            found = getattr(features, "shape", type(features).__name__)
            raise PluginError(
                f"A frozen network gave {found} for {len(images)} patches; expected a tensor with"
                " a row for each of them."
            )
        return features

    def _batch_size(self, patches: Patches, run: Run) -> int:
        size = patches.shape[1]
        if not self.devices[0].startswith("cuda"):
            return max(1, _CPU_BYTES // max(1, size * size * 3 * 4))
        known = size, run.um_per_px
        if known not in self._batch:
            probe = torch.from_numpy(
                patches[np.arange(run.start, min(run.stop, run.start + _PROBE))]
            )
            self._batch[known] = self._measured(probe.to(self.devices[0]), run.um_per_px)
        return self._batch[known]

    def _measured(self, probe: Tensor, um: float) -> int:
        """Return how many patches fit, from what a few of them take."""
        device = self.devices[0]
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        self._forward(0, probe, um)
        each = max(1, torch.cuda.max_memory_allocated(device) - before) / len(probe)
        free, _ = torch.cuda.mem_get_info(device)
        fits = int(_SHARE * free / each)
        return max(1, min(_MOST, 1 << max(0, fits.bit_length() - 1)))


def _read_ahead(
    patches: Patches, run: Run, step: int, jobs: SimpleQueue[int], device: str
) -> Iterator[tuple[int, Tensor]]:
    """Yield batches on a device; where that is no CPU, the next is read meanwhile."""

    def read() -> tuple[int, Tensor] | None:
        try:
            start = jobs.get_nowait()
        except Empty:
            return None
        images = torch.from_numpy(patches[np.arange(start, min(start + step, run.stop))])
        return start, images.pin_memory() if device.startswith("cuda") else images

    if device == "cpu":
        while (batch := read()) is not None:
            yield batch
        return
    with ThreadPoolExecutor(1) as pool:
        ahead = pool.submit(read)
        while (batch := ahead.result()) is not None:
            ahead = pool.submit(read)
            start, images = batch
            yield start, images.to(device, non_blocking=True)


def runs_of(um_per_px: float | np.ndarray, n: int) -> list[Run]:
    """Return the stretches of patches that have one scale."""
    if not n:
        return []
    scales = np.broadcast_to(np.asarray(um_per_px, dtype=np.float64), (n,))
    edges = [0, *(np.flatnonzero(np.diff(scales)) + 1), n]
    return [Run(int(start), int(stop), float(scales[start])) for start, stop in pairwise(edges)]


def devices_of(device: str) -> tuple[str, ...]:
    """Return the devices that ``device`` stands for: all GPUs for ``"cuda"``."""
    if device == "cuda":
        return tuple(f"cuda:{index}" for index in range(max(1, torch.cuda.device_count())))
    return (device,)


def precision_on(device: str, wanted: str) -> str:
    """Return a precision that a device has: the wanted one on a GPU that computes in it.

    A CPU computes in float32, so that it gives the same features as every other.
    """
    kind = torch.device(device).type
    if wanted == "float32" or kind == "cpu":
        return "float32"
    if wanted == "bfloat16" and kind == "cuda":
        able = torch.cuda.is_bf16_supported(including_emulation=False)
        return "bfloat16" if able else "float32"
    return wanted if kind in ("cuda", "mps") and wanted == "float16" else "float32"


def opened(encoder: Any, device: str) -> Callable[..., np.ndarray]:
    """Return what turns patches, and their µm per pixel, into features on a device.

    An encoder without ``opened`` is asked for ``encode``, which knows of neither.
    """
    own = getattr(encoder, "opened", None)
    if own is not None:
        return own(device)
    lock = threading.Lock()

    def encode(patches: Patches, um_per_px: float | np.ndarray = 0.0) -> np.ndarray:
        with lock:
            return np.asarray(encoder.encode(patches), dtype=np.float32)

    return encode
