"""A described dataset is added: every slide is read, and the description kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from spared_bench.errors import DataError, PluginError, SparedBenchError, UsageError
from spared_bench.processing.given import GIVEN
from spared_bench.sources.alike import refuse_alike
from spared_bench.sources.compared import Compared
from spared_bench.sources.described import read
from spared_bench.sources.description import DESCRIPTION, Description, read_description
from spared_bench.sources.left_out import spots_left_out
from spared_bench.sources.mirrored import mirrored
from spared_bench.sources.next_steps import with_next_step
from spared_bench.sources.no_genes import require_genes
from spared_bench.sources.odd_counts import odd_counts
from spared_bench.sources.pictures import check_picture, refuse_preview
from spared_bench.sources.same_numbers import are_measured, refuse_same_numbers
from spared_bench.sources.same_spots import keep_prints
from spared_bench.sources.told_in_obs import lost_genes, refuse_joined, rows_of
from spared_bench.sources.unknown_names import (
    crossed_names,
    dated_names,
    dotted_names,
    unknown_names,
)
from spared_bench.sources.what_it_is import what_it_is
from spared_bench.specs import DatasetSpec

if TYPE_CHECKING:
    from anndata import AnnData


#: Settings of a slide that are 0 where they are not known, and that nobody means by writing 0.
_SIZES = ("um_per_px", "spot_diameter_px", "step_um", "thickness_um")


def add_description(
    path: Path, data_dir: Path, replace: bool = False, tell: Callable[[str], None] | None = None
) -> tuple[Description, Path]:
    """Check a description and its slides, and keep it where it is found from then on.

    ``tell`` is called with a sentence for each thing in doubt that is no reason to refuse a slide.

    Raises
    ------
    UsageError
        If another dataset of that name lies there, or one label is written in two ways.
    DataError
        If a slide cannot be read, or breaks the contract of raw slides, or its image cannot be
        decoded under the spots, or it has a label that is no class; or if slides do not belong
        together, or lack a gene that the description names (``Compared``).
    """
    from spared_bench.data import LABEL, SPATIAL, validate_raw_slide
    from spared_bench.readers.filled_places import require_places

    described = read_description(path)
    _refuse_zeros(described, path)
    _refuse_same_donors(described, path)
    folder = data_dir / described.name
    kept = folder / DESCRIPTION
    _refuse_known(kept, described, replace)
    found, doubts, compared = set[str](), list[str](), Compared(described.organism)
    for slide_id in described.slides:
        try:
            if image := described.slides[slide_id].image:
                refuse_preview(Path(image))  # on which spots lie elsewhere
            slide = read(described, folder, slide_id)
            validate_raw_slide(slide, slide_id, classes=described.classes)
            require_genes(slide)
            require_places(slide.obsm[SPATIAL], slide.obs_names)
            rows = rows_of(described, slide_id)
            refuse_joined([*map(str, slide.obs_names)], rows)
            compared.add(slide_id, slide)
            if table := described.slides[slide_id].labels:
                compared.add_labels(slide_id, slide, Path(table))
            if _is_read(slide):
                check_picture(Path(slide.uns["slide"]["image_path"]))
                compared.add_image(slide_id, slide)
                _decode_image(slide)
            found_odd = [
                *_doubts_about(slide, described.organism),
                *lost_genes(slide, rows),
                *spots_left_out(slide, described.format),
            ]
            doubts += [f"Slide {slide_id!r}: {doubt}" for doubt in found_odd]
        except DataError as error:
            path_of = Path(described.slides[slide_id].path)
            what = what_it_is(path_of, described.format)
            told = " ".join(filter(None, [with_next_step(str(error)), what]))
            raise type(error)(f"Slide {slide_id!r} of {path}: {told}") from error
        found |= set(slide.obs.get(LABEL, ())) - {""}
    try:
        compared.require_listed(described)
    except DataError as error:
        raise type(error)(f"{path}: {error}") from error
    if described.label_column and not described.classes:
        if not found:
            raise UsageError(
                f"{path}: no spot has a label in column {described.label_column!r}. Name another"
                " `label_column`, or leave it out."
            )
        described = described.model_copy(update={"classes": _classes(found, described, path)})
    _refuse_known(kept, described, replace)  # which another command may have added meanwhile
    _keep(kept, described, compared)
    if tell is not None:
        for doubt in [*doubts, *compared.lost_counts(), *compared.unlike_images()]:
            tell(doubt)
    return described, kept


def _keep(kept: Path, described: Description, compared: Compared) -> None:
    from spared_bench.lasting import write_lasting

    keep_prints(kept.parent, compared.prints)
    values = described.model_dump(mode="json", exclude_defaults=True)
    write_lasting(kept, yaml.safe_dump(values, sort_keys=False))


def _refuse_known(kept: Path, described: Description, replace: bool) -> None:
    """Refuse a name that another dataset has; the same one was added before, or interrupted."""
    if replace or not kept.exists():  # not the folder: a refused dataset may leave images in it
        return
    try:
        known = read_description(kept)
    except SparedBenchError:
        known = None
    if known is not None and not described.classes:  # which were found in the slides
        known = known.model_copy(update={"classes": ()})
    if known != described:
        raise UsageError(
            f"There is another dataset in {kept.parent} already. Choose another `name`, or replace"
            " it with `--replace`."
        )


def _classes(found: set[str], described: Description, path: Path) -> tuple[str, ...]:
    """Return the labels that occur, sorted.

    Raises
    ------
    UsageError
        If one class is written in two ways, or if they are no classes.
    """
    labels = sorted(found)
    if are_measured(labels):
        raise UsageError(
            f"{path}: column {described.label_column!r} holds {len(labels):,} different values"
            f" ({labels[0]}, for example), which were measured and are no classes. Name another"
            " `label_column`, or leave it out."
        )
    try:
        refuse_alike(labels, "labels")
        refuse_same_numbers(labels, "labels")
    except ValueError as error:
        raise UsageError(f"{path}: {error}.") from error
    return tuple(labels)


def _refuse_same_donors(described: Description, path: Path) -> None:
    """Refuse a donor whose number is written in two ways, who would be learned from and tested.

    Raises
    ------
    UsageError
    """
    entries = described.slides.items()
    try:
        refuse_same_numbers((entry.patient or name for name, entry in entries), "donors")
        refuse_same_numbers((entry.sample for _, entry in entries), "samples")
    except ValueError as error:
        raise UsageError(f"{path}: {error}.") from error


def _refuse_zeros(described: Description, path: Path) -> None:
    """Refuse a length that is written as 0, which would be taken for one that is not known.

    Raises
    ------
    UsageError
    """
    for slide_id, entry in described.slides.items():
        for key in _SIZES:
            if key in entry.model_fields_set and not getattr(entry, key):
                raise UsageError(
                    f"{path}: setting 'slides.{slide_id}.{key}': expected more than 0 (found 0)."
                    " Leave it out where it is not known."
                )


def _doubts_about(slide: AnnData, organism: str) -> list[str]:
    """Return a sentence for each thing of a slide that is odd, and may be right."""
    names = [*map(str, slide.var_names)]
    symbols = slide.var.get("gene_name", names)
    return [
        *unknown_names(names, organism),
        *dotted_names(names, organism),
        *dated_names([*dict.fromkeys([*names, *symbols])]),
        *crossed_names(names, list(symbols), organism),
        *odd_counts(slide),
        *mirrored(slide),
        *_doubts_about_image(slide.uns["slide"]),
    ]


def _doubts_about_image(facts: Mapping[str, Any]) -> list[str]:
    from spared_bench.processing.pixel_size import other_size

    if not facts["image_path"]:  # and whoever sees one in the file believes that it is used
        repairs = facts.get("repairs", ())
        return [note for note in repairs if "image" in note.casefold() and "used" in note]
    if facts.get(GIVEN):
        return []
    um_per_px = float(facts["um_per_px"]) / float(facts["image_scale"])
    return other_size(Path(facts["image_path"]), um_per_px)


def _is_read(slide: AnnData) -> bool:
    """Return whether there is an image, from which patches are cut."""
    facts = slide.uns["slide"]
    return bool(facts["image_path"] and not facts.get(GIVEN))


def _decode_image(slide: AnnData) -> None:
    """Refuse an image of which a part under the spots cannot be decoded, before anything runs."""
    import numpy as np

    from spared_bench.data import SPATIAL
    from spared_bench.processing.images import decode_at

    facts = slide.uns["slide"]
    centres = np.asarray(slide.obsm[SPATIAL]) * float(facts["image_scale"])
    decode_at(facts["image_path"], centres)


def described_spec(path: Path) -> DatasetSpec:
    """Return the spec of a kept description, which must carry the name of its folder."""
    found = read_description(path)
    if found.name != path.parent.name:
        raise PluginError(
            f"it describes dataset {found.name!r} in a folder named {path.parent.name!r}. Rename"
            " one of them."
        )
    return found.spec()
