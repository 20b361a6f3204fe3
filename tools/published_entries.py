"""Write the published table of SpaRED (26 datasets, ten methods) as `reported` entries.

    python tools/published_entries.py [leaderboards]

The figures are those of the catalogue beside the dataset plugins, and the numbers of parameters
those of `parameters.yaml` there. Which split was scored, that the training targets were completed
by SpaCKLE as its code computes it, and that there was one run per cell are inferences, said in
`source`. Labels are those of a run of `spared@1`, so that reported and reproduced rows are set side
by side. A test holds the committed files against this script.
"""

from __future__ import annotations

import sys
from pathlib import Path

from spared_bench.leaderboard.entries import EntryResult, Flag, MethodEntry, write_entry
from spared_bench.specs import DatasetSpec
from spared_bench_plugins.datasets.spared import published_parameters, spared_datasets

PREDICTORS = {
    "ShuffleNet": "shufflenet",
    "STNet": "st-net",
    "EGN": "egn",
    "EGGN": "eggn",
    "HisToGene": "histogene",
    "ViT-B": "vit-b",
    "ViT-B+Delta": "vit-b-delta",
    "SEPAL": "sepal",
    "BLEEP": "bleep",
    "Hist2ST": "hist2st",
}
COMPLETER = "spackle-released"  # what the published code of SpaCKLE computes
SOURCE = (
    "Mejia et al., Enhancing Gene Expression Prediction from Histology Images with Spatial"
    " Transcriptomics Completion, MICCAI 2024; the table of its website,"
    " https://bcv-uniandes.github.io/spared_webpage/. One run per cell, trained on targets"
    " completed by SpaCKLE (as released) and scored on the test split, or on validation where there"
    " is none: inferred, not stated. Parameters are counted on our networks; the paper draws them"
    " in its figure 4b without numbers. Written by tools/published_entries.py."
)


def published_entries() -> list[MethodEntry]:
    """Return one entry per method of the table."""
    datasets = spared_datasets()
    return [
        MethodEntry(
            method=method,
            version="2024",
            protocol="spared@1",
            trust="reported",
            source=SOURCE,
            flags=_flags(method, datasets),
            results=[_result(method, spec) for spec in datasets if method in spec.published["mse"]],
        )
        for method in PREDICTORS
    ]


def _result(method: str, spec: DatasetSpec) -> EntryResult:
    scores = {
        metric: values[method] for metric, values in spec.published.items() if method in values
    }
    return EntryResult(
        dataset=spec.name,
        completer=COMPLETER,
        predictor=PREDICTORS[method],
        n_parameters=published_parameters()[method][int(spec.parameters["n_genes"])],
        split_scores={"test" if spec.evaluation_split == "test" else "val": scores},
    )


def _flags(method: str, datasets: list[DatasetSpec]) -> list[Flag]:
    flags = []
    for spec in datasets:
        if method not in spec.suspect:
            continue
        value = spec.published["mse"][method]
        twins = [
            f"{other_method} on {other.name}"
            for other in datasets
            for other_method, found in other.published["mse"].items()
            if found == value and (other.name, other_method) != (spec.name, method)
        ]
        reason = f"The published MSE equals that of {', '.join(twins)}: probably a copied cell."
        flags.append(Flag(kind="suspect-cell", reason=reason, dataset=spec.name))
    return flags


if __name__ == "__main__":
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "leaderboards")
    for entry in published_entries():
        print(write_entry(folder, entry))
