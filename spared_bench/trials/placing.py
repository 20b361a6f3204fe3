"""Sections of the samples of a dataset in their frames: registered once, then put on the spots."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spared_bench.data import SECTIONS, SPATIAL, SPATIAL_3D
from spared_bench.errors import DataError
from spared_bench.geometry import spacing
from spared_bench.protocol.known import samples_of
from spared_bench.registration import Aligned, Quality, Registration, register
from spared_bench.registration.field import Field

if TYPE_CHECKING:
    from anndata import AnnData

    from spared_bench.bench import Bench
    from spared_bench.protocol import Known
    from spared_bench.specs import DatasetSpec, SlideInfo

_FILE, _FIELDS = "registration.json", "fields.npz"
#: Between two sections of unknown distance, so that they do not lie on one another.
_NOMINAL_UM = 10.0

Slides = Callable[[], Mapping[str, "AnnData"]]


def registration_of(
    bench: Bench, name: str, sample: str, slides: Slides, method: str
) -> Registration:
    """Return the registration of a sample, from the store where it is there.

    Parameters
    ----------
    bench : Bench
    name, sample : str
    slides : callable
        Returns the raw slides of the dataset by id.
    method : str
        See ``spared_bench.registration.register``.
    """
    inputs = bench.registration_inputs(name, sample, method)

    def make(folder: Path) -> None:
        raw = slides()
        sections = {slide_id: raw[slide_id] for slide_id in inputs["sections"]}
        _write(folder, register(sections, inputs["method"], inputs["by_hand"]))

    entry = bench.workspace.store.obtain("registrations", inputs, make, once=True)
    return _read(entry.folder)


def _write(folder: Path, found: Registration) -> None:
    values = {
        "reference": found.reference,
        "um_per_px": found.um_per_px,
        "notes": list(found.notes),
        "sections": [
            {
                "slide_id": name,
                "matrix": each.matrix.tolist(),
                "to": each.to,
                "how": each.how,
                "quality": each.quality.as_dict(),
            }
            for name, each in found.sections.items()
        ],
    }
    (folder / _FILE).write_text(json.dumps(values, indent=1, allow_nan=False), encoding="utf-8")
    arrays = {}
    for at, each in enumerate(found.sections.values()):
        if each.field is not None:
            arrays[f"displacement{at}"] = each.field.displacement
            arrays[f"to_grid{at}"] = each.field.to_grid
    np.savez(folder / _FIELDS, allow_pickle=False, **arrays)


def _read(folder: Path) -> Registration:
    values = json.loads((folder / _FILE).read_text(encoding="utf-8"))
    with np.load(folder / _FIELDS, allow_pickle=False) as file:
        arrays = dict(file)
    sections = {}
    for at, each in enumerate(values["sections"]):
        told = each["quality"]
        numbers = {
            key: float("nan") if told[key] is None else float(told[key])
            for key in ("dice", "correlation", "score", "runner_up")
        }
        field = None
        if f"displacement{at}" in arrays:
            field = Field(arrays[f"displacement{at}"], arrays[f"to_grid{at}"])
        sections[each["slide_id"]] = Aligned(
            np.array(each["matrix"]),
            each["to"],
            each["how"],
            Quality(**numbers, reasons=tuple(told["reasons"])),
            field,
        )
    return Registration(values["reference"], values["um_per_px"], sections, tuple(values["notes"]))


def registrations_of(bench: Bench, name: str, slides: Slides) -> dict[str, Registration]:
    """Return the registrations of all samples of a dataset's split, as the protocol says."""
    known = bench.protocol.known
    assert known is not None
    return {
        sample: registration_of(bench, name, sample, slides, known.register_by)
        for sample in bench.registered_samples(name)
    }


def without_doubt(
    spec: DatasetSpec, known: Known, found: Mapping[str, Registration]
) -> tuple[DatasetSpec, list[str]]:
    """Leave out the unknown sections whose way to a known one is in doubt.

    Returns
    -------
    DatasetSpec
        The same one where the protocol does not ask for it (``known.require_quality``).
    list of str
        What was left out, a sentence each.

    Raises
    ------
    DataError
        If nothing is left to report.
    """
    if not known.require_quality:
        return spec, []
    told: list[str] = []
    dropped: set[str] = set()
    for sample, sections in known.parts_known(spec).items():
        registration = found[sample]
        for info in samples_of(spec)[sample]:
            if not sections or info.slide_id in sections:
                continue
            ways = [_doubts_between(registration, info.slide_id, other) for other in sections]
            if all(ways):
                dropped.add(info.slide_id)
                told.append(f"{info.slide_id} was left out: {ways[0][0]}")
    split = {
        part: tuple(slide for slide in slides if slide not in dropped)
        for part, slides in spec.split.items()
    }
    reported = spec.evaluation_split
    if not split.get(reported):
        raise DataError(
            f"No section of dataset {spec.name!r} is registered well enough to be reported under a"
            f" protocol with `known.require_quality`: {' '.join(told)} Give transforms by hand"
            " (`spared-bench data align --transforms FILE`), or take a protocol without it."
        )
    return replace(spec, split={k: v for k, v in split.items() if v}), told


def _doubts_between(registration: Registration, one: str, other: str) -> list[str]:
    """Return what is in doubt on the way from one section to another, over the middle one."""
    ways = [_inwards(registration, name) for name in (one, other)]
    steps = [name for name in ways[0] if name not in ways[1]]
    steps += [name for name in ways[1] if name not in ways[0]]
    return [
        f"section {name} to {registration.sections[name].to}: {reason}."
        for name in steps
        for reason in registration.sections[name].quality.reasons
    ]


def _inwards(registration: Registration, name: str) -> list[str]:
    """Return a section and those that it was registered over, the middle one last."""
    way = [name]
    while registration.sections[way[-1]].to not in way:
        way.append(registration.sections[way[-1]].to)
    return way


def place(
    adata: AnnData,
    spec: DatasetSpec,
    found: Mapping[str, Registration],
    slides: Mapping[str, AnnData],
    left_out: list[str],
) -> None:
    """Put the frame of its sample on every spot of a prepared dataset: ``obsm["spatial_3d"]``.

    And what is known of each section into ``uns["spared_bench"]["sections"]``.
    """
    slide_ids = adata.obs["slide_id"].to_numpy(dtype=str)
    frame = np.zeros((adata.n_obs, 3))
    rows: list[dict[str, Any]] = []
    for sample, infos in samples_of(spec).items():
        registration = found[sample]
        depth = _depths(sample, spec)
        for info in infos:
            here = slide_ids == info.slide_id
            points = np.asarray(adata.obsm[SPATIAL], np.float64)[here]
            frame[here, :2] = registration.frame(info.slide_id, points)
            frame[here, 2] = depth[info.slide_id]
            if here.any():
                rows.append(_facts(info, registration, slides[info.slide_id], depth))
    adata.obsm[SPATIAL_3D] = frame
    adata.uns["spared_bench"][SECTIONS] = {
        key: [row[key] for row in rows] for key in (rows[0] if rows else {})
    }
    adata.uns["spared_bench"]["registration_notes"] = [
        *dict.fromkeys(note for each in found.values() for note in each.notes),
        *(
            f"Section {name} is registered in doubt: {reason}."
            for each in found.values()
            for name, reasons in each.doubtful.items()
            for reason in reasons
        ),
        *left_out,
    ]


def _depths(sample: str, spec: DatasetSpec) -> dict[str, float]:
    """Return how deep each section of a sample lies below the first, in um."""
    infos = sorted(
        (info for info in spec.slides if info.sample == sample),
        key=lambda info: (info.order is None, info.order or 0),
    )
    found, depth = {}, 0.0
    for info, following in zip(infos, [*infos[1:], infos[-1]], strict=True):
        found[info.slide_id] = depth
        steps = max(1, (following.order or 0) - (info.order or 0))
        depth += info.thickness_um or _NOMINAL_UM * steps
    return found


def _facts(
    info: SlideInfo, registration: Registration, slide: AnnData, depth: Mapping[str, float]
) -> dict[str, Any]:
    aligned = registration.sections[info.slide_id]
    facts, quality = slide.uns["slide"], aligned.quality
    um = float(facts["um_per_px"])
    um = um if um > 0 else registration.um_per_px  # nan where the slide has no scale
    return {
        "slide_id": info.slide_id,
        "sample": info.sample,
        "order": -1 if info.order is None else info.order,
        "z_um": depth[info.slide_id],
        "um_per_px": um,
        "spot_diameter_um": float(facts["spot_diameter_px"]) * um,
        "pitch_um": spacing(np.asarray(slide.obsm[SPATIAL])) * um,
        "to": aligned.to,
        "how": aligned.how,
        "dice": quality.dice,
        "correlation": quality.correlation,
        "margin": quality.margin,
        "good": bool(quality.good),
        "doubts": "; ".join(quality.reasons),
    }
