"""The filters of a protocol, applied to the joined slides of a dataset, and what they left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from spared_bench.data import EXPRESSED
from spared_bench.data.gene_columns import gene_columns, of_several
from spared_bench.data.targets import depth_of
from spared_bench.errors import CountsError, DataError
from spared_bench.processing import counting, filtering
from spared_bench.processing.annotation import gene_table, is_mitochondrial
from spared_bench.words import counted

if TYPE_CHECKING:
    from anndata import AnnData

    from spared_bench.protocol import Filtering, Processing
    from spared_bench.specs import DatasetSpec

#: In ``var`` until genes are chosen: which of them passed the filters.
PASSED = "passed"
#: What the step is called that adds others.
BESIDES = "and named besides"


@dataclass
class Steps:
    """How many spots or genes each filter left, in order; for messages and for ``uns``."""

    names: list[str] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)

    def add(self, name: str, count: int) -> None:
        self.names.append(name)
        self.counts.append(int(count))

    def __str__(self) -> str:
        return ", ".join(f"{n} {what}" for what, n in zip(self.names, self.counts, strict=True))


def keep_spots(adata: AnnData, bounds: Filtering, steps: Steps) -> AnnData:
    """Drop spots with too few or too many counts over all joined genes, which are remembered.

    What is kept takes the place of the matrix of ``adata``, which has none any more: two of them
    may not fit.
    """
    theirs = is_mitochondrial(adata.var["gene_name"])
    library_sizes, mitochondrial = counting.spot_sums(adata.X, theirs)
    keep = filtering.between(library_sizes, bounds.spot_min_counts, bounds.spot_max_counts)
    steps.add("read", adata.n_obs)
    steps.add("spot counts", keep.sum())
    adata.obs["library_size"] = library_sizes
    adata.obs["mitochondrial_counts"] = mitochondrial
    counts = adata.X
    del adata.X
    kept = adata[keep].copy()
    kept.X = counts if keep.all() else counting.shortened(counts, keep)
    _refuse_lost_slides(
        adata,
        kept,
        f"counts between {bounds.spot_min_counts:g} and {bounds.spot_max_counts:g} (both excluded)",
    )
    return kept


def keep_genes(adata: AnnData, fit: np.ndarray, settings: Processing, steps: Steps) -> AnnData:
    """Keep the genes that pass the count filter and the sparsity prefix on the fitted slides."""
    bounds = settings.filtering
    slide_ids = adata.obs["slide_id"].to_numpy()
    gene_counts, seen, spots = counting.gene_sums(adata.X, slide_ids, fit)
    smallest, overall = filtering.shares(seen, spots)
    enough = np.flatnonzero(
        filtering.between(gene_counts, bounds.gene_min_counts, bounds.gene_max_counts)
    )
    steps.add("read", adata.n_vars)
    steps.add("gene counts", len(enough))
    enough = _above_thresholds(enough, smallest, overall, bounds, steps)
    names = adata.var_names.to_numpy(dtype=str)[enough]
    order = filtering.gene_order(smallest[enough], names, settings.ties)
    prefix = filtering.sparsity_prefix(order, overall[enough], bounds.real_fraction)
    steps.add("real fraction", len(prefix))
    if not len(prefix):
        raise CountsError(
            f"No gene passes the filters. Genes left: {steps}. A gene needs more than"
            f" {bounds.gene_min_counts:g} and fewer than {bounds.gene_max_counts:g} counts, and the"
            f" best ones together a share of {bounds.real_fraction:g} of measured entries (the best"
            f" gene has {overall.max():.2g}). Lower `real_fraction` or `gene_min_counts` in the"
            " protocol's `processing.filtering`."
        )
    adata.var[EXPRESSED] = overall
    return _with_further_genes(adata, enough[prefix].tolist(), settings, steps)


def _with_further_genes(
    adata: AnnData, columns: list[int], settings: Processing, steps: Steps
) -> AnnData:
    """Keep these genes, and after them those that the protocol takes besides."""
    adata.var[PASSED] = np.isin(np.arange(adata.n_vars), columns)
    both = list(dict.fromkeys([*columns, *further_columns(adata, settings)]))
    if len(both) > len(columns):
        steps.add(BESIDES, len(both))
    return _with_genes(adata, np.array(both))


def _with_genes(adata: AnnData, columns: np.ndarray) -> AnnData:
    """Return a copy with these genes; ``adata`` keeps none of its counts."""
    counts = adata.X
    del adata.X
    kept = adata[:, columns].copy()
    kept.X = counting.with_columns(counts, columns)
    return kept


def _above_thresholds(
    genes: np.ndarray, smallest: np.ndarray, overall: np.ndarray, bounds: Filtering, steps: Steps
) -> np.ndarray:
    """Keep the genes whose shares of spots are above the thresholds of SEPAL, where there are any.

    Raises
    ------
    CountsError
        If none is.
    """
    if bounds.min_fraction < 0 and bounds.min_slide_fraction < 0:
        return genes
    above = (overall > bounds.min_fraction) & (smallest > bounds.min_slide_fraction)
    kept = genes[above[genes]]
    steps.add("thresholds", len(kept))
    if not len(kept):
        raise CountsError(
            f"No gene is seen in a share of more than {bounds.min_fraction:g} of all spots and of"
            f" more than {bounds.min_slide_fraction:g} of each slide's. Genes left: {steps}. Lower"
            " `min_fraction` or `min_slide_fraction` in `processing.filtering`."
        )
    return kept


def keep_listed_genes(
    adata: AnnData,
    fit: np.ndarray,
    settings: Processing,
    steps: Steps,
) -> AnnData:
    """Keep the genes of a list, by id or symbol, in its order; of a printed one, what is there.

    Raises
    ------
    CountsError
        Naming those that are not among the genes of all slides.
    """
    columns = _columns_of(adata, settings.listed_genes, lenient=bool(settings.gene_list))
    steps.add("read", adata.n_vars)
    _, seen, spots = counting.gene_sums(adata.X, adata.obs["slide_id"].to_numpy(), fit)
    adata.var[EXPRESSED] = filtering.shares(seen, spots)[1]
    return _with_further_genes(adata, columns, settings, steps)


def further_columns(adata: AnnData, settings: Processing) -> list[int]:
    """Return the columns of the genes that are taken besides.

    Raises
    ------
    CountsError
        Naming those that are not among the genes of all slides.
    """
    return _columns_of(adata, settings.further_genes)


def _columns_of(adata: AnnData, wanted: Sequence[str], *, lenient: bool = False) -> list[int]:
    """Return the column of each gene of a list, by id or symbol; of one that stands twice, once.

    Raises
    ------
    CountsError
        Naming those that are not there, or the ids of a symbol that several genes have.
    """
    found = gene_columns(wanted, adata.var_names, adata.var["gene_name"])
    if unclear := of_several(found, adata.var_names):
        raise CountsError(f"The protocol lists genes in `processing`, and {unclear}")
    lacking = [gene for gene in wanted if not found[gene]]
    if lacking and not (lenient and len(lacking) < len(wanted)):
        raise CountsError(
            f"{len(lacking)} of the {counted(len(wanted), 'gene')} that the protocol lists are not"
            f" among the {adata.n_vars} genes that all slides have: {', '.join(lacking[:5])}."
            " Correct `processing.genes`, `further_genes` or `gene_list`, or the names of genes in"
            " the slides."
        )
    return list(dict.fromkeys(column for gene in wanted for column in found[gene]))


def drop_empty_spots(adata: AnnData, settings: Processing, steps: Steps) -> AnnData:
    """Drop spots in which no gene was seen, but for further ones. Later steps drop no spot."""
    if settings.empty_spots == "kept":
        return adata
    counts = adata.X
    if PASSED in adata.var and not adata.var[PASSED].all():  # which spots stay goes by these alone
        counts = counts[:, adata.var[PASSED].to_numpy()]
    seen = filtering.totals(counts, axis=1) > 0
    steps.add("empty", seen.sum())
    if seen.all():  # a copy may not fit
        return adata
    kept = adata[seen].copy()
    _refuse_lost_slides(adata, kept, "any count of the kept genes")
    return kept


def _refuse_lost_slides(before: AnnData, after: AnnData, wanted: str) -> None:
    """Refuse to go on without a slide, or without the spots held out for validation."""
    lost = sorted(set(before.obs["slide_id"]) - set(after.obs["slide_id"]))
    if lost:
        raise CountsError(
            f"No spot of slide {lost[0]!r} has {wanted}; it had"
            f" {int((before.obs['slide_id'] == lost[0]).sum())} spots. Check its counts, or take"
            " it out of the dataset's split."
        )
    empty = sorted(set(before.obs["split"]) - set(after.obs["split"]))
    if empty:
        raise CountsError(
            f"No spot of split {empty[0]!r} has {wanted}. Name slides for it in the dataset's"
            " split, or raise `validation.held_out_fraction` in the protocol."
        )


def leave_out_mitochondrial(adata: AnnData, settings: Processing, steps: Steps) -> AnnData:
    """Where a protocol does not count mitochondrial genes, drop them and their counts.

    After the filters, in which they have a say: the published pipeline loses them there, because
    its tables of gene lengths hold none.

    Raises
    ------
    CountsError
        If there are no other genes.
    """
    if settings.mitochondrial == "counted":
        return adata
    theirs = is_mitochondrial(adata.var["gene_name"])
    named = _columns_of(adata, (*settings.genes, *settings.further_genes))
    if theirs[named].any():
        names = ", ".join(adata.var["gene_name"].iloc[named][theirs[named]][:5])
        raise CountsError(
            f"The protocol lists {names} among its genes and says `mitochondrial: left_out`. Take"
            " them off `genes` or `further_genes` in `processing`, or say `mitochondrial: counted`."
        )
    adata.obs["library_size"] -= adata.obs.pop("mitochondrial_counts")
    steps.add("not mitochondrial", (~theirs).sum())
    if theirs.all():
        raise CountsError(
            f"All {adata.n_vars} genes that passed the filters are mitochondrial"
            f" ({adata.var['gene_name'].iloc[0]!r}, for example), which this protocol leaves out."
            " Lower `processing.filtering.real_fraction`, or say `mitochondrial: counted`."
        )
    return adata[:, ~theirs].copy() if theirs.any() else adata


def require_lengths(
    adata: AnnData, spec: DatasetSpec, settings: Processing, steps: Steps
) -> AnnData:
    """Where lengths are needed, drop the genes without one."""
    if depth_of(settings.target) != "length":
        return adata
    gene_table(spec.organism)  # refuses an organism without lengths
    known = adata.var["gene_length_bp"].notna().to_numpy()
    steps.add("gene length", known.sum())
    if not known.any():
        raise DataError(
            f"None of the {adata.n_vars} filtered genes of dataset {spec.name!r} is a known"
            f" {spec.organism} gene ({adata.var_names[0]!r}, for example), so none has the length"
            " that log2 of TPM needs. Use Ensembl ids or symbols, correct `organism` in the spec,"
            " or use a protocol with `target: log1p_cp10k`."
        )
    besides = further_columns(adata, settings)
    if not known[besides].all():
        names = ", ".join(adata.var["gene_name"].iloc[besides][~known[besides]][:5])
        raise CountsError(
            f"The protocol names {names} besides the genes that it chooses, and no length of it is"
            " known, which log2 of TPM needs. Take it off `processing.further_genes`, or use a"
            " protocol with `target: log1p_cp10k`."
        )
    return adata if known.all() else adata[:, known].copy()
