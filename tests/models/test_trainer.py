from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from spared_bench.errors import DivergedError, UsageError
from spared_bench.interfaces import Budget, Context
from spared_bench.models.seeded import seeded
from spared_bench.models.trainer import (
    BestWeights,
    Recipe,
    on_images,
    shuffled_batches,
    train,
    validation_mse,
)
from spared_bench.models.units import PatchUnits


class Points:
    """Units that are rows of three tensors: any units will do for the trainer."""

    def __init__(self, images, target, mask=None):
        self.images, self.target = images, target
        self.mask = torch.ones_like(target, dtype=torch.bool) if mask is None else mask

    def __len__(self):
        return len(self.target)

    def batch(self, rows, augment=None):
        return SimpleNamespace(
            images=self.images[rows], target=self.target[rows], mask=self.mask[rows]
        )


class Constant(nn.Module):
    """Predicts one number, whatever it sees."""

    def __init__(self):
        super().__init__()
        self.value = nn.Parameter(torch.zeros(()))

    def forward(self, images):
        return self.value.expand(len(images), 1)


def constant_points(value, n=8):
    return Points(torch.zeros(n, 1), torch.full((n, 1), float(value)))


def mse(network, batch):
    return functional.mse_loss(network(batch.images), batch.target)


def small_cnn(n_genes=6):
    return nn.Sequential(
        nn.Conv2d(3, 8, 5, stride=3),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Dropout(0.1),
        nn.Linear(8, n_genes),
    )


def completed(slides):
    return slides.with_target(slides.adata.layers["prefilled"])


def test_the_weights_of_the_lowest_validation_error_are_kept_and_not_the_last():
    network, seen = Constant(), []

    def report(step, values):
        seen.append((values["val_mse"], float(network.value.detach())))

    context = Context(budget=Budget(30, 4, 1), report=report)
    train(network, mse, constant_points(10), constant_points(1), lr=0.3, context=context)

    best = min(seen)[1]  # training pulls the value from 0 to 10, past the 1 of validation
    assert best == pytest.approx(1, abs=0.2)
    assert seen[-1][1] > 5
    assert float(network.value.detach()) == best


def test_best_weights_are_a_copy_that_later_steps_do_not_touch():
    network = nn.BatchNorm1d(2)
    best = BestWeights(network)
    best.offer(1.0)
    with torch.no_grad():
        network.weight.fill_(7)
        network.running_mean.fill_(7)
    best.offer(2.0)
    best.offer(float("nan"))

    best.restore()

    assert network.weight.tolist() == [1, 1]
    assert network.running_mean.tolist() == [0, 0]


def test_validation_is_every_so_many_steps_and_at_the_last():
    steps = []
    context = Context(budget=Budget(10, 4, 4), report=lambda step, values: steps.append(step))
    train(Constant(), mse, constant_points(1), constant_points(1), lr=0.1, context=context)
    assert steps == [4, 8, 10]


def test_steps_run_in_training_mode_and_validations_in_evaluation_mode():
    modes = []

    class Watched(Constant):
        def forward(self, images):
            modes.append("train" if self.training else "eval")
            return super().forward(images)

    points = constant_points(1, n=4)
    train(Watched(), mse, points, points, lr=0.1, context=Context(budget=Budget(4, 4, 2)))
    assert modes == ["train", "train", "eval"] * 2


def test_the_reported_training_loss_is_the_mean_since_the_last_report():
    losses, reported = [], []

    def loss(network, batch):
        value = mse(network, batch)
        losses.append(float(value.detach()))
        return value

    def report(step, values):
        reported.append(values["train_contrast"])

    context = Context(budget=Budget(6, 4, 3), report=report)
    points = constant_points(3)
    train(Constant(), loss, points, points, lr=0.1, context=context, loss_name="contrast")

    assert reported == pytest.approx([np.mean(losses[:3]), np.mean(losses[3:])])


def test_training_is_adam_with_default_settings_on_the_drawn_batches(rng):
    images = torch.tensor(rng.normal(size=(20, 4)), dtype=torch.float32)
    points = Points(images, images @ torch.ones(4, 2) + 1)
    budget = Budget(iterations=25, batch_size=6, validate_every=25, augment=False)
    network, plain = nn.Linear(4, 2), nn.Linear(4, 2)
    plain.load_state_dict(network.state_dict())

    train(network, mse, points, points, lr=0.05, context=Context(seed=4, budget=budget))

    optimizer = torch.optim.Adam(plain.parameters(), lr=0.05)
    batches = shuffled_batches(20, 6, seed=4)
    for _ in range(25):
        optimizer.zero_grad()
        mse(plain, points.batch(next(batches))).backward()
        optimizer.step()
    torch.testing.assert_close(network.weight, plain.weight)
    torch.testing.assert_close(network.bias, plain.bias)


def test_a_recipe_brings_its_own_optimiser_schedule_and_number_of_units(rng):
    images = torch.tensor(rng.normal(size=(20, 4)), dtype=torch.float32)
    points = Points(images, images @ torch.ones(4, 2) + 1)
    network, plain = nn.Linear(4, 2), nn.Linear(4, 2)
    plain.load_state_dict(network.state_dict())

    def sgd(parameters):
        return torch.optim.SGD(parameters, lr=0.1, momentum=0.9, weight_decay=0.01)

    def halve(optimizer):
        return torch.optim.lr_scheduler.StepLR(optimizer, 5, 0.5)

    recipe = Recipe(sgd, lambda optimizer, budget: halve(optimizer), units_per_step=3)
    budget = Budget(iterations=12, batch_size=6, validate_every=12, augment=False)
    train(network, mse, points, points, lr=0.1, context=Context(4, budget), recipe=recipe)

    optimizer = sgd(plain.parameters())
    schedule, batches = halve(optimizer), shuffled_batches(20, 3, seed=4)
    for _ in range(12):
        optimizer.zero_grad()
        mse(plain, points.batch(next(batches))).backward()
        optimizer.step()
        schedule.step()
    torch.testing.assert_close(network.weight, plain.weight)
    torch.testing.assert_close(network.bias, plain.bias)


def test_an_unknown_precision_is_an_error_that_names_the_known_ones():
    points = constant_points(1)
    with pytest.raises(UsageError, match="'auto', 'float32', 'bfloat16'; found 'half'"):
        train(
            Constant(),
            mse,
            points,
            points,
            lr=0.1,
            context=Context(budget=Budget(2, 4, 1)),
            recipe=Recipe(precision="half"),
        )


def test_bfloat16_learns_what_float32_learns(tiny_slides):
    def error(precision):
        with seeded(0):
            network = small_cnn()
        val = completed(tiny_slides.val)
        units = PatchUnits(completed(tiny_slides.train)), PatchUnits(val)
        context = Context(budget=Budget(100, 32, 20))
        train(network, mse, *units, lr=0.03, context=context, recipe=Recipe(precision=precision))
        return validation_mse(network, units[1], 40)

    assert error("bfloat16") == pytest.approx(error("float32"), rel=0.5)


def test_a_loss_that_is_not_finite_ends_the_training_and_names_step_and_rate():
    steps = []

    def loss(network, batch):
        steps.append(1)
        return mse(network, batch) * (float("nan") if len(steps) == 7 else 1.0)

    with pytest.raises(DivergedError, match=r"training loss .* step 7 with lr=0\.25.*smaller"):
        points = constant_points(1)
        train(Constant(), loss, points, points, lr=0.25, context=Context(budget=Budget(20, 4, 5)))


@pytest.mark.parametrize("odd", [float("nan"), float("inf")])
def test_a_validation_prediction_that_is_not_finite_ends_the_training(odd):
    points = constant_points(1)
    with pytest.raises(DivergedError, match=r"validation prediction .* step 5 with lr=0\.25"):
        train(
            Constant(),
            mse,
            points,
            points,
            lr=0.25,
            context=Context(budget=Budget(20, 4, 5)),
            predict=lambda network, batch: torch.full_like(batch.target, odd),
        )


def test_the_same_seed_gives_the_same_weights_bit_for_bit(tiny_slides):
    def weights(seed):
        with seeded(0):
            network = small_cnn()
        units = PatchUnits(tiny_slides.train), PatchUnits(tiny_slides.val)
        train(network, mse, *units, lr=0.01, context=Context(seed, Budget(12, 16, 4)))
        return torch.cat([value.flatten().double() for value in network.state_dict().values()])

    first, again, other = weights(1), weights(1), weights(2)

    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_training_leaves_the_random_state_of_torch_as_it_was(tiny_slides):
    network, units = small_cnn(), PatchUnits(tiny_slides.train)
    before = torch.get_rng_state()

    train(network, mse, units, units, lr=0.01, context=Context(budget=Budget(3, 16, 3)))

    assert torch.equal(torch.get_rng_state(), before)


def test_validation_counts_measured_entries_only_whatever_the_batches(rng):
    target, prediction = torch.tensor(rng.normal(size=(2, 11, 3)), dtype=torch.float32)
    mask = torch.tensor(rng.random((11, 3)) > 0.4)
    expected = np.square((prediction - target).numpy()[mask.numpy()]).mean()
    wild = torch.where(mask, target, 1e6)

    for batch_size in (1, 4, 11, 100):
        units = Points(prediction, wild, mask)
        assert validation_mse(nn.Identity(), units, batch_size) == pytest.approx(expected)


def test_without_a_measured_validation_entry_the_last_weights_stay():
    blind = constant_points(1)
    blind.mask[:] = False
    network, values = Constant(), []
    context = Context(
        budget=Budget(5, 4, 1), report=lambda step, v: values.append(float(network.value.detach()))
    )
    train(network, mse, constant_points(10), blind, lr=0.1, context=context)
    assert float(network.value.detach()) == values[-1] > values[0]


@pytest.mark.parametrize(("n_units", "batch_size"), [(10, 4), (7, 7), (3, 50), (1, 8)])
def test_batches_are_full_and_every_unit_comes_once_per_permutation(n_units, batch_size):
    size = min(n_units, batch_size)
    batches = shuffled_batches(n_units, batch_size, seed=0)
    drawn = [next(batches) for _ in range(3 * n_units)]

    assert all(len(batch) == size for batch in drawn)
    stream = torch.cat(drawn)
    rounds = stream[: len(stream) // n_units * n_units].view(-1, n_units)
    assert all(sorted(one.tolist()) == list(range(n_units)) for one in rounds)


def test_every_epoch_has_another_order():
    batches = shuffled_batches(30, 30, seed=0)
    assert not torch.equal(next(batches), next(batches))


def test_a_network_that_can_learn_the_relation_does(tiny_slides):
    with seeded(0):
        network = small_cnn()
    val = completed(tiny_slides.val)
    units = PatchUnits(completed(tiny_slides.train)), PatchUnits(val)

    train(network, mse, *units, lr=0.03, context=Context(budget=Budget(150, 32, 10)))

    truth = np.where(val.mask, val.target, np.nan)
    assert validation_mse(network, units[1], 40, on_images) < 0.5 * np.nanmean(
        np.nanvar(truth, axis=0)
    )
    assert not network.training


@pytest.mark.parametrize("micro_batch", [2, 3, 5, 8])
def test_no_micro_batch_is_a_remainder_of_one_which_batch_normalisation_refuses(micro_batch):
    network = nn.BatchNorm1d(1)
    points = Points(torch.arange(16.0)[:, None], torch.zeros(16, 1))
    seen = []

    def loss(network, batch):
        seen.append(len(batch.images))
        return mse(network, batch)

    recipe = Recipe(micro_batch=micro_batch)
    context = Context(budget=Budget(1, 16, 1))
    train(network, loss, points, points, lr=0.1, context=context, recipe=recipe)
    assert sum(seen) == 16
    assert 2 <= min(seen) <= max(seen) <= micro_batch
