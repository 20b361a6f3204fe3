"""Folders of HEST as datasets: tasks with their folds, samples of HEST-1k with donors left out."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from spared_bench.errors import ContractError, SplitError, UsageError
from spared_bench.sources.adding import add_description
from spared_bench.sources.hest import GENES, SCHEME, Task, is_hest1k, samples_in, tasks_in
from spared_bench.store.processes import scratch_folder
from spared_bench.strict import MAX_BYTES
from spared_bench.words import counted

#: The folder of the tasks that are registered already.
_BENCHMARK = "hest-bench"
#: In place of a donor that metadata do not name.
_NOT_SAID = "donor not said"
#: Test samples of each fold, by its number.
Folds = Mapping[str, Sequence[str]]
_SPECIES = {"Homo sapiens": "human", "Mus musculus": "mouse"}


def add_hest(
    folder: Path,
    data_dir: Path,
    folds_of: Callable[[str], Folds | None],
    replace: bool = False,
    tell: Callable[[str, str], None] | None = None,
) -> dict[str, str]:
    """Make datasets of a folder in the layout of HEST.

    Tasks that a plugin registers are used from where they are, by a link; others become datasets
    of their own, ``hest_<name>``, with the scheme of folds ``fold``. The samples of HEST-1k become
    one dataset, ``hest1k``, with the scheme of folds ``donor``.

    Parameters
    ----------
    folder, data_dir : Path
    folds_of : callable
        The folds of the dataset that a plugin registers by a name; ``None`` where none does.
    replace : bool
        Whether datasets of those names are replaced.
    tell : callable, optional
        Gets the name of a dataset that is made, and a sentence for each thing in doubt.

    Returns
    -------
    dict of str to str
        Name of each dataset, and what was done.

    Raises
    ------
    UsageError
        If the folder is in neither layout, or the datasets are there already.
    DataError
        If files are missing or damaged, or do not match; if a task has other folds than the
        registered one of its name, by which it would be tested.
    """
    folder = folder.expanduser().resolve()
    tasks = tasks_in(folder)
    told: dict[str, str] = {}
    known = []
    for task in tasks:
        if (folds := folds_of(_name(task))) is not None:
            _require_folds(task, folds)
            known.append(task)
    if known:
        told |= _linked(folder, known, data_dir, replace)
    for task in tasks:
        if task not in known:
            told[_name(task)] = _described(_task_description(task), data_dir, replace, tell)
    if not tasks and is_hest1k(folder):
        description = _samples_description(folder)
        told["hest1k"] = _described(description, data_dir, replace, tell)
        donors = [slide["patient"] for slide in description["slides"].values()]
        if unknown := sum(donor.endswith(_NOT_SAID) for donor in donors):
            told["hest1k"] += (
                f"; metadata name no donor of {counted(unknown, 'sample')}, so those of one study"
                " are taken for one donor's"
            )
    return told


def _name(task: Task) -> str:
    return f"hest_{task.name.lower()}"


def _require_folds(task: Task, registered: Folds) -> None:
    """Refuse splits that nobody would read: a registered task is tested by its own folds."""
    here = {number: sorted(test) for number, test in task.folds.items()}
    there = {number: sorted(test) for number, test in registered.items()}
    if here == there:
        return
    number = next(n for n in sorted(here | there) if here.get(n) != there.get(n))
    tested, wanted = (", ".join(each.get(number, ())) or "nothing" for each in (here, there))
    raise SplitError(
        f"Fold {number} of {task.folder} tests {tested}, and that of the registered dataset"
        f" {_name(task)!r} tests {wanted}, by which it would be scored. Fetch the published task,"
        " or give the folder another name: it becomes a dataset of its own, with its own folds."
    )


def _linked(folder: Path, tasks: list[Task], data_dir: Path, replace: bool) -> dict[str, str]:
    """Let the registered tasks be found where they are."""
    root = tasks[0].folder.parent
    link = data_dir / _BENCHMARK
    if link.is_symlink() and replace:
        link.unlink()
    if link.is_dir() and not link.is_symlink() and _has_notes_only(link):
        shutil.rmtree(link)  # what a download that came to nothing has left
    if link.is_symlink() and link.resolve() == root:
        pass
    elif link.exists() or link.is_symlink():
        raise UsageError(
            f"There are files of HEST-Benchmark in {link} already. Put the tasks there, or remove"
            f" it{' (a link: `--replace` does)' if link.is_symlink() else ''}."
        )
    else:
        data_dir.mkdir(parents=True, exist_ok=True)
        link.symlink_to(root, target_is_directory=True)
    return {
        _name(task): (
            f"{counted(len(task.samples), 'sample')}, {counted(len(task.folds), 'fold')},"
            f" from {task.folder}"
        )
        for task in tasks
    }


def _has_notes_only(folder: Path) -> bool:
    return all(path.name.startswith(".") for path in folder.iterdir())


def _task_description(task: Task) -> dict[str, Any]:
    first = next(iter(task.folds.values()))
    return {
        "name": _name(task),
        "format": "hest",
        "organism": "human",
        "summary": f"HEST task {task.name}, {counted(len(task.samples), 'sample')}",
        "slides": {
            sample: {
                "path": str(task.folder / "adata" / f"{sample}.h5ad"),
                "patches": str(task.folder / "patches" / f"{sample}.h5"),
                "genes": str(task.folder / GENES),
            }
            for sample in task.samples
        },
        "split": {
            "train": [sample for sample in task.samples if sample not in first],
            "test": list(first),
        },
        "folds": {SCHEME: {number: list(test) for number, test in task.folds.items()}},
        "allow_shared_donors": True,
    }


def _samples_description(folder: Path) -> dict[str, Any]:
    """Describe all samples of a folder, by their metadata; each donor is tested once."""
    samples = samples_in(folder)
    facts = {sample: _metadata(folder, sample) for sample in samples}
    species = {str(each.get("species", "")) for each in facts.values()} - {""}
    if len(species) > 1:
        raise UsageError(
            f"{folder} holds samples of {' and '.join(sorted(species))}, which are no one dataset."
            " Put those of one species into a folder."
        )
    donors: dict[str, list[str]] = {}
    for sample in samples:
        donors.setdefault(_donor(facts[sample]), []).append(sample)
    if len(donors) < 2:
        raise UsageError(
            f"{folder} holds samples of {len(donors)} donor ({', '.join(donors)}, by study and"
            " patient in metadata); at least two are needed, one to learn from and one to test. Add"
            " samples of another, or metadata/{id}.json where they are missing."
        )
    names = sorted(donors)
    test = donors[names[-1]]
    slides: dict[str, dict[str, str]] = {}
    for sample in samples:
        files = {
            "path": folder / "st" / f"{sample}.h5ad",
            "patches": folder / "patches" / f"{sample}.h5",
            "metadata": folder / "metadata" / f"{sample}.json",
            "image": folder / "wsis" / f"{sample}.tif",
        }
        there = {key: str(path) for key, path in files.items() if path.is_file()}
        if "patches" not in there and "image" not in there:
            raise ContractError(
                f"Sample {sample!r} of {folder} has neither patches ({files['patches']}) nor a"
                " slide (wsis). Fetch one of them."
            )
        slides[sample] = there | {"patient": _donor(facts[sample])}
    return {
        "name": "hest1k",
        "format": "hest",
        "organism": _SPECIES.get(next(iter(species), ""), next(iter(species), "human")),
        "summary": f"{counted(len(samples), 'sample')} of HEST-1k",
        "slides": slides,
        "split": {"train": [s for s in samples if s not in test], "test": list(test)},
        "folds": {"donor": {str(at): list(donors[name]) for at, name in enumerate(names)}},
        "allow_shared_donors": True,
    }


def _metadata(folder: Path, sample: str) -> dict[str, Any]:
    path = folder / "metadata" / f"{sample}.json"
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise ContractError(f"{path} is no JSON: {error}. Fetch it again.") from error
    return found if isinstance(found, dict) else {}


def _donor(facts: dict[str, Any]) -> str:
    """Return study and donor; all samples of a study that name none may be of one."""
    study, patient = facts.get("dataset_title"), facts.get("patient")
    if isinstance(patient, float) and patient.is_integer():  # of a table with blanks
        patient = int(patient)
    said = str(patient).strip() if isinstance(patient, str | int) else ""  # blank: nan
    return f"{str(study or '')[:150]} / {said or _NOT_SAID}"[:200]


def _described(
    values: dict[str, Any],
    data_dir: Path,
    replace: bool,
    tell: Callable[[str, str], None] | None,
) -> str:
    text = yaml.safe_dump(values, sort_keys=False)
    if len(text) > MAX_BYTES:
        raise UsageError(
            f"{len(values['slides'])} samples are more than one dataset is described with (a"
            f" description of {MAX_BYTES:,} bytes). Put those of one organ or study into a folder."
        )
    with scratch_folder() as folder:
        path = folder / f"{values['name']}.yaml"
        path.write_text(text, encoding="utf-8")
        told = partial(tell, values["name"]) if tell else None
        described, kept = add_description(path, data_dir, replace, told)
    return f"{counted(len(described.slides), 'sample')}, described in {kept}"
