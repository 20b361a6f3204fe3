"""How ``list datasets`` and ``info NAME`` show a dataset."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from spared_bench.cli.common import print_table
from spared_bench.cli.terminal import echo
from spared_bench.registry import Registered
from spared_bench.specs import SPLITS, DatasetSpec, Spec
from spared_bench.workspace import Workspace

DATASET_COLUMNS = [
    "name",
    "organism",
    "tissue",
    "task",
    "tier",
    "slides",
    "spots",
    "licence",
    "on disk",
    "summary",
]
_TIERS = {
    "A": "tested on other donors",
    "B": "tested on other sections of donors that it learns from",
    "C": "no test split: scores are of the validation slides",
}


class Disk:
    """What of the datasets is on disk, for one workspace."""

    def __init__(self, workspace: Path | None, data_dir: Path | None) -> None:
        self._data_dir = Workspace.at(workspace, data_dir).data_dir

    def state(self, spec: DatasetSpec) -> tuple[str, int]:
        """Return the state of ``spared_bench.sources.fetched.on_disk`` and the fetched bytes."""
        from spared_bench.sources.fetched import on_disk

        return on_disk(spec, self.folder(spec))

    def folder(self, spec: DatasetSpec) -> Path:
        """Return where its files are or would be; they may also be in a package."""
        return self._data_dir / (spec.storage or spec.name)


def print_datasets(specs: Sequence[Spec], disk: Disk) -> None:
    """Print the table of ``list datasets``."""
    print_table(DATASET_COLUMNS, [dataset_row(spec, disk) for spec in specs])
    if any(isinstance(spec, DatasetSpec) and not spec.donors_verified for spec in specs):
        echo("* The donors are not verified; `spared-bench info NAME` says what they are.")


def dataset_row(spec: Spec, disk: Disk) -> list[str]:
    """Return one line of ``list datasets``."""
    assert isinstance(spec, DatasetSpec)
    return [
        spec.name,
        spec.organism,
        spec.tissue,
        spec.task.partition("_")[0],
        spec.tier + ("" if spec.donors_verified else "*"),
        str(len(spec.slides)),
        f"{spec.n_spots:,}" if spec.n_spots else "",
        spec.licence or "not stated",
        _on_disk(spec, disk),
        spec.summary,
    ]


def _on_disk(spec: DatasetSpec, disk: Disk) -> str:
    from spared_bench.cli.fetch_progress import readable_size

    state, size = disk.state(spec)
    return f"{state}, {readable_size(size)}" if size else state


def print_dataset(entry: Registered, disk: Disk) -> None:
    """Show all that is known of a dataset, a paragraph for each kind of thing."""
    spec = entry.spec
    assert isinstance(spec, DatasetSpec)
    others = ", ".join(spec.aliases)
    echo(f"dataset {spec.name}{f' ({others})' if others else ''}: {spec.summary}")
    _print_facts(_facts(entry, spec, disk))
    _print_splits(spec)
    if spec.parameters:
        echo("\nParameters that a protocol may take from it")
        _print_facts({key: str(value) for key, value in spec.parameters.items()})
    _print_sources(spec)
    if spec.published:
        doubt = "; ?: probably not its own" if spec.suspect else ""
        echo(f"\nPublished scores ({spec.evaluation_split} split{doubt})")
        _print_scores(spec)
    if spec.notes:
        echo("\nNotes")
        for note in spec.notes:
            echo(f"  - {note}")


def _facts(entry: Registered, spec: DatasetSpec, disk: Disk) -> dict[str, str]:
    folder = spec.folder or ("" if spec.synthetic else str(disk.folder(spec)))
    state = _on_disk(spec, disk) or "nothing yet"
    return {
        "organism": spec.organism,
        "tissue": spec.tissue,
        "technology": spec.technology,
        "image": spec.image if spec.image == "H&E" else f"{spec.image}, not H&E",
        "values": "raw counts" if spec.raw_counts else "NORMALISED by the source: no raw counts",
        "task": spec.task.replace("_", " "),
        "classes of spots": ", ".join(spec.classes),
        "spots": f"{spec.n_spots:,} as published" if spec.n_spots else "",
        "tier": f"{spec.tier}: {_TIERS[spec.tier]}",
        "donors": "" if spec.donors_verified else f"not verified ({_stand_in(entry)})",
        "never ranked with": ", ".join(spec.conflicts_with),
        "on disk": f"{state} ({folder})" if folder else state,
        "licence": spec.licence or "not stated by the sources read: ask before you redistribute",
        "citation": spec.citation,
        "from": f"{entry.plugin.distribution} {entry.plugin.version}".strip(),
    }


def _stand_in(entry: Registered) -> str:
    """Say what stands for donors that are not verified."""
    from spared_bench.sources.description import FACTORY as DESCRIBED

    if entry.spec.factory == DESCRIBED:
        return "as described; `donors_verified: true` in the YAML says that they are known"
    return "as its plugin labels them, without saying that they are known"


def _print_facts(facts: dict[str, str]) -> None:
    for key, value in facts.items():
        if value:
            echo(f"  {key:<20}{value}")


def _print_splits(spec: DatasetSpec) -> None:
    donors = {slide.slide_id: slide.patient_id or slide.slide_id for slide in spec.slides}
    rows = []
    for split in SPLITS:
        grouped: dict[str, list[str]] = {}
        for slide_id in spec.split.get(split, ()):
            grouped.setdefault(donors[slide_id], []).append(slide_id)
        rows += [[split, donor, " ".join(slides)] for donor, slides in grouped.items()]
    echo("\nSplits")
    _print_indented(["split", "donor", "slides"], rows)
    if spec.shared_donors:
        echo(f"  In test and in another split: {', '.join(spec.shared_donors)}.")


def _print_sources(spec: DatasetSpec) -> None:
    if not (spec.links or spec.files):
        return
    echo("\nSources")
    for link in spec.links:
        echo(f"  {link}")
    for file in spec.files:
        place = f" -> {file.path}" if file.path else ""
        echo(f"  {file.url}{place}{' (unpacked)' if file.unpack else ''}")


def _print_scores(spec: DatasetSpec) -> None:
    methods = list(dict.fromkeys(m for scores in spec.published.values() for m in scores))

    def cell(scores: Any, method: str) -> str:
        doubt = " ?" if method in spec.suspect else ""
        return f"{scores[method]:.4g}{doubt}" if method in scores else ""

    rows = [[m, *(cell(scores, m) for scores in spec.published.values())] for m in methods]
    _print_indented(["method", *spec.published], rows)


def _print_indented(columns: list[str], rows: list[list[str]]) -> None:
    print_table([f"  {columns[0]}", *columns[1:]], [[f"  {row[0]}", *row[1:]] for row in rows])
