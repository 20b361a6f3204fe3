"""A training step written plainly and as the package's trainer does it, one after the other.

The plain way: a DataLoader over decoded patches, torchvision transforms item by item,
torch.optim.Adam; in float32, or with autocast.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from spared_bench.data import Slides
from spared_bench.interfaces import Budget, Context
from spared_bench.models import TorchPredictor
from spared_bench.models.augment import IMAGENET_MEAN, IMAGENET_STD, normalise
from spared_bench.models.seeded import seeded
from spared_bench.models.trainer import Gradients, shuffled_batches


class Decoded(Dataset):
    """Patches in memory, transformed one by one when they are asked for."""

    def __init__(self, images: np.ndarray, target: np.ndarray) -> None:
        self.images, self.target = images, torch.from_numpy(target)
        self.transform = v2.Compose(
            [
                v2.ToImage(),
                v2.ToDtype(torch.float32, scale=True),
                v2.Normalize(IMAGENET_MEAN, IMAGENET_STD),
                v2.RandomHorizontalFlip(),
                v2.RandomVerticalFlip(),
                v2.RandomApply([v2.RandomRotation((90, 90))]),
            ]
        )

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, row: int) -> tuple[torch.Tensor, torch.Tensor]:
        return self.transform(self.images[row]), self.target[row]


def plain_steps(
    predictor: TorchPredictor,
    images: np.ndarray,
    target: np.ndarray,
    batch: int,
    device: str,
    low: bool = False,
) -> Iterator[None]:
    """Train the plain way, a step at a time; ``low``: in autocast's bfloat16."""
    with seeded(0, device):
        network = predictor.build(target.shape[1]).to(device).train()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-4)
    workers = min(8, torch.get_num_threads()) if device != "cpu" else 0
    loader = DataLoader(
        Decoded(images, target), batch, shuffle=True, drop_last=True, num_workers=workers
    )
    while True:
        for patches, wanted in loader:
            optimizer.zero_grad()
            with torch.autocast(torch.device(device).type, torch.bfloat16, enabled=low):
                found = network(patches.to(device))
            functional.mse_loss(found.float(), wanted.to(device)).backward()
            optimizer.step()
            yield


def resident_steps(
    predictor: TorchPredictor,
    images: np.ndarray,
    target: np.ndarray,
    batch: int,
    device: str,
    low: bool = True,
) -> Iterator[None]:
    """Train on one batch that is on the device and normalised: no data, only the network."""
    with seeded(0, device):
        network = predictor.build(target.shape[1]).to(device).train()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-4)
    patches = normalise(torch.from_numpy(images[:batch]).to(device))
    wanted = torch.from_numpy(target[:batch]).to(device)
    while True:
        optimizer.zero_grad()
        with torch.autocast(torch.device(device).type, torch.bfloat16, enabled=low):
            found = network(patches)
        functional.mse_loss(found.float(), wanted).backward()
        optimizer.step()
        yield


def plain_slide_steps(
    predictor: TorchPredictor, slides: Slides, images: np.ndarray, device: str
) -> Iterator[None]:
    """Train on one slide the plain way, a step at a time."""
    with seeded(0, device):
        network = predictor.build(slides.n_genes).to(device).train()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-4)
    units_per_step = predictor.units_per_step(Budget(batch_size=len(images)))
    rows = torch.arange(units_per_step)
    slide = predictor.units(slides, device, resident=True).batch(rows)
    loader = DataLoader(Decoded(images, slides.target), len(images))
    while True:
        for patches, _ in loader:
            optimizer.zero_grad()
            predictor.loss(network, replace(slide, images=patches.to(device))).backward()
            optimizer.step()
            yield


def our_steps(predictor: TorchPredictor, slides: Slides, batch: int, device: str) -> Iterator[None]:
    """Train as the trainer does, a step at a time."""
    with seeded(0, device):
        network = predictor._place(predictor.build(slides.n_genes), device).train()
    optimizer = predictor.optimizer(network.parameters())
    context = Context(budget=Budget(batch_size=batch), device=device)
    units = predictor.units(slides, device, resident=True)
    turns, recipe = torch.Generator().manual_seed(0), predictor.recipe(context.budget)
    gradients = Gradients(network, predictor.loss, units, recipe, context)
    for rows in shuffled_batches(len(units), predictor.units_per_step(context.budget), 0):
        gradients(rows, turns if predictor.augment else None)
        optimizer.step()
        yield


def our_data(predictor: TorchPredictor, slides: Slides, batch: int, device: str) -> Iterator[None]:
    """Only fetch, turn and normalise the batches."""
    units = predictor.units(slides, device, resident=True)
    turns = torch.Generator().manual_seed(0)
    for rows in shuffled_batches(len(units), predictor.units_per_step(Budget(batch_size=batch)), 0):
        units.batch(rows, turns)
        yield


def seconds_per_step(steps: Iterator[None], number: int, device: str) -> float:
    """Mean over ``number`` steps, after two that warm up."""
    for _ in range(2):
        next(steps)
    _wait(device)
    started = time.perf_counter()
    for _ in range(number):
        next(steps)
    _wait(device)
    return (time.perf_counter() - started) / number


def matmul_peak(device: str, side: int = 8192) -> float:
    """Return the bfloat16 operations per second of a large matrix product, measured."""
    left, right = torch.randn(2, side, side, device=device, dtype=torch.bfloat16)

    def products() -> Iterator[None]:
        while True:
            left @ right
            yield

    return 2 * side**3 / seconds_per_step(products(), 20, device)


def _wait(device: str) -> None:
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize()
