"""Datasets without what a method must not know, for a process that is shut in to do its job."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spared_bench.bench import Bench
from spared_bench.data.views import View
from spared_bench.keys.hashing import digest
from spared_bench.sources.imageless import no_images
from spared_bench.trials.fresh_reader import with_reader
from spared_bench.trials.guests import confined, import_reader, is_strict
from spared_bench.trials.products import cut_all_patches, keep, prepare, read_table
from spared_bench.trials.views import places_of

if TYPE_CHECKING:
    from anndata import AnnData

#: The largest datasets take minutes.
_PREPARING_SECONDS = 6 * 3600.0


def write_blind(bench: Bench, name: str, path: Path, views: Iterable[View]) -> dict[str, Any]:
    """Write a prepared dataset without the expression of test slides, for a process shut in.

    Returns
    -------
    dict
        ``missing``, the share of entries without a measurement, of all slides; ``needed``, the
        folders of patches and views, and the images that these are windows of; ``without``, the
        slides that have no image, for which there are none.
    """
    prepared = prepare(bench, name)
    prepared.adata.write_h5ad(path)
    without = cut_all_patches(bench, name, views)
    places = [] if without else places_of(bench, name, [bench.patch_view, *views])
    return {"missing": prepared.missing_fraction, "needed": places, "without": without}


def adopt_blind(bench: Bench, name: str, path: Path, told: Mapping[str, Any]) -> None:
    """Take what ``write_blind`` has written for the prepared dataset of this process."""

    def slides() -> dict[str, AnnData]:
        raise no_images(bench.dataset(name), bench.folder(name), told["without"])

    keep(bench, name, read_table(path), float(told["missing"]), slides)


def confine(
    bench: Bench,
    dataset: str,
    key: str,
    make: Callable[[Path], Any],
    shown: Iterable[Path] = (),
    views: Iterable[View] = (),
) -> Callable[[Path], Any]:
    """Return what makes an entry; in a strict run of a stranger's method, where it reads no truth.

    Parameters
    ----------
    bench : Bench
    dataset, key : str
        Of the entry.
    make : callable
        Writes into the folder that it is given; returns what JSON can hold.
    shown : iterable of Path
        Other entries that it reads.
    views : iterable of View
        That the method declares.
    """
    if not is_strict(bench):
        return make
    wanted = list(views)

    def take_truth_out(path: Path) -> dict[str, Any]:
        import_reader(bench, dataset)
        return write_blind(bench, dataset, path, wanted)

    def adopt(path: Path, told: Mapping[str, Any]) -> None:
        adopt_blind(bench, dataset, path, told)

    return lambda folder: confined(bench, key, folder, make, take_truth_out, adopt, shown)


def prepared_here(bench: Bench, dataset: str) -> None:
    """Let another process prepare a dataset that is gone, if its reader is not imported here."""
    made = bench.workspace.store.has("prepared", digest(bench.prepared_inputs(dataset)))
    if not made and bench.registry.get("dataset", dataset).told is not None:
        with_reader(bench, dataset, f"{__name__}:prepare_only", _PREPARING_SECONDS)


def prepare_only(bench: Bench, dataset: str) -> None:
    """Prepare a dataset, and return nothing."""
    prepare(bench, dataset)
