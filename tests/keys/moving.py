"""Run in a copy of the package: comment on one file after the other, and tell which keys move.

Prints one JSON object: file to the kinds of keys that it moves.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from spared_bench.api import make_bench
from spared_bench.bench import Bench
from spared_bench.completion.benchmark import Condition, Task
from spared_bench.data.views import View
from spared_bench.keys import fingerprints
from spared_bench.keys.code import code_hash
from spared_bench.keys.hashing import digest
from spared_bench.models.encoders import ColorEncoder

DATASET = "her2st_demo"
VIEW = View(scale=3.0)


def keys(bench: Bench) -> dict[str, str]:
    """Return a key of every kind."""
    code_hash.cache_clear()
    bench = Bench(bench.settings, bench.registry)  # it remembers what it worked out

    def trial(predictor: str, **others: Any) -> str:
        (parameters, *_) = bench.candidates(predictor)
        return digest(bench.trial_inputs(DATASET, "none", predictor, parameters | others, 0))

    factory = bench.registry.get("predictor", "gene-mean").load()
    factory.views = {"region": VIEW}
    viewer = trial("gene-mean")
    del factory.views
    task = Task(bench, DATASET)
    return {
        "prepared": digest(bench.prepared_inputs(DATASET)),
        "partly known": digest(partly_known(bench).prepared_inputs(DATASET)),
        "patches": digest(bench.patches_inputs(DATASET)),
        "registration": digest(bench.registration_inputs(DATASET, "C", "rigid")),
        "view": digest(bench.view_inputs(DATASET, VIEW)),
        "stained": digest(stained(bench).patches_inputs(DATASET)),
        "view features": digest(bench.features_inputs(DATASET, ColorEncoder(), VIEW)),
        "viewer": viewer,
        "checks": digest(bench.slide_check_inputs(DATASET, "C2")),
        "pictures": digest(bench.picture_inputs(DATASET, "C2")),
        "features": digest(bench.features_inputs(DATASET, ColorEncoder())),
        "spackle": digest(bench.completed_inputs(DATASET, "spackle")),
        "linear-probe": trial("linear-probe"),
        "shufflenet": trial("shufflenet"),
        "shufflenet with blur": trial("shufflenet", augment=["flips", {"blur": {"p": 1.0}}]),
        "scores": digest(bench.score_inputs("0" * 64)),
        "figures": digest(bench.figure_inputs("0" * 64)),
        "completion": digest(task.inputs("none", Condition("fraction", 0.3), 1)),
    }


def stained(bench: Bench) -> Bench:
    """Return the same protocol with normalised stains."""
    protocol = json.loads(json.dumps(bench.settings.protocol))
    protocol["patches"]["stain"] = "macenko"
    return Bench(replace(bench.settings, protocol=protocol), bench.registry)


def partly_known(bench: Bench) -> Bench:
    """Return the same protocol with a known section, to which the others are registered."""
    protocol = json.loads(json.dumps(bench.settings.protocol))
    protocol["known"] = {"sections": "first", "register": "rigid"}
    protocol["processing"]["fit_on"] = "train"
    return Bench(replace(bench.settings, protocol=protocol), bench.registry)


def main() -> None:
    root = Path(sys.argv[1])
    fingerprints.file_digest = cache(fingerprints.file_digest)  # of data, which stay
    bench = make_bench("demo", workspace=root / "workspace", device="cpu")
    before, moved = keys(bench), {}
    for path in sorted([*root.glob("spared_bench/**/*.py"), *root.glob("plugins/**/*.py")]):
        text = path.read_bytes()
        path.write_bytes(text + b"\n# A comment.\n")
        after = keys(bench)
        path.write_bytes(text)
        found = sorted(kind for kind in before if before[kind] != after[kind])
        if found:
            moved[path.relative_to(root).as_posix()] = found
    assert keys(bench) == before
    print(json.dumps(moved))


if __name__ == "__main__":
    main()
