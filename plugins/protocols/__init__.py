"""The built-in protocols: one YAML file each, beside this one."""

from importlib import resources

from spared_bench import ProtocolSpec, hookimpl


def demo() -> str:
    """Return the text of ``demo.yaml``."""
    return _read("demo.yaml")


def _read(name: str) -> str:
    return (resources.files(__package__) / name).read_text(encoding="utf-8")


@hookimpl
def spared_bench_protocols() -> list[ProtocolSpec]:
    return [
        ProtocolSpec(
            "demo",
            f"{__package__}:demo",
            version="1",
            summary="Small budgets on the embedded real data, for a first run; not comparable",
        ),
    ]
