"""Brings a protocol, a workspace and the plugins together."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from spared_bench.api.given import names_of, parameters_of, protocol_of
from spared_bench.api.protocols import default_protocol, load_protocol
from spared_bench.bench import Bench, Limits, Settings
from spared_bench.errors import UnknownNameError, UsageError
from spared_bench.executors.listing import failing_plugins, listed_apart, require_strict
from spared_bench.interpreter import require_docstrings
from spared_bench.protocol import Protocol
from spared_bench.registry import Plugin, Registry, discover
from spared_bench.strict import in_one_line, is_yaml
from spared_bench.workspace import Workspace


def make_bench(
    protocol: str | Path | Protocol = "",
    *,
    datasets: Sequence[str] = (),
    workspace: Path | None = None,
    data_dir: Path | None = None,
    plugin_files: Sequence[Path] = (),
    device: str = "auto",
    weights: str = "",
    parameters: Mapping[str, Mapping[str, Any]] | None = None,
    offline: bool = False,
    threads: int = 1,
    strict: bool = False,
    apart: bool = False,
    limits: Limits | None = None,
) -> Bench:
    """Bring a protocol, a workspace and the plugins together.

    Parameters
    ----------
    protocol : str or Protocol
        Name or YAML file; empty: ``"own"`` for datasets that people described, else ``"demo"``.
    datasets : sequence of str
        What is selected, for that choice.
    workspace, data_dir : Path, optional
    plugin_files : sequence of Path
        Single-file plugins.
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:1"``.
    weights : str
        ``"pretrained"``, ``"random"`` or a file, for every predictor that has weights.
    parameters : mapping of predictor or completer to mapping
        Values that replace those of the protocol and of the search.
    offline : bool
        Never download.
    threads : int
        CPU threads of a trial. Part of its key: a sum over threads depends on their number.
    strict : bool
        For a run with ``Limits(strict=True)``: as ``apart``, and the child is shut in.
    apart : bool
        Import no code of other distributions or of ``plugin_files`` in this process, but in a
        child, which tells of it, so that nothing which is planned, recorded or shown here is at
        its mercy. The executor must be one of ours, and not ``inline``.
    limits : Limits, optional
        For what is done with the bench itself, a completion benchmark or a study of robustness; a
        run has its own (``RunOptions``).

    Raises
    ------
    UsageError
        If ``strict`` is asked for and this system cannot shut a process in, or this Python was
        begun without docstrings.
    PluginError
        If one of ``plugin_files`` cannot be used.
    """
    require_docstrings()
    named, datasets = protocol_of(protocol), names_of("datasets", datasets)
    if isinstance(plugin_files, str | Path):
        plugin_files = [Path(plugin_files)]
    files = [Path(file).resolve() for file in plugin_files]
    space = Workspace.at(workspace, data_dir)
    common = Settings(
        workspace=str(space.root),
        data_dir=str(space.data_dir),
        protocol={},
        plugin_files=tuple(map(str, files)),
        device=resolve_device(device),
        weights=weights,
        offline=offline,
        threads=threads,
        limits=limits or Limits(),
    )
    bench_of = partial(_bench_of, common, parameters_of(parameters or {}))
    if strict:
        require_strict()
    if strict or apart:
        return _told_of(named, datasets, files, space, bench_of, strict=strict)
    registry = discover(files, data_dir=space.data_dir).require_files(files)
    wanted = load_protocol(named or default_protocol(registry, datasets), registry)
    return bench_of(registry, wanted)


def _bench_of(
    common: Settings,
    parameters: Mapping[str, Mapping[str, Any]],
    registry: Registry,
    protocol: Protocol,
) -> Bench:
    """Return the bench of a protocol; parameters by any name of a method are its own."""
    chosen: dict[str, dict[str, Any]] = {}
    for name, values in parameters.items():
        kind = "completer" if name in registry.names("completer") else "predictor"
        try:
            entry = registry.get(kind, name)
        except UnknownNameError as error:
            raise _no_method(registry, name, values) or error from error
        method = entry.spec.name if registry.goes_by_its_name(entry) else entry.qualified_name
        chosen.setdefault(method, {}).update(values)
    settings = replace(common, protocol=protocol.model_dump(mode="json"), parameters=chosen)
    return Bench(settings, registry)


def _no_method(registry: Registry, name: str, values: Mapping[str, Any]) -> UsageError | None:
    """Return what is wrong where the name of a method is no misspelt one."""
    inner, value = next(iter(values.items()), ("", None))
    method, _, outer = name.partition(".")
    if outer and any(method in registry.names(kind) for kind in ("completer", "predictor")):
        written = f"{{{inner}: {in_one_line(value)}}}"
        for part in reversed(outer.split(".")[1:]):
            written = f"{{{part}: {written}}}"
        return UsageError(
            f"--set {name}.{inner}: a parameter has one dot, METHOD.PARAMETER. What lies within one"
            f" is written as a mapping: `--set '{method}.{outer.split('.')[0]}={written}'`."
        )
    if name in Protocol.model_fields:
        return UsageError(
            f"--set {name}.{inner}: {name!r} belongs to the protocol, and what is set so are"
            " parameters of methods. A protocol is a YAML file: `--suite FILE` (docs/protocols.md);"
            " a study compares its settings (docs/studies.md)."
        )
    return None


def _told_of(
    protocol: str | Protocol,
    datasets: Sequence[str],
    files: list[Path],
    space: Workspace,
    bench_of: Callable[[Registry, Protocol], Bench],
    *,
    strict: bool,
) -> Bench:
    """Return the bench of a process that is told of the plugins of others by a child."""
    ours = discover(files, data_dir=space.data_dir, only=())
    named = protocol or _default_of_ours(ours, datasets)
    known = None if _is_of_others(named, ours) else load_protocol(named, ours)

    def in_child(everything: Registry) -> Bench:
        everything.require_files(files)
        return bench_of(everything, known or load_protocol(named, everything))

    registry = listed_apart(ours, files, space, in_child, strict=strict).require_files(files)
    if not protocol:
        default_protocol(registry, _known(registry, datasets))
    return bench_of(registry, known or load_protocol(named, registry))


def failing_plugins_of(
    plugin_files: Sequence[Path], space: Workspace, targets: Collection[str] | None = None
) -> list[Plugin]:
    """Return the plugins of others that a run of the demo's protocol would leave out, and why."""
    files = [Path(file).resolve() for file in plugin_files]
    common = Settings(str(space.root), str(space.data_dir), {}, tuple(map(str, files)))
    bench_of = partial(_bench_of, common, {})
    return failing_plugins(
        files,
        space,
        lambda everything: bench_of(everything, load_protocol("demo", everything)),
        targets,
    )


def _is_of_others(protocol: str | Protocol, ours: Registry) -> bool:
    if isinstance(protocol, Protocol):
        return False
    return not is_yaml(protocol) and (protocol.partition("@")[0] not in ours.names("protocol"))


def _default_of_ours(ours: Registry, datasets: Sequence[str]) -> str:
    """Return the protocol that is meant, where the datasets of others are not known yet."""
    return default_protocol(ours, _known(ours, datasets))


def _known(registry: Registry, datasets: Sequence[str]) -> list[str]:
    """Return those that a registry has by any of their names: a fold's, in another case, ..."""
    found = []
    for name in datasets:
        try:
            registry.get("dataset", registry.expand(name)[0])
        except UnknownNameError:
            continue
        found.append(name)
    return found


def resolve_device(wanted: str) -> str:
    """Resolve ``"auto"`` without importing torch where there is no sign of an accelerator.

    Raises
    ------
    UsageError
        If no device is called so.
    """
    if wanted != "auto":
        if not re.fullmatch(r"cpu|mps|cuda(:[0-9]+)?", wanted):
            raise UsageError(
                f"There is no device {wanted!r}: it is auto, cpu, mps, cuda, or one GPU, as in"
                " cuda:1."
            )
        return wanted
    if not Path("/dev/nvidia0").exists():
        return "cpu"
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
