"""What a GPU gives: every network, frozen encoders, SpaCKLE, augmentation, each beside its limit.

    python benchmarks/gpu.py [--minutes 8] [--json gpu.json] [--table gpu.md] [--tiny]

For a card that is lent for minutes: torch with torchvision, timm and NumPy are enough, no network
is used, all weights are random, and the package is imported from the folder that this file is in.
What needs another package is left out and told, as is what the minutes no longer allow; nothing
that fails ends the rest. All ways of one row run one after the other in this process.

Limits and peers: plain PyTorch with autocast's bfloat16, once with a DataLoader that transforms
item by item and once on a single batch that is on the card and normalised, which is the most that a
trainer can reach; the measured rate of large bfloat16 products, for networks whose operations are
known. Memory is the peak that torch has given out. ``--tiny`` runs everything with toy sizes, on a
CPU too: a test that it runs, not a measurement.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from bare_package import find_package

find_package()

from literal_spackle import BATCH, LiteralNetwork, as_ours, literal_steps  # noqa: E402
from literal_spackle import our_steps as spackle_steps  # noqa: E402
from made_up import made_up_slides  # noqa: E402
from steps import (  # noqa: E402
    matmul_peak,
    our_data,
    our_steps,
    plain_steps,
    resident_steps,
    seconds_per_step,
)
from training import NETWORKS, Subject, with_made_up_views  # noqa: E402

from spared_bench.completion.neighbourhoods import NeighbourTable  # noqa: E402
from spared_bench.data import Slides  # noqa: E402
from spared_bench.models.augment import normalise  # noqa: E402
from spared_bench.models.augmentation.names import BUILT_IN, made  # noqa: E402
from spared_bench.models.seeded import seeded  # noqa: E402
from spared_bench_plugins.completers.spackle import SpaCKLE  # noqa: E402

#: Batches that the publications train with, by network (docs/predictors.md); 256 for the others.
PUBLISHED_BATCH = {"st-net": 32, "stimage": 64, "deepspace": 128, "triplex": 128}
#: Shapes of pathology encoders: UNI and its kin, Virchow and its kin.
ENCODERS = {"vit-l": "vit_large_patch16_224", "vit-h": "vit_huge_patch14_224"}
_ENCODER_MACS = {"vit-l": 59.7e9, "vit-h": 162e9}  # timm's published results, 224 px
_SLOTS = 19


@dataclass
class Row:
    """One measurement, or why there is none.

    ``value`` is in ``unit``; ``ratio`` is to the peer that ``peer`` names, above 1 where ours is
    faster.
    """

    work: str
    value: float = 0.0
    unit: str = ""
    peer: str = ""
    ratio: float = 0.0
    notes: dict[str, Any] = field(default_factory=dict)
    left_out: str = ""


@dataclass(frozen=True)
class Sizes:
    """How large everything is: as published, or tiny."""

    tiny: bool
    device: str

    @property
    def image(self) -> int:
        return 224

    @property
    def steps(self) -> int:
        return 1 if self.tiny else 10

    def batch(self, name: str) -> int:
        return 4 if self.tiny else PUBLISHED_BATCH.get(name, 256)

    @property
    def matrix(self) -> int:
        return 64 if self.tiny else 8192


class MadeUpNeighbours(SpaCKLE):
    """SpaCKLE whose spots all have 18 neighbours: those before them, whatever the lattice."""

    def table(self, slides: Slides) -> NeighbourTable:
        n = len(slides)
        index = (np.arange(n)[:, None] - np.arange(_SLOTS)) % n
        return NeighbourTable(
            index, np.ones((n, _SLOTS), dtype=bool), np.ones((n, _SLOTS), dtype=np.float32)
        )


def peak_memory(device: str, work: Callable[[], Any]) -> tuple[Any, float]:
    """Return what some work returns, and the most memory of the card in between, in GiB."""
    if not device.startswith("cuda"):
        return work(), 0.0
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    found = work()
    return found, torch.cuda.max_memory_allocated() / 2**30


def training_rows(name: str, subject: Subject, sizes: Sizes, peak: float) -> Iterator[Row]:
    """Our step, beside the plain ones."""
    device, batch = sizes.device, sizes.batch(name)
    slides, images, target = made_up_slides(batch if subject.slide else 2 * batch)
    slides = with_made_up_views(slides, subject.predictor())
    time_of = partial(seconds_per_step, number=sizes.steps, device=device)
    seconds, memory = peak_memory(
        device, lambda: time_of(our_steps(subject.prepared(slides), slides, batch, device))
    )
    data = time_of(our_data(subject.prepared(slides), slides, batch, device))
    row = Row(
        f"training {name}, {batch} a step",
        batch / seconds,
        "images/s",
        notes={"memory GiB": memory, "data share": data / seconds},
    )
    if subject.macs and device.startswith("cuda"):
        row.notes["share of peak"] = 6 * subject.macs * batch / seconds / peak
    plain = subject.plain and not subject.slide
    if plain:
        resident = time_of(resident_steps(subject.prepared(slides), images, target, batch, device))
        row.peer, row.ratio = "one resident batch, autocast", resident / seconds
    yield row
    if plain:
        loader = time_of(
            plain_steps(subject.prepared(slides), images, target, batch, device, low=True)
        )
        yield Row(row.work, row.value, row.unit, "DataLoader, autocast", loader / seconds)


def compiled_rows(name: str, subject: Subject, sizes: Sizes) -> Iterator[Row]:
    """Our step compiled, beside the eager one; minutes of translation are not counted."""
    device, batch = sizes.device, sizes.batch(name)
    slides, _, _ = made_up_slides(batch if subject.slide else 2 * batch)
    slides = with_made_up_views(slides, subject.predictor())

    def ours(**parameters: Any) -> float:
        steps = our_steps(subject.prepared(slides, **parameters), slides, batch, device)
        return seconds_per_step(steps, sizes.steps, device)

    eager, started = ours(), time.perf_counter()
    compiled = ours(compile=True)
    yield Row(
        f"training {name}, {batch} a step, compiled",
        batch / compiled,
        "images/s",
        "eager",
        eager / compiled,
        {"seconds until compiled": time.perf_counter() - started},
    )


def encoding_rows(name: str, backbone: str, sizes: Sizes, peak: float) -> Iterator[Row]:
    """The forward pass of an encoder's shape: patches from the host, and resident ones."""
    import timm

    device, batch = sizes.device, 2 if sizes.tiny else 256
    made_of: dict[str, Any] = {"depth": 1} if sizes.tiny else {}
    with torch.device(device):
        network = timm.create_model(backbone, num_classes=0, **made_of)
    network = network.eval().requires_grad_(False).to(torch.bfloat16)
    side = network.patch_embed.img_size[0]
    drawn = torch.randint(0, 256, (batch, side, side, 3), dtype=torch.uint8)
    resident = normalise(drawn.to(device)).to(torch.bfloat16)

    @torch.inference_mode()
    def once(images: torch.Tensor) -> Any:
        return network(images)

    def on_card() -> Iterator[None]:
        while True:
            once(resident)
            yield

    def from_host() -> Iterator[None]:
        while True:
            moved = drawn.pin_memory() if device.startswith("cuda") else drawn
            found = once(normalise(moved.to(device, non_blocking=True)).to(torch.bfloat16))
            found.float().cpu()
            yield

    limit = seconds_per_step(on_card(), sizes.steps, device)
    seconds, memory = peak_memory(
        device, lambda: seconds_per_step(from_host(), sizes.steps, device)
    )
    row = Row(
        f"encoding, {name}, {batch} a batch, from bytes on the host to features there",
        batch / seconds,
        "patches/s",
        "resident batches, one at a time",
        limit / seconds,
        {"memory GiB": memory},
    )
    if device.startswith("cuda") and not sizes.tiny:
        row.notes["share of peak"] = 2 * _ENCODER_MACS[name] * batch / seconds / peak
    yield row


def spackle_rows(sizes: Sizes) -> Iterator[Row]:
    """A step of SpaCKLE beside the literal loop of its publication."""
    device, genes = sizes.device, 8 if sizes.tiny else 128
    slides, _, _ = made_up_slides(300 if sizes.tiny else 4000, genes, size=1)
    inner = 16 if sizes.tiny else SpaCKLE.inner
    exact = MadeUpNeighbours(inner=inner)
    low = MadeUpNeighbours(inner=inner, low_precision=True)
    with seeded(0, device):
        literal = LiteralNetwork(genes, exact).to(device)
    time_of = partial(seconds_per_step, number=sizes.steps, device=device)
    ours = {
        name: time_of(spackle_steps(slides, chosen, as_ours(literal, exact, genes, device), device))
        for name, chosen in (("float32", exact), ("bfloat16", low))
    }
    peers = {
        name: time_of(literal_steps(slides, exact, literal, device, lower))
        for name, lower in (("float32", False), ("bfloat16", True))
    }
    for name, seconds in ours.items():
        work = f"SpaCKLE, {BATCH} x {_SLOTS} x {genes}, {name}"
        yield Row(work, BATCH / seconds, "spots/s", f"literal loop, {name}", peers[name] / seconds)


def augmentation_rows(sizes: Sizes) -> Iterator[Row]:
    """Every built-in augmentation, alone and in a step of ShuffleNet."""
    device, batch = sizes.device, sizes.batch("shufflenet")
    slides, _, _ = made_up_slides(2 * batch)

    def step_with(augment: Any) -> float:
        predictor = NETWORKS["shufflenet"].prepared(slides, augment=augment)
        steps = our_steps(predictor, slides, batch, device)
        return min(seconds_per_step(steps, 2 * sizes.steps, device) for _ in range(times))

    times = 1 if sizes.tiny else 3
    plain = step_with(False)
    images = torch.randint(0, 256, (batch, sizes.image, sizes.image, 3), dtype=torch.uint8)
    images = images.to(device).permute(0, 3, 1, 2)
    turns = torch.Generator().manual_seed(0)
    for name in BUILT_IN:
        (augmentation,) = made(name)

        def again(augmentation: Any = augmentation) -> Iterator[None]:
            while True:
                augmentation(images, turns)
                yield

        seconds = seconds_per_step(again(), sizes.steps, device)
        longer = step_with([name]) / plain - 1
        yield Row(
            f"augmentation {name}",
            batch / seconds,
            "images/s",
            notes={"alone, of a ShuffleNet step": seconds / plain, "step longer by": longer},
        )


def guarded(work: str, rows: Callable[[], Iterator[Row]], ends: float) -> Iterator[Row]:
    """Yield the rows, and a reason instead where they cannot be had."""
    if time.monotonic() > ends:
        yield Row(work, left_out="the minutes were over")
        return
    try:
        yield from rows()
    except Exception as error:
        yield Row(work, left_out=f"{type(error).__name__}: {error}".splitlines()[0][:200])
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def everything(sizes: Sizes, peak: float, ends: float, only: Collection[str] = ()) -> Iterator[Row]:
    """Yield all rows: networks of single patches, encoders, SpaCKLE, augmentation, the others.

    Last what ``torch.compile`` gives each network, since a translation takes minutes.
    """
    order = sorted(NETWORKS, key=lambda name: (NETWORKS[name].slide, name != "vit-b"))
    plain = [name for name in order if not NETWORKS[name].slide]
    tasks: list[tuple[str, Callable[[], Iterator[Row]]]] = []
    tasks += [(n, partial(training_rows, n, NETWORKS[n], sizes, peak)) for n in plain]
    tasks += [(n, partial(encoding_rows, n, b, sizes, peak)) for n, b in ENCODERS.items()]
    tasks += [("SpaCKLE", partial(spackle_rows, sizes))]
    tasks += [("augmentation", partial(augmentation_rows, sizes))]
    tasks += [
        (n, partial(training_rows, n, NETWORKS[n], sizes, peak)) for n in order if n not in plain
    ]
    if not sizes.tiny:  # on a CPU, a translation takes minutes
        tasks += [(f"{n}, compiled", partial(compiled_rows, n, NETWORKS[n], sizes)) for n in order]
    for work, rows in tasks:
        if only and work not in only:
            continue
        yield from guarded(work, rows, ends)


def machine(device: str) -> dict[str, Any]:
    """Return what the figures depend on."""
    facts: dict[str, Any] = {"torch": torch.__version__, "python": platform.python_version()}
    if device.startswith("cuda"):
        properties = torch.cuda.get_device_properties(device)
        facts |= {
            "card": properties.name,
            "memory GiB": round(properties.total_memory / 2**30, 1),
            "cuda": torch.version.cuda,
        }
    else:
        facts["card"] = "none: CPU"
    return facts


def as_table(facts: dict[str, Any], rows: list[Row]) -> str:
    """Return Markdown that docs can include."""
    lines = [", ".join(f"{name} {value}" for name, value in facts.items()), ""]
    lines += ["| work | rate | peer | ratio | beside |", "|---|---|---|---|---|"]
    for row in rows:
        if row.left_out:
            lines.append(f"| {row.work} | left out: {row.left_out} | | | |")
            continue
        notes = "; ".join(f"{name} {value:.3g}" for name, value in row.notes.items())
        ratio = f"{row.ratio:.2f}" if row.peer else ""
        lines.append(
            f"| {row.work} | {row.value:,.0f} {row.unit} | {row.peer} | {ratio} | {notes} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--json", type=Path, default=Path("gpu.json"))
    parser.add_argument("--table", type=Path, default=Path("gpu.md"))
    parser.add_argument("--only", action="append", default=[], help="vit-b, vit-l, SpaCKLE, ...")
    parser.add_argument("--tiny", action="store_true", help="toy sizes: only whether it runs")
    chosen = parser.parse_args()
    device = "cuda:0" if torch.cuda.is_available() else "cpu"
    if device == "cpu" and not chosen.tiny:
        parser.error("no GPU is here that torch can use; --tiny runs on a CPU, as a test")
    sizes = Sizes(chosen.tiny, device)
    ends = time.monotonic() + 60 * chosen.minutes
    peak = matmul_peak(device, sizes.matrix)
    facts = machine(device) | {"bfloat16 products TFLOP/s": round(peak / 1e12, 1)}
    rows: list[Row] = []
    for row in everything(sizes, peak, ends, chosen.only):
        rows.append(row)
        print(row, flush=True)
        # After every row, since the machine may be taken away.
        chosen.json.write_text(json.dumps({"machine": facts, "rows": [asdict(r) for r in rows]}))
        chosen.table.write_text(as_table(facts, rows))


if __name__ == "__main__":
    main()
