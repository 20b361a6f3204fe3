"""Files that a stranger's code brings and names: settings, lists of genes, weights.

They are found without running anything, by texts in the code: what ``Path(__file__)`` or
``importlib.resources`` find as ``"settings.json"``, or below a folder as ``"data"`` and
``"genes.csv"``.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from spared_bench.keys.code import of_strangers, own_folders, place_of, sources
from spared_bench.keys.hashing import file_digest
from spared_bench.keys.named import Folders, named_in

_CODE = (".py", ".pyc")


def named_files(module: str) -> dict[str, str]:
    """Return the files that a module, and what it imports of its own, bring and name.

    A file counts where its name, with a suffix, stands as a text in the code, and it lies in the
    folder of a module, in one of those above it in its package, or below one of these in folders
    whose names stand there, too.

    Parameters
    ----------
    module : str
        Importable name, of a stranger.

    Returns
    -------
    dict of str to str
        Place, seen from the module, to SHA-256.

    Raises
    ------
    PluginError
        If one of the modules cannot be read, or is no Python.
    """
    known = sources(module)
    texts = {text for path in of_strangers(known) for text in named_in(path).texts}
    names = {text for text in texts if Path(text).suffix not in ("", *_CODE)}
    look = Folders()
    below = look.below(own_folders(known), texts)
    files = sorted(path for folder in below for path in look.files_in(folder, names))
    return {place_of(path, module): _digest(path) for path in files}


def _digest(path: Path) -> str:
    try:
        facts = path.stat()
        return _digest_of(path, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns)
    except OSError:
        return "unreadable"  # which a method says itself where it needs it


@lru_cache(maxsize=4096)
def _digest_of(path: Path, size: int, changed: int, entered: int) -> str:
    """Weights of many GB are read once, and not for every method that names them."""
    return file_digest(path)
