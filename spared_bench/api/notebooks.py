"""``load_dataset`` and ``run``: what the command line does, for notebooks and scripts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spared_bench.api.benches import make_bench
from spared_bench.api.execution import execute
from spared_bench.api.options import RunOptions
from spared_bench.api.plans import select
from spared_bench.api.report import Report

if TYPE_CHECKING:
    from spared_bench.trials.products import Prepared


def load_dataset(
    name: str,
    protocol: str = "",
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

    bench = make_bench(
        protocol, datasets=[name], workspace=workspace, data_dir=data_dir, device="cpu"
    )
    bench.workspace.make_writable()
    prepared = prepare(bench, name)
    if not images:
        return prepared
    return replace(prepared, adata=with_images(bench, name, prepared.adata))


def run(
    datasets: Sequence[str] = (),
    completers: Sequence[str] = (),
    predictors: Sequence[str] = (),
    protocol: str = "",
    **options: Any,
) -> Report:
    """Run a selection and return what came of it.

    Parameters
    ----------
    datasets, completers, predictors : sequence of str
        Names; empty means all of the protocol's suite.
    protocol : str
        Name or YAML file; empty: ``"own"`` for datasets that people described, else ``"demo"``.
    **options
        Of ``make_bench`` and ``execute``.
    """
    ours = {"watcher", *RunOptions.__dataclass_fields__}
    chosen = {name: options.pop(name) for name in ours & set(options)}
    bench = make_bench(protocol, datasets=datasets, **options)
    return execute(select(bench, datasets, completers, predictors), **chosen)
