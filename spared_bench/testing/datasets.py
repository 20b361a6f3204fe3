"""What every dataset promises; its files must be there."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from spared_bench.data import SPATIAL, validate_raw_slide
from spared_bench.data.raw_counts import require_counts
from spared_bench.registry import Registered, Registry
from spared_bench.specs import DatasetSpec
from spared_bench.testing.checks import (
    Check,
    CheckSkipped,
    checks_of,
    describes_itself,
    importing_is_light,
    registered,
    require,
)
from spared_bench.trials.raw_slides import read_slide

if TYPE_CHECKING:
    from anndata import AnnData


def dataset_checks(
    name: str, registry: Registry | None = None, data_dir: Path | None = None
) -> list[Check]:
    """Return the checks of a dataset.

    Parameters
    ----------
    name : str
    registry : Registry, optional
    data_dir : Path, optional
        Where its folder is; that of the default workspace otherwise, and a temporary one for
        generated data.
    """
    subject = _Subject(registered("dataset", name, registry), data_dir)
    return checks_of(_CHECKS, subject)


class _Subject:
    """A dataset under examination; its first slide is read once for all checks."""

    def __init__(self, entry: Registered, data_dir: Path | None) -> None:
        self.entry = entry
        self.spec = cast(DatasetSpec, entry.spec)
        self._data_dir = data_dir

    @cached_property
    def folder(self) -> Path:
        from spared_bench.sources.fetch import dataset_folder
        from spared_bench.workspace import Workspace

        if self.spec.synthetic and self._data_dir is None:
            self._scratch = tempfile.TemporaryDirectory(prefix="spared-bench-")  # noqa: TID251
            return Path(self._scratch.name)
        folder = dataset_folder(self.spec, Workspace.at(None, self._data_dir).data_dir)
        if not self.spec.synthetic and not (folder.is_dir() and any(folder.iterdir())):
            raise CheckSkipped(f"its files are not in {folder}")
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def read(self, slide_id: str) -> AnnData:
        return read_slide(self.entry, self.folder, slide_id)

    @cached_property
    def first(self) -> AnnData:
        return self.read(self.spec.slides[0].slide_id)


def _light(subject: _Subject) -> None:
    importing_is_light(subject.entry)


def _described(subject: _Subject) -> None:
    wanted = ("summary", "organism", "tissue", "technology", "licence")
    describes_itself(subject.entry, wanted)


def _donors(subject: _Subject) -> None:
    unnamed = [slide.slide_id for slide in subject.spec.slides if not slide.patient_id]
    require(
        not unnamed,
        f"slides {', '.join(unnamed[:5])} name no donor (patient_id), so nobody can tell whether"
        " the test is independent.",
    )


def _pinned(subject: _Subject) -> None:
    if not subject.spec.files:
        raise CheckSkipped("nothing is downloaded")
    loose = [file.path or file.url for file in subject.spec.files if not file.sha256]
    if loose:
        more = f" (and {len(loose) - 1} more)" if len(loose) > 1 else ""
        raise CheckSkipped(
            f"{loose[0]}{more} has no sha256, so the first download is believed, and its hash holds"
            " from then on. Give the hash where the source publishes one; make none up"
        )


def _slides(subject: _Subject) -> None:
    for info in subject.spec.slides:
        slide, spec = subject.read(info.slide_id), subject.spec
        if spec.raw_counts:
            where = f"X of slide {info.slide_id!r}"
            require_counts(slide.X, slide.obs_names, slide.var_names, where)
        validate_raw_slide(slide, info.slide_id, spec.raw_counts, spec.classes)


def _again(subject: _Subject) -> None:
    from scipy.sparse import csr_matrix

    first, second = subject.first, subject.read(subject.spec.slides[0].slide_id)
    equal = (
        list(first.obs_names) == list(second.obs_names)
        and list(first.var_names) == list(second.var_names)
        and abs(csr_matrix(first.X) - csr_matrix(second.X)).sum() == 0
        and np.array_equal(first.obsm[SPATIAL], second.obsm[SPATIAL])
    )
    require(equal, "reading a slide twice gives different slides.")


def _image(subject: _Subject) -> None:
    from spared_bench.processing.images import image_size

    facts = subject.first.uns["slide"]
    if not facts["image_path"]:
        raise CheckSkipped("it has no image: it can be prepared and completed, and not predicted")
    width, height = image_size(Path(facts["image_path"]))
    centres = np.asarray(subject.first.obsm[SPATIAL]) * float(facts["image_scale"])
    inside = (centres >= 0).all() and (centres <= [width, height]).all()
    require(
        inside,
        f"spot centres reach {centres.max(axis=0).round().tolist()} px, and the image is {width} x"
        f" {height}: x and y are swapped, or image_scale is wrong.",
    )


_CHECKS: dict[str, Callable[[_Subject], None]] = {
    "its module imports nothing heavy": _light,
    "its spec describes it": _described,
    "every slide names its donor": _donors,
    "every download has a hash": _pinned,
    "every slide is a raw slide": _slides,
    "reading twice gives the same": _again,
    "the image covers the spots": _image,
}
