"""The connection to MLflow: its client, its experiments and runs, and errors a person can use."""

from __future__ import annotations

import logging
import os
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from spared_bench.errors import SparedBenchError, TrackingError, shortened
from spared_bench.lasting import write_lasting
from spared_bench.store.disk import way_out
from spared_bench.tracking.database import (
    DATABASE,
    database_file,
    is_sqlite,
    make_database,
    sqlite_uri,
)
from spared_bench.tracking.moved import artifacts_of, follow
from spared_bench.tracking.place import another_version, problem_of
from spared_bench.tracking.slow import told_if_slow

if TYPE_CHECKING:
    from mlflow.entities import Run

EXPERIMENTS = "spared-bench/"
#: Tag of a run on a server that several workspaces may log to: which of them logged it.
WORKSPACE = "spared_bench.workspace"
OWNER_NOTE = "mlflow.workspace"
_MOST_OF_AN_OWNER = 100
_PAGE = 1_000  # runs asked for at once
_MOST_LETTERS = 1_000  # of what a server says went wrong: its page of an error, for one
_REFUSES = re.compile(r"error code 40[13]\b")
_ANONYMOUS = (
    "Say who you are, as somebody who may write there: MLFLOW_TRACKING_USERNAME and"
    " MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN."
)
_CHECK = (
    "Check that this place exists and can be written, and what MLFLOW_TRACKING_URI says (where it"
    " is not set, runs go to SQLite in the workspace)."
)


class Connection:
    """MLflow, connected to when it is first asked for something: seconds, once.

    Parameters
    ----------
    workspace : Path
        Where ``mlflow.db`` and ``mlartifacts`` are made, unless a server is named.
    uri : str, optional
        MLflow's tracking URI; by default ``MLFLOW_TRACKING_URI``, then SQLite in the workspace.
    """

    def __init__(self, workspace: Path, uri: str | None = None) -> None:
        self.workspace = workspace.absolute()
        local = sqlite_uri(self.workspace / DATABASE)
        self.uri = uri or os.environ.get("MLFLOW_TRACKING_URI") or local
        self._client: Any = None

    @property
    def where(self) -> str:
        """The tracking URI without its password, for people."""
        return re.sub(r"(://[^/@:]*):[^/@]*@", r"\1:***@", self.uri)

    @property
    def is_missing(self) -> bool:
        """Whether it is a file that nobody has made yet: nothing was logged, and it is not made."""
        path = database_file(self.uri)
        return path is not None and not path.exists()

    def owner(self, *, make: bool = False) -> str:
        """Return by what the runs of this workspace are told from those of others at this place.

        Empty where the place is the workspace's own database, and where nothing was logged yet.

        Parameters
        ----------
        make : bool
            Whether one is made where there is none: whoever logs needs it.
        """
        if database_file(self.uri) == self.workspace / DATABASE:
            return ""
        note = self.workspace / OWNER_NOTE
        if not note.exists() and make:
            self.workspace.mkdir(parents=True, exist_ok=True)
            write_lasting(note, f"{uuid.uuid4().hex}\n")
        try:
            return note.read_text(encoding="ascii").strip()[:_MOST_OF_AN_OWNER]
        except (OSError, UnicodeError):
            return ""

    @property
    def client(self) -> Any:
        """MLflow's client; the database is made where it is missing."""
        if self._client is None:
            client_class = _import_quietly()
            if is_sqlite(self.uri):
                self.workspace.mkdir(parents=True, exist_ok=True)
            if (path := database_file(self.uri)) is not None:
                if problem := problem_of(path):
                    raise TrackingError(f"Cannot use MLflow at {self.where}: {problem}")
                make_database(path, lambda uri: _without_default(_open(client_class, uri)))
                if path == self.workspace / DATABASE:
                    follow(path, self.workspace, EXPERIMENTS)
            self._client = _open(client_class, self.uri)
        return self._client

    def experiment_id(self, name: str) -> str:
        """Find or make the experiment ``spared-bench/<name>``; a deleted one is restored."""
        found = self._named(EXPERIMENTS + name)
        if found is None:
            made: str = self.client.create_experiment(EXPERIMENTS + name, self._artifacts(name))
            return made or self._no_mlflow()
        if found.lifecycle_stage == "deleted":
            self.client.restore_experiment(found.experiment_id)
        experiment_id: str = found.experiment_id
        return experiment_id

    def experiment_ids(self, name: str = "", end: str = "") -> list[str]:
        """Return that named ``spared-bench/<name><end>``; without a name, all with this end."""
        if name:
            # Not by LIKE, which takes a `_` or `%` for any letters, and most often no case.
            wanted = EXPERIMENTS + name + end
            one = self._named(wanted)
            there = one is not None and (one.name, one.lifecycle_stage) == (wanted, "active")
            return [one.experiment_id] if there else []
        condition = f"name LIKE {quoted(EXPERIMENTS + '%')}"
        ids: list[str] = []
        token = None
        while True:
            page = self.client.search_experiments(filter_string=condition, page_token=token)
            ids += [each.experiment_id for each in page if each.name.endswith(end)]
            token = page.token
            if not token:
                return ids

    def _named(self, name: str) -> Any:
        """Return the experiment of a name, in whatever case; ``None`` where there is none.

        Its client takes any answer in JSON for one of MLflow's, whatever is lacking in it: so what
        a proxy answers to everything would be a server on which all is logged, and nothing kept.
        """
        found = self.client.get_experiment_by_name(name)
        if found is not None and not (found.name and found.experiment_id):
            self._no_mlflow()
        return found

    def _no_mlflow(self) -> NoReturn:
        raise TrackingError(
            f"What answers at {self.where} is no MLflow server: asked for an experiment, it names"
            " none. Set MLFLOW_TRACKING_URI to the address of the server itself, or take it away:"
            " runs then go to SQLite in the workspace."
        )

    def runs(self, experiment_id: str, condition: str) -> Iterator[Run]:
        """Yield the runs of an experiment that meet a condition in MLflow's language."""
        token = None
        while True:
            page = self.client.search_runs(
                [experiment_id], condition, max_results=_PAGE, page_token=token
            )
            yield from page
            token = page.token
            if not token:
                return

    @contextmanager
    def explained(self, doing: str) -> Iterator[None]:
        """Raise what MLflow raises as ``TrackingError``: ``Cannot <doing> MLflow at ...``."""
        slow = nullcontext() if is_sqlite(self.uri) else told_if_slow(self.where)
        try:
            with slow:
                yield
        except SparedBenchError:
            raise
        except Exception as error:  # of MLflow, its database's library, migrations, and drivers
            reason = another_version(_first_line(error))
            reason += "" if reason.endswith((".", "!", "?")) else "."
            if doing == "connect to" and not _is_away(error):
                doing = "use"
            way = _ANONYMOUS if _REFUSES.search(reason) else way_out(error, _CHECK)
            told = reason.replace(self.uri, self.where)
            raise TrackingError(f"Cannot {doing} MLflow at {self.where}: {told} {way}") from error

    def _artifacts(self, name: str) -> str | None:
        """Return where artifacts go; ``None`` leaves the choice to a server."""
        if not is_sqlite(self.uri):
            return None
        return artifacts_of(self.workspace, name)


def _open(client_class: Any, uri: str) -> Any:
    client = client_class(tracking_uri=uri)
    client.search_experiments(max_results=1)  # makes the tables; finds a dead server
    return client


def _without_default(client: Any) -> None:
    """Take the empty experiment away that MLflow puts into every new database."""
    default = client.get_experiment_by_name("Default")
    if default is not None and not client.search_runs([default.experiment_id], max_results=1):
        client.delete_experiment(default.experiment_id)


def quoted(text: str) -> str:
    """Return a text as a literal of MLflow's conditions."""
    return "'" + text.replace("'", "''") + "'"


def _first_line(error: Exception) -> str:
    first = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return shortened(first, _MOST_LETTERS)


def _import_quietly() -> Any:
    """Import MLflow's client with its telemetry, its table of migrations and its adverts off."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    # Seven tries with doubling pauses take minutes to say that a server is not there.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    # One that is busy or being serviced may say to come back in hours, and MLflow would wait.
    os.environ.setdefault("MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER", "false")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "60")  # of each: it would be two minutes
    try:
        from mlflow.tracking import MlflowClient
    except Exception as error:  # whatever its modules do when they are imported
        raise TrackingError(
            f"MLflow cannot be imported: {_first_line(error).rstrip('.')}. It wants a home folder:"
            " where the user has none, set HOME to a folder that can be written. `leaderboard build"
            " --from store` does without MLflow."
        ) from error
    logging.getLogger("alembic").setLevel(logging.WARNING)
    # It prints what its database raises as a traceback, and raises it to us as well.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    return MlflowClient


def is_of_the_value(error: BaseException | None) -> bool:
    """Whether MLflow refuses what it was to log, as opposed to logging at all."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import DataError, InterfaceError, ProgrammingError

    while error is not None:
        code = error.error_code if isinstance(error, MlflowException) else ""
        of_a_value = OverflowError | UnicodeError | DataError | InterfaceError | ProgrammingError
        if code == "INVALID_PARAMETER_VALUE" or isinstance(error, of_a_value):
            return True
        error = error.__cause__ or error.__context__
    return False


def _is_away(error: BaseException) -> bool:
    """Return whether a server did not answer, as opposed to answering something, or to a file."""
    import requests
    import urllib3

    away = (
        requests.ConnectionError,
        requests.Timeout,
        urllib3.exceptions.HTTPError,
        ConnectionError,
    )
    while error is not None:
        # MLflow hands on the text of some errors only.
        if isinstance(error, away) or "Max retries exceeded" in str(error):
            return True
        error = error.__cause__ or error.__context__  # type: ignore[assignment]
    return False
