"""The one training loop: so many steps, validation every few, the best weights kept.

As published (Mejia et al., MICCAI 2024): Adam with PyTorch's defaults, a budget of steps rather
than epochs, the weights of the lowest validation MSE over measured entries. Unlike there, every
step sees a full batch, and augmentation is drawn for every patch. Where the context has a folder
for it, a training that was killed goes on from its last checkpoint, to the same weights.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from spared_bench.errors import DivergedError
from spared_bench.interfaces import Budget, Context
from spared_bench.models.checkpoint import BestWeights, Checkpoint
from spared_bench.models.freezing import training_mode
from spared_bench.models.precision import mixed
from spared_bench.models.replay import Recorded
from spared_bench.models.seeded import seeded
from spared_bench.models.units import Units

Forward = Callable[[nn.Module, Any], Tensor]

# Far from the seeds a protocol lists, so that no two streams of random numbers are the same one.
_AUGMENTATION_STREAM = 1 << 32


@dataclass(frozen=True)
class Recipe:
    """What a method trains with where it is not the default.

    Parameters
    ----------
    optimizer : callable, optional
        ``(parameters) -> Optimizer``; by default Adam with PyTorch's settings.
    schedule : callable, optional
        ``(optimizer, budget) -> LRScheduler or None``, stepped after every step; by default the
        learning rate stays as it is.
    units_per_step : int
        0: as many as the batch size of the budget. A method whose unit is a whole slide says 1.
    micro_batch : int
        Units in memory at a time, 0 for all of a step; parts are as equal as they can be, so that
        none is a remainder of one. The gradient of a step is the mean over its micro-batches,
        weighted by their size: that of the whole step where the loss is a mean over units, and but
        for batch normalisation, which sees one micro-batch.
    precision : {"auto", "float32", "bfloat16"}
        See ``spared_bench.models.precision.mixed``.
    stage : str
        Names the checkpoint: one training of several in the same ``fit`` needs its own.
    replay : bool
        Whether a GPU records the work of a step once and replays it (``models.replay``): for losses
        that do the same work on the device for every batch, whatever its numbers. Where a step has
        micro-batches it is not.
    """

    optimizer: Callable[[Iterable[nn.Parameter]], Optimizer] | None = None
    schedule: Callable[[Optimizer, Budget], LRScheduler | None] | None = None
    units_per_step: int = 0
    micro_batch: int = 0
    precision: str = "auto"
    stage: str = "training"
    replay: bool = False


DEFAULT_RECIPE = Recipe()


def train(
    network: nn.Module,
    loss: Forward,
    train_units: Units,
    val_units: Units,
    *,
    lr: float,
    context: Context,
    predict: Forward | None = None,
    loss_name: str = "mse",
    recipe: Recipe = DEFAULT_RECIPE,
) -> None:
    """Train a network in place and leave it with its best weights, in evaluation mode.

    The same seed gives the same weights, bit for bit on a CPU with the same number of threads,
    whether or not the training was interrupted; torch's global random state is left as it was.

    Parameters
    ----------
    network : nn.Module
        On ``context.device``.
    loss : callable
        ``(network, batch) -> scalar``; what is minimised.
    train_units, val_units : Units
    lr : float
        Learning rate of Adam; for the messages where the recipe brings its own optimiser.
    context : Context
        Budget, seed, device, the folder for checkpoints, and ``report``, which gets
        ``{"train_<loss_name>": mean over the steps since the last report, "val_mse": ...}`` at
        every validation.
    predict : callable, optional
        ``(network, batch) -> (n_spots, n_genes)`` for validation; by default the network on
        ``batch.images``.
    loss_name : str
        How the curve of the training loss is called.
    recipe : Recipe

    Raises
    ------
    DivergedError
        As soon as a validation finds that a loss or a prediction was not finite.

    Notes
    -----
    Without a measured validation entry there is nothing to choose by, and the last weights stay.
    """
    budget = context.budget
    make = recipe.optimizer or (lambda parameters: torch.optim.Adam(parameters, lr=lr, fused=True))
    optimizer = make(each for each in network.parameters() if each.requires_grad)
    schedule = recipe.schedule(optimizer, budget) if recipe.schedule else None
    per_step = recipe.units_per_step or budget.batch_size
    order = shuffled_batches(len(train_units), per_step, context.seed)
    turns = torch.Generator().manual_seed(context.seed + _AUGMENTATION_STREAM)
    best = BestWeights(network)
    gradients = Gradients(network, loss, train_units, recipe, context)
    losses: list[Tensor] = []
    with seeded(context.seed, context.device):
        checkpoint = Checkpoint(
            context.scratch, recipe.stage, network, optimizer, schedule, best, turns, context.device
        )
        done = checkpoint.resume(context.report)
        for _ in range(done):
            next(order)
        for step in range(done + 1, budget.iterations + 1):
            training_mode(network)
            rows, coins = next(order), turns if budget.augment else None
            losses.append(gradients(rows, coins))
            optimizer.step()
            if schedule is not None:
                schedule.step()
            if step % budget.validate_every == 0 or step == budget.iterations:
                train_loss = _mean_loss(losses, step, lr)
                with mixed(network, context.device, recipe.precision):
                    val_mse = validation_mse(network, val_units, per_step, predict)
                if math.isinf(val_mse):
                    raise DivergedError(_diverged("The validation prediction", step, lr))
                best.offer(val_mse)
                values = {f"train_{loss_name}": train_loss, "val_mse": val_mse}
                context.report(step, values)
                losses.clear()
                checkpoint.offer(step, values)
    best.restore()
    network.eval()


class Gradients:
    """Leaves the gradient of a loss in the parameters of a network, step by step.

    Parameters
    ----------
    network : nn.Module
    loss : callable
        ``(network, batch) -> scalar``.
    units : Units
    recipe : Recipe
    context : Context
    """

    def __init__(
        self, network: nn.Module, loss: Forward, units: Units, recipe: Recipe, context: Context
    ) -> None:
        self._network, self._loss, self._units = network, loss, units
        self._recipe, self._context = recipe, context
        replays = recipe.replay and torch.device(context.device).type == "cuda"
        self._recorded = Recorded(network, self._backward) if replays else None

    def __call__(self, rows: Tensor, turns: torch.Generator | None) -> Tensor:
        """Leave the gradient over these units; return the loss."""
        parts = rows.tensor_split(math.ceil(len(rows) / (self._recipe.micro_batch or len(rows))))
        if self._recorded is not None and len(parts) == 1:
            return self._recorded(self._units.batch(rows, turns))
        self._network.zero_grad(set_to_none=True)
        total = torch.zeros((), device=self._context.device)
        for part in parts:
            total += self._backward(self._units.batch(part, turns), len(part) / len(rows))
        return total

    def _backward(self, batch: Any, weight: float = 1.0) -> Tensor:
        with mixed(self._network, self._context.device, self._recipe.precision):
            value = self._loss(self._network, batch) * weight
        value.backward()
        return value.detach()


@torch.inference_mode()
def validation_mse(
    network: nn.Module, units: Units, batch_size: int, predict: Forward | None = None
) -> float:
    """Mean squared error over all measured entries of all units, in evaluation mode.

    Returns
    -------
    float
        Whatever the batches, to rounding; nan without a measured entry, inf where a prediction is
        nan or infinite.
    """
    network.eval()
    predict = predict or on_images
    total, count = 0.0, 0
    for rows in torch.arange(len(units)).split(batch_size):
        batch = units.batch(rows)
        error = (predict(network, batch) - batch.target)[batch.mask]
        total += float(error.square().sum(dtype=torch.float64))
        count += error.numel()
    if not count:
        return math.nan
    return total / count if math.isfinite(total) else math.inf


def on_images(network: nn.Module, batch: Any) -> Tensor:
    """Apply a network to the images of a batch."""
    return network(batch.images)


def shuffled_batches(n_units: int, batch_size: int, seed: int) -> Iterator[Tensor]:
    """Yield positions without end: one fresh permutation after another, cut into full batches.

    A batch has ``min(batch_size, n_units)`` positions and may straddle two permutations, so that
    no step sees a remainder of a few units (batch normalisation fails on one).

    Parameters
    ----------
    n_units, batch_size : int
    seed : int

    Yields
    ------
    Tensor of int64, of shape (min(batch_size, n_units),)
    """
    assert n_units > 0
    generator = torch.Generator().manual_seed(seed)
    size = min(batch_size, n_units)
    waiting = torch.empty(0, dtype=torch.int64)
    while True:
        if len(waiting) < size:
            waiting = torch.cat([waiting, torch.randperm(n_units, generator=generator)])
        yield waiting[:size]
        waiting = waiting[size:]


def _mean_loss(losses: list[Tensor], step: int, lr: float) -> float:
    """Mean of the losses of the last steps, the latest of which is ``step``."""
    values = torch.stack(losses).double()
    odd = (~values.isfinite()).nonzero().flatten().tolist()
    if odd:
        raise DivergedError(_diverged("The training loss", step - len(losses) + 1 + odd[0], lr))
    return float(values.mean())


def _diverged(what: str, step: int, lr: float) -> str:
    return (
        f"{what} is no longer finite at step {step} with lr={lr:g}. Expected finite numbers"
        " throughout: try a smaller learning rate, or check the target for extreme values."
    )
