"""The built-in datasets. Nothing here reads data: the factories are imported when it is needed."""

from spared_bench import DatasetSpec, hookimpl
from spared_bench_plugins.datasets.dlpfc import DLPFC
from spared_bench_plugins.datasets.her2st import HER2ST, HER2ST_DEMO
from spared_bench_plugins.datasets.hest import hest_tasks
from spared_bench_plugins.datasets.mob import MOB_DEMO
from spared_bench_plugins.datasets.mob_stahl import MOB_STAHL
from spared_bench_plugins.datasets.planted import PLANTED
from spared_bench_plugins.datasets.spared import spared_datasets
from spared_bench_plugins.datasets.stnet import STNET
from spared_bench_plugins.datasets.visium_breast import VISIUM_BREAST


@hookimpl
def spared_bench_datasets() -> list[DatasetSpec]:
    ours = [HER2ST, HER2ST_DEMO, MOB_DEMO, PLANTED, STNET, DLPFC, VISIUM_BREAST, MOB_STAHL]
    return [*ours, *spared_datasets(), *hest_tasks()]
