"""What can go wrong through no fault of ours, as classes.

Every message says what is wrong, what was expected and found, and what to do next. The command line
prints the message alone; a traceback is for our own mistakes.

::

    SparedBenchError
    ├── UsageError                 exit status 2: the command asked for something that cannot be
    │   ├── UnknownNameError       no such dataset, completer, predictor, ...; says the nearest
    │   ├── AmbiguousNameError     two distributions register one name
    │   ├── ProtocolError          a protocol file with an unknown or impossible setting
    │   └── StudyError             a study with an impossible factor or level, or too many cells
    ├── PluginError                a plugin that cannot be loaded or breaks its interface
    │   └── MismatchError          a worker has other code, data or settings than the plan
    ├── DataError                  data that cannot be used as it is
    │   ├── MissingFileError       a file that should be there is not
    │   ├── DownloadError          a file could not be fetched, or is not the file that was meant
    │   ├── ImageError             an image that cannot be decoded, or does not cover its spots
    │   ├── CoordinateError        spots without coordinates, or outside the image
    │   ├── CountsError            not raw counts, duplicated genes, an empty matrix
    │   ├── ContractError          an AnnData without the keys of ``spared_bench.data``
    │   └── SplitError             a split that names unknown slides, or one slide twice
    ├── ShapeMismatchError         arrays that should have one shape have several
    ├── WeightsUnavailableError    pretrained weights that cannot be fetched
    ├── DivergedError              a training whose loss became nan or infinite
    ├── WithheldError              a method asked for values that its role does not see
    ├── ExecutorError              a cluster cannot be reached, or has gone
    ├── EntryError                 an entry of ``leaderboards/`` that is not valid
    ├── SubmissionError            a bundle that is refused, or cannot be made or added
    ├── TrackingError              MLflow cannot be reached, or refuses what it is given
    └── WorkspaceError             the workspace cannot be written, or holds something damaged
        ├── CorruptEntryError      a stored result or product that is not what its manifest says
        └── UnreadableEntryError   a stored result or product that the system does not let us read
"""

from __future__ import annotations

import difflib
import re
import sysconfig
import traceback
from collections.abc import Iterable
from pathlib import Path

#: What stands in a path, and in no name of a plugin.
_PATH = re.compile(r"[/\\]|\.(?!\d)")


class SparedBenchError(Exception):
    """Root of all errors that a user can cause and mend."""

    exit_code = 1


class UsageError(SparedBenchError):
    """The command line or a call asked for something that does not exist or cannot be."""

    exit_code = 2


class UnknownNameError(UsageError):
    """No plugin has this name.

    Parameters
    ----------
    kind : str
        What was looked for, in the singular: ``"predictor"``.
    name : str
        What was asked for.
    known : iterable of str
        The names that would have worked.
    hint : str, optional
        What to do next, as a sentence.

    Attributes
    ----------
    short : str
        The message without the names that would have worked, for where several are told.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str], hint: str = "") -> None:
        names = sorted(known)
        near = _of_a_file(kind, name) or _of_several(name, names) or did_you_mean(name, names)
        parts = [f"No {kind} is named {name!r}.", near]
        self.short = " ".join(part for part in parts if part)
        noun, of, rest = kind.partition(" of ")
        kinds = (f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s") + of + rest
        parts.append(f"Known {kinds}: {', '.join(names)}." if names else f"There are no {kinds}.")
        parts.append(hint)
        super().__init__(" ".join(part for part in parts if part))


def _of_a_file(kind: str, name: str) -> str:
    """Say what to do with a file that stands where a name is expected; empty for another name."""
    if name.endswith(".py"):
        return f"Name the file with `--plugin {name}`, and what is in it by its own name."
    if kind == "dataset" and name.casefold().endswith((".yaml", ".yml")):
        return (
            f"`spared-bench data add {name}` makes a dataset of a description, which then goes by"
            " the `name` in it."
        )
    if kind in ("protocol", "study") and _PATH.search(name):
        return f"Of a file, whose name ends in `.yaml`, a {kind} is read, too."
    return ""


def _of_several(name: str, known: Iterable[str]) -> str:
    """Say what to do with several names that stand where one is expected; empty for one."""
    parts = [part for part in re.split(r"[,;\s]+", name) if part]
    if len(parts) < 2 or not {part.casefold() for part in parts} & {
        each.casefold() for each in known
    }:
        return ""
    return f"Give each name by itself: {', '.join(map(repr, parts))}."


class AmbiguousNameError(UsageError):
    """Two distributions register the same name, so the name alone says nothing."""


class ProtocolError(UsageError):
    """A protocol file that cannot be read, or that sets something unknown or impossible."""


class StudyError(UsageError):
    """A study that cannot be read, or whose factors, levels or size are impossible."""


class PluginError(SparedBenchError):
    """A plugin that cannot be loaded, or an object that breaks the interface of its kind."""


class MismatchError(PluginError):
    """A worker would run something else than was planned."""


class DataError(SparedBenchError):
    """Data that cannot be used as it is."""


class MissingFileError(DataError):
    """A file that a dataset needs is not where it should be."""


class DownloadError(DataError):
    """A file could not be fetched, or what came is not what was meant."""


class ImageError(DataError):
    """An image that is missing, cannot be decoded, or does not cover its spots."""


class ViewError(DataError):
    """A view that cannot be cut from a slide: larger than its image, or without a scale."""


class CoordinateError(DataError):
    """Spots without coordinates, or with coordinates outside the image."""


class CountsError(DataError):
    """A matrix that does not hold raw counts, or whose genes are not unique."""


class ContractError(DataError):
    """An AnnData that lacks what ``spared_bench.data`` asks for."""


class SplitError(DataError):
    """A split that names unknown slides, names one slide twice, or leaves training empty."""


class ShapeMismatchError(SparedBenchError, ValueError):
    """Arrays that should have the same shape do not."""


class WeightsUnavailableError(SparedBenchError):
    """Pretrained weights were asked for and cannot be had."""


class DivergedError(SparedBenchError):
    """A training whose loss or prediction is no longer finite."""


class WithheldError(SparedBenchError):
    """A method asked for expression that is hidden from it by design."""


class ExecutorError(SparedBenchError):
    """A cluster cannot be reached, or has gone; finished results are safe in the store."""


class EntryError(SparedBenchError):
    """An ``entry.json`` below ``leaderboards/`` that cannot be used."""


class SubmissionError(SparedBenchError):
    """A submission that is refused, or cannot be built or added."""


class TrackingError(SparedBenchError):
    """MLflow cannot be reached, or refuses what it is given; the results are safe in the store."""


class WorkspaceError(SparedBenchError):
    """The workspace cannot be written or read."""


class CorruptEntryError(WorkspaceError):
    """A stored entry that does not match its manifest."""


class UnreadableEntryError(WorkspaceError, OSError):
    """An entry of the store that is there, and that the system does not let this process read."""


#: Characters of a message and of a traceback that are kept: methods put whole arrays into theirs.
_MESSAGE_CHARS = 2_000
_STORY_CHARS = 40_000
_PARSER = (
    ", as a parser of command lines (`argparse`) does that finds none of its own. Nothing is passed"
    " to a method but its fields: `--set METHOD.FIELD=VALUE`."
)


def in_words(error: BaseException) -> tuple[str, str]:
    """Return what happened as a message and a traceback, each within bounds.

    A user's mistake speaks for itself; other errors are named. An error that cannot say what it is
    about is told by its name alone. Halves of letters, as in the name of a file that is not UTF-8,
    which nothing can write, are told by their numbers.
    """
    try:
        text = str(error)
    except KeyboardInterrupt:
        raise
    except BaseException as worse:
        text = f"(its message cannot be had: {type(worse).__name__})"
    known = isinstance(error, SparedBenchError)
    message = text if known else f"{type(error).__name__}: {text}"
    if isinstance(error, SystemExit) and error.code == 2:
        message += _PARSER
    story = "".join(traceback.format_exception(error))
    return shortened(message, _MESSAGE_CHARS), shortened(story, _STORY_CHARS)


def told_with_place(error: BaseException) -> str:
    """Return the message of ``in_words``, and which line of a plugin it is of.

    That is the last that belongs neither to us nor to a library; without one, the last of all.
    """
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [frame for frame in frames if not frame.filename.startswith(_NOT_THEIRS)]
    last = (theirs or frames)[-1]
    return f"{in_words(error)[0]} ({Path(last.filename).name}, line {last.lineno})"


#: Where our own code, Python's and that of installed packages lie.
_NOT_THEIRS = (
    str(Path(__file__).parent),
    *(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")),
)


def shortened(text: str, limit: int) -> str:
    """Leave out the middle of a text that is too long."""
    text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]} [... {len(text) - limit} characters ...] {text[-half:]}"


def reason_of(error: BaseException, most: int = 300) -> str:
    """Return what an error of a library says, in one line; with its kind where that says little."""
    text = " ".join(str(error).split())[:most]
    bare = not text or isinstance(error, LookupError | AssertionError)
    return f"{type(error).__name__}: {text}".removesuffix(": ") if bare else text


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ``"Did you mean 'x'?"`` for the nearest known name, or an empty string."""
    folded = {candidate.casefold(): candidate for candidate in known}
    near = difflib.get_close_matches(name.casefold(), folded, n=1, cutoff=0.6)
    return f"Did you mean {folded[near[0]]!r}?" if near else ""
