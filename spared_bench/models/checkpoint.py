"""What a training needs to go on after its process was killed, as if nothing had happened.

Checkpoints are written right after a validation, beside their place and then renamed, so that one
is whole or not there. The next one waits for a minute, or for twenty times as long as the last one
took to write: short trainings write none, and long ones lose 5 % of their time at most.
"""

from __future__ import annotations

import math
import os
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from spared_bench.files import replacing
from spared_bench.interfaces import Report

SECONDS_BETWEEN = 60.0
_SHARE_OF_TIME = 0.05


class BestWeights:
    """A copy of the weights that had the lowest error so far.

    Parameters
    ----------
    network : nn.Module
    """

    def __init__(self, network: nn.Module) -> None:
        self._network = network
        self._error = math.inf
        self._state: dict[str, Tensor] | None = None

    def state_dict(self) -> dict[str, Any]:
        """Return what ``load_state_dict`` takes."""
        return {"error": self._error, "state": self._state}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what ``state_dict`` returned."""
        self._error, self._state = state["error"], state["state"]

    def offer(self, error: float) -> None:
        """Copy the weights as they are now if this error is the lowest; nan never is."""
        if error < self._error:
            self._error = error
            # Cloned, because a state_dict refers to the very tensors that the next step changes.
            state = self._network.state_dict()
            self._state = {name: value.detach().clone() for name, value in state.items()}

    def restore(self) -> None:
        """Put the best weights back; without any, change nothing."""
        if self._state is not None:
            self._network.load_state_dict(self._state)


class Checkpoint:
    """The state of one training, in a file.

    Parameters
    ----------
    folder : Path, optional
        Made when first written; without one, nothing is written or read.
    stage : str
        Name of the training among those of the trial.
    network, optimizer, schedule, best : objects with a ``state_dict``
    turns : torch.Generator
        Of the augmentation.
    device : str
    """

    def __init__(
        self,
        folder: Path | None,
        stage: str,
        network: nn.Module,
        optimizer: Optimizer,
        schedule: LRScheduler | None,
        best: BestWeights,
        turns: torch.Generator,
        device: str,
    ) -> None:
        self._path = folder / f"{stage}.pt" if folder is not None else None
        self._parts: dict[str, Any] = {"network": network, "optimizer": optimizer, "best": best}
        if schedule is not None:
            self._parts["schedule"] = schedule
        self._turns = turns
        self._cuda = torch.device(device) if torch.device(device).type == "cuda" else None
        self._told: list[tuple[int, dict[str, float]]] = []
        self._due = time.monotonic() + SECONDS_BETWEEN

    def resume(self, report: Report) -> int:
        """Load the last checkpoint and report its curves again; return its step, 0 without one."""
        if self._path is None or not self._path.is_file():
            return 0
        state = torch.load(self._path, map_location="cpu", weights_only=True)
        for name, part in self._parts.items():
            part.load_state_dict(state[name])
        self._turns.set_state(state["turns"])
        torch.set_rng_state(state["rng"])
        if self._cuda is not None:
            torch.cuda.set_rng_state(state["cuda_rng"], self._cuda)
        self._told = [(step, dict(values)) for step, values in state["told"]]
        for step, values in self._told:
            report(step, values)
        return int(state["step"])

    def offer(self, step: int, values: dict[str, float]) -> None:
        """Take note of what was reported at a step, and write a checkpoint if one is due."""
        if self._path is None:
            return
        self._told.append((step, values))
        if time.monotonic() < self._due:
            return
        started = time.monotonic()
        self._write(self._path, step)
        took = time.monotonic() - started
        self._due = time.monotonic() + max(SECONDS_BETWEEN, took / _SHARE_OF_TIME)

    def _write(self, path: Path, step: int) -> None:
        state = {name: part.state_dict() for name, part in self._parts.items()}
        state |= {
            "step": step,
            "told": self._told,
            "turns": self._turns.get_state(),
            "rng": torch.get_rng_state(),
        }
        if self._cuda is not None:
            state["cuda_rng"] = torch.cuda.get_rng_state(self._cuda)
        with replacing(path) as beside, beside.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
