"""``plugins new``: a package that installs, passes its tests and appears in a run."""

from __future__ import annotations

import keyword
import re
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from string import Template

from spared_bench.errors import UnknownNameError, UsageError
from spared_bench.files import write_text
from spared_bench.registry import Registry
from spared_bench.store.disk import way_out

#: By kind: what the file beside the plugin module is called, and how a run selects it.
_KINDS = {
    "predictor": ("model", "-p $name -p gene-mean"),
    "completer": ("model", "-c $name -p linear-probe"),
    "dataset": ("reader", "-d $name -p linear-probe"),
}
#: What a predictor sees, and the folder of its template.
FORMS = {
    "patch": "predictor",
    "slide": "predictor-slide",
    "features": "predictor-features",
    "known": "predictor-known",
}
_NAME = re.compile(r"[a-z][a-z0-9_+.-]{0,63}")
_SUFFIX = ".template"


def new_package(
    kind: str, name: str, parent: Path, registry: Registry, form: str = ""
) -> list[Path]:
    """Write a package; return its files.

    Parameters
    ----------
    kind : {"predictor", "completer", "dataset"}
    name : str
        Of the plugin; its folder bears it.
    parent : Path
        Where the folder is made.
    registry : Registry
        Names that are taken.
    form : {"patch", "slide", "features", "known"}
        What a predictor sees: the spot's patch, unless it is said; the whole slide; features of a
        frozen encoder; known spots of the sample that it predicts.

    Raises
    ------
    UnknownNameError
        For another kind, or another form.
    UsageError
        If the name cannot be one, is taken, or the folder is there or cannot be made; for a form of
        what is no predictor.
    """
    if kind not in _KINDS:
        raise UnknownNameError("template", kind, _KINDS)
    folder_of_template = _template_folder(kind, form)
    values = _values(kind, name, form)
    if name in registry.names(kind):
        raise UsageError(
            f"A {kind} named {name!r} is installed already. Choose another name:"
            f" `spared-bench list {kind}s` shows those that are taken."
        )
    folder = parent / name
    if folder.exists():
        raise UsageError(f"{folder} is there already, and nothing in it is overwritten.")
    written = []
    for template in sorted(
        [*_templates("common"), *_templates(folder_of_template)], key=lambda each: each.name
    ):
        target = template.name.removesuffix(_SUFFIX).replace("NAME", values["module"])
        path = folder / "tests" / target if target.startswith("test_") else folder / target
        _write(path, Template(template.read_text(encoding="utf-8")).substitute(values))
        written.append(path)
    return written


def _template_folder(kind: str, form: str) -> str:
    if form and kind != "predictor":
        raise UsageError(
            f"--kind {form} says what a predictor sees; a {kind} has one template. Leave it out."
        )
    if form and form not in FORMS:
        raise UnknownNameError("kind of predictor", form, FORMS)
    return FORMS[form] if form else kind


def _write(path: Path, text: str) -> None:
    try:
        write_text(path, text, sync=False)
    except OSError as error:
        way = way_out(error, "Name a folder that can be written with --out.")
        raise UsageError(f"{path} cannot be written: {error.strerror or error}. {way}") from error


def _values(kind: str, name: str, form: str) -> dict[str, str]:
    module = re.sub(r"[^a-z0-9]+", "_", name).strip("_")
    class_name = "".join(part.capitalize() for part in module.split("_"))
    reserved = keyword.iskeyword(module) or keyword.iskeyword(class_name)
    if not _NAME.fullmatch(name) or reserved or name[-1] in "+.-_":
        raise UsageError(
            f"{name!r} cannot name a package: 1-64 characters of a-z, 0-9, '_', '+', '.', '-',"
            " beginning with a letter and ending with a letter or digit, and no word of Python's"
            " own (class, none, true, ...)."
        )
    file, selection = _KINDS[kind]
    return {
        "name": name,
        "kind": kind,
        "module": module,
        # To install a package `numpy` would replace the other one.
        "distribution": f"spared-bench-{module.replace('_', '-')}",
        "class_name": class_name,
        "file": file,
        "suite": "partial-demo" if form == "known" else "demo",
        "selection": Template(selection).substitute(name=name),
    }


def _templates(kind: str) -> list[Traversable]:
    folder = files("spared_bench.scaffold") / "templates" / kind
    return [each for each in folder.iterdir() if each.name.endswith(_SUFFIX)]
