"""Completers: they fill the unmeasured entries of what is to be learnt."""

from __future__ import annotations

from spared_bench import CompleterSpec, hookimpl


@hookimpl
def spared_bench_completers() -> list[CompleterSpec]:
    here = "spared_bench_plugins.completers"
    return [
        CompleterSpec(
            "none", f"{here}.none:Unchanged", summary="Leaves zeros at unmeasured entries"
        ),
        CompleterSpec(
            "median",
            f"{here}.median:Median",
            summary="Median of the measured neighbourhood, widened hop by hop",
            citation="Mejia et al., SpaRED, MICCAI 2024",
        ),
    ]
