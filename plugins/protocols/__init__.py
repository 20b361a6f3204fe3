"""The built-in protocols: one YAML file each, beside this one."""

from importlib import resources

from spared_bench import ProtocolSpec, hookimpl


def demo() -> str:
    """Return the text of ``demo.yaml``."""
    return _read("demo.yaml")


def spared() -> str:
    """Return the text of ``spared.yaml``."""
    return _read("spared.yaml")


def spared_strict() -> str:
    """Return the text of ``spared-strict.yaml``."""
    return _read("spared-strict.yaml")


def jiang() -> str:
    """Return the text of ``jiang.yaml``."""
    return _read("jiang.yaml")


def sepal() -> str:
    """Return the text of ``sepal.yaml``."""
    return _read("sepal.yaml")


def own() -> str:
    """Return the text of ``own.yaml``."""
    return _read("own.yaml")


def partial() -> str:
    """Return the text of ``partial.yaml``."""
    return _read("partial.yaml")


def partial_demo() -> str:
    """Return the text of ``partial-demo.yaml``."""
    return _read("partial-demo.yaml")


def asign() -> str:
    """Return the text of ``asign.yaml``."""
    return _read("asign.yaml")


def hest() -> str:
    """Return the text of ``hest.yaml``."""
    return _read("hest.yaml")


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
        ProtocolSpec(
            "spared",
            f"{__package__}:spared",
            version="1",
            summary="The published SpaRED benchmark, leaks included, for comparison",
            citation="Mejia et al., MICCAI 2024",
        ),
        ProtocolSpec(
            "spared-strict",
            f"{__package__}:spared_strict",
            version="1",
            summary="SpaRED without its leaks, scored per slide, three seeds",
        ),
        ProtocolSpec(
            "jiang",
            f"{__package__}:jiang",
            version="1",
            summary="Leave one slide out, and another laboratory, on breast cancer",
            citation="Jiang et al., bioRxiv 2023.09.20.558624",
        ),
        ProtocolSpec(
            "hest",
            f"{__package__}:hest",
            version="1",
            summary="The probe of HEST-Benchmark, for comparison with its published table",
            citation="Jaume et al., NeurIPS 2024",
        ),
        ProtocolSpec(
            "sepal",
            f"{__package__}:sepal",
            version="1",
            summary="SEPAL's filters and 256 genes on its two breast datasets",
            citation="Mejia et al., ICCV Workshops 2023",
        ),
        ProtocolSpec(
            "own",
            f"{__package__}:own",
            version="1",
            summary="Methods as published, on slides of your own; not comparable",
        ),
        ProtocolSpec(
            "partial",
            f"{__package__}:partial",
            version="1",
            summary="One section of each sample is known, the others are predicted from it",
        ),
        ProtocolSpec(
            "partial-demo",
            f"{__package__}:partial_demo",
            version="1",
            summary="The same with small budgets on the embedded sections; not comparable",
        ),
        ProtocolSpec(
            "asign",
            f"{__package__}:asign",
            version="1",
            summary="The setting of ASIGN: the first layer is known, 250 genes of the highest mean",
            citation="Zhu et al., CVPR 2025",
        ),
    ]
