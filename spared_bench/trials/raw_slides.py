"""The raw slides of a dataset, as its reader hands them on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from spared_bench.bench import Bench
from spared_bench.data import validate_raw_slide
from spared_bench.data.raw_counts import require_counts
from spared_bench.errors import ContractError, PluginError, SparedBenchError, told_with_place
from spared_bench.guard import TooLong, bounded, guarded
from spared_bench.processing.given import has_given
from spared_bench.registry import Registered
from spared_bench.sources.imageless import no_images

if TYPE_CHECKING:
    from anndata import AnnData

#: Of a stranger's reader, for one slide: the largest take minutes.
_SECONDS_AT_MOST = 3600.0


def read_slide(entry: Registered, folder: Path, slide_id: str) -> AnnData:
    """Return what the reader of a dataset makes of a slide, in memory.

    Raises
    ------
    ContractError
        If that is no AnnData.
    PluginError
        If a stranger's reader fails otherwise than by one of our errors, or takes an hour.
    """
    from anndata import AnnData

    reader = entry.load()
    whose = f"The reader of dataset {entry.spec.name!r} ({entry.spec.factory})"
    try:
        with guarded() if entry.plugin.is_ours else bounded(whose, _SECONDS_AT_MOST):
            slide = reader(folder, slide_id)
    except (SparedBenchError, MemoryError):
        raise
    except TooLong as error:
        raise PluginError(f"{error}, of slide {slide_id!r}. It is given up.") from error
    except Exception as error:
        if entry.plugin.is_ours:
            raise
        raise PluginError(
            f"{whose} failed on slide {slide_id!r}: {told_with_place(error)}."
        ) from error
    if not isinstance(slide, AnnData):
        lacks = " Does it lack a `return`?" if slide is None else ""
        raise ContractError(
            f"{whose} returned {'None' if slide is None else type(slide).__name__} for slide"
            f" {slide_id!r}; expected an AnnData.{lacks}"
        )
    return slide.to_memory() if slide.isbacked else slide


def read_raw_slides(bench: Bench, name: str, only: Sequence[str] = ()) -> dict[str, AnnData]:
    """Read and check the raw slides of a dataset, in the order of its spec; all by default."""
    entry = bench.registry.get("dataset", name)
    folder, spec = bench.folder(name), bench.dataset(name)
    folder.mkdir(parents=True, exist_ok=True)  # where slides are generated, they are kept there
    slides = {}
    for info in spec.slides:
        if only and info.slide_id not in only:
            continue
        slide = read_slide(entry, folder, info.slide_id)
        if spec.raw_counts:
            where = f"X of slide {info.slide_id!r}"
            require_counts(slide.X, slide.obs_names, slide.var_names, where)
        validate_raw_slide(slide, info.slide_id, spec.raw_counts, spec.classes)
        slide.uns["slide"]["modality"] = spec.image
        slides[info.slide_id] = slide
    return slides


def without_image(slides: Mapping[str, AnnData]) -> list[str]:
    """Return the ids of slides that have neither an image nor patches."""
    return [
        slide_id
        for slide_id, slide in slides.items()
        if not slide.uns["slide"]["image_path"] and not has_given(slide.uns["slide"])
    ]


def require_images(bench: Bench, name: str, slides: Mapping[str, AnnData]) -> None:
    """Refuse a dataset of which a slide has no image, where images are to be cut.

    Raises
    ------
    ImageError
    """
    if without := without_image(slides):
        raise no_images(bench.dataset(name), bench.folder(name), without)
