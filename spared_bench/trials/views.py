"""Patches and views as products: cut once, kept in the store, opened without being read.

What several methods ask for is one entry. Those that are cut at one time are cut in one pass over
each image.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import spared_bench.data.pickling  # noqa: F401 - slides can be pickled then
from spared_bench.bench import Bench
from spared_bench.data import open_patches
from spared_bench.data.viewed import Cut, SpotView
from spared_bench.data.views import View
from spared_bench.errors import ViewError
from spared_bench.keys.hashing import digest
from spared_bench.processing.given import check_given, has_given
from spared_bench.processing.images import open_image
from spared_bench.processing.stains.colours import changed
from spared_bench.processing.view_products import cut_of
from spared_bench.processing.views import check_view, cut_slide, image_size_of, opened
from spared_bench.removal import remove_folder
from spared_bench.store.entries import Entry
from spared_bench.store.processes import stamp
from spared_bench.store.reading import read_product
from spared_bench.trials.raw_slides import read_raw_slides, require_images, without_image
from spared_bench.trials.stains import STAINS, make_stained, recolouring_of

if TYPE_CHECKING:
    from anndata import AnnData

    from spared_bench.processing.blocks import BlockImage

#: Returns the raw slides, in the order of the dataset's spec.
RawSlides = Callable[[], Mapping[str, "AnnData"]]
FACTS = "facts.json"
SPOTS = "spots.json"
_SLIDES = "slides.json"
SCALES = "um_per_px.json"


def make_view(bench: Bench, name: str, view: View, slides: RawSlides) -> Entry:
    """Return the entry of a view as methods see it, making what the store does not have.

    Raises
    ------
    ViewError, ImageError, CoordinateError
        See ``make_cut``.
    """
    if bench.protocol.patches.stain == "none":
        return make_cut(bench, name, view, slides)

    def cut(dataset: str, wanted: View) -> Entry:
        raw = slides if dataset == name else partial(read_raw_slides, bench, dataset)
        return make_cut(bench, dataset, wanted, raw)

    return make_stained(bench, name, view, cut)


def make_cut(bench: Bench, name: str, view: View, slides: RawSlides) -> Entry:
    """Return the entry of what is cut by a view, cutting it if the store does not have it.

    In a process that is there for a stranger's method, what is cut is for nobody else.

    Raises
    ------
    ViewError
        If it cannot be cut from one of the slides, which is named.
    ImageError, CoordinateError
    """
    inputs, kind = bench.cut_inputs(name, view), bench.cut_kind(view)
    if bench.guests and not bench.has_cut(name, view):
        inputs |= {"made_by": list(bench.guests)}

    def make(folder: Path) -> None:
        raw = slides()
        require_images(bench, name, raw)
        if bench.confined:
            raise ViewError("it could not be cut from one of the slides before the method was run")
        if kind == "views":
            if not bench.guests:
                note_facts(bench, name, raw)
            check_slides(raw, view)
        _cut(bench, raw, {view: folder})

    return bench.workspace.store.obtain(kind, inputs, make, once=True)


def places_of(bench: Bench, name: str, views: Iterable[View]) -> list[str]:
    """Return the entries of views that are there, and the images that they are windows of."""
    found = []
    for view in dict.fromkeys(views):
        entry = bench.workspace.store.find(bench.view_kind(view), bench.view_inputs(name, view))
        if entry is not None:
            found.append(str(entry.folder))
            if (entry.folder / _SLIDES).is_file():
                found += [facts["image"] for facts in entry.read_json(_SLIDES).values()]
    return found


def check_slides(raw: Mapping[str, AnnData], view: View) -> None:
    """Refuse a view that cannot be cut from one of these slides.

    Raises
    ------
    ViewError
        Naming the slide.
    """
    for slide_id, slide in raw.items():
        facts = slide.uns["slide"]
        try:
            if has_given(facts):
                check_given(view, facts)
            else:
                check_view(view, facts, image_size_of(slide))
        except ViewError as error:
            told = f"slide {slide_id!r}: {error}"
            if has_given(facts) and facts["image_path"] and float(facts["image_scale"]) == 1:
                told += (
                    f". {facts['image_path']} is only looked at as long as there are patches: take"
                    " `patches` out of the slides of dataset.yaml, and all is cut from the image"
                )
            raise ViewError(told) from error


def note_facts(bench: Bench, name: str, raw: Mapping[str, AnnData]) -> None:
    """Keep size and scale of each image, by which a later plan knows whether a view can be cut.

    The size of an image that is not there is 0.
    """
    without = without_image(raw)

    def make(folder: Path) -> None:
        facts = {}
        for slide_id, slide in raw.items():
            width, height = (0, 0) if slide_id in without else image_size_of(slide)
            told = slide.uns["slide"]
            facts[slide_id] = {"width": width, "height": height} | {
                key: float(told[key]) for key in ("image_scale", "spot_diameter_px", "um_per_px")
            }
        (folder / FACTS).write_text(json.dumps(facts), encoding="utf-8")

    bench.workspace.store.obtain("facts", bench.facts_inputs(name), make)


def cut_together(
    bench: Bench, name: str, views: Iterable[View], raw: Mapping[str, AnnData]
) -> None:
    """Cut whatever of these views the store lacks, in one pass over each image.

    One that cannot be cut from a slide is left out: a trial that asks for it says why.
    """
    store, missing = bench.workspace.store, []
    note_facts(bench, name, raw)
    for view in dict.fromkeys(views):
        if bench.has_cut(name, view):
            continue
        try:
            if bench.cut_kind(view) == "views":
                check_slides(raw, view)
        except ViewError:
            continue
        missing.append(view)
    if not missing:
        return
    staging = store.root / "tmp" / f"cut-{digest(name)[:12]}.{stamp()}"
    folders = {view: staging / str(at) for at, view in enumerate(missing)}
    try:
        for folder in folders.values():
            folder.mkdir(parents=True)
        _cut(bench, raw, folders)
        for view, folder in folders.items():
            inputs = bench.cut_inputs(name, view)
            store.obtain(bench.cut_kind(view), inputs, partial(_move, folder), once=True)
    finally:
        remove_folder(staging)


def _move(source: Path, folder: Path) -> None:
    for path in sorted(source.iterdir()):
        path.replace(folder / path.name)


def _cut(bench: Bench, raw: Mapping[str, AnnData], folders: Mapping[View, Path]) -> None:
    """Cut views of all slides, each into its folder."""
    patches = folders.get(bench.patch_view)
    others = {view: folder for view, folder in folders.items() if view != bench.patch_view}
    for slide_id, slide in raw.items():
        cut_slide(
            slide,
            bench.protocol.patches,
            patches=None if patches is None else patches / f"{slide_id}.npy",
            views=[(view, folder / f"{slide_id}.npy") for view, folder in others.items()],
        )
    spots = {slide_id: list(map(str, slide.obs_names)) for slide_id, slide in raw.items()}
    for view, folder in folders.items():
        (folder / SPOTS).write_text(json.dumps(spots), encoding="utf-8")
        scales = {slide_id: _um_per_px(view, slide) for slide_id, slide in raw.items()}
        (folder / SCALES).write_text(json.dumps(scales), encoding="utf-8")
    facts = {slide_id: _image_facts(slide) for slide_id, slide in raw.items()}
    for folder in others.values():
        (folder / _SLIDES).write_text(json.dumps(facts), encoding="utf-8")


def _um_per_px(view: View, slide: AnnData) -> float:
    """Return the micrometres of a pixel of what is cut; 0 where the slide does not say."""
    facts = slide.uns["slide"]
    scale = float(facts["um_per_px"])
    return view.side_px(facts) * scale / view.size if scale > 0 else 0.0


def _image_facts(slide: AnnData) -> dict[str, Any]:
    facts = slide.uns["slide"]
    return {"image": str(facts["image_path"]), "stains": facts.get("modality") == "fluorescence"}


def stored_rows(entry: Entry, spot_names: Iterable[str]) -> np.ndarray:
    """Return where each spot of a prepared dataset is among those cut, by slide and spot name."""
    spots: dict[str, list[str]] = entry.read_json(SPOTS)
    names = [f"{slide_id}_{spot}" for slide_id, each in spots.items() for spot in each]
    position = {name: row for row, name in enumerate(names)}
    return np.array([position[name] for name in spot_names], dtype=np.int64)


def spot_view(
    bench: Bench,
    name: str,
    spot_names: Sequence[str],
    view: View,
    slides: RawSlides | None = None,
) -> SpotView:
    """Return a view of the spots of a prepared dataset; it is cut when it is first looked at.

    ``slides`` are the raw ones where they are at hand.
    """

    @cache
    def found() -> Cut:
        raw = partial(read_raw_slides, bench, name) if slides is None else slides

        def opened_cut(entry: Entry) -> Cut:
            return _open(bench, name, view, entry, stored_rows(entry, spot_names))

        return read_product(
            bench.workspace.store,
            lambda: make_view(bench, name, view, raw),
            opened_cut,
            again=bench.makes_shared,
        )

    return SpotView(view, found, np.arange(len(spot_names)))


def _open(bench: Bench, name: str, view: View, entry: Entry, spots: np.ndarray) -> Cut:
    slide_ids = list(entry.read_json(SPOTS))
    if view.per_spot:
        return Cut(spots, patches=open_patches(entry.folder, slide_ids))
    places = {slide_id: np.load(entry.folder / f"{slide_id}.npz") for slide_id in slide_ids}
    return cut_of(
        view,
        places,
        spots,
        patches=open_patches(entry.folder, slide_ids) if view.grid else None,
        images=[partial(_open_image, bench, name, entry, slide_id) for slide_id in slide_ids],
        antialias=bench.protocol.patches.antialias,
        change=_changes(entry, slide_ids),
    )


def _changes(entry: Entry, slide_ids: Sequence[str]) -> list[Callable[[np.ndarray], np.ndarray]]:
    """Return the change of colours of each slide; none where colours are as they were cut."""
    if not (entry.folder / STAINS).is_file():
        return []
    found = [recolouring_of(entry, slide_id) for slide_id in slide_ids]
    return [partial(changed, recolour=each) for each in found]


def _open_image(bench: Bench, name: str, entry: Entry, slide_id: str) -> BlockImage:
    """Open a slide's image; where it is not where it was cut from, its reader is asked again."""
    facts = entry.read_json(_SLIDES)[slide_id]
    if Path(facts["image"]).is_file():
        return open_image(facts["image"], facts["stains"])
    return opened(read_raw_slides(bench, name, [slide_id])[slide_id])[0]
