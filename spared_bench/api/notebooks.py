"""``load_dataset`` and ``run``: what the command line does, for notebooks and scripts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spared_bench.api.benches import make_bench
from spared_bench.api.edits import refuse_edited
from spared_bench.api.execution import execute
from spared_bench.api.given import check_options, name_of, names_of
from spared_bench.api.options import RunOptions
from spared_bench.api.plans import select
from spared_bench.api.report import Report
from spared_bench.bench import Limits

if TYPE_CHECKING:
    from spared_bench.trials.products import Prepared


def load_dataset(
    name: str,
    protocol: str | Path = "",
    *,
    workspace: Path | None = None,
    data_dir: Path | None = None,
    images: bool = True,
) -> Prepared:
    """Return a dataset prepared as a protocol says, with its patches.

    Parameters
    ----------
    name : str
        Of a registered dataset.
    protocol : str
        Name or YAML file; empty: ``"own"`` for a dataset that people described, else ``"demo"``.
    workspace, data_dir : Path, optional
    images : bool
        With ``.adata.uns["spatial"]``, for scanpy and squidpy (``scverse.images``): an overview of
        every slide, of at most 2,000 px, is read and kept in memory.

    Returns
    -------
    Prepared
        ``.adata`` holds the AnnData of ``spared_bench.data``; ``.slides("train")`` the slides of a
        split with ``.target``, ``.mask`` and ``.patches``.
    """
    from spared_bench.scverse.images import with_images
    from spared_bench.trials.products import prepare

    name = name_of("datasets", name)
    bench = make_bench(
        protocol, datasets=[name], workspace=workspace, data_dir=data_dir, device="cpu"
    )
    bench.workspace.make_writable()
    prepared = prepare(bench, name)
    if not images:
        return prepared
    return replace(prepared, adata=with_images(bench, name, prepared.adata))


def run(
    datasets: str | Iterable[str] = (),
    completers: str | Iterable[str] = (),
    predictors: str | Iterable[str] = (),
    protocol: str | Path = "",
    **options: Any,
) -> Report:
    """Run a selection and return what came of it.

    Parameters
    ----------
    datasets, completers, predictors : str or iterable of str
        Names, or one; empty means all of the protocol's suite.
    protocol : str
        Name or YAML file; empty: ``"own"`` for datasets that people described, else ``"demo"``.
    **options
        Of ``make_bench`` and ``execute``. ``strict`` is both: the methods of others are neither
        imported here nor run where they can read the truth.

    Raises
    ------
    UsageError
        If something else than names is given, or an option that there is not; or if the code of a
        method was edited after this process had read it.
    """
    datasets = names_of("datasets", datasets)
    completers = names_of("completers", completers)
    predictors = names_of("predictors", predictors)
    check_options(options, {*_OF_BENCH, *_OF_RUN})
    _make_strict(options)
    chosen = {name: options.pop(name) for name in _OF_RUN & set(options)}
    bench = make_bench(protocol, datasets=datasets, **options)
    plan = select(bench, datasets, completers, predictors)
    refuse_edited(plan)
    return execute(plan, **chosen)


_OF_BENCH = set(signature(make_bench).parameters) - {"protocol", "datasets"}
_OF_RUN = {"watcher", "command", "log", *RunOptions.__dataclass_fields__}


def _make_strict(options: dict[str, Any]) -> None:
    """Make a run strict in both of its halves where either is asked for."""
    limits = options.get("limits", Limits())
    if options.get("strict") or limits.strict:
        options |= {"strict": True, "limits": replace(limits, strict=True, isolate=True)}
