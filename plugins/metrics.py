"""The metrics of the SpaRED benchmark (Mejia et al., MICCAI 2024), of variances and of classes."""

from __future__ import annotations

import math

from spared_bench import MetricSpec, hookimpl
from spared_bench_plugins.tissue_metrics import tissue_metrics

_HERE = "spared_bench.metrics"


@hookimpl
def spared_bench_metrics() -> list[MetricSpec]:
    return [
        MetricSpec(
            "mse",
            f"{_HERE}.mse:mse",
            summary="Mean squared error over measured entries",
            per="entry",
            better="lower",
            label="MSE",
            bounds=(0.0, math.inf),
        ),
        MetricSpec(
            "mae",
            f"{_HERE}.mse:mae",
            summary="Mean absolute error over measured entries",
            per="entry",
            better="lower",
            label="MAE",
            bounds=(0.0, math.inf),
        ),
        MetricSpec(
            "pcc-gene",
            f"{_HERE}.pearson:pearson_gene",
            summary="Pearson correlation of each gene across spots",
            per="gene",
            label="PCC-Gene",
            bounds=(-1.0, 1.0),
            undefined="correlation",
        ),
        MetricSpec(
            "pcc-patch",
            f"{_HERE}.pearson:pearson_spot",
            summary="Pearson correlation of each spot across genes",
            per="spot",
            label="PCC-Patch",
            bounds=(-1.0, 1.0),
            undefined="correlation",
        ),
        MetricSpec(
            "r2-gene",
            f"{_HERE}.r2:r2_gene",
            summary="Coefficient of determination of each gene across spots",
            per="gene",
            label="R2-Gene",
            bounds=(-math.inf, 1.0),
            undefined="determination",
        ),
        MetricSpec(
            "r2-patch",
            f"{_HERE}.r2:r2_spot",
            summary="Coefficient of determination of each spot across genes",
            per="spot",
            label="R2-Patch",
            bounds=(-math.inf, 1.0),
            undefined="determination",
        ),
        *_of_variances(),
        *_of_classes(),
        *tissue_metrics(),
    ]


def _of_variances() -> list[MetricSpec]:
    here = f"{_HERE}.uncertainty"
    intervals = [
        MetricSpec(
            f"coverage-{percent}",
            f"{here}:coverage_{percent}",
            summary=f"Share of what was measured within the predicted {percent} % interval",
            per="entry",
            better="nearest",
            label=f"Coverage {percent} %",
            bounds=(0.0, 1.0),
            given="variance",
            goal=percent / 100,
        )
        for percent in (50, 90)
    ]
    return [
        MetricSpec(
            "nll",
            f"{here}:nll",
            summary="Negative log-likelihood of what was measured, per entry, for a normal"
            " distribution of the predicted mean and variance",
            per="entry",
            better="lower",
            label="NLL",
            given="variance",
        ),
        *intervals,
        MetricSpec(
            "sharpness",
            f"{here}:sharpness",
            summary="Mean predicted standard deviation over measured entries",
            per="entry",
            better="lower",
            label="Sharpness",
            bounds=(0.0, math.inf),
            given="variance",
        ),
    ]


def _of_classes() -> list[MetricSpec]:
    here = f"{_HERE}.classes"
    return [
        MetricSpec(
            "f1-class",
            f"{here}:f1_class",
            summary="F1 of each class of spots; their mean is the macro F1",
            per="class",
            label="F1-Class",
            bounds=(0.0, 1.0),
            given="classes",
        ),
        MetricSpec(
            "auc-class",
            f"{here}:auc_class",
            summary="Area under the ROC curve of each class of spots against all others",
            per="class",
            label="AUC-Class",
            bounds=(0.0, 1.0),
            given="classes",
        ),
    ]
