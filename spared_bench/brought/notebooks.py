"""``score`` for notebooks: predictions made elsewhere, from a file or from memory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from spared_bench.api import make_bench
from spared_bench.api.given import name_of
from spared_bench.brought.scoring import Brought, bring


def score(
    source: Any,
    dataset: str,
    method: str = "",
    protocol: str = "",
    *,
    workspace: Path | None = None,
    data_dir: Path | None = None,
    plugin_files: Sequence[Path] = (),
    **options: Any,
) -> Brought:
    """Score predictions made elsewhere; see ``spared_bench.brought.scoring.bring``.

    Parameters
    ----------
    source : Path, DataFrame or AnnData
    dataset, method, protocol : str
    workspace, data_dir : Path, optional
    plugin_files : sequence of Path
    **options
        ``completer``, ``seed``, ``layer``, ``ignore_unknown``.

    Returns
    -------
    Brought
        ``.result.scores``, ``.coverage`` and ``.notes``.
    """
    dataset = name_of("datasets", dataset)
    bench = make_bench(
        protocol,
        datasets=[dataset],
        workspace=workspace,
        data_dir=data_dir,
        plugin_files=plugin_files,
        device="cpu",
    )
    return bring(bench, source, dataset, method=method, **options)
