"""The runs of a workspace in MLflow: what the rest of the package logs and reads."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from spared_bench.errors import TrackingError
from spared_bench.results import TrialResult
from spared_bench.tracking.cells import CellLog, LoggedCell, LoggedResults
from spared_bench.tracking.completion import log_completion, read_completion
from spared_bench.tracking.connection import Connection, is_of_the_value

if TYPE_CHECKING:
    from spared_bench.completion.benchmark import CompletionResult

Progress = Callable[[int, int], None]


class Tracker:
    """The runs of a workspace in MLflow.

    Parameters
    ----------
    workspace : Path
    uri : str, optional
        As for ``Connection``.
    """

    def __init__(self, workspace: Path, uri: str | None = None) -> None:
        self.connection = Connection(workspace, uri)
        self._cells = CellLog(self.connection)
        #: Cells that MLflow has refused, and why: by name, until it takes them.
        self.refused: dict[str, str] = {}

    @property
    def uri(self) -> str:
        """The tracking URI as it was given, a password in it included."""
        return self.connection.uri

    @property
    def where(self) -> str:
        """The tracking URI without its password, for people."""
        return self.connection.where

    def connect(self) -> None:
        """Import MLflow and open the database, making it where it is missing: seconds, once.

        Raises
        ------
        TrackingError
            If MLflow cannot be reached.
        """
        with self.connection.explained("connect to"):
            self.connection.client.search_experiments(max_results=1)

    def sync(self, cells: Iterable[LoggedCell], progress: Progress | None = None) -> int:
        """Make MLflow show these cells, logging those that it lacks; return how many it lacked.

        A cell that was logged before with another trial (an older version of a method, say) keeps
        its run, which is no longer the current one. One that MLflow refuses (a number beyond what
        its database holds, say) is left out and noted in ``refused``.

        Parameters
        ----------
        cells : iterable of LoggedCell
        progress : callable, optional
            Told ``(done, total)`` after each cell.

        Raises
        ------
        TrackingError
            If MLflow cannot be reached or refuses. What was half logged is replaced next time.
        """
        todo = list(cells)
        added = 0
        with self.connection.explained("log to"):
            for done, cell in enumerate(todo, start=1):
                added += self._log(cell)
                if progress is not None:
                    progress(done, len(todo))
        return added

    def _log(self, cell: LoggedCell) -> bool:
        trial = cell.final
        name = f"{trial.dataset} · {trial.completer} · {trial.predictor} · seed {trial.seed}"
        try:
            added = self._cells.sync(cell)
        except Exception as error:
            if not is_of_the_value(error):
                raise
            self.refused[name] = (str(error).strip().splitlines() or [type(error).__name__])[0][
                :200
            ]
            return False
        self.refused.pop(name, None)
        return added

    def refusal(self) -> TrackingError | None:
        """Return an error that names the cells that MLflow has refused; ``None`` without any."""
        if not self.refused:
            return None
        told = "; ".join(f"{name}: {why}" for name, why in list(self.refused.items())[:3])
        more = f" and {len(self.refused) - 3} more" if len(self.refused) > 3 else ""
        return TrackingError(
            f"MLflow at {self.where} refuses {len(self.refused)} of the cells, and has the others:"
            f" {told}{more}. Their results are in the store and on the leaderboard"
            " (`spared-bench leaderboard build --from store`)."
        )

    def results(self, protocol: str | None = None) -> list[TrialResult]:
        """Read the results of ``logged`` alone."""
        return self.logged(protocol).results

    def logged(self, protocol: str | None = None, unread: list[str] | None = None) -> LoggedResults:
        """Read the current trial of every cell, without curves, genes and traceback.

        Parameters
        ----------
        protocol : str, optional
            Only this one (``"demo@1"``); all by default.
        unread : list of str, optional
            Takes a sentence for every run that was changed by hand, which is left out.

        Raises
        ------
        TrackingError
            If MLflow cannot be reached; without ``unread``, also if a run was changed by hand.
        """
        if self.connection.is_missing:
            return LoggedResults([], [])
        with self.connection.explained("read from"):
            return self._cells.results(protocol, unread)

    def log_completion(self, results: Iterable[CompletionResult]) -> int:
        """Make MLflow show results of the completion benchmark; return how many runs are new.

        Raises
        ------
        TrackingError
            As for ``sync``.
        """
        with self.connection.explained("log to"):
            return log_completion(self.connection, results)

    def completion_results(
        self, protocol: str = "", unread: list[str] | None = None
    ) -> list[CompletionResult]:
        """Read back what ``log_completion`` logged, of one protocol or of all.

        ``unread`` takes a sentence for every run whose file is lacking or damaged.

        Raises
        ------
        TrackingError
            If MLflow cannot be reached; without ``unread``, also if it lacks the file of a run.
        """
        if self.connection.is_missing:
            return []
        with self.connection.explained("read from"):
            return read_completion(self.connection, protocol, unread)
