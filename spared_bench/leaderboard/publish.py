"""From finished cells to MLflow and to the leaderboard."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import replace
from functools import partial
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from spared_bench.errors import TrackingError, WorkspaceError
from spared_bench.leaderboard import Extras, build
from spared_bench.leaderboard.counted import shown_results
from spared_bench.leaderboard.entries import read_entries
from spared_bench.leaderboard.plugin_facts import (
    known_to,
    protocol_files,
    runnable,
    settings_facts,
    with_what_is_known,
)
from spared_bench.leaderboard.site_folder import PAGE, OvertakenError, PageMark, mark_of
from spared_bench.leaderboard.studied import studied
from spared_bench.leaderboard.unchanged import is_built, note_built, page_state
from spared_bench.memory import uncollected
from spared_bench.ordinary import read_json
from spared_bench.planning.plan import Plan
from spared_bench.protocol import Protocol
from spared_bench.registry import Registry
from spared_bench.results import TrialResult
from spared_bench.specs import MetricSpec
from spared_bench.store.records import Records
from spared_bench.tracking.unchanged import database_state
from spared_bench.trials.cells import finals_in
from spared_bench.trials.outdated import (
    Cell,
    RecordedCells,
    outdated_cells,
    remarks_on_code,
)
from spared_bench.words import counted
from spared_bench.workspace import Workspace

if TYPE_CHECKING:
    from spared_bench.leaderboard.slides import SlidePictures

Source = Literal["mlflow", "store"]
_MOST_TOLD = 20
_ATTEMPTS = 3  # of a build that others overtake
_WITHOUT = "leaderboard build --from store"
LEADERBOARDS = Path("leaderboards")  # entries of others, where the command is given


def publish(
    plan: Plan, *, tracked: bool, command: str, tell: Callable[[str], object]
) -> Path | None:
    """Build the leaderboard of a plan's protocol, from MLflow if the runs are in it.

    A page that was built of the same stays. ``tell`` is given a sentence for everything that is
    there and not shown.
    """
    source: Source = "mlflow" if tracked else "store"
    bench, database = plan.bench, database_state(plan.bench.workspace)
    place, name = bench.workspace, bench.protocol.id

    def state_with(known: Any) -> str:
        return page_state(
            place,
            name,
            bench.registry,
            [bench.protocol],
            LEADERBOARDS,
            source=source,
            command=command,
            database=known,
        )

    state = state_with(database) if database or not tracked else ""
    if state and is_built(place.leaderboard / PAGE, state):
        return place.leaderboard / PAGE
    left_out: list[str] = []
    remarks: list[str] = []
    page = build_leaderboard(
        place,
        name,
        protocols=[bench.protocol],
        source=source,
        command=command,
        leaderboards=LEADERBOARDS,
        registry=bench.registry,
        plugin_files=[Path(file) for file in bench.settings.plugin_files],
        left_out=left_out,
        remarks=remarks,
    )
    for told in (*remarks, *in_short(left_out)):
        tell(told)
    # Of what was read while it was built, nothing has changed if the state is still the same.
    if page and state and state_with(database_state(place)) == state:
        note_built(page, state)
    return page


def in_short(left_out: Sequence[str]) -> list[str]:
    """Return what a terminal is told of what a board leaves out; the page names more of it."""
    more = len(left_out) - _MOST_TOLD
    return [*left_out[:_MOST_TOLD], *([f"And {more} more, as the page says."] if more > 0 else [])]


def collect(
    workspace: Workspace,
    protocol: str,
    source: Source,
    unread: list[str] | None,
    records: Records,
) -> tuple[list[TrialResult], RecordedCells]:
    """Return the results that count, from MLflow or from the store, and what is said of them.

    Both say the same, and neither has curves, tracebacks, or values of single genes.

    ``unread`` takes a sentence for every result that cannot be read; ``records`` are those of the
    store.
    """
    if source == "store":
        return list(finals_in(records, protocol, unread)), records
    from spared_bench.tracking.tracker import Tracker

    with _doing_without():
        logged = Tracker(workspace.root).logged(protocol or None, unread).filled(records)
    return logged.results, logged


@contextmanager
def _doing_without() -> Iterator[None]:
    """Say of a database that cannot be read that the page can be made without it."""
    try:
        yield
    except TrackingError as error:
        way = "" if _WITHOUT in str(error) else f" `{_WITHOUT}` does without MLflow."
        raise TrackingError(f"{error}{way}") from error


def _untracked(
    logged: Sequence[TrialResult], records: Records, protocol: str, outdated: Collection[Cell]
) -> list[str]:
    """Return a sentence on finished cells of the store that MLflow does not show; none without."""
    known = {(*result.cell, result.key) for result in logged}
    finals = (r for r in finals_in(records, protocol, []) if r.cell not in outdated)
    lacking = [result for result in finals if (*result.cell, result.key) not in known]
    if not lacking:
        return []
    verb, them = ("is", "it") if len(lacking) == 1 else ("are", "them")
    named = [" · ".join(map(str, result.cell)) for result in lacking[:3]]
    more = f" and {len(lacking) - 3} more" if len(lacking) > 3 else ""
    return [
        f"{counted(len(lacking), 'finished cell')} of the store {verb} not in MLflow as"
        f" the store has {them}, and not shown so: {'; '.join(named)}{more}. `spared-bench track"
        f" sync` logs {them}; `leaderboard build --from store` shows what the store has."
    ]


def _at_hand(workspace: Workspace, records: Records | None) -> AbstractContextManager[Records]:
    return Records(workspace.store, genes=False) if records is None else nullcontext(records)


def completions(
    workspace: Workspace, protocol: str, source: Source, unread: list[str]
) -> dict[str, list[dict[str, Any]]]:
    """Return what the completion benchmark found, by protocol, from its tables or from MLflow.

    ``unread`` takes a sentence for everything that is there and cannot be read.
    """
    if source == "mlflow":
        from spared_bench.tracking.tracker import Tracker

        with _doing_without():
            found = Tracker(workspace.root).completion_results(protocol, unread)
    else:
        folder = workspace.root / "completion"
        if not folder.is_dir():
            return {}  # and its tables, which take a while to import, are not asked
        from spared_bench.completion.tables import RESULTS

        paths = sorted(folder.glob(f"{escape(protocol) or '*'}/{RESULTS}"))
        found = [each for path in paths for each in _stored_completion(path, unread)]
    from spared_bench.completion.tables import board_records

    return board_records(found)


def _stored_completion(path: Path, unread: list[str]) -> list[Any]:
    """Read the results of one protocol; a file that cannot be read is told of."""
    from spared_bench.completion.benchmark import CompletionResult

    try:
        values = read_json(path)["results"]
        return [CompletionResult.from_dict(each) for each in values]
    except (OSError, ValueError, KeyError, TypeError) as error:
        unread.append(f"Results of completion cannot be read: {path}: {error}")
        return []


def build_leaderboard(
    workspace: Workspace,
    protocol: str = "",
    *,
    source: Source = "mlflow",
    out: Path | None = None,
    command: str = "spared-bench leaderboard build",
    leaderboards: Path | None = None,
    registry: Registry | None = None,
    maps: bool = True,
    protocols: Sequence[Protocol] = (),
    plugin_files: Sequence[Path] = (),
    records: Records | None = None,
    left_out: list[str] | None = None,
    remarks: list[str] | None = None,
) -> Path | None:
    """Build the site and the tables; return the page, or ``None`` if there is nothing to show.

    Where another build has put its page there meanwhile, which may show more, all is read again.

    Parameters
    ----------
    workspace : Workspace
    protocol : str
        Only this one; all where empty.
    source : {"mlflow", "store"}
    out : Path, optional
    command : str
    leaderboards : Path, optional
        Folder with entries of others (``leaderboard.entries``), merged with the runs.
    registry : Registry, optional
        Discovered when not given; says what is known of datasets, metrics and protocols.
    maps : bool
        Whether predictions are drawn, as far as the store has them.
    protocols : sequence of Protocol
        That are not registered, or not as they are here: they say by what their rows are ranked.
    plugin_files : sequence of Path
        Of the registry, whose slides are read where the store has no picture of them.
    records : Records, optional
        Of the store and without genes, where they are at hand: what was read of them is not read
        again.
    left_out : list of str, optional
        Takes a sentence for everything that is there and not shown; the page has them, too.
    remarks : list of str, optional
        Takes what the page remarks on results that are shown: those of another version.

    Raises
    ------
    WorkspaceError
        If there are results, and none of them can be read.
    """
    from spared_bench.registry import discover

    left_out = [] if left_out is None else left_out
    remarks = [] if remarks is None else remarks
    told, place = len(left_out), out or workspace.leaderboard
    registry = registry or discover([], data_dir=workspace.data_dir)

    once = partial(
        _build_once,
        *(workspace, protocol, source, place, command, leaderboards, registry, maps),
        *(protocols, plugin_files, left_out, remarks),
    )
    for _ in range(_ATTEMPTS - 1):
        with suppress(OvertakenError):
            return once(records, partial(_is_still, place, mark_of(place)))
        del left_out[told:]
        remarks.clear()
        records = None  # of before
    return once(records, lambda: True)  # whatever is there


def _is_still(place: Path, since: PageMark | None) -> bool:
    """Return whether the page is that one, or gone."""
    return mark_of(place) in (since, None)


def _build_once(
    workspace: Workspace,
    protocol: str,
    source: Source,
    place: Path,
    command: str,
    leaderboards: Path | None,
    registry: Registry,
    maps: bool,
    protocols: Sequence[Protocol],
    plugin_files: Sequence[Path],
    left_out: list[str],
    remarks: list[str],
    records: Records | None,
    is_newest: Callable[[], bool],
) -> Path | None:
    """Do what ``build_leaderboard`` does, or raise ``OvertakenError``."""
    known = replace(known_to(registry, protocols), studied=studied(workspace, place))
    entries, refused = (
        read_entries(leaderboards, protocol, known.metrics) if leaderboards else ([], [])
    )
    with uncollected() as resume, _at_hand(workspace, records) as at_hand:
        results, said = collect(workspace, protocol, source, left_out, at_hand)
        outdated = outdated_cells(said, known.settings)
        on_code = remarks_on_code(said, outdated)
        remarks += [f"{name}: {told}" for name, each in on_code.items() for told in each]
        known = known.with_remarks(on_code)
        shown = shown_results(results, outdated, known, left_out)
        trials = with_what_is_known(shown, entries, registry, protocols)
        completion = completions(workspace, protocol, source, left_out)
        if not trials and not completion:
            if left_out:
                raise WorkspaceError(f"No result can be shown. {' '.join(left_out[:5])}")
            return None
        if source == "mlflow":
            outdated |= outdated_cells(at_hand, known.settings)
            left_out += _untracked(results, at_hand, protocol, outdated)
        slides = _slides(workspace, registry, left_out, plugin_files) if maps else None
        extras = Extras(
            known=known,
            completion=completion,
            maps=partial(_maps, resume, at_hand, left_out, slides) if maps else None,
            slides=slides and partial(_overview, slides),
            settings=settings_facts(registry, protocols, known),
            protocol_files=protocol_files(registry, protocols),
            predictors=runnable(registry, trials),
            completers={name: e.spec.summary for name, e in registry.named("completer").items()},
            refused=tuple(each.reason for each in refused),
            left_out=left_out,
        )
        return build(trials, place, command, source, extras, is_newest)


def _slides(
    workspace: Workspace, registry: Registry, left_out: list[str], plugin_files: Sequence[Path]
) -> SlidePictures:
    """Return what finds the pictures of slides; which protocol the bench has does not matter."""
    from spared_bench.bench import Bench
    from spared_bench.bench.settings import Settings
    from spared_bench.leaderboard.slides import SlidePictures

    protocol = Protocol(name="page", version=1).model_dump(mode="json")
    files = tuple(map(str, plugin_files))
    settings = Settings(str(workspace.root), str(workspace.data_dir), protocol, plugin_files=files)
    return SlidePictures(Bench(settings, registry), left_out)


def _overview(slides: SlidePictures, dataset: str) -> Iterator[tuple[str, Any]]:
    for drawn in slides.overview(dataset):
        yield drawn.name, drawn.values


def _maps(
    resume: Callable[[], None],
    records: Records,
    left_out: list[str],
    slides: SlidePictures | None,
    rows: Mapping[str, Sequence[TrialResult]],
    metrics: Sequence[MetricSpec],
) -> Iterator[tuple[str, Any]]:
    from spared_bench.leaderboard.maps import draw, find_maps

    resume()  # pictures and maps leave circles
    found = find_maps(records, rows)
    for drawn in draw(found, metrics, left_out, slides.tissue if slides else None):
        yield drawn.name, drawn.values
