"""The slides of a dataset as one matrix, over the genes that all of them have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from spared_bench.data import LABEL, SLIDE_FACTS, SPATIAL, validate_raw_slide
from spared_bench.errors import CountsError, SplitError
from spared_bench.processing.annotation import Annotation, annotate
from spared_bench.processing.counting import stacked

if TYPE_CHECKING:
    from anndata import AnnData
    from pandas import DataFrame

    from spared_bench.specs import DatasetSpec


def join_slides(slides: Mapping[str, AnnData], spec: DatasetSpec) -> tuple[AnnData, dict[str, Any]]:
    """Stack the slides of a dataset's split, in lexicographic order of their ids.

    Parameters
    ----------
    slides : mapping of str to AnnData
        Raw slides (``spared_bench.data``) by id; those outside the split are left aside.
    spec : DatasetSpec

    Returns
    -------
    AnnData
        Raw counts of the genes that every slide has, in the order of the file of the first
        training slide; spots are named ``<slide>_<barcode>``.
    dict
        What was joined and what was left out, as plain values.

    Raises
    ------
    SplitError
        If a slide of the split is not given.
    CountsError
        If the slides have no gene in common.
    """
    wanted = sorted(str(slide_id) for part in spec.split.values() for slide_id in part)
    lacking = [slide_id for slide_id in wanted if slide_id not in slides]
    if lacking:
        raise SplitError(
            f"The split of dataset {spec.name!r} names slides {lacking}, which were not read; read"
            f" were {sorted(slides)}. Read all slides of the split, or take these out of it."
        )
    for slide_id in wanted:
        validate_raw_slide(slides[slide_id], slide_id, spec.raw_counts, spec.classes)
    notes = _annotate_all({slide_id: slides[slide_id] for slide_id in wanted}, spec.organism)
    genes = _common_genes(notes, str(spec.split["train"][0]))
    joined = _stack({slide_id: slides[slide_id] for slide_id in wanted}, notes, genes, spec)
    return joined, _report(slides, notes, genes, wanted)


def _annotate_all(slides: Mapping[str, AnnData], organism: str) -> dict[str, Annotation]:
    """Annotate the genes of every slide, once for all slides that have the same ones."""
    known: dict[tuple[str, ...], Annotation] = {}
    notes = {}
    for slide_id, slide in slides.items():
        names = tuple(map(str, slide.var_names))
        if names not in known:
            known[names] = annotate(names, organism)
        notes[slide_id] = known[names]
    return notes


def _common_genes(notes: Mapping[str, Annotation], first: str) -> list[str]:
    """Return the genes of all slides in the order of the first, as the published join does."""
    ids = {slide_id: set(note.genes["gene_id"]) for slide_id, note in notes.items()}
    common = set.intersection(*ids.values())
    genes = [gene for gene in notes[first].genes["gene_id"].drop_duplicates() if gene in common]
    if not genes:
        examples = ", ".join(f"{slide_id}: {min(found)!r}" for slide_id, found in ids.items())
        raise CountsError(
            f"No gene is in all {len(ids)} slides (first gene of each: {examples}). Use one way of"
            " naming genes, symbols or Ensembl ids, in all slides of a dataset."
        )
    return genes


def _stack(
    slides: Mapping[str, AnnData],
    notes: Mapping[str, Annotation],
    genes: list[str],
    spec: DatasetSpec,
) -> AnnData:
    import pandas as pd
    from anndata import AnnData
    from scipy.sparse import csr_matrix

    labelled = {LABEL: _labels(slides)} if spec.classes else {}
    donors = {slide.slide_id: slide.patient_id or slide.slide_id for slide in spec.slides}
    obs = pd.concat(
        pd.DataFrame(
            {
                "slide_id": slide_id,
                "patient_id": donors[slide_id],
                "barcode": slide.obs_names.astype(str),
                "array_row": slide.obs["array_row"].to_numpy(),
                "array_col": slide.obs["array_col"].to_numpy(),
            },
            index=[f"{slide_id}_{barcode}" for barcode in slide.obs_names],
        )
        for slide_id, slide in slides.items()
    ).assign(**labelled)
    described = next(iter(notes.values())).genes.drop_duplicates("gene_id").set_index("gene_id")
    described = _with_symbols_of_files(described.loc[genes], slides, notes)
    return AnnData(
        # float32 is exact for counts up to 2**24; sums are taken in float64.
        X=stacked(
            [csr_matrix(slide.X, dtype=np.float32) for slide in slides.values()],
            [_columns(notes[slide_id], genes) for slide_id in slides],
        ),
        obs=obs,
        var=described.rename_axis(None),
        obsm={
            SPATIAL: np.concatenate(
                [np.asarray(slide.obsm[SPATIAL], dtype=np.float64) for slide in slides.values()]
            )
        },
    )


def _with_symbols_of_files(
    described: DataFrame, slides: Mapping[str, AnnData], notes: Mapping[str, Annotation]
) -> DataFrame:
    """Call genes that no table knows what the files call them: else all of a rat are ids.

    By their symbols, mitochondrial genes are told, and genes that a protocol lists are found. A
    symbol of a gene that a table knows is that gene's alone.
    """
    unknown = described["gene_length_bp"].isna()
    taken = set(described["gene_name"][~unknown])
    told: dict[str, str] = {}
    for slide_id, slide in slides.items():
        if "gene_name" not in slide.var:
            continue
        genes = notes[slide_id].genes
        rows = np.flatnonzero(genes["gene_length_bp"].isna())
        symbols = slide.var["gene_name"].astype(object).iloc[rows]
        for gene, symbol in zip(genes["gene_id"].iloc[rows], symbols, strict=True):
            if isinstance(symbol, str) and symbol.strip() and symbol.strip() not in taken:
                told.setdefault(gene, symbol.strip())
    names = [
        told.get(gene, name) if is_unknown else name
        for gene, name, is_unknown in zip(
            described.index, described["gene_name"], unknown, strict=True
        )
    ]
    return described.assign(gene_name=names)


def _labels(slides: Mapping[str, AnnData]) -> np.ndarray:
    """Return the label of every spot, ``""`` on slides without labels: (n_spots,), object."""
    unlabelled = np.full(1, "", dtype=object)
    return np.concatenate(
        [
            slide.obs[LABEL].to_numpy(dtype=object)
            if LABEL in slide.obs
            else np.repeat(unlabelled, slide.n_obs)
            for slide in slides.values()
        ]
    )


def _columns(note: Annotation, genes: list[str]) -> np.ndarray:
    """Return the column of each gene; of columns that are the same gene, the first."""
    first = note.genes["gene_id"].drop_duplicates()
    position = dict(zip(first, first.index, strict=True))
    return np.array([position[gene] for gene in genes])


def _report(
    slides: Mapping[str, AnnData],
    notes: Mapping[str, Annotation],
    genes: list[str],
    wanted: list[str],
) -> dict[str, Any]:
    kept = set(genes)
    named: dict[str, list[str]] = {}
    for kind in ("unknown", "ambiguous", "repeated"):
        named[f"{kind}_genes"] = sorted({name for n in notes.values() for name in getattr(n, kind)})
    largest = max(len(note.genes) for note in notes.values())
    facts = [slides[slide_id].uns["slide"] for slide_id in wanted]
    return {
        "slides": list(wanted),
        "unused_slides": sorted(set(slides) - set(wanted)),
        # One list of sentences: a slide may have any name, and h5ad knows no `/` in keys.
        "repairs": [
            f"{slide_id}: {repair}"
            for slide_id in wanted
            for repair in slides[slide_id].uns["slide"].get("repairs", ())
        ],
        "spots_read": [int(slides[slide_id].n_obs) for slide_id in wanted],
        # The path of an image says where it is on this machine, not what the data are.
        "slide_facts": {
            key: [float(fact[key]) for fact in facts] for key in SLIDE_FACTS if key != "image_path"
        },
        "genes_in_largest_slide": largest,
        "genes_in_all_slides": len(kept),
        **named,
    }
