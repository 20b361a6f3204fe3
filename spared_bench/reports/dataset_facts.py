"""What the page of a dataset says in words and tables: its slides, its faults, what was kept."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from spared_bench.data import LABEL, MASK
from spared_bench.errors import SparedBenchError, ViewError
from spared_bench.processing.given import has_given
from spared_bench.reports import dataset_figures as figures
from spared_bench.reports.drawing import plain
from spared_bench.reports.few_left import few_spots
from spared_bench.specs import SPLITS, DatasetSpec
from spared_bench.words import counted

if TYPE_CHECKING:
    from anndata import AnnData

    from spared_bench.bench import Bench
    from spared_bench.protocol import PatchCutting
    from spared_bench.reports.quality import SlideCheck
    from spared_bench.trials.products import Prepared

_SHOWN_NAMES = 12


@dataclass
class SlideRow:
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


def slide_row(bench: Bench, spec: DatasetSpec, slide_id: str, slide: AnnData) -> SlideRow:
    """Check and draw a raw slide; what cannot be done is the problem of its row."""
    from spared_bench.reports.slide_checks import checks_of
    from spared_bench.reports.slide_figures import spot_values

    donors = {info.slide_id: info.patient_id for info in spec.slides}
    split = next((part for part in SPLITS if slide_id in spec.split.get(part, ())), "")
    totals = spot_values(slide, None)
    facts = slide.uns["slide"]
    row = SlideRow(
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
        row.picture = _picture(slide_id, slide, totals)
    except SparedBenchError as error:
        row.problem = f"{type(error).__name__}: {error}"
    return row


def _picture(slide_id: str, slide: AnnData, totals: np.ndarray) -> str:
    from spared_bench.reports.slide_figures import draw_slide

    figure = draw_slide(slide, totals, plain(slide_id), "total counts")
    width, height = figure.get_size_inches()
    figure.set_size_inches(0.6 * width, 0.6 * height)  # so that its letters can be read
    return figures.as_data_uri(figure, photographic=True)


def _patch_px(patches: PatchCutting, facts: Mapping[str, Any]) -> float:
    """Return the side of a patch in the image at hand; nan where none is cut from an image."""
    if has_given(facts) or not facts["image_path"]:
        return math.nan
    try:
        return float(patches.view.side_px(facts) * facts["image_scale"])
    except ViewError:  # a width in µm, and no scale
        return math.nan


def facts_of(
    spec: DatasetSpec, rows: Sequence[SlideRow], prepared: Prepared | None
) -> dict[str, str]:
    """Return what the page opens with, by its names for people."""
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


def labels_of(slides: Mapping[str, AnnData]) -> dict[str, str]:
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


def notices_of(
    spec: DatasetSpec, rows: Sequence[SlideRow], prepared: Prepared | None, patches: PatchCutting
) -> list[str]:
    """Return what a reader should know before using the dataset, a sentence or two each."""
    return [*_of_slides(rows, patches), *_of_source(spec), *_of_genes(prepared)]


def _of_slides(rows: Sequence[SlideRow], patches: PatchCutting) -> list[str]:
    read = {row.slide_id: row.spots for row in rows}
    notices = [
        f"Slide {row.slide_id} fails the test of {check.test}: {check.message}"
        for row in rows
        for check in row.checks
        if check.passed is False
    ]
    notices += [f"Slide {row.slide_id}: {row.problem}" for row in rows if row.problem]
    left = {row.slide_id: row.kept for row in rows if row.kept is not None}
    if few := few_spots({name: n for name, n in left.items() if n < read[name]}):
        notices.append(f"The filters left {few}: too few for a correlation to say something.")
    notices += [
        f"The image of slide {row.slide_id} is coarse: a patch of {patches.size} px is enlarged"
        f" from {row.patch_px:.3g} px. Give the full-resolution image, if there is one."
        for row in rows
        if row.patch_px < patches.size / 2
    ]
    return notices


def _of_source(spec: DatasetSpec) -> list[str]:
    notices = []
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
    return notices


def _of_genes(prepared: Prepared | None) -> list[str]:
    if prepared is None or not prepared.adata.uns["spared_bench"]["fewer_genes_than_asked"]:
        return []
    asked = prepared.adata.uns["spared_bench"]["processing"]["n_genes"]
    left = counted(prepared.adata.n_vars, "gene")
    return [f"The filters left {left}, fewer than the {asked} asked for."]


def steps_of(prepared: Prepared | None) -> dict[str, list[tuple[str, int]]]:
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


def drops_of(prepared: Prepared | None) -> dict[str, tuple[int, list[str]]]:
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


def settings_of(prepared: Prepared | None) -> dict[str, Any]:
    """Return with which settings the dataset was prepared; no empty ones."""
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
