"""How commands print: tables for people, JSON for programs, errors on standard error."""

from __future__ import annotations

import errno
import json
import os
import shlex
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from spared_bench.cli.terminal import echo
from spared_bench.errors import SparedBenchError, UsageError, shortened
from spared_bench.guard import end_copy, keep_output, say
from spared_bench.harmless import harmless
from spared_bench.results import nan_to_none
from spared_bench.store.disk import LOST, is_lost, with_loss

if TYPE_CHECKING:
    from rich.console import Console

    from spared_bench.bench import Bench


def _json(wanted: bool) -> bool:
    if wanted:
        keep_output()  # what plugins print, whenever they are called, is no part of it
    return wanted


JSON = typer.Option(False, "--json", callback=_json, help="Print JSON for programs.")
WORKSPACE = typer.Option(
    None, "--workspace", "-w", help="Folder of results [default: ./spared-bench-workspace]."
)
DATA_DIR = typer.Option(
    None, "--data-dir", help="Folder with one folder per dataset [default: WORKSPACE/data]."
)
PLUGIN = typer.Option([], "--plugin", help="A single-file plugin; may be given more than once.")
PROTOCOL = typer.Option(
    "",
    "--protocol",
    "--suite",
    help="Protocol: a name or a YAML file [default: own for slides of your own, else demo].",
)

_MOST_LETTERS = 8_000  # of an error, which may quote what somebody wrote into a file
#: Where a file may be written and none beside it: another's folder, a file that is mounted alone.
_NOT_BESIDE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.EBUSY, errno.ENAMETOOLONG}
_LONG = 1_000  # rows, from which on laying them out for a terminal takes longer than one waits

COMPLETERS = typer.Option([], "--completer", "-c", help="A completer; may be given more than once.")
ASK_SIZES = typer.Option(
    False, "--ask-sizes", help="For a plan, ask servers for the sizes of files that none states."
)
SETTINGS = typer.Option(
    [], "--set", help="Fix a parameter: method.parameter=value; more than once."
)


def check_ask_sizes(asked: bool, dry_run: bool, offline: bool) -> None:
    """Refuse ``--ask-sizes`` where nothing is planned, or nobody may be asked."""
    if asked and not dry_run:
        raise UsageError("--ask-sizes is for a plan: add `--dry-run`, or leave it out.")
    if asked and offline:
        raise UsageError(
            "--ask-sizes asks servers, and --offline forbids it: leave one of them out."
        )


def own_command() -> str:
    """Return the command that this process was started with, to be run again.

    Without ``--json``, which changes what it prints and nothing that it makes: a page is not built
    anew for it.
    """
    return shlex.join(["spared-bench", *(each for each in sys.argv[1:] if each != "--json")])


def err_console() -> Console:
    """Return the console of standard error: progress and warnings, coloured on a terminal only."""
    from rich.console import Console

    return Console(stderr=True)


def print_json(values: Any) -> None:
    """Print values as JSON; ``null`` for nan and infinities, which it lacks."""
    end_copy()
    text = json.dumps(nan_to_none(values), indent=2, default=str, allow_nan=False)
    say(text + "\n")


def show_result(values: Any, as_json: bool, people: str | Callable[[], None]) -> None:
    """Print what a command did: values for programs; a text, or what a function prints, else."""
    end_copy()
    if as_json:
        print_json(values)
    elif callable(people):
        people()
    else:
        echo(people)


def require_ending(path: Path, ending: str, what: str, hint: str = "") -> None:
    """Refuse to write into a file whose name says that it is, or would be, something else.

    Raises
    ------
    UsageError
    """
    if path.suffix.lower() != ending:
        raise UsageError(f"{path} is no name for {what}: end it in {ending}.{hint and ' '}{hint}")


def write_named(path: Path, text: str) -> None:
    """Write a text into a file that a user names, in one step if its folder lets us.

    A pipe or a device gets it as it comes, and so does what we print into (``/dev/stdout``).

    Raises
    ------
    OSError
        With that name, and no other.
    """
    try:
        if (number := _printed_into(path)) is not None:
            sys.stdout.flush()
            with open(number, "w", encoding="utf-8", closefd=False) as stream:
                stream.write(text)
        elif path.exists() and not path.is_file():
            path.write_text(text, encoding="utf-8")
        else:
            _replace(path, text)
    except OSError as error:
        raise type(error)(error.errno, error.strerror, str(path)) from error


def _printed_into(path: Path) -> int | None:
    """Return which standard stream ends in a file: replaced, it would not get what follows."""
    for number in (1, 2):
        with suppress(OSError):
            if os.path.samestat(path.stat(), os.fstat(number)):
                return number
    return None


def _replace(path: Path, text: str) -> None:
    """Write a file beside and rename it; where only the file itself can be written, into it."""
    from spared_bench.files import replacing

    target = path.resolve()  # what a link leads to, and not the link
    os.stat(f"{target.parent}/.")  # noqa: PTH116  # a folder that is not there is not made
    try:
        with replacing(target) as beside:
            beside.write_text(text, encoding="utf-8")
            with suppress(OSError):  # there is none yet, or it is another's
                shutil.copymode(target, beside)
                shutil.chown(beside, target.stat().st_uid, target.stat().st_gid)
    except OSError as error:
        if error.errno not in _NOT_BESIDE:
            raise
        target.write_text(text, encoding="utf-8")


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table; off a terminal, or where it is long, it is as wide as it needs to be."""
    if not sys.stdout.isatty() or len(rows) > _LONG:
        sys.stdout.writelines(f"{line}\n" for line in _plain_table(columns, rows))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(harmless(cell)) for cell in row))
    Console().print(table)


def _plain_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield the lines of a table; a cell of several lines has them below each other."""
    from rich.cells import cell_len

    def width(text: str) -> int:
        return len(text) if text.isascii() else cell_len(text)

    def lines(row: Sequence[str]) -> Iterable[Sequence[str]]:
        if "".join(row).isprintable():
            return [row]
        cells = (harmless(cell).expandtabs().split("\n") for cell in row)
        return zip_longest(*cells, fillvalue="")

    whole = [line for row in (columns, *rows) for line in lines(row)]
    widths = [max(map(width, column)) for column in zip(*whole, strict=True)]
    for line in whole:
        filled = [text + " " * (w - width(text)) for text, w in zip(line, widths, strict=True)]
        yield "  ".join(filled).rstrip()


def in_terminal(message: str) -> str:
    """Return a message of a stranger's code or archive: in a terminal it can give no orders."""
    if message.isprintable():
        return message
    from spared_bench.leaderboard.text import visible

    return visible(message, _MOST_LETTERS)


def warn_of_quarantine(plugins: Sequence[Any]) -> None:
    """Say on one line each which plugins were left out."""
    for plugin in plugins:
        echo(
            f"Plugin {plugin.name!r} of {plugin.distribution} was left out: {plugin.reason}"
            f" (`spared-bench plugins why {plugin.name}`)",
            err=True,
        )


def tell_protocol(named: str, protocol: Any) -> None:
    """Say on standard error which protocol is taken, and what that means, where none was named."""
    if not named:
        echo(
            f"Protocol {protocol.id}, since none was named with `--suite`: {protocol.summary}"
            f" `spared-bench info {protocol.name}` shows it whole.",
            err=True,
        )


def bench_of(
    protocol: str,
    datasets: list[str],
    workspace: Path | None,
    data_dir: Path | None,
    plugin: list[Path],
) -> Bench:
    """Return the bench of some datasets, and tell which protocol it takes."""
    from spared_bench.api import make_bench

    bench = make_bench(
        protocol,
        datasets=datasets,
        workspace=workspace,
        data_dir=data_dir,
        plugin_files=plugin,
        device="cpu",
    )
    tell_protocol(protocol, bench.protocol)
    warn_of_quarantine(bench.registry.quarantined)
    return bench


def fail(error: SparedBenchError) -> int:
    """Print an error as a user sees it; return the exit status."""
    told = shortened(str(error), _MOST_LETTERS)
    if is_lost(error.__cause__) and LOST not in told:  # which a reader may have taken for damage
        told = with_loss(told)
    echo(f"{type(error).__name__}: {told}", err=True)
    return error.exit_code
