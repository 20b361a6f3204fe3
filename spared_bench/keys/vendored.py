"""Modules that a stranger's code brings in folders which it puts on its path, or reads by name.

A published repository is often taken so: it lies in a folder beside the plugin, which is named in
``sys.path.insert``, and its ``model.py`` is imported as ``model``. Two plugins may bring one each,
so they are found by the folders that are named, and not by what is imported in this process.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from spared_bench.keys.named import Folders, named_in

_MOST = 1_000


def vendored(known: Iterable[Path], folders: Iterable[Path]) -> list[Path]:
    """Return the modules that source files import or name, from folders that they name.

    And what these import, in turn. A file that one of them could import counts, whether or not it
    does: which folder comes first is known when it runs.

    Parameters
    ----------
    known : iterable of Path
        Source files of a method.
    folders : iterable of Path
        Where they lie.
    """
    waiting, folders = list(known), list(folders)
    seen = {path.resolve() for path in waiting}
    look = Folders()
    new: list[Path] = []
    texts: set[str] = set()
    modules: set[str] = set()
    tried: dict[Path, set[str]] = {}
    while waiting and len(new) < _MOST:
        candidates: set[Path] = set()
        for path in waiting:
            named = named_in(path)
            texts |= named.texts
            modules |= named.modules
            for level, module in named.relative:
                for folder in path.parents[level - 1 : level]:  # none above the topmost
                    candidates.update(look.modules_in(folder, module))
        scripts = {text for text in texts if text.endswith(".py")}
        for folder in look.below(folders, texts):
            candidates.update(look.files_in(folder, scripts))
            untried = modules - tried.setdefault(folder, set())
            tried[folder] |= untried
            for module in untried:
                candidates.update(look.modules_in(folder, module))
        waiting = []
        for path in sorted(candidates):
            if (real := path.resolve()) not in seen and _is_readable(path):
                seen.add(real)
                waiting.append(path)
        new += waiting
    return new


def _is_readable(path: Path) -> bool:
    """Whether a file can be read: where it cannot, nothing imports it, as in a shut-in process."""
    try:
        path.open("rb").close()
    except OSError:
        return False
    return True
