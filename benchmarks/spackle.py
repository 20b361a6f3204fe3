"""Time SpaCKLE's training and completion against a literal PyTorch version of the published loop.

    python benchmarks/spackle.py [--spots 10000] [--genes 128] [--steps 8] [--blocks 5]
                                 [--quality 400] [--seeds 1] [--inner 2048] [--device cpu]
                                 [--compile]

Literal: a Dataset that gathers the neighbours of one spot per item, a DataLoader, PyTorch's
TransformerEncoder in its default settings, masks drawn on the CPU. Both train the same network
(attention among neighbours, absent ones masked) with Adam on the same made-up slides. "Before" is
our step as it was until 26 November 2026 (``benchmarks/earlier_spackle.py``). They take turns,
block by block, so that a busy machine disturbs all, and each figure is the median over blocks;
beside the seconds on the clock stand those of the processor, which with one thread say what a quiet
machine would take. The share of slots that are present is printed: absent ones cost nothing in our
step and as much as others elsewhere.

``--compile`` times the literal network in autocast's bfloat16 and translated by ``torch.compile``,
too. With ``--quality`` the literal network and ours are trained for so many steps from the same
initial weights, and one validation with fixed masks judges all; masks, dropout and order are drawn
apart, so with ``--seeds`` above 1 it is repeated, to tell a difference from chance.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from torch import nn
from torch.utils.data import DataLoader

from spared_bench.completion.masking import draw_hidden, hiding_probabilities
from spared_bench.completion.spots import SpotUnits
from spared_bench.data import Patches, Slides
from spared_bench.models.seeded import seeded
from spared_bench.models.trainer import validation_mse
from spared_bench_plugins.completers.spackle import SpaCKLE

from earlier_spackle import EarlierNetwork  # isort: skip
from literal_spackle import (  # isort: skip
    BATCH,
    LiteralNetwork,
    SpotDataset,
    as_ours,
    literal_steps,
    our_steps,
)

N_SLIDES, EVERY = 4, 20


def made_up(n_spots: int, n_genes: int, seed: int) -> Slides:
    """Slides on a hexagonal lattice: eight smooth programmes, noise, a quarter unmeasured."""
    rng = np.random.default_rng(seed)
    per_slide = n_spots // N_SLIDES
    side = int(np.ceil(per_slide**0.5))
    row, place = np.divmod(np.arange(per_slide), side)
    array = np.column_stack([row, 2 * place + row % 2])
    pixels = np.column_stack([array[:, 1] * 50.0, row * 50 * 3**0.5])
    loadings = np.random.default_rng(0).normal(size=(8, n_genes))
    parts = []
    for _ in range(N_SLIDES):
        programmes = np.sin(pixels @ rng.normal(scale=0.004, size=(2, 8)) + rng.uniform(0, 6, 8))
        parts.append(8 + programmes @ loadings * 0.7 + rng.normal(size=(per_slide, n_genes)) * 0.5)
    values = np.concatenate(parts).astype(np.float32)
    mask = rng.random(values.shape) < 0.75
    names = np.repeat([f"slide{i}" for i in range(N_SLIDES)], per_slide)
    array, pixels = np.tile(array, (N_SLIDES, 1)), np.tile(pixels, (N_SLIDES, 1))
    adata = AnnData(
        obs=pd.DataFrame(
            {"slide_id": names, "array_row": array[:, 0], "array_col": array[:, 1]},
            index=[str(i) for i in range(len(values))],
        ),
        var=pd.DataFrame(index=[f"g{i}" for i in range(n_genes)]),
        obsm={"spatial": pixels},
        layers={"mask": mask, "target": np.where(mask, values, 0), "prefilled": values},
    )
    return Slides(adata, Patches([np.zeros((len(values), 8, 8, 3), dtype=np.uint8)]))


@torch.inference_mode()
def literal_completion(
    slides: Slides, completer: SpaCKLE, network: nn.Module, device: str
) -> np.ndarray:
    """Complete spot by spot from the loader."""
    network.eval()
    parts = []
    for batch in DataLoader(SpotDataset(slides, completer), BATCH):
        visible = torch.where(batch["mask"], batch["values"], 0.0).to(device)
        parts.append(network(visible, batch["present"].to(device))[:, 0].cpu())
    return np.where(slides.mask, slides.target, torch.cat(parts).numpy())


def seconds(work: Callable[[], Any], device: str) -> float:
    """Seconds of some work, the device's included."""
    begun = time.perf_counter()
    work()
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    return time.perf_counter() - begun


def take(steps: Iterator[None], number: int) -> Callable[[], None]:
    def work() -> None:
        for _ in range(number):
            next(steps)

    return work


def time_steps(
    ways: dict[str, Iterator[None]], options: argparse.Namespace
) -> dict[str, tuple[float, float]]:
    """Median seconds a step, on the clock and of the processor, the ways taking turns."""
    spent: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for steps in ways.values():
        take(steps, 2)()
    for _ in range(options.blocks):
        for name, steps in ways.items():
            work, used = take(steps, options.steps), time.process_time()
            clock = seconds(work, options.device)
            used = time.process_time() - used
            spent[name].append((clock / options.steps, used / options.steps))
    medians = {}
    for name, each in spent.items():
        clock, used = (statistics.median(times) for times in zip(*each, strict=True))
        medians[name] = clock, used
    return medians


def curve(
    steps: Iterator[None], judged: Callable[[], float], options: argparse.Namespace
) -> list[tuple[int, float, float]]:
    """(step, seconds of training, validation MSE) every few steps."""
    told, spent = [], 0.0
    for step in range(EVERY, options.quality + 1, EVERY):
        spent += seconds(take(steps, EVERY), options.device)
        told.append((step, spent, judged()))
    return told


def to_quality(told: list[tuple[int, float, float]]) -> tuple[int, float, float]:
    """First step, and its seconds, from which on the error is within 2 % of the last; the last."""
    final = told[-1][2]
    for place in range(len(told)):
        if all(error <= 1.02 * final for _, _, error in told[place:]):
            return told[place][0], told[place][1], final
    return (*told[-1][:2], final)


def main() -> None:
    parser = argparse.ArgumentParser()
    for name, value in (("spots", 10_000), ("genes", 128), ("steps", 8), ("blocks", 5)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--quality", type=int, default=0)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--inner", type=int, default=SpaCKLE.inner)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--compile", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    device, slides = options.device, made_up(options.spots, options.genes, 1)
    exact = SpaCKLE(inner=options.inner)
    low = SpaCKLE(inner=options.inner, low_precision=True)

    def fresh(seed: int = 0) -> dict[str, nn.Module]:
        with seeded(seed, device):
            literal = LiteralNetwork(options.genes, exact).to(device)
        ours = {"ours": exact, "ours, bfloat16": low}
        return {"literal": literal} | {
            name: as_ours(literal, completer, options.genes, device)
            for name, completer in ours.items()
        }

    def earlier(literal: nn.Module) -> dict[str, Iterator[None]]:
        found = {}
        for name, settings in (("before", exact), ("before, bfloat16", low)):
            network = EarlierNetwork(options.genes, settings).to(device)
            network.load_state_dict(as_ours(literal, exact, options.genes, device).state_dict())
            found[name] = our_steps(slides, settings, network, device)
        return found

    def translated() -> dict[str, Iterator[None]]:
        found = {}
        for name, low_, compiled in (("bfloat16", True, False), ("compiled", False, True)):
            network = fresh()["literal"]
            if compiled:
                network.compile()
            found[f"literal, {name}"] = literal_steps(slides, exact, network, device, low_)
        return found

    def ways(networks: dict[str, nn.Module]) -> dict[str, Iterator[None]]:
        return {
            "literal": literal_steps(slides, exact, networks["literal"], device),
            "ours": our_steps(slides, exact, networks["ours"], device),
            "ours, bfloat16": our_steps(slides, low, networks["ours, bfloat16"], device),
        }

    networks = fresh()
    print(f"{options.spots} spots x {options.genes} genes, {device}, {options.threads} threads")
    begun = time.perf_counter()
    table = exact.table(slides)
    size = table.index.nbytes + table.present.nbytes + table.distance.nbytes
    print(
        f"index tables: {time.perf_counter() - begun:.2f} s, {size / len(slides):.0f} bytes a spot;"
        f" {table.present.mean():.1%} of {table.present.shape[1]} slots present"
    )
    # What was before is written for a CPU.
    before = earlier(networks["literal"]) if device == "cpu" else {}
    others = translated() if options.compile else {}
    per_step = time_steps(ways(networks) | before | others, options)
    for name, (clock, used) in per_step.items():
        ratios = [per_step["literal"][i] / each for i, each in enumerate((clock, used))]
        print(
            f"training    {name:17} {clock:7.3f} s a step, {ratios[0]:5.2f} x;"
            f" {used:7.3f} s of the processor, {ratios[1]:5.2f} x; {BATCH / clock:6.0f} spots/s"
        )
    report_completion(slides, exact, networks, options)
    if options.quality:
        report_quality(fresh, ways, exact, options)


def report_completion(
    slides: Slides, completer: SpaCKLE, networks: dict[str, nn.Module], options: argparse.Namespace
) -> None:
    """Print spots completed a second, and that both complete the same."""
    device = options.device
    results: dict[str, np.ndarray] = {}
    completer.network_ = as_ours(networks["literal"], completer, options.genes, device)
    completer.gene_names_, completer._device = slides.gene_names, device
    spent = {
        "literal": seconds(
            lambda: results.update(
                literal=literal_completion(slides, completer, networks["literal"], device)
            ),
            device,
        ),
        "ours": seconds(lambda: results.update(ours=completer.complete(slides)), device),
    }
    for name, value in spent.items():
        rate, ratio = len(slides) / value, spent["literal"] / value
        print(f"completion  {name:15} {rate:26.0f} spots/s {ratio:6.2f} x")
    apart = float(np.abs(results["literal"] - results["ours"]).max())
    print(f"largest difference of the two completions: {apart:.1e}")


def report_quality(
    fresh: Callable[[int], dict[str, nn.Module]],
    ways: Callable[[dict[str, nn.Module]], dict[str, Iterator[None]]],
    completer: SpaCKLE,
    options: argparse.Namespace,
) -> None:
    """Print the validation error that each reaches, and when it is within 2 % of it."""
    val = made_up(1_000, options.genes, 2)
    hidden = draw_hidden(val.mask, hiding_probabilities(val.mask.mean(axis=0)), 0)
    table = completer.table(val)
    units = SpotUnits(val.prefilled, val.mask, table, options.device, hidden=hidden)

    def error(network: nn.Module) -> float:
        if isinstance(network, LiteralNetwork):
            network = as_ours(network, completer, options.genes, options.device)
        return validation_mse(network, units, BATCH, completer.predict_batch)

    finals: dict[str, list[float]] = {}
    for seed in range(options.seeds):
        networks = fresh(seed)
        for name, steps in ways(networks).items():
            with seeded(1 + seed, options.device):
                told = curve(steps, partial(error, networks[name]), options)
            step, spent, final = to_quality(told)
            finals.setdefault(name, []).append(final)
            print(
                f"quality     {name:15} seed {seed}: validation MSE {final:.4f} after"
                f" {options.quality} steps and {told[-1][1]:.0f} s; within 2 % of it after"
                f" {step} steps and {spent:.0f} s",
                flush=True,
            )
    if options.seeds > 1:
        for name, each in finals.items():
            apart = np.subtract(each, finals["literal"])
            print(
                f"quality     {name:15} {np.mean(each):.4f} +- {np.std(each, ddof=1):.4f} over the"
                f" seeds; less the literal {apart.mean():+.4f} +- {apart.std(ddof=1):.4f}"
            )


if __name__ == "__main__":
    main()
