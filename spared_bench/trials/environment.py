"""Where a trial ran: packages, device, driver, code. Recorded with its result; in no key."""

from __future__ import annotations

import os
import platform
import socket
import subprocess
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spared_bench.bench import Bench
from spared_bench.interfaces import Job
from spared_bench.trials.machine import machine_class

if TYPE_CHECKING:
    from spared_bench.registry import Registered

_PACKAGES = (
    "spared-bench",
    "numpy",
    "scipy",
    "scikit-learn",
    "torch",
    "torchvision",
    "timm",
    "anndata",
    "scanpy",
)


def environment(bench: Bench, job: Job) -> dict[str, Any]:
    """Return what should be known of the place where a trial runs, JSON-ready."""
    on_gpu = bench.settings.device.startswith("cuda")
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "host": socket.gethostname(),
        "device": bench.settings.device,
        "machine": machine_class(bench.settings.device, _gpu("name") if on_gpu else ""),
        "accelerator": _gpu("name") if on_gpu else "",
        "driver": _gpu("driver_version") if on_gpu else "",
        "threads": bench.settings.threads,
        "isolation": isolation_of(bench),
        "packages": _versions(),
        "git": _git(),
        "attempts": job.attempt + 1,
        "plugins": plugins_of(bench, job),
    }


def plugins_of(bench: Bench, job: Job) -> dict[str, str]:
    """Return whose code a trial runs, of which version."""
    return {
        kind: _plugin(bench, kind, name)
        for kind, name in (
            ("dataset", job.dataset),
            ("completer", job.completer),
            ("predictor", job.predictor),
        )
    }


def isolation_of(bench: Bench) -> str:
    """Return how a stranger's method is kept apart in this process.

    ``"strict"``: shut in, where it can read no answers; ``"process"``: in a process of its own,
    with the rights of whoever runs it; ``""``: it is one of ours, or nothing is kept apart.
    """
    if not bench.guests:
        return ""
    return "strict" if bench.settings.limits.strict else "process"


def remember() -> None:
    """Ask once for what stays the same, before children are forked that would all ask again."""
    _git()
    _versions()


def _plugin(bench: Bench, kind: str, name: str) -> str:
    entry = bench.registry.get(kind, name)
    return f"{entry.plugin.distribution} {entry.plugin.version} {code_of(entry)}"


def code_of(entry: Registered) -> str:
    """Return how an environment ends what it says of a plugin: which code it is."""
    return f"code {entry.code[:12]}"


@cache
def _gpu(wanted: str) -> str:
    """Ask for a property of the GPU in use, without touching CUDA; empty where there is none."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "0").partition(",")[0]
    place = ["-i", visible] if visible else []
    return _first_line("nvidia-smi", f"--query-gpu={wanted}", "--format=csv,noheader", *place)


@cache
def _git() -> str:
    """Return the commit of the checkout that this package runs from, if it is one."""
    here = Path(__file__).parent
    if not (here.parent / ".git").exists():
        return ""
    commit = _first_line("git", "-C", str(here), "rev-parse", "HEAD")
    changed = _first_line("git", "-C", str(here), "status", "--porcelain", "-uno")
    return f"{commit}{' with changes' if changed else ''}" if commit else ""


def _first_line(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    lines = done.stdout.splitlines() if done.returncode == 0 else []
    return lines[0].strip() if lines else ""


@cache
def _versions() -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = ""
    return found
