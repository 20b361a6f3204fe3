"""A training that is killed goes on to the very weights it would have had."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from spared_bench.interfaces import Budget, Context
from spared_bench.models import checkpoint as checkpoint_module
from spared_bench.models.seeded import seeded
from spared_bench.models.trainer import Recipe, train
from spared_bench.models.units import PatchUnits

KILLED = """
import os, signal, sys
from pathlib import Path
import torch
from spared_bench.models import checkpoint
from tests.models import test_checkpoint as own

checkpoint.SECONDS_BETWEEN = 0.0
checkpoint._SHARE_OF_TIME = 1e9
scratch, die_at = Path(sys.argv[1]), int(sys.argv[2])

def report(step, values):
    if step == die_at:
        os.kill(os.getpid(), signal.SIGKILL)

own.run(torch.load(sys.argv[3], weights_only=False), scratch, report)
"""


class Rows:
    """Units of random images, with a mask."""

    def __init__(self, n, seed):
        generator = torch.Generator().manual_seed(seed)
        self.images = torch.rand(n, 3, 8, 8, generator=generator)
        self.target = self.images.mean(dim=(2, 3))

    def __len__(self):
        return len(self.images)

    def batch(self, rows, augment=None):
        images = self.images[rows]
        if augment is not None:
            images = images + torch.rand(images.shape, generator=augment) * 0.1
        batch = type("Batch", (), {})()
        batch.images, batch.target = images, self.target[rows]
        batch.mask = torch.ones_like(batch.target, dtype=torch.bool)
        return batch


def network():
    with seeded(3):
        return nn.Sequential(
            nn.Conv2d(3, 4, 3),
            nn.BatchNorm2d(4),
            nn.Flatten(),
            nn.Dropout(0.3),
            nn.Linear(144, 3),
        )


RECIPE = Recipe(
    optimizer=lambda parameters: torch.optim.AdamW(parameters, lr=0.01, weight_decay=0.1),
    schedule=lambda optimizer, budget: torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 24),
)


def run(units, scratch, report=lambda step, values: None):
    """Train for 24 steps with everything that has a state; return all weights."""
    torch.set_num_threads(1)  # as many here, whatever ran before, as in the process that is killed
    trained = network()
    train(
        trained,
        lambda net, batch: nn.functional.mse_loss(net(batch.images), batch.target),
        *units,
        lr=0.01,
        context=Context(5, Budget(24, 8, 3), "cpu", report, scratch),
        recipe=RECIPE,
    )
    return {name: value.clone() for name, value in trained.state_dict().items()}


@pytest.mark.parametrize("die_at", [9, 24])
def test_killed_in_the_middle_and_continued_the_weights_are_the_same_bit_for_bit(tmp_path, die_at):
    units = Rows(30, 0), Rows(10, 1)
    told, again = [], []
    whole = run(units, None, lambda step, values: told.append((step, values)))
    torch.save(units, tmp_path / "units.pt")

    command = [sys.executable, "-c", KILLED, str(tmp_path / "s"), str(die_at)]
    repository = Path(__file__).parents[2]
    ended = subprocess.run([*command, str(tmp_path / "units.pt")], cwd=repository, check=False)
    steps = []

    def report(step, values):
        steps.append(step)
        again.append((step, values))

    continued = run(units, tmp_path / "s", report)

    assert ended.returncode == -signal.SIGKILL
    assert torch.load(tmp_path / "s" / "training.pt", weights_only=True)["step"] == die_at - 3
    assert whole.keys() == continued.keys()
    assert all(torch.equal(whole[name], continued[name]) for name in whole)
    assert told == again  # the curves begin at the beginning, too


def test_a_continued_training_does_not_repeat_the_steps_it_has_behind_it(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint_module, "SECONDS_BETWEEN", 0.0)
    monkeypatch.setattr(checkpoint_module, "_SHARE_OF_TIME", 1e9)
    units = Rows(30, 0), Rows(10, 1)
    run(units, tmp_path)
    asked = []
    batch = units[0].batch
    units[0].batch = lambda rows, augment=None: asked.append(len(rows)) or batch(rows, augment)

    run(units, tmp_path)

    assert asked == []


def test_a_short_training_writes_no_checkpoint(tmp_path):
    run((Rows(30, 0), Rows(10, 1)), tmp_path / "scratch")
    assert not (tmp_path / "scratch").exists()


@pytest.mark.parametrize("micro_batch", [1, 3, 8])
def test_micro_batches_give_the_gradients_of_the_whole_batch(tiny_slides, micro_batch):
    def weights(size):
        with seeded(0):
            net = nn.Sequential(nn.Conv2d(3, 4, 5, stride=4), nn.Flatten(), nn.Linear(100, 6))
        train(
            net,
            lambda net, batch: nn.functional.mse_loss(net(batch.images), batch.target),
            PatchUnits(tiny_slides.train),
            PatchUnits(tiny_slides.val),
            lr=1e-3,
            context=Context(5, Budget(6, 8, 6)),
            recipe=Recipe(
                optimizer=lambda parameters: torch.optim.SGD(parameters, lr=1e-3),
                micro_batch=size,
            ),
        )
        return net.state_dict()

    whole, parts = weights(0), weights(micro_batch)
    for name, value in whole.items():
        torch.testing.assert_close(parts[name], value, rtol=1e-5, atol=1e-6)
