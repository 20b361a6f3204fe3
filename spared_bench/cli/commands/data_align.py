"""``data align``, and the pictures of ``data show --aligned``."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import typer

from spared_bench.cli.common import (
    DATA_DIR,
    JSON,
    PLUGIN,
    PROTOCOL,
    WORKSPACE,
    bench_of,
    show_result,
)
from spared_bench.errors import UnknownNameError, UsageError

if TYPE_CHECKING:
    from spared_bench.bench import Bench
    from spared_bench.registration import Registration

_REGISTER = "How sections are aligned: none, centroid, rigid, affine or deformable."


def register(data_app: typer.Typer) -> None:
    """Add the command of this module to those of ``data``."""
    data_app.command("align")(align)


def align(
    name: str = typer.Argument(..., help="Name of a dataset."),
    method: str = typer.Option("", "--register", help=_REGISTER),
    transforms: Path | None = typer.Option(
        None, "--transforms", help="A YAML file of transforms by hand, to be kept and used."
    ),
    forget: bool = typer.Option(False, "--forget", help="Forget the transforms by hand."),
    protocol: str = PROTOCOL,
    workspace: Path | None = WORKSPACE,
    data_dir: Path | None = DATA_DIR,
    plugin: list[Path] = PLUGIN,
    as_json: bool = JSON,
) -> None:
    """Register the sections of each sample of a dataset, and say how good that is."""
    bench = bench_of(protocol, [name], workspace, data_dir, plugin)
    if transforms is not None and forget:
        raise UsageError("--transforms and --forget exclude each other. Give one of them.")
    if transforms is not None or forget:
        _keep(bench, name, transforms)
    bench.workspace.make_writable()
    found = registrations(bench, name, method)
    values = {sample: _described(each) for sample, each in found.items()}
    show_result(values, as_json, "\n".join(_lines(values)))


def _keep(bench: Bench, name: str, transforms: Path | None) -> None:
    """Keep a file of transforms where it is looked for, or take it away."""
    from spared_bench.registration.by_hand import read_transforms

    if transforms is None:
        bench.keep_by_hand(name, "")
        return
    known = [info.slide_id for info in bench.dataset(name).slides]
    for slide_id in read_transforms(transforms):
        if slide_id not in known:
            raise UnknownNameError("section", slide_id, known)
    bench.keep_by_hand(name, transforms.read_text(encoding="utf-8"))


def registrations(bench: Bench, name: str, method: str = "") -> dict[str, Registration]:
    """Return the registration of every sample of several sections, by ``method`` if it is given.

    Raises
    ------
    UsageError
        For a method that there is not, or if no sample has several sections.
    """
    from spared_bench.registration import Method
    from spared_bench.trials.placing import registration_of
    from spared_bench.trials.raw_slides import read_raw_slides

    known = bench.protocol.known
    method = method or (known.register_by if known else "rigid")
    if method not in get_args(Method):
        raise UnknownNameError("way of registering", method, get_args(Method))
    spec = bench.dataset(name)
    samples = dict.fromkeys(info.sample for info in spec.slides)
    several = [sample for sample in samples if len(bench.sections_of(name, sample)) > 1]
    if not several:
        raise UsageError(
            f"No sample of dataset {spec.name!r} has several sections, so there is nothing to"
            " align. Say which slides are sections of one sample (`sample`, `order` of its slides)."
        )
    for sample in several:
        infos = bench.sections_of(name, sample)
        orders = [info.order for info in infos]
        if None in orders or len(set(orders)) < len(orders):
            told = ", ".join(f"{info.slide_id}: {info.order}" for info in infos)
            raise UsageError(
                f"The sections of sample {sample!r} are in no order ({told}). Give each its place"
                " along z (`order` of its slide)."
            )

    @cache
    def slides() -> Any:
        return read_raw_slides(bench, name)

    return {sample: registration_of(bench, name, sample, slides, method) for sample in several}


def draw(bench: Bench, name: str, out: Path, method: str = "") -> list[Path]:
    """Draw the sections of every sample, registered by ``method``; see ``draw_aligned``."""
    from spared_bench.reports.aligned_figures import draw_aligned
    from spared_bench.trials.raw_slides import read_raw_slides

    found, slides = registrations(bench, name, method), read_raw_slides(bench, name)
    written: list[Path] = []
    for sample, each in found.items():
        written += draw_aligned(slides, each, out, f"{name}_{sample}".replace("/", "_"))
    return written


def _described(found: Registration) -> dict[str, Any]:
    return {
        "reference": found.reference,
        "notes": list(found.notes),
        "sections": {
            name: {
                "matrix": each.matrix.tolist(),
                "to": each.to,
                "how": each.how,
                **each.quality.as_dict(),
            }
            for name, each in found.sections.items()
        },
    }


def _lines(values: dict[str, Any]) -> list[str]:
    lines = []
    for sample, found in values.items():
        lines.append(f"{sample}: in the frame of {found['reference']}")
        lines += [f"  {note}" for note in found["notes"]]
        for name, each in found["sections"].items():
            numbers = ", ".join(
                f"{what} {each[what]:.2f}"
                for what in ("dice", "correlation", "margin")
                if each[what] is not None
            )
            state = "" if each["good"] else f"  IN DOUBT: {'; '.join(each['reasons'])}"
            line = f"  {name} on {each['to']} ({each['how']})"
            lines.append(f"{line}: {numbers}{state}" if numbers else line)
    return lines
