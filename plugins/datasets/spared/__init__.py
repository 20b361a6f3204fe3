"""The 26 datasets of the SpaRED benchmark, from ``catalogue.yaml`` to specs.

Mejia et al., Enhancing Gene Expression Prediction from Histology Images with Spatial
Transcriptomics Completion, MICCAI 2024. A dataset is named by its published abbreviation in lower
case, ``vmb``; the abbreviation itself and the name that the published library uses are aliases.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import resources
from typing import Any

from spared_bench import DatasetSpec, RemoteFile, SlideInfo
from spared_bench.shipped import shipped_yaml

_SERIALS = (
    "donors are not verified: the published patient key is the serial number of a capture slide"
)


def read_catalogue() -> dict[str, Any]:
    """Return ``catalogue.yaml`` as plain values."""
    return _read("catalogue.yaml")


def _read(name: str) -> dict[Any, Any]:
    text = (resources.files(__package__) / name).read_text(encoding="utf-8")
    return dict(shipped_yaml(text))


#: Of Table 1, in whole percents.
_STATED = ("missing_pct", "corrupt_spots_pct", "raw_missing_pct")


def published_parameters() -> dict[str, dict[int, int]]:
    """Return the trainable parameters of the published methods, by number of genes."""
    return _read("parameters.yaml")


def spared_datasets() -> list[DatasetSpec]:
    """Return the 26 specs, in the order of the published table."""
    catalogue = read_catalogue()
    return [_spec(name, entry, catalogue) for name, entry in catalogue["datasets"].items()]


def _spec(abbreviation: str, entry: Mapping[str, Any], catalogue: Mapping[str, Any]) -> DatasetSpec:
    source = catalogue["sources"][entry["source"]]
    shared = "archives" in source
    serial = source["patient_is_slide_serial"]
    patients = entry["slides"]
    return DatasetSpec(
        name=abbreviation.lower(),
        factory=f"{__name__}.{source['reader']}:read_slide",
        summary=(
            f"SpaRED {abbreviation}: {entry['tissue']}, {source['citation'].partition(',')[0]}"
        ),
        citation=f"{source['citation']}, doi:{source['doi']}"
        if "doi" in source
        else source["citation"],
        licence=source["licence"] or "",
        organism=entry["organism"],
        tissue=entry["organ"],  # the nine types by which the paper compares datasets
        technology="Visium (100 um)",
        slides=tuple(
            SlideInfo(slide, patient, slide.removeprefix(f"{patient}_"))
            for slide, patient in patients.items()
        ),
        split={part: tuple(slides) for part, slides in entry["split"].items()},
        files=tuple(_archives(source) if shared else _slide_files(entry, source)),
        aliases=(abbreviation, entry["library"]),
        storage=entry["source"] if shared else "",
        members=tuple(_members(source, patients)),
        task=entry["task"],
        n_spots=entry["published"]["spots"],
        parameters=entry["parameters"],
        allow_shared_donors=True,  # the splits are the published ones; the tier shows it
        published=_scores(entry, catalogue["methods"]),
        suspect=tuple(entry.get("suspect", ())),
        image=entry["image"],
        raw_counts=entry.get("raw_counts", True),
        donors_verified=not serial,
        conflicts_with=tuple(name.lower() for name in entry.get("conflicts_with", ())),
        links=tuple(source["pages"]),
        notes=(*entry.get("notes", ()), *([_SERIALS] if serial else [])),
        stated={name: entry["published"][name] for name in _STATED},
    )


def _archives(source: Mapping[str, Any]) -> Iterator[RemoteFile]:
    for archive in source["archives"]:
        yield RemoteFile(
            archive["url"],
            path=archive.get("path", ""),
            unpack=True,
            nested=archive.get("nested", ""),
        )


def _slide_files(entry: Mapping[str, Any], source: Mapping[str, Any]) -> Iterator[RemoteFile]:
    """Yield the files of every slide; one whose place ends in ``/`` is an archive."""
    for slide in entry["slides"]:
        numbers = entry.get("numbers", {}).get(slide, ())
        for place, address in source["files"].items():
            path = f"{slide}/{place}".removesuffix("/")
            url = address.format(*numbers, slide=slide)
            yield RemoteFile(url, path=path, unpack=place.endswith("/"))


def _members(source: Mapping[str, Any], slides: Mapping[str, str]) -> Iterator[str]:
    for slide in slides:
        like = slide.replace("-", "?").replace("_", "?")
        for pattern in source.get("members", ()):
            yield pattern.format(slide=slide, like=like)


def _scores(entry: Mapping[str, Any], methods: list[str]) -> dict[str, dict[str, float]]:
    return {
        metric: {
            method: value
            for method, value in zip(methods, entry[key], strict=True)
            if value is not None
        }
        for metric, key in (("mse", "mse"), ("pcc-gene", "pcc"))
    }
