"""A pull request that hands in bundles, looked at as data: nothing of it is checked out or run.

Git's objects are read by their names. What merging the request would change on its target decides:
a bundle that is added below ``submissions/`` is checked, anything else refuses the request and is
listed. Entries of the board (``leaderboards/``) are written by ``submit add``, by whoever keeps the
board, and never come with a request.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from spared_bench.errors import UsageError
from spared_bench.submissions.bundle import archive_name
from spared_bench.submissions.comment import plain
from spared_bench.submissions.opening import MAX_BYTES
from spared_bench.submissions.report import Report
from spared_bench.submissions.waiting import HANDED_IN

#: Names are the stranger's: of these letters only, so that they are one plain file each, and as
#: long as method, version and protocol can be.
_BUNDLE = re.compile(r"submissions/([a-z0-9][a-z0-9_+.@-]{0,200}\.zip)")
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_BOARD = "leaderboards"
_PLAIN_FILE = "100644"
MOST_BUNDLES = 5
_MOST_LISTED = 50

#: Checks the bundle at a path and returns what was found and what to say of it.
Checker = Callable[[Path], tuple[Report, str]]


@dataclass(frozen=True)
class Change:
    """What a request does to one path.

    Parameters
    ----------
    path : str
    status : str
        Git's letter: A, M, D, T.
    mode : str
        Of the file afterwards, in octal.
    blob : str
        Its object.
    """

    path: str
    status: str
    mode: str
    blob: str


@dataclass
class Review:
    """What was found in a request.

    Parameters
    ----------
    problems : list of str
        Each of which refuses the request.
    reports : list of Report
        Of its bundles.
    sections : list of str
        What to say of each bundle, in Markdown.
    """

    problems: list[str] = field(default_factory=list)
    reports: list[Report] = field(default_factory=list)
    sections: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether it holds bundles and nothing else, all of them accepted."""
        return bool(self.reports) and not self.problems and all(each.ok for each in self.reports)

    @property
    def comment(self) -> str:
        """The Markdown for the request, in which nothing of it is markup."""
        lines = []
        if self.problems:
            lines = ["### The request is refused", ""]
            lines += [f"- {plain(each, 500)}" for each in self.problems[:_MOST_LISTED]]
            more = len(self.problems) - _MOST_LISTED
            lines += [f"- and {more} more"] * (more > 0) + [""]
        return "\n".join(lines) + "\n".join(self.sections)


def review(repository: Path, base: str, head: str, out: Path, check: Checker) -> Review:
    """Check the bundles of a request, and that it changes nothing else.

    Parameters
    ----------
    repository : Path
        Any checkout whose objects hold both commits and what is between them.
    base, head : str
        The commits, as 40 or 64 hex digits: of the branch that the request goes to, and its own.
    out : Path
        Folder for the bundles.
    check : callable

    Raises
    ------
    UsageError
        If git does not know the commits.
    """
    found = Review()
    tree = _merged(repository, base, head)
    if tree is None:
        found.problems.append(
            "It cannot be merged: bring it up to date with the branch that it goes to."
        )
        return found
    bundles = []
    for change in sorted(changes(repository, base, tree), key=_weight):
        problem = _problem(change)
        if problem:
            found.problems.append(f"{change.path}: {problem}")
        else:
            bundles.append(change)
    if not bundles:
        found.problems.append("It adds no bundle below submissions/.")
    if len(bundles) > MOST_BUNDLES:
        found.problems.append(f"It adds {len(bundles)} bundles; at most {MOST_BUNDLES} are read.")
        return found
    for change in bundles:
        path = _extracted(repository, change, out, found)
        if path is None:
            continue
        report, said = check(path)
        if problem := _misnamed(report):
            found.problems.append(f"{change.path}: {problem}")
        found.reports.append(report)
        found.sections.append(said)
    return found


def changes(repository: Path, base: str, tree: str) -> Iterator[Change]:
    """Yield what lies between a commit and a tree, moved files as removed and added."""
    raw = _git(repository, "diff-tree", "-r", "-z", "--raw", "--no-renames", base, tree)
    parts = raw.split(b"\0")
    for facts, path in zip(parts[:-1:2], parts[1::2], strict=True):
        _, mode, _, blob, status = facts.decode().split(" ")
        yield Change(path.decode("utf-8", "replace"), status, mode, blob)


def _weight(change: Change) -> int:
    """The board comes first, then bundles: of a long list, not all is shown."""
    places = (_BOARD, HANDED_IN)
    top = change.path.partition("/")[0].casefold()
    return places.index(top) if top in places else len(places)


def _problem(change: Change) -> str:
    if change.path.startswith(f"{_BOARD}/"):
        return (
            "entries and tables of the board never come with a request. Whoever keeps the board"
            " writes them from the bundle."
        )
    name = _BUNDLE.fullmatch(change.path)
    if not name:
        told = "a request with bundles changes nothing but submissions/METHOD-VERSION.PROTOCOL.zip"
        letters = ", a name of a-z, 0-9 and _ + . @ - alone, right below that folder"
        return f"{told}{letters if change.path.casefold().endswith('.zip') else ''}."
    if change.status != "A":
        what = "removed" if change.status == "D" else "changed"
        return f"a bundle that was handed in is never {what}; hand in another version."
    if change.mode != _PLAIN_FILE:
        return "a bundle is a plain file: no link, no submodule, not executable."
    return ""


def _misnamed(report: Report) -> str:
    """Ask for the name of what is inside: nothing is handed in twice, and no name is occupied."""
    if report.description is None:
        return ""
    said = report.description
    if report.name == archive_name(said):
        return ""
    return (
        "a bundle is named after what it holds, METHOD-VERSION.PROTOCOL.zip; this is method"
        f" {said.method}, version {said.version}, protocol {said.protocol}."
    )


def _extracted(repository: Path, change: Change, out: Path, found: Review) -> Path | None:
    try:
        kind = _git(repository, "cat-file", "-t", change.blob).strip()
        size = int(_git(repository, "cat-file", "-s", change.blob))
    except subprocess.CalledProcessError:
        kind, size = b"", 0
    if kind != b"blob":
        found.problems.append(f"{change.path}: its content is not among what was fetched.")
        return None
    if size > MAX_BYTES:
        found.problems.append(f"{change.path}: {size} bytes; at most {MAX_BYTES} are read.")
        return None
    name = _BUNDLE.fullmatch(change.path)
    assert name is not None, "only such names are read"
    out.mkdir(parents=True, exist_ok=True)
    path = out / name[1]
    with path.open("wb") as file:
        command = ["git", "cat-file", "blob", change.blob]
        subprocess.run(command, cwd=repository, stdout=file, check=True)
    return path


def _merged(repository: Path, base: str, head: str) -> str | None:
    """Return the tree that merging would give, ``None`` where it cannot be merged."""
    for name in (base, head):
        if not _COMMIT.fullmatch(name):
            raise UsageError(f"A commit is given as its 40 hex digits, found {name[:80]!r}.")
        try:
            _git(repository, "cat-file", "-e", f"{name}^{{commit}}")
        except subprocess.CalledProcessError as error:
            raise UsageError(
                f"There is no commit {name} in {repository}. Fetch it first: `git fetch origin"
                " refs/pull/NUMBER/head`."
            ) from error
    try:
        # Not the difference of the two: what the target got since is none of the request's doing.
        told = _git(repository, "merge-tree", "--write-tree", "--name-only", "-z", base, head)
    except subprocess.CalledProcessError:
        return None
    return told.split(b"\0")[0].decode().strip()


def _git(repository: Path, *arguments: str) -> bytes:
    done = subprocess.run(["git", *arguments], cwd=repository, capture_output=True, check=True)
    return done.stdout
