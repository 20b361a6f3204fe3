"""A study by its name or from a file, with the bench of its base protocol."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from spared_bench.api import make_bench
from spared_bench.bench import Bench, Limits
from spared_bench.errors import PluginError, SparedBenchError, StudyError
from spared_bench.registry import Registry, discover
from spared_bench.store.studies import study_records
from spared_bench.strict import is_yaml
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
    source : str
        Where it was read: the path of a file, or ``distribution:name``; empty for neither.
    """

    study: Study
    base: Bench
    source: str = ""


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
        Also for a file that has the name of a registered study and is another.
    PluginError
        If its plugin does not make the text of a study of that name.
    """
    if is_yaml(name):
        path = Path(name)
        study = read_study(path)
        if study.name in registry.named("study") and study != load_study(study.name, registry)[0]:
            raise StudyError(
                f"{path} calls itself {study.name!r}, as a study that is registered, whose report"
                " it would write over. Give it another `name`."
            )
        return study, path.parent
    entry = registry.get("study", name)
    if registry.is_shadowed(entry):
        raise StudyError(
            f"The study {entry.spec.name!r} of {entry.plugin.distribution} is called as one that"
            " spared-bench registers, whose report it would write over. Give it another name."
        )
    label = f"study {entry.spec.name!r} of {entry.plugin.distribution}"
    study = parse_study(entry.text(), label)
    if study.name != entry.spec.name:
        raise PluginError(
            f"{label} calls itself {study.name!r} in its YAML, the name of which its report and"
            " records have. Give both the same name."
        )
    return study, None


def open_study(
    name: str,
    *,
    workspace: Path | None = None,
    data_dir: Path | None = None,
    plugin_files: Sequence[Path] = (),
    device: str = "auto",
    threads: int = 1,
    offline: bool = False,
    limits: Limits | None = None,
) -> Opened:
    """Read a study and make the bench of its base protocol.

    Parameters
    ----------
    name : str
    workspace, data_dir, plugin_files, device, threads, offline, limits
        Of ``make_bench``.
    """
    registry = discover(plugin_files, data_dir=Workspace.at(workspace, data_dir).data_dir)
    registry.require_files(plugin_files)
    study, folder = load_study(name, registry)
    base = study.base
    if folder is not None and is_yaml(base):
        base = str(folder / base)  # an absolute path stays as it is
    bench = make_bench(
        base,
        workspace=workspace,
        data_dir=data_dir,
        plugin_files=plugin_files,
        device=device,
        threads=threads,
        offline=offline,
        limits=limits,
    )
    is_file = folder is not None
    source = str(Path(name).resolve()) if is_file else registry.get("study", name).qualified_name
    return Opened(study, bench, source)


def require_own_report(opened: Opened) -> None:
    """Refuse a study whose report in this workspace is that of another, which has its name still.

    An edited file is the same study. One that was moved, renamed or removed stands in no way.

    Raises
    ------
    StudyError
        Naming the other.
    """
    if not opened.source:
        return
    study, root = opened.study, opened.base.workspace.store.root
    for about in study_records(root):
        other = str(about.get("source") or opened.source)
        if about.get("name") != study.name or other == opened.source:
            continue
        try:
            found, _ = load_study(other, opened.base.registry)
        except SparedBenchError:
            continue  # gone, or no study any more
        if found.name == study.name and found != study:
            raise StudyError(
                f"{opened.source} calls itself {study.name!r}, as {other} does, whose report in"
                f" {opened.base.workspace.root} it would write over. Give one of them another"
                " `name`, or take another workspace."
            )
