"""The metrics of the SpaRED benchmark (Mejia et al., MICCAI 2024)."""

from __future__ import annotations

import math

from spared_bench import MetricSpec, hookimpl

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
    ]
