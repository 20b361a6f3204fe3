"""The built-in datasets. Nothing here reads data: the factories are imported when it is needed."""

from dataclasses import replace
from functools import cache
from pathlib import Path

from spared_bench import DatasetSpec, hookimpl
from spared_bench.shipped import shipped_yaml
from spared_bench_plugins.datasets.dlpfc import DLPFC
from spared_bench_plugins.datasets.her2st import HER2ST, HER2ST_DEMO
from spared_bench_plugins.datasets.hest import hest_tasks
from spared_bench_plugins.datasets.mob import MOB_DEMO
from spared_bench_plugins.datasets.mob_stahl import MOB_STAHL
from spared_bench_plugins.datasets.planted import PLANTED
from spared_bench_plugins.datasets.spared import spared_datasets
from spared_bench_plugins.datasets.stnet import STNET
from spared_bench_plugins.datasets.visium_breast import VISIUM_BREAST

_SPOTS = Path(__file__).with_name("spots.yaml")


@hookimpl
def spared_bench_datasets() -> list[DatasetSpec]:
    return list(_datasets())


@cache  # a process asks several times
def _datasets() -> tuple[DatasetSpec, ...]:
    ours = [HER2ST, HER2ST_DEMO, MOB_DEMO, PLANTED, STNET, DLPFC, VISIUM_BREAST, MOB_STAHL]
    known = shipped_yaml(_SPOTS.read_text(encoding="utf-8"))
    counted = [replace(spec, n_spots=known[spec.name]["spots"]) for spec in ours]
    return (*counted, *spared_datasets(), *hest_tasks())
