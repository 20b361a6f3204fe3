"""Measure how fast the methods train and predict on this machine, for the forecast of a plan.

    python benchmarks/speeds.py --machine "2 cores with AVX-512" [-p NAME ...] [--write]

Each method is trained by the harness on the embedded HER2+ sections at 224 px, with made-up labels
or with a known section where it needs them, in the configuration of ``--configuration`` and from
random weights: with one step, which makes what trainings share (features), then with two, and then
with more (at most ``--steps``). What the longer training takes
more is so many steps, of ``--batch`` spots or of a slide. On a CPU, seconds are of this process,
which other work does not lengthen: those on the clock times its share of the processor. Printed are
spots a second in steps and in predictions, of one worker with so many threads; ``--write`` keeps
them in ``plugins/predictors/speeds.yaml``, from where ``run --dry-run`` forecasts hours. A method
whose network does not fit into memory is left out with its reason.
"""

from __future__ import annotations

import argparse
import datetime
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from spared_bench.api import execute, make_bench, select

_TABLE = Path(__file__).parents[1] / "plugins" / "predictors" / "speeds.yaml"
_DATASET, _LABELLED = "her2st_demo", "her2st_labelled"
_LABELS = Path(__file__).parent / "labelled_sections.py"
_OF_LABELS, _OF_KNOWN_SPOTS = ["hist2st-regclass"], ["asign-3d"]
_PUBLISHED = [
    *("shufflenet", "st-net", "vit-b", "vit-b-delta", "bleep", "egn", "eggn", "sepal", "histogene"),
    "hist2st",
]
_LONG_ENOUGH = 3.0  # seconds of steps, against what differs between two trainings otherwise
_SIMPLE = ["linear-probe", "gene-mean", "shuffled"]

_PROTOCOL = """
name: speeds
version: 1
comparable: false
datasets: [{dataset}]
completers: [median]
processing:
  filtering: {{real_fraction: 0.5}}
  target: log1p_cp10k
  ranking: variable
  n_genes: 32
patches: {{size: 224}}
configuration: {configuration}
training: {{iterations: {steps}, batch_size: {batch}, validate_every: 1000000}}
search: {{completer: median, grids: {{lr: [0.0001]}}}}
"""
_KNOWN = "known: {sections: first, register: rigid}\n"


@dataclass(frozen=True)
class Trained:
    """A training, and what this process spent on it."""

    bench: Any
    result: Any
    fitting: float
    predicting: float


def trained(name: str, steps: int, wanted: argparse.Namespace, workspace: Path) -> Trained:
    """Train a method with so many steps."""
    dataset = _LABELLED if name in _OF_LABELS else _DATASET
    path = workspace / f"speeds-{steps}.yaml"
    protocol = _PROTOCOL.format(
        dataset=dataset, steps=steps, batch=wanted.batch, configuration=wanted.configuration
    )
    path.write_text(protocol + (_KNOWN if name in _OF_KNOWN_SPOTS else ""))
    bench = make_bench(
        str(path),
        workspace=workspace / "workspace",
        plugin_files=[_LABELS],
        device=wanted.device,
        threads=wanted.threads,
        weights="" if name in _SIMPLE else "random",
    )
    plan = select(bench, [dataset], ["median"], [name])
    own = wanted.device == "cpu" and wanted.threads == 1
    clock = time.process_time if own else time.perf_counter
    began, wall = clock(), time.perf_counter()
    (result,) = execute(plan, executor="inline", track=False, figures=False).results
    took, wall = clock() - began, time.perf_counter() - wall
    if not result.ok:
        raise RuntimeError(f"{result.status}: {result.message}")
    share = min(1.0, took / wall)
    return Trained(bench, result, *(share * result.seconds[part] for part in ("fit", "predict")))


def speed_of(name: str, wanted: argparse.Namespace, workspace: Path) -> dict[str, Any]:
    """Return what is measured of one method."""
    first = trained(name, 1, wanted, workspace)
    bench, spots = first.bench, first.result.facts["n_spots"]
    spec, dataset = bench.predictor(name), bench.dataset(first.result.dataset)
    told = {
        "machine": wanted.machine,
        "configuration": bench.chosen("predictor", name).configuration,
        "measured": f"{datetime.date.today()}, benchmarks/speeds.py",
    }
    short = trained(name, 2, wanted, workspace)  # what both share is there now
    if name in _SIMPLE:
        took = short.fitting + short.predicting
        return {**told, "training": 0.0, "prediction": round(sum(spots.values()) / took, 1)}
    steps, step = 1, 0.0
    while step * steps < _LONG_ENOUGH and steps < wanted.steps:
        steps = min(4 * steps, wanted.steps)
        step = (trained(name, 2 + steps, wanted, workspace).fitting - short.fitting) / steps
    if step <= 0:
        raise RuntimeError(f"{steps} steps more took no longer: raise --steps")
    size = spots["train"] / len(dataset.split["train"]) if spec.scope == "slide" else wanted.batch
    predicted = spots["val"] + spots.get("test", 0)
    rates = {
        "training": round(size / step, 2),
        "prediction": round(predicted / short.predicting, 2),
    }
    return {**told, **rates}


def main() -> None:
    """Measure, print, and write if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--machine", required=True, help="its class, in words")
    parser.add_argument("-p", "--predictor", action="append", default=[])
    parser.add_argument("--configuration", default="spared")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=64)
    parser.add_argument("--write", action="store_true")
    wanted = parser.parse_args()
    known = yaml.safe_load(_TABLE.read_text()) if _TABLE.is_file() else {}
    with tempfile.TemporaryDirectory() as folder:
        for name in wanted.predictor or [*_SIMPLE, *_PUBLISHED]:
            try:
                found = speed_of(name, wanted, Path(folder))
            except (RuntimeError, MemoryError) as error:
                print(f"{name:14} left out: {str(error)[:200]}", flush=True)
                continue
            print(f"{name:14} {found['training']:9} {found['prediction']:9} spots/s", flush=True)
            same = ("machine", "configuration")
            others = [e for e in known.get(name, []) if any(e[k] != found[k] for k in same)]
            known[name] = [*others, found]
            if wanted.write:
                _TABLE.write_text(_HEAD + yaml.safe_dump(known, sort_keys=True, width=100))


_HEAD = """# Spots a second of one worker, in training steps and in predictions, by which a plan is
# forecast (`spared-bench run --dry-run`). Made by
# `python benchmarks/speeds.py --machine ... --write`.
"""

if __name__ == "__main__":
    main()
