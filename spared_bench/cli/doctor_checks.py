"""What ``doctor`` looks at: each check says what it found, and what to do about it."""

from __future__ import annotations

import os
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import (
    PackageNotFoundError,
    packages_distributions,
    requires,
    version,
)
from pathlib import Path
from typing import TYPE_CHECKING

from spared_bench import __version__
from spared_bench.errors import SparedBenchError
from spared_bench.words import counted
from spared_bench.workspace import Workspace

if TYPE_CHECKING:
    from packaging.requirements import Requirement

OK, NOTE, PROBLEM = "ok", "note", "problem"
_GIB = 2**30
_LEAST_FREE_GIB = 5
_SHOWN = ("torch", "torchvision", "scanpy", "anndata", "numpy", "mlflow")
_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "firefox", "open", "xdg-open")
_TIMEOUT_S = 5
_IMPORT_SECONDS = 600.0  # of all packages, from a slow disk


@dataclass(frozen=True)
class Finding:
    """What a check found.

    Parameters
    ----------
    name : str
    status : {"ok", "note", "problem"}
        A note limits what can be done here; with a problem, runs fail.
    found : str
    advice : str
        What to do; empty where nothing need be done.
    """

    name: str
    status: str
    found: str
    advice: str = ""


def examine(space: Workspace, ask: bool = True) -> list[Finding]:
    """Check this machine.

    Parameters
    ----------
    space : Workspace
        Is looked at, and not made.
    ask : bool
        Whether servers may be asked if they answer.
    """
    checks: dict[str, Callable[[], Finding]] = {
        "python": _python,
        "packages": _packages,
        "imports": _imports,
        "plugins": lambda: _plugins(space),
        "device": _device,
        "weights": lambda: _weights(space, ask),
        "disk": lambda: _disk(space),
        "mlflow": lambda: _mlflow(space, ask),
        "isolation": _isolation,
        "browser": _browser,
    }
    return [_checked(name, check) for name, check in checks.items()]


def _checked(name: str, check: Callable[[], Finding]) -> Finding:
    """Make a check; one that cannot be made is a finding too, since a broken package may raise."""
    try:
        return check()
    except Exception as error:  # whatever an import of a damaged package raises
        said = (
            str(error)
            if isinstance(error, SparedBenchError)
            else f"{type(error).__name__}: {error}"
        )
        return Finding(name, PROBLEM, said, _REINSTALL)


_REINSTALL = (
    "Install again: pip install -c constraints.txt . in the checkout, in a fresh environment."
)


def _python() -> Finding:
    at = f"spared-bench {__version__}, Python {sys.version.split()[0]} at {sys.prefix}"
    return Finding("python", OK, at)


def _packages() -> Finding:
    """Compare what is installed with the ranges that this package asks for."""
    wrong, there = [], {}
    for wanted in _wanted():
        try:
            there[wanted.name] = version(wanted.name)
        except PackageNotFoundError:
            wrong.append(f"{wanted.name} is missing")
            continue
        if not wanted.specifier.contains(there[wanted.name], prereleases=True):
            wrong.append(f"{wanted.name} {there[wanted.name]} is not {wanted.specifier}")
    if wrong:
        return Finding("packages", PROBLEM, "; ".join(wrong), _REINSTALL)
    shown = ", ".join(f"{name} {there[name]}" for name in _SHOWN if name in there)
    return Finding("packages", OK, f"{len(there)} as they should be: {shown}")


def _wanted() -> Iterator[Requirement]:
    """Yield what this package asks for without its extras."""
    from packaging.requirements import Requirement

    for line in requires("spared-bench") or ():
        wanted = Requirement(line)
        if wanted.marker is None or wanted.marker.evaluate({"extra": ""}):
            yield wanted


def _imports() -> Finding:
    """Import each package: versions that fit the ranges may not fit each other."""
    from packaging.utils import canonicalize_name

    from spared_bench.fresh import do_fresh

    modules: dict[str, list[str]] = {canonicalize_name(wanted.name): [] for wanted in _wanted()}
    for module, owners in packages_distributions().items():
        for owner in set(map(canonicalize_name, owners)) & modules.keys():
            if module.isidentifier() and not module.startswith("_"):
                modules[owner].append(module)
    chosen = [
        name
        for owner, names in modules.items()
        for name in ([owner] if owner in names else names)  # not what else it brings
    ]
    arguments = {"modules": sorted(chosen)}
    wrong = do_fresh(f"{__name__}:not_importable", arguments, _IMPORT_SECONDS)
    if wrong:
        told = "; ".join(f"{name} cannot be imported: {why}" for name, why in wrong.items())
        return Finding("imports", PROBLEM, told, _REINSTALL)
    return Finding("imports", OK, f"{counted(len(chosen), 'module')} of theirs can be imported")


def not_importable(modules: list[str]) -> dict[str, str]:
    """Return which of these modules cannot be imported here, and why."""
    warnings.simplefilter("ignore")
    wrong = {}
    for name in modules:
        try:
            import_module(name)
        except Exception as error:  # whatever an import of a damaged package raises
            wrong[name] = f"{type(error).__name__}: {error}"
    return wrong


def _plugins(space: Workspace) -> Finding:
    from spared_bench.registry import discover

    registry = discover(data_dir=space.data_dir, specs_only=True)
    if out := registry.quarantined:
        told = "; ".join(f"{each.name}: {each.reason}" for each in out)
        ours = any(each.is_ours for each in out)
        why = f"`spared-bench plugins why {out[0].name}` shows the traceback."
        return Finding("plugins", PROBLEM if ours else NOTE, f"left out: {told}", why)
    told = ", ".join(
        counted(len(registry.names(kind)), kind) for kind in ("dataset", "completer", "predictor")
    )
    return Finding("plugins", OK, told)


def _device() -> Finding:
    import psutil
    import torch

    from spared_bench.threads import usable_cores

    memory = psutil.virtual_memory().total / _GIB
    here = f"{usable_cores()} CPU cores, {memory:.0f} GiB of memory"
    if torch.cuda.is_available():
        gpus = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
        told = ", ".join(f"{gpu.name} ({gpu.total_memory / _GIB:.0f} GiB)" for gpu in gpus)
        return Finding("device", OK, f"{told}; {here}")
    if Path("/dev/nvidia0").exists():
        return Finding(
            "device", NOTE,
            f"a GPU is there and PyTorch {torch.__version__} does not see it; {here}",
            "Check the driver with nvidia-smi, and install a PyTorch that was built for it.",
        )  # fmt: skip
    return Finding(
        "device", NOTE, f"no GPU; {here}",
        "The demo runs on the CPU; `--suite own` and the benchmark proper train full networks:"
        " hours, or a GPU.",
    )  # fmt: skip


def _weights(space: Workspace, ask: bool) -> Finding:
    from spared_bench.api import make_bench
    from spared_bench.models.weights_folder import WEIGHTS_FOLDER, is_offline
    from spared_bench.running.requirements import weights_of

    bench = make_bench("own", workspace=space.root, data_dir=space.data_dir, device="cpu")
    found = weights_of(bench)
    lacking = [network for network, why in found.items() if why]
    if not lacking:
        return Finding("weights", OK, f"pretrained weights of all {len(found)} networks are here")
    told = (
        f"pretrained weights of {len(found) - len(lacking)} of {len(found)} networks are here, not"
        f" of {', '.join(sorted(lacking))}"
    )
    ways = (
        f"Put files named after the networks into a folder and name it in {WEIGHTS_FOLDER}, or run"
        " with `--weights random`. The demo needs none."
    )
    if not ask or is_offline():
        return Finding("weights", NOTE, told, ways)
    from huggingface_hub import constants

    if _answers(constants.ENDPOINT):
        return Finding("weights", OK, f"{told}; they are downloaded when a run needs them")
    return Finding("weights", NOTE, f"{told}, and the server of weights does not answer", ways)


def _disk(space: Workspace) -> Finding:
    place = next(each for each in (space.root, *space.root.parents) if each.exists())
    free = shutil.disk_usage(place).free / _GIB
    told = f"{free:.1f} GiB free for {space.root}"
    if not (place.is_dir() and os.access(place, os.W_OK)):
        return Finding(
            "disk",
            PROBLEM,
            f"{place} is no folder to write to",
            "Choose another with --workspace DIR.",
        )
    if free < _LEAST_FREE_GIB:
        return Finding(
            "disk", NOTE, told,
            "Datasets and trained networks need more: free some, choose another place with"
            " --workspace DIR, or remove what nothing needs with `spared-bench store gc`.",
        )  # fmt: skip
    return Finding("disk", OK, told)


def _mlflow(space: Workspace, ask: bool) -> Finding:
    import sqlite3

    from spared_bench.tracking.connection import Connection
    from spared_bench.tracking.database import database_file, is_sqlite

    connection = Connection(space.root)
    told = f"mlflow {version('mlflow')}, {connection.where}"
    file = database_file(connection.uri)
    if file is not None and file.is_file():
        try:
            with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as database:
                runs = database.execute("select count(*) from runs").fetchone()[0]
        except sqlite3.Error as error:
            return Finding(
                "mlflow", PROBLEM, f"{file} cannot be read: {error}",
                "Move it away; `spared-bench track sync` makes it again from the store.",
            )  # fmt: skip
        return Finding("mlflow", OK, f"{told}: {counted(runs, 'run')}")
    if is_sqlite(connection.uri) or "://" not in connection.uri:
        return Finding("mlflow", OK, f"{told}: made by the first run")
    if ask and connection.uri.startswith("http") and not _answers(connection.uri):
        return Finding(
            "mlflow", NOTE, f"{told} does not answer",
            "Start the server or unset MLFLOW_TRACKING_URI; results are kept in the store, and"
            " `spared-bench track sync` logs them later.",
        )  # fmt: skip
    return Finding("mlflow", OK, told)


def _isolation() -> Finding:
    from spared_bench import sandbox

    if reason := sandbox.why_unavailable():
        return Finding(
            "isolation", NOTE, f"`--isolate strict` is not available: {reason}",
            "Run methods of others only if you trust them, or in a container.",
        )  # fmt: skip
    if ways := sandbox.left_open():
        return Finding(
            "isolation", NOTE, f"`--isolate strict` leaves open here: {'; '.join(ways)}",
            "Run methods that you do not trust on a newer kernel, or where nothing listens.",
        )  # fmt: skip
    return Finding("isolation", OK, "`--isolate strict` is available")


def _browser() -> Finding:
    named = os.environ.get("BROWSER", "").split(os.pathsep)[0]
    for name in filter(None, (named, *_BROWSERS)):
        if path := shutil.which(name):
            return Finding("browser", OK, path)
    return Finding(
        "browser", NOTE, "none is found here",
        "The page of a leaderboard is one folder: copy it to a machine with a browser. The tests of"
        " the page are skipped without Chromium.",
    )  # fmt: skip


def _answers(url: str) -> bool:
    """Return whether a server gives any answer within seconds."""
    from urllib.error import HTTPError
    from urllib.request import Request, urlopen

    try:
        urlopen(Request(url, method="HEAD"), timeout=_TIMEOUT_S).close()
    except HTTPError:
        return True
    except OSError:
        return False
    return True
