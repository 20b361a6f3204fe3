"""A stranger's method where it can read nothing that it must not know (``--isolate strict``).

The process that has the job imports none of the method's code. One child of it takes the truth of
test slides out of the prepared dataset; another shuts itself in, imports the method, and trains and
asks it there. What that one writes is taken over once it has ended, with all that it started.
"""

from __future__ import annotations

import importlib.util
import os
import stat
import tempfile
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from spared_bench import sandbox
from spared_bench.apart import DiedError, do_apart
from spared_bench.bench import Bench
from spared_bench.beside import neighbours
from spared_bench.errors import MismatchError, PluginError, SparedBenchError, UsageError
from spared_bench.models.weights_folder import OFFLINE, WEIGHTS_FOLDER
from spared_bench.registry import GROUP, Registry
from spared_bench.removal import remove_folder
from spared_bench.sources.description import DESCRIPTION, FILES, read_description
from spared_bench.sources.description import FACTORY as DESCRIBED
from spared_bench.sources.fetch import dataset_folder
from spared_bench.specs import DatasetSpec
from spared_bench.store.entries import MANIFEST
from spared_bench.store.processes import stamp
from spared_bench.store.trials import RESULT
from spared_bench.told import with_imported
from spared_bench.trials.own_folder import files_by_hand, link, named_by_hand
from spared_bench.workspace import Workspace

_BLIND = "prepared.h5ad"
_WAY = "spared-bench-"  # and eight digits; nobody else has dangling links of that name
#: What this process writes into an entry itself, after its files.
_OURS = (MANIFEST, RESULT)
#: Where libraries keep what they compile; each would else try the home folder.
_CACHES = ("TMPDIR", "MPLCONFIGDIR", "NUMBA_CACHE_DIR", "TRITON_CACHE_DIR", "CUDA_CACHE_PATH",
           "TORCHINDUCTOR_CACHE_DIR", "PYTORCH_KERNEL_CACHE_PATH")  # fmt: skip
#: Where the hub keeps weights, and data sets; and other places of weights: variables, and folders
#: of the user's cache.
_HUB = ("HF_HOME", "HF_HUB_CACHE", "huggingface")
_WEIGHTS = ("TORCH_HOME", WEIGHTS_FOLDER, "torch")


def is_strict(bench: Bench) -> bool:
    """Whether what this process is about to do of a method is to be done in such a child."""
    return bool(bench.guests) and bench.settings.limits.strict and not bench.confined


def confined(
    bench: Bench,
    key: str,
    folder: Path,
    work: Callable[[Path], Any],
    take_truth_out: Callable[[Path], dict[str, Any]],
    adopt: Callable[[Path, dict[str, Any]], None],
    shown: Iterable[Path] = (),
) -> Any:
    """Do a stranger's work in a process that can read no truth, no store and no raw data.

    Parameters
    ----------
    bench : Bench
        Its guests are told of, and not imported.
    key : str
        Of the entry that is made.
    folder : Path
        Gets the files that the work has made.
    work : callable
        Is given a folder to write into; returns what JSON can hold.
    take_truth_out : callable
        Writes the prepared dataset to a path, without truth, in a child of its own; returns what is
        to be known of it, among that what of patches and images is ``needed``.
    adopt : callable
        Is given this path and what was returned, in the process that is shut in.
    shown : iterable of Path
        Entries of the store that it needs beside the patches.

    Raises
    ------
    FailedError
        If it raised.
    PluginError
        If it put links or other names where files are taken over from.
    """
    tmp = bench.workspace.store.root / "tmp"
    tmp.mkdir(parents=True, exist_ok=True)
    room = tmp / f"strict-{key[:12]}.{stamp()}"
    out, scratch = room / "work" / "out", bench.workspace.training / key
    for each in (out, room / "work" / "tmp", scratch):
        each.mkdir(parents=True, exist_ok=True)
    try:
        told = do_apart(lambda: take_truth_out(room / _BLIND))
        needed = [room / _BLIND, *map(Path, told["needed"]), *shown]

        def inside() -> Any:
            _admit(bench, room, spare, scratch, needed)
            adopt(room / _BLIND, told)
            return work(out)

        with _short_way(room / "work" / "tmp") as spare:
            answer = do_apart(inside)
        _take_over(out, folder, room)
        return answer
    except DiedError as died:
        remove_folder(room)
        _end_alike(died.code)
        raise
    finally:
        remove_folder(room)


@contextmanager
def _short_way(folder: Path) -> Iterator[Path]:
    """Give a link to a folder with a path that is short, for as long as the block takes.

    Through Unix sockets among temporary files, workers of a ``DataLoader`` hand over what they have
    read, and the path of one has 107 bytes at most. Without them such a method waits for ever.
    """
    above = Path(tempfile.gettempdir())
    for left in above.glob(f"{_WAY}{'[0-9a-f]' * 8}"):  # of what was killed
        if left.is_symlink() and not left.exists():
            with suppress(OSError):  # somebody else's
                left.unlink()
    way = above / f"{_WAY}{uuid.uuid4().hex[:8]}"
    way.symlink_to(folder)
    try:
        yield way
    finally:
        way.unlink(missing_ok=True)


def _take_over(out: Path, folder: Path, room: Path) -> None:
    """Move what a process shut in has written, which may have put links where files should be.

    A link leads this process, which can read and write everything, where that one could not go.

    Raises
    ------
    PluginError
        If anything of it is no plain file or folder, or is there already.
    """
    above = [place for place in out.parents if room in place.parents]
    for place in (*above, out, *(out.rglob("*") if not out.is_symlink() else ())):
        mode = place.lstat().st_mode if os.path.lexists(place) else 0
        if not (stat.S_ISDIR(mode) or (stat.S_ISREG(mode) and out in place.parents)):
            raise PluginError(
                f"The method put something else in the place of {place.relative_to(room)}, which is"
                " taken over from where it was shut in. Only plain files and folders are."
            )
    for path in sorted(out.iterdir()):
        if path.name in _OURS or os.path.lexists(folder / path.name):
            raise PluginError(f"The method wrote {path.name}, which is not its own to write.")
        path.rename(folder / path.name)


def import_reader(bench: Bench, dataset: str) -> None:
    """Import the code of a dataset's reader, of which this process was only told."""
    entry = bench.registry.get("dataset", dataset)
    if entry.told is not None:
        names = [entry.plugin.distribution]
        bench.adopt(with_imported(bench.registry, bench.settings.plugin_files, names))


def shut_in(
    spare: Path,
    writable: Iterable[Path],
    registry: Registry,
    space: Workspace,
    files: Iterable[Path],
    guests: Sequence[str] | None = None,
    shown: Iterable[Path] = (),
) -> None:
    """Shut this process in, where it can read code and weights, and neither store nor raw data.

    Parameters
    ----------
    spare : Path
        A folder for whatever libraries write.
    writable : iterable of Path
        Other folders to write into.
    registry : Registry
        Knows where data lie.
    space : Workspace
    files : iterable of Path
        Single-file plugins.
    guests : sequence of str, optional
        Distributions whose code can be read; all by default.
    shown : iterable of Path
        What else can be read.
    """
    places = sandbox.places_of_python()  # before another folder is the current one
    os.environ.update(dict.fromkeys(_CACHES, str(spare)) | {OFFLINE: "1", "HF_HUB_OFFLINE": "1"})
    tempfile.tempdir = None
    os.chdir(spare)
    files = [file for file in files if guests is None or file.name in guests]
    beside = [place for file in files for place in neighbours(file)]
    sandbox.enter(
        [*places, *_places_of_code(guests), *_places_of_weights(), *beside],
        [spare, *writable],
        hidden=_places_of_data(registry, space),
        shown=[*shown, *files],
    )


def _admit(bench: Bench, room: Path, spare: Path, scratch: Path, shown: Iterable[Path]) -> None:
    """Shut this process in, and import its guests."""
    settings = bench.settings
    files = settings.plugin_files
    shown = [*shown, *files_by_hand(bench)]
    link(room, room / "work" / "tmp", Path.cwd(), named_by_hand(bench))
    shut_in(
        spare,
        [room / "work", scratch],
        bench.registry,
        bench.workspace,
        map(Path, files),
        bench.guests,
        shown,
    )
    bench.confined = True
    bench.adopt(with_imported(bench.registry, files, bench.guests))
    _check_code(bench)


def require_closed(registry: Registry, space: Workspace) -> None:
    """Refuse a workspace, or raw data, that no process can be shut off from.

    Raises
    ------
    UsageError
    """
    for place in _places_of_data(registry, space):
        if sandbox.is_open_to_all(place):
            raise UsageError(
                f"`--isolate strict` cannot shut a method off from {place}: processes of a method"
                " share memory in /dev/shm, where every file can be read. Put workspace and data"
                " (`--workspace`, `--data-dir`) elsewhere."
            )


def _places_of_data(registry: Registry, space: Workspace) -> Iterator[Path]:
    """Yield where the workspace, raw data and what they are linked to lie."""
    yield space.root
    waiting, walked = [space.data_dir, *_places_of_datasets(registry, space)], set[Path]()
    while waiting:
        place = waiting.pop()
        if place not in walked:
            walked.add(place)
            yield place
            waiting += _links_below(place)
    for hub in _places_named(_HUB):
        yield from (hub / "datasets", *hub.glob("datasets--*"), *hub.glob("hub/datasets--*"))


def _links_below(folder: Path) -> Iterator[Path]:
    """Yield what links below a folder, and it itself if it is one, lead to."""
    if folder.is_symlink():
        yield folder.resolve()
    for above, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.endswith(".zarr")]  # of very many files
        places = (Path(above, name) for name in (*folders, *files))
        yield from (place.resolve() for place in places if place.is_symlink())


def _places_of_datasets(registry: Registry, space: Workspace) -> Iterator[Path]:
    for entry in registry.all("dataset"):
        assert isinstance(entry.spec, DatasetSpec)
        with suppress(SparedBenchError, OSError):
            folder = dataset_folder(entry.spec, space.data_dir)
            yield folder
            if entry.spec.factory == DESCRIBED:
                slides = read_description(folder / DESCRIPTION).slides.values()
                named = (getattr(slide, name) for slide in slides for name in (*FILES, "image"))
                yield from (Path(name) for name in named if name)


def _places_of_code(guests: Sequence[str] | None) -> Iterator[Path]:
    """Yield the packages of our own code and of the guests'."""
    targets = [
        point.module
        for point in entry_points(group=GROUP)
        if guests is None or (point.dist and point.dist.name in guests)
    ]
    for module in ("spared_bench", "spared_bench_plugins", *targets):
        with suppress(ImportError, ValueError):
            found = importlib.util.find_spec(module.partition(".")[0])
            if found is not None:
                places = found.submodule_search_locations or [found.origin or ""]
                yield from (Path(place) for place in places if place)


def _places_of_weights() -> Iterator[Path]:
    """Yield where weights lie: of the hub its models alone, not parts of files, nor the token."""
    for hub in _places_named(_HUB):
        yield from (hub / "modules", *hub.glob("models--*"), *hub.glob("hub/models--*"))
    yield from _places_named(_WEIGHTS)


def _places_named(names: Iterable[str]) -> Iterator[Path]:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    for name in names:
        if not name.isupper():
            yield cache / name
        elif named := os.environ.get(name):
            yield Path(named).expanduser()


def _end_alike(code: int) -> None:
    """End this process as its child ended, so that it counts as the same death."""
    if code < 0:
        os.kill(os.getpid(), -code)
    os._exit(max(code, 0))


def _check_code(bench: Bench) -> None:
    """Refuse other code of the guests than was planned with."""
    for each in bench.settings.told:
        if each["plugin"]["distribution"] in bench.guests:
            found = bench.registry.get(each["kind"], each["spec"]["name"])
            if found.code != each["code"]:
                raise MismatchError(
                    f"The code of {each['kind']} {each['spec']['name']!r} has changed since the run"
                    " was begun. Run again."
                )
