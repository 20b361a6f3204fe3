"""The built-in executors."""

from spared_bench import ExecutorSpec, hookimpl


@hookimpl
def spared_bench_executors() -> list[ExecutorSpec]:
    return [
        ExecutorSpec(
            "inline",
            "spared_bench.executors.inline:InlineExecutor",
            summary="In this process, one job after the other",
        ),
        ExecutorSpec(
            "local",
            "spared_bench.executors.local:LocalExecutor",
            summary="In worker processes of this machine",
        ),
        ExecutorSpec(
            "dask",
            "spared_bench.executors.dask_cluster:DaskExecutor",
            summary="On a Dask cluster: an address, this machine, or a batch system",
        ),
    ]
