"""A study by its name or from a file, with the bench of its base protocol."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from spared_bench.api import make_bench
from spared_bench.bench import Bench
from spared_bench.registry import Registry, discover
from spared_bench.studies.model import Study, parse_study, read_study
from spared_bench.workspace import Workspace


@dataclass(frozen=True)
class Opened:
    """A study and what it starts from.

    Parameters
    ----------
    study : Study
    base : Bench
        Of its base protocol.
    """

    study: Study
    base: Bench


def load_study(name: str, registry: Registry) -> tuple[Study, Path | None]:
    """Return a study by name, or from a YAML file, and the folder of the file.

    Parameters
    ----------
    name : str
        Of a registered study, or a path that ends in ``.yaml``.
    registry : Registry

    Raises
    ------
    UnknownNameError, StudyError
    """
    if name.endswith((".yaml", ".yml")):
        path = Path(name)
        return read_study(path), path.parent
    entry = registry.get("study", name)
    return parse_study(entry.load()(), f"study {name!r}"), None


def open_study(
    name: str,
    *,
    workspace: Path | None = None,
    data_dir: Path | None = None,
    plugin_files: Sequence[Path] = (),
    device: str = "auto",
    threads: int = 1,
    offline: bool = False,
) -> Opened:
    """Read a study and make the bench of its base protocol.

    Parameters
    ----------
    name : str
    workspace, data_dir, plugin_files, device, threads, offline
        Of ``make_bench``.
    """
    registry = discover(plugin_files, data_dir=Workspace.at(workspace, data_dir).data_dir)
    study, folder = load_study(name, registry)
    base = study.base
    if folder is not None and base.endswith((".yaml", ".yml")):
        base = str(folder / base)  # an absolute path stays as it is
    bench = make_bench(
        base,
        workspace=workspace,
        data_dir=data_dir,
        plugin_files=plugin_files,
        device=device,
        threads=threads,
        offline=offline,
    )
    return Opened(study, bench)
