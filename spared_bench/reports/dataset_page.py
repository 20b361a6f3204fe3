"""One HTML file about a dataset: what it is, what is wrong with it, what processing made of it.

Everything is in the file, pictures included, so it can be sent by mail. Names that come from data
are escaped by the template.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spared_bench.data import COUNTS, LABEL, MASK, SPATIAL, TARGET
from spared_bench.errors import SparedBenchError, ViewError
from spared_bench.processing.given import has_given
from spared_bench.reports import dataset_figures as figures
from spared_bench.specs import SPLITS, DatasetSpec
from spared_bench.words import counted

if TYPE_CHECKING:
    from anndata import AnnData

    from spared_bench.bench import Bench
    from spared_bench.protocol import PatchCutting
    from spared_bench.reports.quality import SlideCheck
    from spared_bench.trials.products import Prepared

_TEMPLATE = "dataset_page.html"
_SHOWN_NAMES = 12


@dataclass
class _Row:
    """A slide, as the table shows it."""

    slide_id: str
    donor: str
    split: str
    spots: int
    genes: int
    median_counts: float
    image_um_per_px: float  # of the image at hand, which may be a reduced one; 0: unknown
    spot_px: float  # diameter, in that image
    patch_px: float  # side that a patch is cut at, in that image; nan where none is cut from it
    kept: int | None = None
    checks: list[SlideCheck] = field(default_factory=list)
    repairs: list[str] = field(default_factory=list)
    picture: str = ""
    problem: str = ""


def write_dataset_page(bench: Bench, name: str, path: Path, prepare: bool = True) -> Path:
    """Write the page of a dataset.

    Parameters
    ----------
    bench : Bench
        Its protocol prepares the dataset.
    name : str
    path : Path
        The HTML file; its folder is made.
    prepare : bool
        Whether to prepare the dataset; without, the page tells of raw slides only.

    Raises
    ------
    SparedBenchError
        If the dataset or its raw slides cannot be read. That it cannot be prepared is told on the
        page.
    """
    from spared_bench.files import write_text
    from spared_bench.processing.annotation import add_symbols
    from spared_bench.trials.products import cut_all_patches, read_raw_slides
    from spared_bench.trials.products import prepare as make

    spec = bench.dataset(name)
    slides = read_raw_slides(bench, name)
    for slide in slides.values():
        add_symbols(slide, spec.organism)
    rows = [_row(bench, spec, slide_id, slide) for slide_id, slide in slides.items()]
    prepared, problem = None, ""
    if prepare:
        try:
            cut_all_patches(bench, name)
            prepared = make(bench, name)
        except SparedBenchError as error:
            problem = f"{type(error).__name__}: {error}"
    sections = _sections(slides, spec, rows, prepared)
    html = _render(
        spec=spec,
        facts=_facts(spec, rows, prepared) | _labels(slides),
        protocol=bench.protocol.id,
        rows=rows,
        problem=problem,
        notices=_notices(spec, rows, prepared, bench.protocol.patches),
        sections=sections,
        steps=_steps(prepared),
        drops=_drops(prepared),
        settings=_settings(prepared),
        prepared=prepared is not None,
    )
    write_text(path, html)
    return path


def _row(bench: Bench, spec: DatasetSpec, slide_id: str, slide: AnnData) -> _Row:
    from spared_bench.reports.slide_checks import checks_of
    from spared_bench.reports.slide_figures import draw_slide, spot_values

    donors = {info.slide_id: info.patient_id for info in spec.slides}
    split = next((part for part in SPLITS if slide_id in spec.split.get(part, ())), "")
    totals = spot_values(slide, None)
    facts = slide.uns["slide"]
    row = _Row(
        slide_id,
        donors[slide_id],
        split,
        slide.n_obs,
        slide.n_vars,
        float(np.median(totals)),
        float(facts["um_per_px"] / facts["image_scale"]),
        float(facts["spot_diameter_px"] * facts["image_scale"]),
        _patch_px(bench.protocol.patches, facts),
        repairs=list(facts.get("repairs", ())),
    )
    try:
        row.checks = checks_of(bench, spec.name, slide_id, slide)
        figure = draw_slide(slide, totals, slide_id, "total counts")
        width, height = figure.get_size_inches()
        figure.set_size_inches(0.6 * width, 0.6 * height)  # so that its letters can be read
        row.picture = figures.as_data_uri(figure, photographic=True)
    except SparedBenchError as error:
        row.problem = f"{type(error).__name__}: {error}"
    return row


def _patch_px(patches: PatchCutting, facts: Mapping[str, Any]) -> float:
    """Return the side of a patch in the image at hand; nan where none is cut from an image."""
    if has_given(facts) or not facts["image_path"]:
        return math.nan
    try:
        return float(patches.view.side_px(facts) * facts["image_scale"])
    except ViewError:  # a width in µm, and no scale
        return math.nan


def _facts(spec: DatasetSpec, rows: Sequence[_Row], prepared: Prepared | None) -> dict[str, str]:
    donors = {row.donor or row.slide_id for row in rows}
    tiers = {
        "A": "A: tested on other donors",
        "B": "B: tested on other sections of the same donors",
        "C": "C: no test split",
    }
    facts = {
        "Organism": spec.organism,
        "Tissue": spec.tissue,
        "Technology": spec.technology,
        "Slides": f"{len(rows)}, of {counted(len(donors), 'donor')}",
        "Spots": f"{sum(row.spots for row in rows):,}",
        "Tier": tiers[spec.tier],
        "Licence": spec.licence or "not stated by the source",
        "Citation": spec.citation,
    }
    if prepared is not None:
        spots, genes = prepared.adata.shape
        missing = 1 - float(np.asarray(prepared.adata.layers[MASK]).mean())
        facts["Prepared"] = (
            f"{counted(spots, 'spot')} × {counted(genes, 'gene')}, {missing:.1%} unmeasured"
        )
    return {key: value for key, value in facts.items() if value}


def _labels(slides: Mapping[str, AnnData]) -> dict[str, str]:
    """Return what people called the spots, with which domains of predictions are compared."""
    counts: Counter[str] = Counter()
    labelled = 0
    for slide in slides.values():
        here = Counter(slide.obs[LABEL].astype(str)) if LABEL in slide.obs else Counter[str]()
        here.pop("", None)
        labelled += bool(here)
        counts.update(here)
    if not counts:
        return {}
    told = ", ".join(f"{name} ({n:,})" for name, n in counts.most_common())
    return {"Labels of people": f"{labelled} of {len(slides)} slides; spots: {told}"}


def _notices(
    spec: DatasetSpec, rows: Sequence[_Row], prepared: Prepared | None, patches: PatchCutting
) -> list[str]:
    notices = [
        f"Slide {row.slide_id} fails the test of {check.test}: {check.message}"
        for row in rows
        for check in row.checks
        if check.passed is False
    ]
    notices += [f"Slide {row.slide_id}: {row.problem}" for row in rows if row.problem]
    notices += [
        f"The image of slide {row.slide_id} is coarse: a patch of {patches.size} px is enlarged"
        f" from {row.patch_px:.3g} px. Give the full-resolution image, if there is one."
        for row in rows
        if row.patch_px < patches.size / 2
    ]
    if spec.shared_donors:
        donors = ", ".join(spec.shared_donors)
        notices.append(f"Donors on both sides of the split, which the dataset allows: {donors}.")
    if not spec.donors_verified:
        notices.append("Donors are not verified: what stands for them may be a serial number.")
    if not spec.raw_counts:
        notices.append("The source publishes normalised values only, which stand in for counts.")
    if spec.image != "H&E":
        notices.append(f"The images are {spec.image} images, no H&E.")
    notices += spec.notes
    if spec.synthetic:
        notices.append("Generated data: never ranked beside measured data.")
    if prepared is not None:
        record = prepared.adata.uns["spared_bench"]
        if record["fewer_genes_than_asked"]:
            asked = record["processing"]["n_genes"]
            left = prepared.adata.n_vars
            notices.append(
                f"The filters left {counted(left, 'gene')}, fewer than the {asked} asked for."
            )
    return notices


@dataclass(frozen=True)
class _PagePart:
    title: str
    caption: str
    picture: str


def _sections(
    slides: dict[str, AnnData],
    spec: DatasetSpec,
    rows: Sequence[_Row],
    prepared: Prepared | None,
) -> list[_PagePart]:
    """Draw the figures; those of the prepared data where there is some."""
    if prepared is not None:
        counts = prepared.adata.obs["slide_id"].value_counts()
        for row in rows:
            row.kept = int(counts.get(row.slide_id, 0))
    bars = figures.spots_per_slide([(r.slide_id, r.split, r.spots, r.kept) for r in rows])
    caption = "Spots of each slide, coloured by split: as read and, where that is known, as kept."
    sections = [_PagePart("Spots per slide", caption, figures.as_data_uri(bars))]
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
) -> list[_PagePart]:
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
        _PagePart(
            "Missing entries, before and after",
            "What no read was seen of, before genes were filtered and among the chosen ones.",
            figures.as_data_uri(missing),
        ),
        _PagePart(
            "Expression fraction",
            "In which share of the spots a gene is seen, over all spots and on the slide where it"
            " is rarest; the chosen genes in red.",
            figures.as_data_uri(fractions),
        ),
    ]


def _gene_section(prepared: Prepared) -> _PagePart:
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
    return _PagePart(
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


def _patch_section(prepared: Prepared) -> _PagePart:
    rng = np.random.default_rng(0)
    splits = prepared.adata.obs["split"].to_numpy(dtype=str)
    sheets = {}
    for split in SPLITS:
        rows = np.flatnonzero(splits == split)
        if len(rows):
            number = min(figures.PATCHES_PER_SPLIT, len(rows))
            sheets[split] = prepared.patches[np.sort(rng.choice(rows, number, replace=False))]
    size = prepared.patches.shape[1]
    return _PagePart(
        "Patches",
        f"Drawn at random from each split, {size} × {size} px as a method sees them.",
        figures.as_data_uri(figures.patch_sheet(sheets), photographic=True),
    )


def _moment_section(prepared: Prepared) -> _PagePart:
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
    return _PagePart(
        "Mean against variance",
        "Of the target of each gene. Splits that part here differ in more than their images.",
        figures.as_data_uri(figures.mean_against_variance(moments)),
    )


def _steps(prepared: Prepared | None) -> dict[str, list[tuple[str, int]]]:
    """Return how many spots and genes each step left."""
    if prepared is None:
        return {}
    record = prepared.adata.uns["spared_bench"]
    return {
        kind.capitalize(): list(
            zip(map(str, record[kind]["after"]), map(int, record[kind]["left"]), strict=True)
        )
        for kind in ("spots", "genes")
    }


def _drops(prepared: Prepared | None) -> dict[str, tuple[int, list[str]]]:
    """Return what was left out by name: how many, and the first of them."""
    if prepared is None:
        return {}
    record = prepared.adata.uns["spared_bench"]
    titles = {
        "unknown_genes": "Genes without a known length or id",
        "ambiguous_genes": "Symbols that several genes share",
        "repeated_genes": "Names of a gene that another column is already",
        "unused_slides": "Slides outside the split",
    }
    found = {title: list(map(str, record[key])) for key, title in titles.items()}
    return {title: (len(names), names[:_SHOWN_NAMES]) for title, names in found.items() if names}


def _settings(prepared: Prepared | None) -> dict[str, Any]:
    if prepared is None:
        return {}
    settings = dict(prepared.adata.uns["spared_bench"]["processing"])
    filtering = settings.pop("filtering")
    found = {**{f"filtering.{key}": value for key, value in filtering.items()}, **settings}
    hidden = ("per_dataset", "from_dataset")
    return {
        key: value
        for key, value in found.items()
        if key not in hidden and not (hasattr(value, "__len__") and not len(value))
    }


def _render(**values: Any) -> str:
    from importlib.resources import files

    from jinja2 import Environment, StrictUndefined

    text = (files("spared_bench.reports") / _TEMPLATE).read_text(encoding="utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    return environment.from_string(text).render(**values)
