"""Write tables of papers as `reported` entries, each under a protocol name of its own.

    python tools/paper_entries.py [leaderboards]

SEPAL's tables 2 and 3, and ASIGN's supplementary tables 3 to 5. Their settings are those of the
papers and no protocol of ours, so their rows stand on boards of their own and are ranked beside
nothing else. The review of Jiang et al. 2023 prints its scores as box plots only: no number of it
can be entered. A test holds the committed files against this script.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from spared_bench.leaderboard.entries import EntryResult, Flag, MethodEntry, write_entry

_SEPAL_SOURCE = (
    "Mejia, Cardenas et al., SEPAL: Spatial Gene Expression Prediction from Local Graphs, ICCV"
    " Workshops 2023, tables 2 and 3. Of each method the best of up to 50 training settings by"
    " validation MSE; on the Visium sections validation and test are one section. Written by"
    " tools/paper_entries.py."
)
_ASIGN_SOURCE = (
    "ASIGN: An Anatomy-aware Spatial Imputation Graphic Network for 3D Spatial"
    " Transcriptomics, CVPR 2025, supplement, tables 3 to 5. Its PCC is not said to be of genes or"
    " of spots, so it is kept as `pcc`, which is no metric here. In its 3D rows a part of a"
    " tested sample is known. Written by tools/paper_entries.py."
)
_GIVEN = Flag(
    kind="given-a-part",
    reason="A part of each tested sample is known to it, which methods of images alone do not have:"
    " no fair comparison with these, and where it is the best, their normalised errors are larger.",
)
_METRICS = ("mae", "mse", "pcc-gene", "r2-gene", "pcc-patch", "r2-patch")
#: SEPAL's table 2 (Visium, then ST-Net's data) and table 3 (Visium), by method: predictor and rows.
SEPAL: Mapping[str, tuple[str, Sequence[float], Sequence[float]]] = {
    "STNet": (
        "st-net",
        (0.654, 0.762, 0.300, 0.053, 0.924, 0.843),
        (0.560, 0.537, 0.030, -0.165, 0.910, 0.779),
    ),
    "EGN": (
        "egn",
        (0.659, 0.772, 0.314, 0.038, 0.922, 0.841),
        (0.520, 0.480, 0.064, -0.037, 0.911, 0.806),
    ),
    "EGGN": (
        "eggn",
        (0.645, 0.736, 0.313, 0.070, 0.926, 0.846),
        (0.550, 0.549, 0.011, -0.228, 0.908, 0.780),
    ),
    "HisToGene": (
        "histogene",
        (0.665, 0.784, 0.199, 0.024, 0.921, 0.839),
        (0.529, 0.493, -0.007, -0.066, 0.911, 0.799),
    ),
    "SEPAL": (
        "sepal",
        (0.630, 0.708, 0.383, 0.106, 0.928, 0.853),
        (0.519, 0.478, -0.004, -0.028, 0.911, 0.809),
    ),
    "SEPAL-of-the-other-dataset": (
        "sepal",
        (0.636, 0.717, 0.353, 0.091, 0.927, 0.851),
        (0.527, 0.489, 0.002, -0.052, 0.911, 0.802),
    ),
    "ViT": ("vit-b", (0.655, 0.760, 0.282, 0.053, 0.924, 0.843), ()),
    "ViT+Delta": ("vit-b-delta", (0.638, 0.725, 0.347, 0.086, 0.927, 0.849), ()),
    "ViT+Delta+S7": ("vit-b-delta", (0.648, 0.737, 0.339, 0.065, 0.925, 0.847), ()),
}
#: ASIGN's tables, by method: predictor, and MSE, MAE and PCC by dataset.
ASIGN: Mapping[str, tuple[str, Mapping[str, tuple[float, float, float]]]] = {
    "TRIPLEX": (
        "triplex",
        {
            "her2st": (0.592, 0.591, 0.450),
            "dlpfc": (0.645, 0.621, 0.766),
            "stnet": (0.627, 0.621, 0.553),
        },
    ),
    "ASIGN-2D": (
        "asign-2d",
        {
            "her2st": (0.579, 0.590, 0.476),
            "dlpfc": (0.275, 0.411, 0.766),
            "stnet": (0.528, 0.566, 0.552),
        },
    ),
    "ASIGN-3D": (
        "asign-3d",
        {
            "her2st": (0.363, 0.473, 0.693),
            "dlpfc": (0.353, 0.458, 0.773),
            "stnet": (0.332, 0.459, 0.739),
        },
    ),
    "ASIGN-3D-without-GAT-and-cross-attention": (
        "asign-3d",
        {"dlpfc": (0.405, 0.497, 0.767), "stnet": (0.541, 0.571, 0.706)},
    ),
    "ASIGN-3D-without-cross-attention": (
        "asign-3d",
        {"dlpfc": (0.364, 0.470, 0.770), "stnet": (0.472, 0.535, 0.710)},
    ),
    "ASIGN-3D-without-GAT": (
        "asign-3d",
        {"dlpfc": (0.368, 0.475, 0.768), "stnet": (0.451, 0.528, 0.708)},
    ),
    "ASIGN-3D-0-percent-known": (
        "asign-3d",
        {"dlpfc": (0.420, 0.503, 0.770), "stnet": (0.485, 0.545, 0.604)},
    ),
    "ASIGN-3D-10-percent-known": (
        "asign-3d",
        {"dlpfc": (0.402, 0.494, 0.772), "stnet": (0.406, 0.499, 0.708)},
    ),
    "ASIGN-3D-30-percent-known": (
        "asign-3d",
        {"dlpfc": (0.278, 0.416, 0.767), "stnet": (0.329, 0.458, 0.741)},
    ),
}


def paper_entries() -> list[MethodEntry]:
    """Return one entry per method and paper."""
    return [*_sepal(), *_asign()]


def _sepal() -> list[MethodEntry]:
    found = []
    for method, (predictor, visium, stnet) in SEPAL.items():
        results = [
            EntryResult(
                dataset=dataset,
                completer="median",
                predictor=predictor,
                split_scores={split: dict(zip(_METRICS, values, strict=True))},
            )
            for dataset, split, values in (("10xghbc", "val", visium), ("stnet", "test", stnet))
            if values
        ]
        found.append(_entry(method, "2023", "sepal-paper@1", _SEPAL_SOURCE, results))
    return found


def _asign() -> list[MethodEntry]:
    found = []
    for method, (predictor, datasets) in ASIGN.items():
        results = [
            EntryResult(
                dataset=dataset,
                completer="none",
                predictor=predictor,
                split_scores={"test": dict(zip(("mse", "mae", "pcc"), values, strict=True))},
            )
            for dataset, values in datasets.items()
        ]
        found.append(
            _entry(method, "2025", "asign-paper@1", _ASIGN_SOURCE, results, _given(method))
        )
    return found


def _given(method: str) -> list[Flag]:
    """Say of a method that a part of what it predicts is known to it; the 2D ones see images."""
    known = method.startswith("ASIGN-3D") and method != "ASIGN-3D-0-percent-known"
    return [_GIVEN] if known else []


def _entry(
    method: str,
    version: str,
    protocol: str,
    source: str,
    results: list[EntryResult],
    flags: Sequence[Flag] = (),
) -> MethodEntry:
    return MethodEntry(
        method=method,
        version=version,
        protocol=protocol,
        trust="reported",
        source=source,
        flags=list(flags),
        results=results,
    )


if __name__ == "__main__":
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "leaderboards")
    for entry in paper_entries():
        print(write_entry(folder, entry))
