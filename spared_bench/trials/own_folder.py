"""The folder in which a stranger's method works: its own, taken away when the job is done.

Much code of papers writes ``best.pt`` where it happens to run, and reads it back for its
predictions. In one folder for all, trials side by side would read each other's networks.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from spared_bench.bench import Bench
from spared_bench.interfaces import Job
from spared_bench.removal import remove_folder
from spared_bench.store.processes import stamp

#: Kinds of jobs in which methods compute. A reader reads what lies where the command was begun.
_KINDS = ("complete", "network", "trial")
#: How many folders above its own a method has, for what is named by `../`.
_DEPTH = 4
#: Where this process worked before; empty while it works there.
_before: list[Path] = []


@contextmanager
def own_folder(bench: Bench, job: Job) -> Iterator[None]:
    """Let a job with strangers' code work in an empty folder; do nothing for others.

    What its parameters name by a relative path is linked there.
    """
    if job.kind not in _KINDS or not (bench.guests or _is_strange(bench, job)):
        yield
        return
    root = bench.workspace.store.root / "tmp" / f"folder-{job.kind}.{stamp()}"
    folder = root.joinpath(*["in"] * _DEPTH)
    here = _here()
    folder.mkdir(parents=True)
    # Where all trainings keep checkpoints, which a method would make as its umask says.
    bench.workspace.training.mkdir(parents=True, exist_ok=True)
    _before.append(here)
    of_protocol = [text for each in bench.protocol.overrides.values() for text in _texts(each)]
    link(root, folder, here, [*named_by_hand(bench), *of_protocol, *_texts(job.parameters)])
    os.chdir(folder)
    try:
        yield
    finally:
        _before.pop()
        with suppress(OSError):  # it is gone
            os.chdir(here)
        remove_folder(root)


def _here() -> Path:
    try:
        return Path.cwd()
    except OSError:  # it is gone, and nothing lies in it
        return Path("/")


def _is_strange(bench: Bench, job: Job) -> bool:
    methods = {"completer": job.completer, "predictor": job.predictor}
    named = [(kind, name) for kind, name in methods.items() if name]
    return any(not bench.registry.get(kind, name).plugin.is_ours for kind, name in named)


def named_by_hand(bench: Bench) -> Iterator[str]:
    """Yield what was named by hand and may be a file: ``--weights``, and texts of ``--set``."""
    yield bench.settings.weights
    for values in bench.settings.parameters.values():
        yield from _texts(values)


def files_by_hand(bench: Bench) -> list[Path]:
    """Return what was named by hand: files, and folders by more than a word, which may be one."""
    return [Path(name).expanduser().absolute() for name in named_by_hand(bench) if _is_there(name)]


def _is_there(name: str) -> bool:
    try:
        place = Path(name).expanduser()
        return place.is_file() or (os.sep in name and place.is_dir())
    except (OSError, ValueError, RuntimeError):  # too long, a null, nobody's home
        return False


def link(root: Path, folder: Path, here: Path, names: Iterable[str]) -> None:
    """Link what is named relative to ``here`` as seen from a folder, below a root."""
    for name in names:
        way = Path(os.path.normpath(folder / name))
        if not name or Path(name).is_absolute() or root not in way.parents:
            continue
        with suppress(OSError, ValueError):  # no name of a file; there by another name already
            if (here / name).exists():
                way.parent.mkdir(parents=True, exist_ok=True)
                way.symlink_to((here / name).resolve())


def told_of_folder(error: BaseException) -> str:
    """Say where a method's file is that it did not find, where that is why; else nothing."""
    if not (_before and isinstance(error, FileNotFoundError) and isinstance(error.filename, str)):
        return ""
    if Path(error.filename).is_absolute() or not (_before[0] / error.filename).exists():
        return ""
    return (
        f". It lies in {_before[0]}, but a method works in an empty folder of its own: name it"
        " by `Path(__file__)` or by its whole path, or give it as a parameter (`--set`)."
    )


def _texts(values: Mapping[str, Any]) -> Iterator[str]:
    return (value for value in values.values() if isinstance(value, str))
