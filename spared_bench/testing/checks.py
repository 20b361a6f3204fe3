"""One check: a sentence that a failure makes false, and what it asks."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np

from spared_bench.errors import PluginError, SparedBenchError, in_words
from spared_bench.guard import guarded
from spared_bench.registry import Registered, Registry, discover

Subject = TypeVar("Subject")
Status = Literal["passed", "failed", "skipped"]

#: What a plugin module may not import: listing plugins would no longer be instant.
HEAVY = ("torch", "torchvision", "timm", "scanpy", "squidpy", "anndata", "mlflow", "sklearn")
_SAFE = {".safetensors", ".json", ".npz", ".npy", ".txt", ".csv", ".tsv", ".yaml"}


class CheckSkipped(Exception):
    """The check does not apply, and why."""


@dataclass(frozen=True)
class Check:
    """A sentence about a plugin, and a function that raises where it is false.

    Parameters
    ----------
    name : str
        ``"a slide of one spot survives"``.
    run : callable
        Raises ``PluginError`` with what is wrong, or ``CheckSkipped``.
    """

    name: str
    run: Callable[[], None]

    def __call__(self) -> None:
        """Run it; under pytest, a check that does not apply is skipped."""
        try:
            self.run()
        except CheckSkipped as reason:
            if "pytest" not in sys.modules:
                raise
            import pytest

            pytest.skip(str(reason))

    def __str__(self) -> str:
        return self.name.replace(" ", "-")


def checks_of(sentences: Mapping[str, Callable[[Subject], None]], subject: Subject) -> list[Check]:
    """Return the checks of one plugin, which share what was made of it."""
    return [Check(sentence, partial(check, subject)) for sentence, check in sentences.items()]


@dataclass(frozen=True)
class Outcome:
    """What became of a check.

    Parameters
    ----------
    plugin : str
        ``"predictor my-method"``.
    name : str
    status : {"passed", "failed", "skipped"}
    message : str
    traceback : str
        For what was not foreseen.
    seconds : float
    """

    plugin: str
    name: str
    status: Status
    message: str = ""
    traceback: str = ""
    seconds: float = 0.0


def outcomes(plugin: str, checks: Iterable[Check]) -> Iterator[Outcome]:
    """Run checks one after the other; none of them can end the others."""
    for check in checks:
        started = time.perf_counter()
        status, message, story = _run(check)
        yield Outcome(
            plugin, check.name, status, message, story, round(time.perf_counter() - started, 3)
        )


def _run(check: Check) -> tuple[Status, str, str]:
    try:
        with guarded():
            check.run()
    except CheckSkipped as reason:
        return "skipped", str(reason), ""
    except KeyboardInterrupt:
        raise
    except SparedBenchError as error:
        return "failed", str(error), ""
    except BaseException as error:
        message, story = in_words(error)
        return "failed", " ".join(message.split()), story
    return "passed", "", ""


def registered(kind: str, name: str, registry: Registry | None) -> Registered:
    """Look a plugin up, among those installed where no registry is given."""
    return (registry or discover()).get(kind, name)


def construct(entry: Registered) -> Any:
    """Make the object of a plugin, small if it says how."""
    factory = entry.load()
    return factory(**getattr(factory, "tiny", {}))


def require(true: object, message: str) -> None:
    """Raise with what is wrong unless something is true."""
    if not true:
        raise PluginError(message)


def same(first: np.ndarray, second: np.ndarray, message: str) -> None:
    """Require two arrays to be equal to the last bit."""
    if not np.array_equal(first, second):
        raise PluginError(f"{message} The largest difference is {_difference(first, second)}.")


def close(first: np.ndarray, second: np.ndarray, message: str) -> None:
    """Require two arrays to be equal up to the rounding of float32."""
    if first.shape != second.shape or not np.allclose(first, second, rtol=1e-4, atol=1e-5):
        raise PluginError(f"{message} The largest difference is {_difference(first, second)}.")


def _difference(first: np.ndarray, second: np.ndarray) -> str:
    if first.shape != second.shape:
        return f"one of shape, {first.shape} and {second.shape}"
    return f"{np.abs(first.astype(np.float64) - second).max():.3g}"


def no_pickles(folder: Path) -> None:
    """Require that nothing in a folder needs unpickling."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    require(files, "save(folder) wrote nothing.")
    for path in files:
        require(
            path.suffix in _SAFE,
            f"save(folder) wrote {path.name}. A loaded file must not run code: use"
            f" {', '.join(sorted(_SAFE))}; for networks safetensors.",
        )
        if path.suffix in (".npz", ".npy"):
            try:
                content: Any = np.load(path, allow_pickle=False)
                for name in getattr(content, "files", ()):
                    content[name]
            except ValueError as error:
                raise PluginError(f"{path.name} holds objects, that is, pickles.") from error


def importing_is_light(entry: Registered) -> None:
    """Require that the module with the hooks imports nothing heavy, in a process of its own."""
    target = entry.plugin.target
    if target.endswith((".yaml", ".yml")):
        raise CheckSkipped("it is a description, not a module")
    how = f"runpy.run_path({target!r})" if target.endswith(".py") else f"__import__({target!r})"
    code = (
        "import sys, runpy; import spared_bench; before = set(sys.modules);"
        f" {how}; print(*sorted(set(sys.modules) - before), sep='\\n')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    require(done.returncode == 0, f"importing it fails: {done.stderr.strip()[-300:]}")
    found = sorted(set(HEAVY) & set(done.stdout.split()))
    require(
        not found,
        f"the module of the hooks imports {', '.join(found)}, so every `spared-bench list` would"
        " wait for it. Put the class into a module of its own; the spec names it.",
    )


def describes_itself(entry: Registered, fields: Sequence[str]) -> None:
    """Require that a spec fills the fields that readers of the board look for."""
    empty = [name for name in fields if not getattr(entry.spec, name)]
    require(not empty, f"the spec says nothing in {', '.join(empty)}.")
