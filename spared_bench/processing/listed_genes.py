"""Genes that a protocol lists, against the organism of a dataset, before any of it is read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from spared_bench.errors import DataError
from spared_bench.words import counted

if TYPE_CHECKING:
    import numpy as np

    from spared_bench.protocol import Processing
    from spared_bench.specs import DatasetSpec

_FOREIGN_SHARE = 0.9


def require_own_genes(spec: DatasetSpec, settings: Processing) -> None:
    """Refuse a list of which at least nine in ten names are another organism's genes.

    A name that both have, or no table knows, is none of these: what the files call their genes,
    preparation finds out.

    Raises
    ------
    DataError
    """
    wanted = settings.listed_genes
    if not wanted:
        return
    from spared_bench.processing.annotation import TABLES

    if spec.organism not in TABLES:
        return
    own = _known(wanted, spec.organism)
    for other in TABLES:
        foreign = _known(wanted, other) & ~own
        if foreign.mean() < _FOREIGN_SHARE:
            continue
        theirs = [gene for gene, is_foreign in zip(wanted, foreign, strict=True) if is_foreign]
        shown = ", ".join(theirs[:3]) + (", ..." if len(theirs) > 3 else "")
        listed = f"`gene_list: {settings.gene_list}`" if settings.gene_list else "`genes`"
        raise DataError(
            f"Dataset {spec.name!r} is declared as {spec.organism}, and {listed} has"
            f" {counted(len(theirs), f'{other} gene')} ({shown}) and {own.sum()} of"
            f" {spec.organism}. List {spec.organism} genes, leave the dataset out, or correct its"
            " `organism`."
        )


def _known(names: Sequence[str], organism: str) -> np.ndarray:
    """Return which symbols or ids, with or without version, are an organism's, (n_names,), bool."""
    import numpy as np

    from spared_bench.processing.annotation import gene_table

    table = gene_table(organism)
    known = {*table.index, *table["gene_name"]}
    return np.array([name in known or name.partition(".")[0] in table.index for name in names])
