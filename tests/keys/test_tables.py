"""Tables that numbers depend on stand in no key, so whoever edits one has to raise a version."""

from __future__ import annotations

from pathlib import Path

import pytest

from spared_bench.api import make_bench
from spared_bench.bench.harness import HARNESS_VERSION
from spared_bench.keys.hashing import file_digest

ROOT = Path(__file__).parents[2]
LENGTHS = "spared_bench/processing/gene_lengths"
#: What results were computed with under a version of the harness, or of the metric.
TABLES = {
    f"{LENGTHS}/human_gencode_v43.tsv.gz": (
        "harness",
        1,
        "1b006a222367c53968e4655d92e0eb8ac0b76decfde68e446f2c3337a3382fe6",
    ),
    f"{LENGTHS}/mouse_gencode_vM33.tsv.gz": (
        "harness",
        1,
        "8512777ccfb798f535a8ad0fe4128cd709b519bb84f909c0ce8fcb61cfd7314a",
    ),
    "spared_bench/protocol/gene_lists.yaml": (
        "harness",
        1,
        "79211e05c0c8874d1d190ac10c46d6d7e1201cfe1ca62d3c29acfc15db5b044a",
    ),
    "spared_bench/metrics/hallmark.tsv": (
        "pcc-pathway",
        "1",
        "7036d91b0ef0c6ac262311dd612a0a6fe3fca23daf957002b5248171f59e475b",
    ),
}
#: What specs, protocols and studies are made of stands in keys by its values; the rest is shown.
VALUES_IN_KEYS = ("datasets", "encoders", "protocols", "studies")
SHOWN = (
    "plugins/predictors/speeds.yaml",
    "spared_bench/leaderboard",
    "spared_bench/reports",
    "spared_bench/scaffold",
    "spared_bench/studies",
)


@pytest.mark.parametrize("path", TABLES)
def test_a_table_that_was_edited_has_raised_the_version_in_its_keys(tmp_path, path):
    holder, version, digest = TABLES[path]
    now: int | str = HARNESS_VERSION
    if holder != "harness":
        now = (
            make_bench("demo", workspace=tmp_path, device="cpu")
            .registry.get("metric", holder)
            .spec.version
        )
    assert (file_digest(ROOT / path), now) == (digest, version), (
        f"{path} is another than results were made with, and their keys do not hold it: raise the"
        f" version of {holder}, and write both here, or results of the old table stay on boards"
    )


def test_every_file_that_is_no_code_is_known_to_stand_in_keys_or_to_move_no_number():
    known = (*TABLES, *SHOWN, *(f"plugins/{room}" for room in VALUES_IN_KEYS))
    found = [
        path.relative_to(ROOT).as_posix()
        for folder in ("spared_bench", "plugins")
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc", ".nbi", ".nbc")
    ]
    assert [path for path in found if not path.startswith(known)] == []
