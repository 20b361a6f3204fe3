"""The benchmark of GPUs runs where torch, timm and NumPy are all there is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu.py"
#: Finds nothing that torch, torchvision, timm, NumPy and what these need do not bring.
ALONE = """
import re, runpy, sys
from importlib.machinery import PathFinder
from importlib.metadata import PackageNotFoundError, packages_distributions, requires

def told(name):
    return re.sub("[-_.]+", "-", name).lower()

there, waiting = set(), ["torch", "torchvision", "timm", "numpy"]
while waiting:
    name = told(waiting.pop())
    if name not in there:
        there.add(name)
        try:
            needed = requires(name) or []
        except PackageNotFoundError:
            continue
        waiting += [re.match("[\\w.-]+", each)[0] for each in needed if "extra ==" not in each]

absent = {
    module
    for module, brought_by in packages_distributions().items()
    if not there.intersection(map(told, brought_by)) and not module.startswith("spared")
}
assert {"pandas", "pydantic", "pluggy", "annotated_types"} <= absent
found = PathFinder.find_spec

def found_if_there(name, *places):
    return None if name.partition(".")[0] in absent else found(name, *places)

PathFinder.find_spec = staticmethod(found_if_there)
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def measured(tmp_path, *arguments, alone=True):
    start = [sys.executable, "-c", ALONE] if alone else [sys.executable]
    paths = ["--json", str(tmp_path / "gpu.json"), "--table", str(tmp_path / "gpu.md")]
    environment = {
        **os.environ,
        **{"PYTHONPATH": str(SCRIPT.parent), "CUDA_VISIBLE_DEVICES": ""},
        "OMP_NUM_THREADS": "1",  # of such small work, most of the time were threads that wait
    }
    return subprocess.run(
        [*start, str(SCRIPT), *paths, *arguments],
        check=False, capture_output=True, text=True, env=environment, cwd=tmp_path, timeout=600,
    )  # fmt: skip


def test_it_measures_with_torch_and_timm_alone(tmp_path):
    only = ("shufflenet", "vit-l", "SpaCKLE", "augmentation")
    done = measured(tmp_path, "--tiny", *(f"--only={name}" for name in only))
    assert done.returncode == 0, done.stderr
    told = json.loads((tmp_path / "gpu.json").read_text())
    rows = {row["work"].split(",")[0]: row for row in told["rows"]}
    assert told["machine"]["card"] == "none: CPU"
    assert not [row for row in rows.values() if row["left_out"]]
    for name in ("training shufflenet", "encoding", "SpaCKLE", "augmentation hed-jitter"):
        assert rows[name]["value"] > 0, name
    table = (tmp_path / "gpu.md").read_text().splitlines()
    assert len(table) == 4 + len(told["rows"])


def test_what_the_minutes_do_not_allow_is_told(tmp_path):
    done = measured(tmp_path, "--tiny", "--minutes", "0", "--only=vit-b", alone=False)
    assert done.returncode == 0, done.stderr
    (row,) = json.loads((tmp_path / "gpu.json").read_text())["rows"]
    assert (row["work"], row["left_out"]) == ("vit-b", "the minutes were over")


def test_without_a_gpu_nothing_is_measured_that_looks_like_one(tmp_path):
    done = measured(tmp_path, alone=False)
    assert done.returncode == 2
    assert "--tiny" in done.stderr
    assert not (tmp_path / "gpu.json").exists()
