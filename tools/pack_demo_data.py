"""Make the data that is shipped with the datasets plugin from copies of its sources.

    python tools/pack_demo_data.py her2st FOLDER    # github.com/almaan/her2st, at its root
    python tools/pack_demo_data.py mob FOLDER       # STUtility's inst/extdata/counts

What it changes stands in the README.md beside each packed data set.
"""

from __future__ import annotations

import argparse
import gzip
import shutil
from pathlib import Path

EMBEDDED = Path(__file__).parents[1] / "plugins" / "datasets" / "embedded"
HER2ST_SECTIONS = ("C2", "C3", "C4")
HER2ST_REDUCTION = 4
JPEG_QUALITY = 90
MOB_SECTIONS = ("MOB1", "MOB3")


def pack_her2st(source: Path, target: Path) -> None:
    """Copy counts and spot tables byte for byte; write the images at a quarter of their width."""
    import pyvips

    for section in HER2ST_SECTIONS:
        for name in (
            f"data/ST-cnts/{section}.tsv.gz",
            f"data/ST-spotfiles/{section}_selection.tsv",
        ):
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / name, target / name)
        (image,) = (source / f"data/ST-imgs/{section[0]}/{section}").glob("*.jpg")
        reduced = target / image.relative_to(source)
        reduced.parent.mkdir(parents=True, exist_ok=True)
        picture = pyvips.Image.new_from_file(str(image))
        picture = picture.shrink(HER2ST_REDUCTION, HER2ST_REDUCTION)
        picture.jpegsave(str(reduced), Q=JPEG_QUALITY, keep="none", optimize_coding=True)


def pack_mob(source: Path, target: Path) -> None:
    """Gzip the counts; copy spot tables and images byte for byte."""
    target.mkdir(parents=True, exist_ok=True)
    for section in MOB_SECTIONS:
        for name in (f"alignment_table_{section}.tsv", f"{section}.jpg"):
            shutil.copyfile(source / name, target / name)
        # Without a time stamp, so that packing again gives the same bytes.
        counts = gzip.compress((source / f"{section}.tsv").read_bytes(), mtime=0)
        (target / f"{section}.tsv.gz").write_bytes(counts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset", choices=["her2st", "mob"])
    parser.add_argument("folder", type=Path, help="of the upstream copy")
    arguments = parser.parse_args()
    pack = {"her2st": pack_her2st, "mob": pack_mob}[arguments.dataset]
    pack(arguments.folder, EMBEDDED / arguments.dataset)


if __name__ == "__main__":
    main()
