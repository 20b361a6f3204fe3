"""Folders in the layout of HEST: which tasks or samples they hold, and whether they are whole.

A task of HEST-Benchmark is a folder with ``adata``, ``patches``, ``splits`` and
``var_50genes.json``; HEST-1k one with ``st``, ``patches`` and ``metadata``.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from spared_bench.errors import MissingFileError, SplitError, UsageError
from spared_bench.whereabouts import whereabouts

GENES = "var_50genes.json"
SCHEME = "fold"


@dataclass(frozen=True)
class Task:
    """A task of HEST-Benchmark on disk.

    Parameters
    ----------
    folder : Path
    name : str
        Of the folder.
    samples : tuple of str
        Sorted.
    folds : dict of str to tuple of str
        Test samples of each fold, by its number.
    """

    folder: Path
    name: str
    samples: tuple[str, ...]
    folds: Mapping[str, tuple[str, ...]]


def tasks_in(folder: Path) -> list[Task]:
    """Return the tasks that a folder holds, or the one that it is.

    Raises
    ------
    UsageError
        If it is neither; says what was expected.
    MissingFileError, SplitError
        If a task lacks files, or a fold does not say what it trains on and tests.
    """
    if not folder.is_dir():
        told = whereabouts(folder) or "It is a file."
        raise MissingFileError(f"There is no folder {folder} (`--hest`). {told}")
    places = [folder, *sorted(path for path in folder.iterdir() if path.is_dir())]
    found = [read_task(place) for place in places if _is_task(place)]
    if not found and not is_hest1k(folder):
        raise UsageError(
            f"{folder} is not in the layout of HEST: expected tasks with `adata`, `patches` and"
            " `splits` (HEST-Benchmark), or `st` and `patches` (HEST-1k); found"
            f" {', '.join(sorted(path.name for path in folder.iterdir())[:8]) or 'nothing'}."
        )
    return found


def _is_task(folder: Path) -> bool:
    return (folder / "adata").is_dir() and not is_hest1k(folder)


def is_hest1k(folder: Path) -> bool:
    """Return whether a folder is laid out as HEST-1k."""
    return (folder / "st").is_dir()


def samples_in(folder: Path) -> list[str]:
    """Return the ids of the samples of HEST-1k that lie in a folder, sorted."""
    return sorted(path.stem for path in (folder / "st").glob("*.h5ad"))


def read_task(folder: Path) -> Task:
    """Read the splits of a task, and check that all it names is there.

    Raises
    ------
    MissingFileError
        For a sample, a list of genes or a split file that is not there.
    SplitError
        For a fold whose train and test samples overlap, or that leaves samples out; for a sample
        that no fold of several tests.
    """
    splits = folder / "splits"
    tests = {path.stem.removeprefix("test_"): path for path in splits.glob("test_*.csv")}
    trains = {path.stem.removeprefix("train_"): path for path in splits.glob("train_*.csv")}
    numbers = [str(number) for number in range(max(len(tests), len(trains)))]
    for number in numbers or ["0"]:
        for kind, there in (("train", trains), ("test", tests)):
            if number not in there:
                raise MissingFileError(
                    f"The task {folder} lacks splits/{kind}_{number}.csv, of fold {number} of"
                    f" {len(numbers)}. Fetch the task again; folds are numbered from 0."
                )
    folds: dict[str, tuple[str, ...]] = {}
    every: set[str] = set()
    for number in numbers:
        train, test = _samples(trains[number]), _samples(tests[number])
        if both := sorted(set(train) & set(test)):
            raise SplitError(
                f"Fold {number} of {folder} trains on sample {both[0]!r} and tests it. Correct"
                f" splits/train_{number}.csv or test_{number}.csv."
            )
        if not train or not test:
            raise SplitError(f"Fold {number} of {folder} has no samples to train on, or to test.")
        if every and set(train) | set(test) != every:
            odd = sorted((set(train) | set(test)) ^ every)
            raise SplitError(
                f"Fold {number} of {folder} and fold 0 are not of the same samples ({odd[0]!r} is"
                " in one of them). Train and test of a fold cover all samples of the task."
            )
        every = set(train) | set(test)
        folds[number] = tuple(test)
    tested = {sample for test in folds.values() for sample in test}
    if len(folds) > 1 and (never := sorted(every - tested)):
        raise SplitError(
            f"Sample {never[0]!r} of {folder} is tested in none of {len(folds)} folds, and HEST's"
            " tasks test each sample once. The last folds may be missing: fetch the task again."
        )
    task = Task(folder, folder.resolve().name, tuple(sorted(every)), folds)
    _check_files(task)
    return task


def _samples(path: Path) -> list[str]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    if rows and "sample_id" not in rows[0]:
        raise SplitError(f"{path} has no column sample_id; found {', '.join(rows[0])}.")
    return [row["sample_id"] for row in rows]


def _check_files(task: Task) -> None:
    wanted = [f"adata/{sample}.h5ad" for sample in task.samples]
    wanted += [f"patches/{sample}.h5" for sample in task.samples]
    missing = [name for name in [*wanted, GENES] if not (task.folder / name).is_file()]
    if missing:
        raise MissingFileError(
            f"The task {task.folder} lacks {len(missing)} of {len(wanted) + 1} files:"
            f" {', '.join(missing[:3])}{' ...' if len(missing) > 3 else ''}. Fetch it again."
        )
