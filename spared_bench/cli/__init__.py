"""The command line: parse, call one function, print."""

from __future__ import annotations

import errno
import gc
import io
import os
import sys
import traceback
from pathlib import Path

import typer

from spared_bench import __version__
from spared_bench.cli.commands import register_all
from spared_bench.cli.common import fail
from spared_bench.cli.home_folder import Commands
from spared_bench.cli.terminal import echo, tame_warnings
from spared_bench.errors import PluginError, SparedBenchError, UsageError, WorkspaceError
from spared_bench.guard import end_despite_threads, end_output, nobody_reads, refuse_exit
from spared_bench.interpreter import require_docstrings
from spared_bench.registry import try_first
from spared_bench.store.disk import why_lost, why_not_written
from spared_bench.whereabouts import shut

app = typer.Typer(
    name="spared-bench",
    cls=Commands,
    help="Which methods predict spatial gene expression from histology images, and how well.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

register_all(app)


def _version(wanted: bool) -> None:
    if wanted:
        echo(f"spared-bench {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version and exit."
    ),
) -> None:
    return None


def _is_loop(error: Exception) -> bool:
    """Whether a link leads to itself; until Python 3.12, ``Path.resolve`` says it in words."""
    return getattr(error, "errno", None) == errno.ELOOP or "Symlink loop" in str(error)


def _is_somewhere() -> bool:
    try:
        return bool(os.getcwd())  # noqa: PTH109
    except OSError:
        return False


def _foreign(ended: SystemExit) -> str:
    """Return which line has ended the process; nothing where the command line did itself."""
    last = traceback.extract_tb(ended.__traceback__)[-1]
    module = [frame for frame, _ in traceback.walk_tb(ended.__traceback__)][-1].f_globals
    own = str(module.get("__name__", "")).partition(".")[0] in ("spared_bench", "typer", "click")
    return "" if own else f"line {last.lineno} of {last.filename}"


def _explain(ended: SystemExit) -> None:
    """Tell why the command ends, where it has not said so itself."""
    # Typer makes an interrupt that no command has caught a silent end, and the end of a file, too,
    # which is an error like others where nobody was asked anything.
    cause = getattr(ended.__context__, "__cause__", None)
    if isinstance(cause, KeyboardInterrupt):
        echo(_INTERRUPTED, err=True)
    if isinstance(cause, EOFError):
        raise cause from None
    if isinstance(ended.__context__, BrokenPipeError):  # as silent there
        sys.exit(_of_a_pipe(ended.__context__))
    if where := _foreign(ended):
        told = f"Code that a plugin brings or calls ended this command by sys.exit({ended.code!r})"
        sys.exit(fail(PluginError(f"{told}: {where}. Let it raise an exception instead.")))


def _of_a_pipe(error: BrokenPipeError) -> int:
    """Return the exit status; tell of a pipe that is not the command's own output."""
    if not nobody_reads():
        told = f"Code that a plugin brings or calls failed: BrokenPipeError: {error}."
        return fail(PluginError(f"{told} What it was connected to has gone."))
    # The reader of our output has gone (`| head`): not our failure, and not worth a word.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 141


_INTERRUPTED = "Interrupted. What was finished is kept."


def _status_of(error: BaseException | None) -> int:
    """Return the exit status that the interpreter would end with."""
    if isinstance(error, SystemExit) and isinstance(error.code, int | None):
        return error.code or 0
    return int(error is not None)


def main() -> None:
    """Run the command line; a user's mistake ends with a message, never with a traceback."""
    # What imports and records make stays until the end: looking for garbage among it every 700
    # objects takes a third of the time of `status`.
    gc.set_threshold(50_000, 50, 50)
    if isinstance(sys.stdout, io.TextIOWrapper):  # of what letters a terminal has
        sys.stdout.reconfigure(errors="backslashreplace")
    tame_warnings()
    refuse_exit()
    try_first()
    try:
        require_docstrings()
        app()
    except SparedBenchError as error:
        sys.exit(fail(error))
    except PermissionError as error:
        named = shut(Path(error.filename)) if error.filename else "A file"
        told = f"{named} may not be read or written: {error.strerror or error}."
        sys.exit(fail(UsageError(f"{told} Change its permissions, or ask its owner to.")))
    except KeyboardInterrupt:
        echo(_INTERRUPTED, err=True)
        sys.exit(130)
    except SystemExit as ended:
        _explain(ended)
        raise
    except BrokenPipeError as error:
        sys.exit(_of_a_pipe(error))
    except (OSError, RuntimeError) as error:
        if _is_loop(error):
            sys.exit(fail(UsageError(f"A link leads back to itself: {error}. Name another path.")))
        if getattr(error, "errno", None) == errno.ENAMETOOLONG:
            told = f"No file can have so long a name: {str(getattr(error, 'filename', ''))[:60]}..."
            sys.exit(fail(UsageError(f"{told} Name a shorter path.")))
        if not _is_somewhere():
            told = "The folder in which this command was begun is not there any more."
            sys.exit(fail(UsageError(f"{told} Go to another one (`cd`) and repeat it.")))
        if not (told := why_not_written(error) or why_lost(error)):
            raise
        sys.exit(fail(WorkspaceError(told)))
    finally:
        end_output()  # what plugins still print when the process ends is no part of it
        end_despite_threads(_status_of(sys.exc_info()[1]))
