"""Trained methods asked again for the tested spots, from changed images.

Our own are asked in this process. One with code of others is asked in a process of its own, as in
its trial: whatever it does there changes no score of another and ends nothing, and no table there
holds a measured entry of a test slide.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from spared_bench.apart import DiedError, FailedError
from spared_bench.bench import Bench, Settings
from spared_bench.errors import PluginError, in_words
from spared_bench.executors.isolation import clean_slate
from spared_bench.fresh import do_fresh
from spared_bench.inference.seen import Change
from spared_bench.inference.shifted import predict_shifted, refuse_known, trained_of
from spared_bench.models.weights_folder import downloads
from spared_bench.processing.stains import measure, recolouring
from spared_bench.processing.stains.colours import changed, sample
from spared_bench.registry import discover
from spared_bench.results import TrialResult
from spared_bench.studies.shifts import SHIFTS, Shift
from spared_bench.trials.products import prepare

_TEMPLATE_METHOD = "macenko"
#: Processes of one method that end before anything is predicted, after which it is left alone.
_MOST_DEATHS = 2
#: Of a change, what was predicted, or the reason why nothing was.
_MADE, _GAP = "{}.npy", "{}.txt"
_MOST_CHARS = 10_000  # of a reason, which a stranger may have written


def asked(
    bench: Bench, result: TrialResult, shifts: Sequence[Shift], folder: Path
) -> Callable[[Shift], np.ndarray]:
    """Return what gives the prediction of a shift, here or, beside code of others, apart.

    Raises
    ------
    UsageError, MissingFileError
        See ``ask_apart``, whose parameters these are.
    """
    if _imported(bench, result):
        return ask_apart(bench, result, shifts, folder)
    return partial(ask_here, bench, result)


def ask_here(bench: Bench, result: TrialResult, shift: Shift) -> np.ndarray:
    """Return what a trained method predicts under a shift, asked in this process.

    Returns
    -------
    ndarray of float64, of shape (n_spots, n_genes)
        See ``predict_shifted``, which says what is raised.
    """
    if shift.change is not None:
        return predict_shifted(bench, result, lambda _: shift.change)
    return predict_shifted(bench, result, _towards_training(bench, result))


def ask_apart(
    bench: Bench, result: TrialResult, shifts: Sequence[Shift], folder: Path
) -> Callable[[Shift], np.ndarray]:
    """Ask a trained method in a process of its own; return what gives the prediction of a shift.

    If the process ends, or takes longer than a trial may, it is asked in another one for the shifts
    that are left.

    Parameters
    ----------
    bench : Bench
    result : TrialResult
    shifts : sequence of Shift
    folder : Path
        For what is predicted, as long as it is used.

    Returns
    -------
    callable
        Raises PluginError where there is no prediction, and says why.

    Raises
    ------
    UsageError, MissingFileError
        See ``predict_shifted``.
    """
    refuse_known(bench, result.predictor)
    trained_of(bench, result)
    asked = {
        "settings": bench.settings.as_dict() | {"plugins": {}, "strangers": None, "told": ()},
        "imported": _imported(bench, result),
        "guests": list(strangers_in(bench, result)),
        "result": result.as_dict(),
        "folder": str(folder),
    }
    left, deaths = [shift.name for shift in shifts], 0
    seconds = bench.settings.limits.timeout
    while left:
        why = "Its process answered without a prediction."
        try:
            do_fresh(f"{__name__}:serve", {**asked, "shifts": left}, seconds)
        except FailedError as error:
            why = str(error)
        except DiedError as error:
            why, open_ = str(error), _open(folder, left)
            deaths = deaths + 1 if open_ == left else 1
            if deaths < _MOST_DEATHS:
                _note(folder, open_[:1], why)
                left = open_[1:]
                continue
        _note(folder, _open(folder, left), why)
        left = []

    def predicted(shift: Shift) -> np.ndarray:
        number = _number(shift.name)
        gap, made = folder / _GAP.format(number), folder / _MADE.format(number)
        if gap.is_file():
            with gap.open(encoding="utf-8", errors="replace") as file:
                raise PluginError(file.read(_MOST_CHARS))
        # Its head may promise more than there is.
        found: np.ndarray = np.load(made, mmap_mode="r", allow_pickle=False)
        return found

    return predicted


def serve(
    settings: Mapping[str, Any],
    imported: Sequence[str],
    guests: Sequence[str],
    result: Mapping[str, Any],
    folder: str,
    shifts: Sequence[str],
) -> None:
    """Do what ``ask_apart`` asks for, with our plugins and those of these distributions."""
    told = Settings.from_dict(settings)
    files = [Path(file) for file in told.plugin_files]
    registry = discover(files, data_dir=Path(told.data_dir), only=imported)
    bench, trial = Bench(told, registry, tuple(guests)), TrialResult.from_dict(dict(result))
    process = os.getpid()
    with clean_slate(told.threads), downloads(allowed=not told.offline):
        for name in shifts:
            try:
                found = ask_here(bench, trial, _shift(name))
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # a stranger's method may do anything with what it sees
                _end_copy(process)
                _note(Path(folder), [name], in_words(error)[0])
                continue
            _end_copy(process)
            beside = Path(folder, f"{_number(name)}.part")
            with beside.open("wb") as file:
                np.save(file, found)
            beside.rename(Path(folder, _MADE.format(_number(name))))


def _end_copy(process: int) -> None:
    """End a copy of the process that a method made and let return."""
    if os.getpid() != process:
        os._exit(0)


def strangers_in(bench: Bench, result: TrialResult) -> list[str]:
    """Return the distributions of others whose code a trained method is made of."""
    stages = bench.stages(result.predictor, result.parameters).values()
    methods = [(result.predictor, result.parameters)]
    methods += [(stage.predictor, dict(stage.parameters)) for stage in stages]
    plugins = [bench.registry.get("predictor", name).plugin for name, _ in methods]
    found = [plugin.distribution for plugin in plugins if not plugin.is_ours]
    for name, parameters in methods:
        encoder = bench.known_encoder_of("predictor", name, parameters)
        if encoder is not None and encoder.runs_code:
            plugin = bench.registry.get("encoder", encoder.qualified_name).plugin
            found += [] if plugin.is_ours else [plugin.distribution]
    return list(dict.fromkeys(found))


def _imported(bench: Bench, result: TrialResult) -> list[str]:
    """Return the distributions of others that a process needs to ask a trained method."""
    reader = bench.registry.get("dataset", result.dataset).plugin
    return [*strangers_in(bench, result), *([] if reader.is_ours else [reader.distribution])]


def _shift(name: str) -> Shift:
    return next(shift for shift in SHIFTS if shift.name == name)


def _number(name: str) -> int:
    return [shift.name for shift in SHIFTS].index(name)


def _open(folder: Path, names: Sequence[str]) -> list[str]:
    """Return the shifts of which nothing is known yet."""
    return [
        name
        for name in names
        if not any((folder / each.format(_number(name))).is_file() for each in (_MADE, _GAP))
    ]


def _note(folder: Path, names: Sequence[str], why: str) -> None:
    for name in names:
        (folder / _GAP.format(_number(name))).write_text(why, encoding="utf-8")


def _towards_training(bench: Bench, result: TrialResult) -> Callable[[str], Change]:
    """Return what gives each tested slide the look of the first training slide (Macenko)."""
    prepared = prepare(bench, result.dataset)
    train = prepared.slides("train")
    first = train.subset(train.slide_ids == train.slide_ids[0])
    target = measure(_TEMPLATE_METHOD, sample(first.patches[:]))
    tested = prepared.slides(bench.dataset(result.dataset).evaluation_split)

    def of_slide(slide_id: str) -> Change:
        own = tested.subset(tested.slide_ids == slide_id)
        source = measure(_TEMPLATE_METHOD, sample(own.patches[:]))
        return partial(changed, recolour=recolouring(_TEMPLATE_METHOD, source, target))

    return of_slide
