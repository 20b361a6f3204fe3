"""The pictures of a dataset's page, each with its title and caption."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from spared_bench.data import COUNTS, MASK, SPATIAL, TARGET
from spared_bench.reports import dataset_figures as figures
from spared_bench.reports.dataset_facts import SlideRow
from spared_bench.specs import SPLITS, DatasetSpec

if TYPE_CHECKING:
    from anndata import AnnData

    from spared_bench.trials.products import Prepared


@dataclass(frozen=True)
class PagePart:
    title: str
    caption: str
    picture: str


def page_parts(
    slides: dict[str, AnnData],
    spec: DatasetSpec,
    rows: Sequence[SlideRow],
    prepared: Prepared | None,
) -> list[PagePart]:
    """Draw the figures; those of the prepared data where there is some."""
    if prepared is not None:
        counts = prepared.adata.obs["slide_id"].value_counts()
        for row in rows:
            row.kept = int(counts.get(row.slide_id, 0))
    bars = figures.spots_per_slide([(r.slide_id, r.split, r.spots, r.kept) for r in rows])
    caption = "Spots of each slide, coloured by split: as read and, where that is known, as kept."
    sections = [PagePart("Spots per slide", caption, figures.as_data_uri(bars))]
    if prepared is None:
        return sections
    from spared_bench.trials.products import without_image

    return [
        *sections,
        *_missing_and_fractions(slides, spec, prepared),
        _gene_section(prepared),
        *([] if without_image(slides) else [_patch_section(prepared)]),
        _moment_section(prepared),
    ]


def _missing_and_fractions(
    slides: dict[str, AnnData], spec: DatasetSpec, prepared: Prepared
) -> list[PagePart]:
    from spared_bench.processing.filtering import expressed_fractions
    from spared_bench.processing.joining import join_slides

    joined, _ = join_slides(slides, spec)
    labels = joined.obs["slide_id"].to_numpy()
    order = list(dict.fromkeys(labels))
    before = [1 - joined.X[labels == s].nnz / ((labels == s).sum() * joined.n_vars) for s in order]
    mask = prepared.adata.layers[COUNTS].toarray() > 0
    kept_labels = prepared.adata.obs["slide_id"].to_numpy()
    after = [1 - mask[kept_labels == s].mean() for s in order]
    stages = {
        f"all {joined.n_vars:,} common genes": np.array(before),
        f"the {prepared.adata.n_vars:,} chosen genes": np.array(after),
    }
    missing = figures.missing_shares(order, stages)
    smallest, overall = expressed_fractions(joined.X, labels)
    kept = joined.var_names.isin(prepared.adata.var_names)
    fractions = figures.expression_fractions(overall, smallest, kept)
    return [
        PagePart(
            "Missing entries, before and after",
            "What no read was seen of, before genes were filtered and among the chosen ones.",
            figures.as_data_uri(missing),
        ),
        PagePart(
            "Expression fraction",
            "In which share of the spots a gene is seen, over all spots and on the slide where it"
            " is rarest; the chosen genes in red.",
            figures.as_data_uri(fractions),
        ),
    ]


def _gene_section(prepared: Prepared) -> PagePart:
    adata = prepared.adata
    labels = adata.obs["slide_id"].to_numpy(dtype=str)
    shown = _some_slides(adata)
    n_genes = min(figures.MAP_GENES, adata.n_vars)
    best = np.argsort(-adata.var["moran_i"].fillna(-np.inf).to_numpy(), kind="stable")[:n_genes]
    names = [
        f"{adata.var['gene_name'].iloc[gene]}\nI = {adata.var['moran_i'].iloc[gene]:.2f}"
        for gene in best
    ]
    figure = figures.gene_maps(
        [(slide, np.asarray(adata.obsm[SPATIAL])[labels == slide]) for slide in shown],
        [np.asarray(adata.layers[TARGET])[labels == slide][:, best] for slide in shown],
        [np.asarray(adata.layers[MASK])[labels == slide][:, best] for slide in shown],
        names,
    )
    number = len(set(labels))
    part = f" {len(shown)} of {number} slides are shown." if len(shown) < number else ""
    return PagePart(
        "Genes of highest Moran's I",
        f"The target on the tissue; spots without a count are pale grey.{part}",
        figures.as_data_uri(figure),
    )


def _some_slides(adata: AnnData) -> list[str]:
    """Return slides to show: of each split in turn, up to the number that fits a page."""
    pairs = adata.obs[["split", "slide_id"]].astype(str).drop_duplicates("slide_id")
    queues = [pairs["slide_id"][pairs["split"] == split].tolist() for split in SPLITS]
    chosen: list[str] = []
    while any(queues) and len(chosen) < figures.MAP_SLIDES:
        for queue in queues:
            if queue and len(chosen) < figures.MAP_SLIDES:
                chosen.append(queue.pop(0))
    return chosen


def _patch_section(prepared: Prepared) -> PagePart:
    rng = np.random.default_rng(0)
    splits = prepared.adata.obs["split"].to_numpy(dtype=str)
    sheets = {}
    for split in SPLITS:
        rows = np.flatnonzero(splits == split)
        if len(rows):
            number = min(figures.PATCHES_PER_SPLIT, len(rows))
            sheets[split] = prepared.patches[np.sort(rng.choice(rows, number, replace=False))]
    size = prepared.patches.shape[1]
    return PagePart(
        "Patches",
        f"Drawn at random from each split, {size} × {size} px as a method sees them.",
        figures.as_data_uri(figures.patch_sheet(sheets), photographic=True),
    )


def _moment_section(prepared: Prepared) -> PagePart:
    target = np.asarray(prepared.adata.layers[TARGET], dtype=np.float64)
    mask = np.asarray(prepared.adata.layers[MASK])
    splits = prepared.adata.obs["split"].to_numpy(dtype=str)
    moments = {}
    for split in SPLITS:
        here = splits == split
        if here.any():
            number = np.maximum(mask[here].sum(axis=0), 1)
            mean = (target[here] * mask[here]).sum(axis=0) / number
            square = (((target[here] - mean) * mask[here]) ** 2).sum(axis=0) / number
            moments[split] = (mean, square)
    return PagePart(
        "Mean against variance",
        "Of the target of each gene. Splits that part here differ in more than their images.",
        figures.as_data_uri(figures.mean_against_variance(moments)),
    )
