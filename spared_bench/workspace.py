"""The folder in which everything of a user's runs lies."""

from __future__ import annotations

import os
import uuid
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from spared_bench.errors import WorkspaceError
from spared_bench.store.entries import Store
from spared_bench.store.leases import leases_of
from spared_bench.store.locks import let_hdf5_do_without_locks
from spared_bench.store.processes import sweep_beside

DEFAULT = "spared-bench-workspace"
ENVIRONMENT = "SPARED_BENCH_WORKSPACE"
DATA_ENVIRONMENT = "SPARED_BENCH_DATA"


@dataclass(frozen=True)
class Workspace:
    """Where runs keep their results, products, logs and pages.

    Parameters
    ----------
    root : Path
        Absolute.
    data_dir : Path
        One folder per downloaded or linked dataset; ``root / "data"`` by default.
    """

    root: Path
    data_dir: Path

    @classmethod
    def at(cls, root: Path | None = None, data_dir: Path | None = None) -> Workspace:
        """Use these folders, else those of the environment, else the defaults.

        Raises
        ------
        WorkspaceError
            If a folder of results is there and may not be read, or is none: it is not taken for an
            empty one.
        """
        chosen = Path(root or os.environ.get(ENVIRONMENT) or DEFAULT).expanduser().resolve()
        data = data_dir or os.environ.get(DATA_ENVIRONMENT) or chosen / "data"
        _require_folders(chosen)
        _require_readable(chosen)
        found = cls(chosen, Path(data).expanduser().resolve())
        for folder in (found.root, found.data_dir):
            let_hdf5_do_without_locks(folder)
        return found

    @property
    def store(self) -> Store:
        """Results and products."""
        return Store(self.root / "store")

    @property
    def logs(self) -> Path:
        """What workers print."""
        return self.root / "logs"

    @property
    def training(self) -> Path:
        """Checkpoints of trainings that have not ended, one folder per trial, named by its key."""
        return self.root / "training"

    @property
    def runs(self) -> Path:
        """What runs that are alive say of themselves."""
        return self.root / "runs"

    @property
    def leaderboard(self) -> Path:
        """The generated page."""
        return self.root / "leaderboard"

    def make_writable(self) -> None:
        """Create the folder and try to write into it; take away what killed commands left there.

        Raises
        ------
        WorkspaceError
            If it cannot be written.
        """
        _require_folder(self.root)
        # Named as what is begun beside its place: one that a kill has left is swept with those.
        probe = self.root / f".{os.getpid()}-{uuid.uuid4().hex[:8]}.probe"
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            probe.write_bytes(b"\0" * 4096)
            probe.unlink()
            let_hdf5_do_without_locks(self.root)
        except OSError as error:
            with suppress(OSError):
                probe.unlink()
            raise WorkspaceError(
                f"Cannot write to the workspace {self.root}: {error.strerror or error}. Free some"
                " space, change its permissions, or choose another with `--workspace DIR`."
            ) from error
        for folder in (self.root, *self.root.glob("completion/*"), *self.root.glob("studies/*")):
            sweep_beside(folder)
        self.store.sweep()
        leases_of(self.store.root).sweep()


def _require_folders(root: Path) -> None:
    """Refuse a workspace in which something else lies where it has a folder."""
    store = root / "store"
    kinds: list[Path] = []
    with suppress(OSError):  # what has a dot in its name is no kind of entries: .DS_Store
        kinds = [store / name for name in sorted(os.listdir(store)) if "." not in name]  # noqa: PTH208
    for path in (root, root / "logs", store, *kinds, store / "leases" / "owners"):
        _require_folder(path)


def _require_folder(path: Path) -> None:
    there = next(each for each in (path, *path.parents) if os.path.lexists(each))
    if not there.is_dir():
        raise WorkspaceError(
            f"{there} is no folder, and a workspace has one there. Move it away, or mount what"
            " it leads to if it is a link; or choose another workspace with `--workspace DIR`."
        )


def _require_readable(root: Path) -> None:
    """Refuse a workspace of which the store, or one kind of its entries, may not be read."""
    store = root / "store"
    folders = [root, store]
    with suppress(OSError):  # there is none, or a system that lets no folder be listed
        folders += sorted(Path(each.path) for each in os.scandir(store) if each.is_dir())
    for folder in folders:
        if folder.is_dir() and not os.access(folder, os.R_OK | os.X_OK):
            raise WorkspaceError(
                f"{folder} may not be read, so what was stored there is not known. Change its"
                " permissions, or choose another workspace with `--workspace DIR`."
            )
