"""Patches and views whose colours were made like those of a template, as entries of the store.

They are made of what was cut, slide by slide, and opened as that is.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from spared_bench.bench import Bench
from spared_bench.data.views import View
from spared_bench.errors import ImageError, ViewError
from spared_bench.processing.stains import Look, Recolour, mean_look, measure, recolouring
from spared_bench.processing.stains.colours import recoloured, sample
from spared_bench.store.entries import Entry

#: Of an entry: the look of every slide and of the template.
STAINS = "stains.json"
#: What lies beside cut windows, and does not depend on their colours.
_COPIED = ("spots.json", "slides.json", "um_per_px.json")
#: Returns the entry of what is cut of a dataset by a view.
MakeCut = Callable[[str, View], Entry]


def make_stained(bench: Bench, name: str, view: View, cut: MakeCut) -> Entry:
    """Return the entry of a view in the colours that the protocol asks for, making it if it lacks.

    Parameters
    ----------
    bench : Bench
    name : str
    view : View
    cut : callable

    Raises
    ------
    ImageError
        If a slide has too little tissue to tell its stains from, which is named.
    """
    inputs = bench.view_inputs(name, view)
    if bench.guests and not bench.has_view(name, view):
        inputs = inputs | {"made_by": list(bench.guests)}

    def make(folder: Path) -> None:
        if bench.confined:
            raise ViewError("its colours could not be changed before the method was run")
        method = bench.protocol.patches.stain
        source = cut(name, view)
        measured = cut(name, bench.patch_view)
        looks = {
            slide: _look(method, measured.folder / f"{slide}.npy", name, slide)
            for slide in source.read_json("spots.json")
        }
        target = template_look(bench, name, looks, cut)
        for slide, look in looks.items():
            path = source.folder / f"{slide}.npy"
            if path.is_file():  # of tiles there is none: they are cut when they are read
                _write(folder / path.name, path, recolouring(method, look, target))
        for path in source.folder.iterdir():
            if path.suffix == ".npz" or path.name in _COPIED:
                shutil.copyfile(path, folder / path.name)
        told = {"method": method, "target": _plain(target)}
        told["slides"] = {slide: _plain(look) for slide, look in looks.items()}
        (folder / STAINS).write_text(json.dumps(told), encoding="utf-8")

    return bench.workspace.store.obtain("stained", inputs, make, once=True)


def template_look(bench: Bench, name: str, looks: Mapping[str, Look], cut: MakeCut) -> Look:
    """Return the look that all slides are given."""
    method = bench.protocol.patches.stain
    dataset, slide = bench.stain_template(name)
    if not slide:
        return mean_look(method, [looks[str(each)] for each in bench.dataset(name).split["train"]])
    if dataset == name and slide in looks:
        return looks[slide]
    entry = cut(dataset, bench.patch_view)
    return _look(method, entry.folder / f"{slide}.npy", dataset, slide)


def recolouring_of(entry: Entry, slide: str) -> Recolour:
    """Return the change of colours of one slide of an entry."""
    told = entry.read_json(STAINS)
    return recolouring(told["method"], _arrays(told["slides"][slide]), _arrays(told["target"]))


def target_of(entry: Entry) -> dict[str, Any]:
    """Return method and template of an entry, for the model that was trained on it."""
    told = entry.read_json(STAINS)
    return {"method": told["method"], "target": told["target"]}


def recoloured_slide(told: Mapping[str, Any], patches: np.ndarray) -> Recolour:
    """Return what gives a new slide, of which these are patches, the colours of a training."""
    look = measure(told["method"], sample(patches))
    return recolouring(told["method"], look, _arrays(told["target"]))


def _look(method: str, file: Path, dataset: str, slide: str) -> Look:
    try:
        return measure(method, sample(np.load(file, mmap_mode="r")))
    except ImageError as error:
        raise ImageError(f"Dataset {dataset!r}, slide {slide!r}: {error}") from error


def _write(out: Path, source: Path, recolour: Recolour) -> None:
    """Write changed patches as one array, some at a time."""
    patches = np.load(source, mmap_mode="r")
    header = {"descr": "|u1", "fortran_order": False, "shape": patches.shape}
    with out.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for part in recoloured(patches, recolour):
            file.write(part.data)


def _plain(look: Mapping[str, np.ndarray]) -> dict[str, Any]:
    return {name: np.asarray(value).tolist() for name, value in look.items()}


def _arrays(look: Mapping[str, Any]) -> Look:
    return {name: np.asarray(value, dtype=np.float64) for name, value in look.items()}
