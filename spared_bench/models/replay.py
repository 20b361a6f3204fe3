"""The work of a training step on a GPU, recorded once and replayed.

A CPU takes some microseconds to start a kernel, and a step of a small network has thousands of
them: the GPU waits for most of the time. A CUDA graph starts all that was recorded at once. What is
recorded does the same with other numbers, so it may not depend on them: no shape, no choice in
Python, nothing that the CPU draws or counts.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import torch
from torch import Tensor, nn

#: Passes before the recording, in which libraries choose their algorithms and take their memory.
_WARM_UP = 3


class Recorded:
    """Gradients of a loss over batches of one shape.

    The first batch is worked on a few times before it is recorded; statistics that the network
    keeps and torch's random state are then put back, so that each batch counts once. What cannot be
    recorded, for want of memory or since the CPU asks the GPU for a value, is computed each time,
    which is told as a warning and gives the same.

    Parameters
    ----------
    network : nn.Module
        On a GPU. Its gradients stay the same tensors from the first batch on: whoever sets them to
        ``None`` loses them.
    work : callable
        ``(batch) -> scalar``; leaves the gradients of this batch in the parameters.
    """

    def __init__(self, network: nn.Module, work: Callable[[Any], Tensor]) -> None:
        self._network, self._work = network, work
        self._replay: Callable[[], None] | None = None
        self._given: Any = None
        self._result: Tensor
        self._fails = False

    def __call__(self, batch: Any) -> Tensor:
        """Leave the gradients of a batch, a dataclass of tensors; return its loss."""
        if self._replay is None and not self._fails:
            self._try_to_record(batch)
        elif self._replay is not None:
            for name, value in _tensors(batch).items():
                there = getattr(self._given, name)
                assert there.shape == value.shape, f"{name} of a batch has changed its shape"
                there.copy_(value)
        if self._replay is None:
            self._network.zero_grad(set_to_none=True)
            return self._work(batch)
        self._replay()
        return self._result.clone()

    def _try_to_record(self, batch: Any) -> None:
        self._given = replace(batch, **{name: x.clone() for name, x in _tensors(batch).items()})
        device = next(self._network.parameters()).device
        random = torch.cuda.get_rng_state(device)
        kept = [(buffer, buffer.clone()) for buffer in self._network.buffers()]

        def put_back() -> None:
            torch.cuda.set_rng_state(random, device)
            with torch.no_grad():
                for buffer, before in kept:
                    buffer.copy_(before)

        try:
            self._warm_up(device)
            put_back()
            self._replay = self._record(device)
        except RuntimeError as error:  # of CUDA; memory that is not enough is one, too
            self._fails, self._given = True, None
            # One that succeeds, so that the random state no longer thinks itself in a recording.
            with torch.cuda.device(device), torch.cuda.graph(torch.cuda.CUDAGraph()):
                torch.zeros(1, device=device)
            put_back()
            why = str(error).partition("\n")[0] or type(error).__name__
            warnings.warn(
                "The steps of this training are computed one by one, since the GPU could not record"
                f" them: {why}",
                stacklevel=2,
            )

    def _warm_up(self, device: torch.device) -> None:
        aside = torch.cuda.Stream(device)
        aside.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(aside):
            for _ in range(_WARM_UP):
                self._network.zero_grad(set_to_none=True)
                self._work(self._given)
        torch.cuda.current_stream(device).wait_stream(aside)

    def _record(self, device: torch.device) -> Callable[[], None]:
        # Gradients that are not there are made in the graph's own memory, and written anew by it.
        self._network.zero_grad(set_to_none=True)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.device(device), torch.cuda.graph(graph):
            self._result = self._work(self._given)
        return graph.replay


def _tensors(batch: Any) -> dict[str, Tensor]:
    named = {field.name: getattr(batch, field.name) for field in fields(batch)}
    return {name: value for name, value in named.items() if isinstance(value, Tensor)}
