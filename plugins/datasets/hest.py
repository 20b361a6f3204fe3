"""The ten tasks of HEST-Benchmark, with their folds (Jaume et al., NeurIPS 2024, arXiv 2406.16192).

What is known before anything is fetched stands in ``hest_samples.csv``: samples, donors as the
sample table labels them, folds, µm per pixel. Files come from MahmoodLab/hest-bench on the hub (CC
BY-NC-SA 4.0; beneath it, every sample has a licence of its own), or from a folder
(``spared-bench data add --hest FOLDER``). Nine tasks are scored; HCC is not since August 2024.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from spared_bench import DatasetSpec, RemoteFile, SlideInfo

if TYPE_CHECKING:
    from anndata import AnnData

_TABLE = Path(__file__).with_name("hest_samples.csv")
_HUB = "hf://datasets/MahmoodLab/hest-bench"
_GENES = "var_50genes.json"
SCHEME = "fold"
#: Organ, tumour and technology of each task.
_TASKS = {
    "IDC": ("breast", "invasive ductal carcinoma", "Xenium, pooled to squares of 100 µm"),
    "PRAD": ("prostate", "adenocarcinoma", "Visium"),
    "PAAD": ("pancreas", "adenocarcinoma", "Xenium, pooled to squares of 100 µm"),
    "SKCM": ("skin", "melanoma", "Xenium, pooled to squares of 100 µm"),
    "COAD": ("colon", "adenocarcinoma", "Xenium, pooled to squares of 100 µm"),
    "READ": ("rectum", "adenocarcinoma", "Visium"),
    "CCRCC": ("kidney", "clear cell carcinoma", "Visium"),
    "LUNG": ("lung", "adenocarcinoma", "Xenium, pooled to squares of 100 µm"),
    "LYMPH_IDC": ("axillary lymph node", "metastasis of a breast carcinoma", "Visium"),
    "HCC": ("liver", "carcinoma", "Visium"),
}
_NOTES: Mapping[str, tuple[str, ...]] = {
    "COAD": (
        "TENX147, TENX148 and TENX149 are labelled as one donor and are three, so fold 0 trains on"
        " one donor and tests on three.",
    ),
    "PRAD": ("Resolution goes with the donor, so a fold may measure the scanner, too.",),
    "SKCM": ("Resolution goes with the donor, so a fold may measure the scanner, too.",),
    "HCC": ("No table scores it since August 2024.",),
}


@cache
def _rows(task: str = "") -> tuple[dict[str, str], ...]:
    with _TABLE.open(encoding="utf-8", newline="") as file:
        return tuple(row for row in csv.DictReader(file) if not task or row["task"] == task)


def hest_tasks() -> list[DatasetSpec]:
    """Return the tasks as datasets, each with the scheme of folds ``fold``."""
    return [_task(name) for name in _TASKS]


def _task(name: str) -> DatasetSpec:
    rows = _rows(name)
    numbers = sorted({row["test_fold"] for row in rows}, key=int)
    folds = {n: tuple(row["sample"] for row in rows if row["test_fold"] == n) for n in numbers}
    organ, tumour, technology = _TASKS[name]
    paths = [f"{kind}/{row['sample']}.{end}" for row in rows for kind, end in _KINDS]
    return DatasetSpec(
        name=f"hest_{name.lower()}",
        factory=f"{__name__}:read_sample",
        summary=f"HEST-Benchmark {name}: {organ}, {tumour}, {len(rows)} samples",
        citation="Jaume et al., NeurIPS 2024, arXiv 2406.16192",
        licence="CC-BY-NC-SA-4.0",
        organism="human",
        tissue=organ,
        technology=technology,
        slides=tuple(SlideInfo(row["sample"], row["patient"]) for row in rows),
        split={
            "train": tuple(row["sample"] for row in rows if row["sample"] not in folds["0"]),
            "test": folds["0"],
        },
        folds={SCHEME: folds},
        files=tuple(
            RemoteFile(f"{_HUB}/{name}/{path}", f"{name}/{path}") for path in [*paths, _GENES]
        ),
        storage="hest-bench",
        members=(f"{name}/adata/*.h5ad", f"{name}/patches/*.h5", f"{name}/{_GENES}"),
        n_spots=sum(int(row["patches"]) for row in rows),
        donors_verified=False,  # as labelled; an independent check confirmed 58 of 72
        allow_shared_donors=True,
        aliases=(name,),
        links=("https://huggingface.co/datasets/MahmoodLab/hest-bench",),
        notes=(
            "The 50 genes were chosen with the test samples in view.",
            *_NOTES.get(name, ()),
        ),
    )


_KINDS = (("adata", "h5ad"), ("patches", "h5"))


def read_sample(folder: Path, slide_id: str) -> AnnData:
    """Read a sample of any task; see ``spared_bench.readers.hest`` for the errors."""
    from spared_bench.readers.hest import read_hest

    row = next(row for row in _rows() if row["sample"] == slide_id)
    task = folder / row["task"]
    return read_hest(
        task / "adata" / f"{slide_id}.h5ad",
        task / "patches" / f"{slide_id}.h5",
        genes=task / _GENES,
        um_per_px=float(row["um_per_px"]),
        organism="human",
    )
