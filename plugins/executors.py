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
    ]
