"""Methods that train several times in one ``fit``: each stage is one training of the trainer's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from torch import nn

from spared_bench.data import Slides
from spared_bench.interfaces import Context, Report
from spared_bench.models import TorchPredictor, trainer
from spared_bench.models.seeded import seeded
from spared_bench.models.units import Units


def fresh_network(predictor: TorchPredictor, train: Slides, context: Context) -> nn.Module:
    """Return a network of fresh weights that has begun with the training slides, in its place."""
    with seeded(context.seed, context.device):
        network = predictor.new_network(train.n_genes)
        predictor.start(network, train)
        return predictor._place(network, context.device)


def train_stage(
    predictor: TorchPredictor,
    network: nn.Module,
    train_units: Units,
    val_units: Units,
    context: Context,
    stage: str,
    *,
    loss: Callable[..., Any] | None = None,
    predict: Callable[..., Any] | None = None,
    loss_name: str = "",
) -> None:
    """Train a network in place for the whole budget of this context.

    Parameters
    ----------
    predictor : TorchPredictor
        How it is trained, where nothing else is said.
    network : nn.Module
        On the device of the context.
    train_units, val_units : Units
    context : Context
    stage : str
        Names the checkpoint; no two stages of one ``fit`` may have the same.
    loss, predict, loss_name
        As ``spared_bench.models.trainer.train`` takes them; the predictor's by default.
    """
    budget = context.budget
    trainer.train(
        network,
        loss or predictor.loss,
        train_units,
        val_units,
        lr=predictor.lr,
        context=replace(
            context, budget=replace(budget, augment=budget.augment and bool(predictor.augment))
        ),
        predict=predict or predictor.predict_batch,
        loss_name=loss_name or predictor.loss_name,
        recipe=predictor.recipe(budget, stage),
    )


def reported(report: Report, stage: str, done: int) -> Report:
    """Let the steps of a stage follow the ``done`` before it, and its curves have its name.

    An empty name leaves them their own: that is the stage that ends in the predictions.
    """

    def named(step: int, values: dict[str, float]) -> None:
        prefix = f"{stage}_" if stage else ""
        report(done + step, {f"{prefix}{name}": value for name, value in values.items()})

    return named
