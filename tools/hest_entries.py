"""Write the published table of HEST-Benchmark (26 encoders, nine tasks) as `reported` entries.

    python tools/hest_entries.py [leaderboards]

The table is that of its README of 2026 (headed 03.04.26): the mean over folds of the mean Pearson
correlation over 50 genes, with 256 principal components and ridge regression. It stands in
`hest_published.csv`; each average there is the mean of its nine cells. A test holds the committed
files against this script.
"""

from __future__ import annotations

import csv
import re
import sys
from pathlib import Path

from spared_bench.leaderboard.entries import EntryResult, Flag, MethodEntry, write_entry

TABLE = Path(__file__).with_name("hest_published.csv")
#: Names of the table by those of the encoders that are registered here, where there is one.
ENCODERS = {
    "ResNet50": "resnet50-stage3", "CONCH v1": "conch-v1", "Kaiko ViT-B/8": "kaiko-vitb8",
    "Kaiko ViT-B/16": "kaiko-vitb16", "Kaiko ViT-L/14": "kaiko-vitl14",
    "Kaiko ViT-S/8": "kaiko-vits8", "Kaiko ViT-S/16": "kaiko-vits16",
    "Lunit ViT-S/8": "lunit-vits8",
    "GenBio-PathFM": "genbio-pathfm", "Phikon-v2": "phikon-v2", "Midnight-12k": "midnight-12k",
}  # fmt: skip
SOURCE = (
    "Jaume et al., HEST-1k, NeurIPS 2024, arXiv 2406.16192; table of the README of"
    " github.com/mahmoodlab/HEST headed 03.04.26, encoders loaded by TRIDENT. Means over folds of"
    " the mean correlation over 50 genes. Written by tools/hest_entries.py."
)
_UNMATCHED = Flag(
    kind="not-reproduced",
    reason="An independent re-run of 108 cells of the table missed this one: 0.5735 there.",
    dataset="hest_idc",
)


def hest_entries() -> list[MethodEntry]:
    """Return one entry per encoder of the table."""
    with TABLE.open(encoding="utf-8", newline="") as file:
        return [_entry(row) for row in csv.DictReader(file)]


def _entry(row: dict[str, str]) -> MethodEntry:
    name = row["encoder"]
    encoder = ENCODERS.get(name, name.casefold().replace(" ", "-"))
    tasks = [task for task in row if task not in ("encoder", "average")]
    return MethodEntry(
        method=re.sub(r"[^A-Za-z0-9_+.-]", "-", name),
        version="2026",
        protocol="hest@1",
        trust="reported",
        source=SOURCE,
        flags=[_UNMATCHED] if name == "UNI" else [],
        results=[
            EntryResult(
                dataset=f"hest_{task.lower()}",
                completer="none",
                predictor=f"linear-probe+{encoder}",
                split_scores={"test": {"pcc-gene": float(row[task])}},
                parameters={"encoder": encoder, "configuration": "hest-pca256-ridge"},
                weights="pretrained",
            )
            for task in tasks
        ],
    )


if __name__ == "__main__":
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "leaderboards")
    for entry in hest_entries():
        print(write_entry(folder, entry))
