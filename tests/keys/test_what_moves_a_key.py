"""Which modules may move which keys: the table, and the proof by editing every file of a copy."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from spared_bench.api import make_bench
from spared_bench.registry import Registry

ROOT = Path(__file__).parents[2]
COPIED = ("spared_bench", "plugins")


def modules(folder: str, names: str) -> set[str]:
    return {f"{folder}/{name}.py" for name in names.split()}


IMAGES = modules(
    "spared_bench/processing",
    "aperio blocks channels colours image_errors images jpeg2000_image pillow_image tiff_image"
    " tiff_layout tiff_planes vips_image vips_threads wholeness",
)
#: How the raw slides of her2st_demo are read; the size of the image belongs to it.
READING = (
    modules("plugins/datasets", "her2st")
    | modules("spared_bench/data", "__init__ contract patches slides")
    | modules("spared_bench/readers", "features genes labels lattice legacy_st scale tables text")
    | modules("spared_bench/processing", "annotation")  # of which organism a gene is
    | IMAGES
    | modules("spared_bench", "encoded unseen words")
)
PATCHES = (
    READING
    | modules("spared_bench/processing", "bilinear compiled cutting halving patches reducing")
    | modules("spared_bench", "threads")
)
VIEWS = (
    PATCHES
    | modules("spared_bench/data", "viewed views")
    | modules("spared_bench/processing", "given view_products views")
)
PREPARED = (
    READING
    | modules("spared_bench/data", "gene_columns targets")
    | modules(
        "spared_bench/processing",
        "__init__ annotation combat compiled counting filtering graph joining known_spots median"
        " moran normalization pipeline selection smoothing splitting ties variable",
    )
)
ENCODERS = modules(
    "spared_bench/models",
    "augment backbones declared encoder_networks encoder_table encoders encoding framing freezing"
    " hub moving seeded weights weights_folder weights_match",
) | modules("spared_bench/keys", "hashing")
COMPLETED = PREPARED | PATCHES | modules("plugins/completers", "none")
#: What a search chooses by.
ERROR = modules("spared_bench/metrics", "arrays mse")
TRAINING = (
    modules(
        "spared_bench/models",
        "arrays augment checkpoint device_patches freezing moving precision replay saved_network"
        " seeded trainer units",
    )
    | modules("spared_bench/models/augmentation", "augmenter names per_patch symmetries")
    | modules("spared_bench", "files")
)
SHUFFLENET = (
    COMPLETED
    | ERROR
    | TRAINING
    | modules("plugins/predictors", "shufflenet")
    | modules("plugins/networks", "shuffle_units")
    | modules("spared_bench/models", "backbones torch_predictor weights weights_folder")
    | modules("spared_bench/models", "weights_match")
)

REGISTRATION = (
    READING
    | modules("spared_bench/processing", "tissue_mask")
    | modules(
        "spared_bench/registration",
        "__init__ by_hand field pictures quality sample search",
    )
    | modules("spared_bench", "geometry strict")
)

TABLE = {
    "prepared": PREPARED,
    # How sections are put into one frame, and nothing of the harness that has it done.
    "partly known": PREPARED
    | REGISTRATION
    | modules("spared_bench/trials", "placing")
    | modules("spared_bench/protocol", "known section"),
    "patches": PATCHES,
    "registration": REGISTRATION,
    "view": VIEWS,
    "stained": PATCHES
    | modules(
        "spared_bench/processing/stains",
        "__init__ colours density macenko reinhard vahadane",
    ),
    "view features": VIEWS | ENCODERS,
    "viewer": COMPLETED
    | VIEWS
    | ERROR
    | modules("plugins/predictors", "gene_mean")
    | modules("spared_bench/models", "arrays"),
    "checks": READING
    | modules("spared_bench/reports", "dim foretelling placed_spots quality turned")
    | modules("spared_bench", "geometry"),
    "pictures": READING | modules("spared_bench/reports", "tissue"),
    "features": PATCHES | ENCODERS,
    "spackle": PREPARED
    | PATCHES
    | TRAINING
    | modules("plugins/completers", "spackle")
    | modules("spared_bench", "geometry")
    | modules(
        "spared_bench/completion",
        "feed_forward masking neighbourhoods spots torch_completer transformer",
    ),
    "linear-probe": COMPLETED
    | ERROR
    | ENCODERS
    | modules("plugins/predictors", "linear_probe")
    | modules("spared_bench/models", "arrays ridge"),
    "shufflenet": SHUFFLENET,
    "shufflenet with blur": SHUFFLENET
    | modules("spared_bench/models/augmentation", "blur drawing flips"),
    "scores": modules(
        "spared_bench/metrics", "arrays classes mse pearson r2 scoring summary tissue uncertainty"
    )
    | modules("spared_bench", "geometry"),
    "figures": modules("spared_bench/reports", "calibration drawing expression_map own_style")
    | modules("spared_bench/metrics", "arrays uncertainty")
    | modules("spared_bench", "geometry harmless unseen"),
    "completion": COMPLETED
    | modules("spared_bench/completion", "masking scoring")
    | modules("spared_bench", "contracts")
    | modules("spared_bench/metrics", "arrays mse pearson"),
}
NEVER = ("store/", "sources/", "cli/", "tracking/", "running/", "executors/", "leaderboard/")


@pytest.fixture(scope="module")
def moved(tmp_path_factory) -> dict[str, list[str]]:
    """Edit every file of a copy of the package, one at a time: file to the keys that moved."""
    root = tmp_path_factory.mktemp("copy")
    for folder in COPIED:
        shutil.copytree(ROOT / folder, root / folder)
    (root / "spared_bench_plugins").symlink_to("plugins")
    done = subprocess.run(
        [sys.executable, "-P", str(Path(__file__).with_name("moving.py")), str(root)],
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("kind", TABLE)
def test_a_key_moves_with_the_modules_of_the_table_and_with_no_other(moved, kind):
    assert {path for path, kinds in moved.items() if kind in kinds} == TABLE[kind]


def test_no_key_holds_what_moves_no_number(moved):
    assert [path for path in moved if any(f"spared_bench/{room}" in path for room in NEVER)] == []


@pytest.mark.parametrize(
    ("kind", "name", "moves"),
    [
        ("dataset", "her2st_demo", {"prepared", "trial"}),
        ("completer", "none", {"trial"}),
        ("predictor", "linear-probe", {"trial"}),
        ("metric", "pcc-gene", {"scores"}),
    ],
)
def test_the_version_of_a_spec_moves_the_keys_of_what_it_makes(
    tmp_path, monkeypatch, kind, name, moves
):
    def keys():
        bench = make_bench("demo", workspace=tmp_path, device="cpu")
        (parameters, *_) = bench.candidates("linear-probe")
        trial = ("her2st_demo", "none", "linear-probe", parameters, 0)
        return {
            "prepared": bench.prepared_inputs("her2st_demo"),
            "trial": bench.trial_inputs(*trial),
            "scores": bench.score_inputs("0" * 64),
        }

    before, get = keys(), Registry.get

    def newer(self, asked, called):
        found = get(self, asked, called)
        if asked == kind and found.spec.name == name:
            return replace(found, spec=replace(found.spec, version="2"))
        return found

    monkeypatch.setattr(Registry, "get", newer)
    after = keys()

    assert {each for each in before if before[each] != after[each]} == moves
