"""Short traces of predictions, by which a copy is found without keeping the prediction.

Per gene, ranks within each slide, so that no monotone change of the values hides a copy:

- *smooth*: ranks averaged over a spot and its nearest ones, without what the truth (averaged
  likewise) explains of them: how two methods err alike, with noise of single spots averaged out;
- *shape*: ranks without the spot's mean over genes, which all methods share that see how dense the
  tissue is. Compared gene by gene, and each gene with that which is nearest (permuted genes);
- *quantiles*: of the standardised values, which stay when spots are permuted.

The first two are kept as count sketches (Charikar, Chen and Farach-Colton, ICALP 2002,
doi:10.1007/3-540-45465-9_59): every spot gets a random sign and one of 256 places, and what falls
on a place is summed, in steps of 1/127. The correlation of two genes is then known to about 0.06,
its median over genes to about 0.01; up to 256 spots it is exact but for the steps. Signs and places
come from the hash of the dataset: traces of the same dataset compare, others do not.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from spared_bench.errors import SparedBenchError
from spared_bench.lasting import write_lasting
from spared_bench.ordinary import read_json
from spared_bench.submissions.truth import Truth

TRACES = "traces.json"
WIDTH = 256
MOST_GENES = 64  # of an entry, evenly spaced; a submission that is checked has all of its own
NEIGHBOURS = 18
_QUANTILES = 16
LEAST_GENES = 3
SAME = 0.02 / np.sqrt(_QUANTILES)  # of quantiles scaled to length 1: 0.02 deviations
LEAST_SPOTS = 100  # of so few, averaged over near ones, one or a few of many others explain much
#: *Smooth* of a gene that is copied, whatever the other genes are. Of methods of the demo that
#: learned apart, the most alike have 0.995 in their most alike gene.
_COPIED, _FEW_COPIED = 0.998, 3
_MAX_BYTES = 80_000_000
_FOLDER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_+.-]{0,63}@[A-Za-z0-9][A-Za-z0-9_+.-]{0,63}")


@dataclass(frozen=True)
class Trace:
    """What is kept of one prediction.

    Parameters
    ----------
    genes : ndarray of int, of shape (n_kept,)
        Columns of the dataset.
    smooth, shape : ndarray of float32, of shape (n_kept, width)
        Rows of length 1; zeros for a gene without variation.
    quantiles : ndarray of float32, of shape (n_kept, 16)
        Likewise.
    parts : ndarray of int8, of shape (n_slides, n_few, width)
        *shape* of each slide, of the genes that an entry keeps; none where it was read, or there is
        one slide.
    shares : ndarray of shape (n_slides,)
        Of the spots, in each slide.
    """

    genes: np.ndarray
    smooth: np.ndarray
    shape: np.ndarray
    quantiles: np.ndarray
    parts: np.ndarray = field(default_factory=lambda: np.zeros((0, 0, 0), np.int8))
    shares: np.ndarray = field(default_factory=lambda: np.zeros(0))


@dataclass(frozen=True)
class Likeness:
    """How alike two predictions are: medians over genes, in [-1, 1]; nan where none varies.

    Parameters
    ----------
    smooth, shape : float
        Correlations gene by gene.
    nearest : float
        Of *shape*, each gene with the one that is most like it.
    spread : float
        Share of genes whose quantiles are the same, to 0.02 standard deviations.
    copied : float
        Share of genes whose *smooth* is the same; 0 for fewer than three.
    """

    smooth: float
    shape: float
    nearest: float
    spread: float
    copied: float


def neighbours(truth: Truth) -> list[np.ndarray]:
    """Return the nearest spots of each spot, itself included, per slide: (n_spots, n_near)."""
    from scipy.spatial import cKDTree

    found = []
    for rows in truth.slides:
        near = min(NEIGHBOURS + 1, len(rows))
        _, index = cKDTree(truth.places[rows]).query(truth.places[rows], k=near)
        found.append(index.reshape(len(rows), near))
    return found


def trace(prediction: np.ndarray, truth: Truth, near: list[np.ndarray] | None = None) -> Trace:
    """Return the trace of a prediction.

    Parameters
    ----------
    prediction : ndarray of shape (n_spots, n_genes)
    truth : Truth
    near : list of ndarray, optional
        What ``neighbours`` returns, where several predictions are traced.
    """
    from scipy.stats import rankdata

    smooth, shape = np.zeros(prediction.shape), np.zeros(prediction.shape)
    for rows, index in zip(truth.slides, near or neighbours(truth), strict=True):
        ranks = _centred(rankdata(prediction[rows], axis=0))
        shape[rows] = _evened(_without(ranks, ranks.mean(axis=1, keepdims=True)))
        wanted = _averaged(rankdata(truth.target[rows], axis=0), index)
        smooth[rows] = _evened(_without(_averaged(ranks, index), _centred(wanted)))
    spread = np.quantile(prediction, np.linspace(0, 1, _QUANTILES), axis=0)
    return Trace(
        np.arange(prediction.shape[1]),
        _sketched(smooth, truth.hash),
        _sketched(shape, truth.hash),
        unit(_centred(spread).T).astype(np.float32),
        _parts(shape, truth),
        np.array([len(rows) / len(prediction) for rows in truth.slides]),
    )


def _parts(shape: np.ndarray, truth: Truth) -> np.ndarray:
    if len(truth.slides) < 2:
        return np.zeros((0, 0, 0), np.int8)
    kept = shape[:, kept_genes(shape.shape[1])]
    found = []
    for rows in truth.slides:
        alone = np.zeros(kept.shape)
        alone[rows] = kept[rows]
        found.append(_steps(_sketched(alone, truth.hash)))
    return np.stack(found)


def kept_genes(n_genes: int) -> slice:
    """Return which genes an entry keeps."""
    return slice(None, None, max(1, -(-n_genes // MOST_GENES)))


def _evened(values: np.ndarray) -> np.ndarray:
    """Let every slide count by its spots, however far its columns vary."""
    length = np.linalg.norm(values, axis=0)
    wanted = np.sqrt(len(values))
    return values * np.divide(wanted, length, out=np.zeros(len(length)), where=length > 1e-6)


def _averaged(values: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Average over a spot's nearest ones, a few spots at a time."""
    step = max(1, 2**22 // (index.shape[1] * values.shape[1]))
    parts = [values[index[at : at + step]].mean(axis=1) for at in range(0, len(index), step)]
    return np.concatenate(parts)


def _centred(values: np.ndarray) -> np.ndarray:
    return values - values.mean(axis=0)


def _without(values: np.ndarray, explaining: np.ndarray) -> np.ndarray:
    """Return what a column (or a column for each) does not explain of columns, by least squares."""
    total = np.square(explaining).sum(axis=0)
    slope = np.divide((values * explaining).sum(axis=0), total, out=np.zeros(values.shape[1]),
                      where=np.broadcast_to(total > 1e-9, values.shape[1]))  # fmt: skip
    return values - slope * explaining


def unit(rows: np.ndarray) -> np.ndarray:
    """Return rows of length 1, (n_rows, width); zeros for those that are nearly 0."""
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    # Constant columns leave rounding errors, which are no trace of anything.
    return np.divide(rows, length, out=np.zeros(rows.shape), where=length > 1e-6)


def _sketched(values: np.ndarray, dataset_hash: str) -> np.ndarray:
    n_spots = len(values)
    if n_spots <= WIDTH:
        return unit(values.T).astype(np.float32)
    bits = _mixed(np.arange(n_spots, dtype=np.uint64), int(dataset_hash[:16], 16))
    signs = 1.0 - 2.0 * (bits >> np.uint64(63)).astype(np.float64)
    places = (bits & np.uint64(WIDTH - 1)).astype(np.intp)
    total = np.zeros((WIDTH, values.shape[1]))
    np.add.at(total, places, values * signs[:, None])
    varies = np.linalg.norm(values, axis=0) > 1e-6
    return (unit(total.T) * varies[:, None]).astype(np.float32)


def _mixed(index: np.ndarray, seed: int) -> np.ndarray:
    """Return 64 bits for every index: splitmix64 (Steele et al., OOPSLA 2014)."""
    with np.errstate(over="ignore"):
        state = (index + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(seed)
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return state ^ (state >> np.uint64(31))


def likeness(mine: Trace, theirs: Trace) -> Likeness:
    """Compare two traces of one dataset, on the genes that the second has kept."""
    undefined = Likeness(*[float("nan")] * 5)
    if (
        mine.smooth.shape[1] != theirs.smooth.shape[1]
        or not np.isin(theirs.genes, mine.genes).all()
    ):
        return undefined
    at = np.searchsorted(mine.genes, theirs.genes)
    apart = np.abs(mine.quantiles[at] - theirs.quantiles).max(axis=1)
    smooth = (mine.smooth[at] * theirs.smooth).sum(axis=1)
    same = (smooth >= _COPIED) & (theirs.smooth.shape[1] >= LEAST_SPOTS)
    # A method of one factor has no shape, and still has quantiles: each is looked at by itself.
    return Likeness(
        _median(mine.smooth[at], theirs.smooth, smooth),
        _median(mine.shape[at], theirs.shape, (mine.shape[at] * theirs.shape).sum(axis=1)),
        _median(mine.shape[at], theirs.shape, (theirs.shape @ mine.shape.T).max(axis=1)),
        _median(mine.quantiles[at], theirs.quantiles, apart <= SAME, np.mean),
        _median(mine.smooth[at], theirs.smooth, same & (same.sum() >= _FEW_COPIED), np.mean),
    )


def _median(
    mine: np.ndarray,
    theirs: np.ndarray,
    values: np.ndarray,
    over: Callable[[np.ndarray], Any] = np.median,
) -> float:
    """Return the median over genes that vary in both; nan where these are few."""
    varies = mine.any(axis=1) & theirs.any(axis=1)
    enough = varies.sum() >= max(1, min(LEAST_GENES, len(mine)))
    return float(over(values[varies])) if enough else float("nan")


def write_traces(path: Path, traces: Mapping[str, Trace]) -> None:
    """Write traces by name as JSON."""
    values = {name: _packed(each) for name, each in traces.items()}
    write_lasting(path, json.dumps({"format": 3, "traces": values}, indent=1) + "\n")


def _packed(trace: Trace) -> dict[str, Any]:
    kept = kept_genes(len(trace.genes))
    return {
        "genes": trace.genes[kept].tolist(),
        "smooth": _text(_steps(trace.smooth[kept])),
        "shape": _text(_steps(trace.shape[kept])),
        "quantiles": _text(trace.quantiles[kept].astype("<f2")),
    }


def _steps(rows: np.ndarray) -> np.ndarray:
    largest = np.abs(rows).max(axis=1, keepdims=True)
    return np.rint(
        np.divide(127 * rows, largest, out=np.zeros(rows.shape), where=largest > 0)
    ).astype("i1")


def _text(values: np.ndarray) -> str:
    return base64.b64encode(values.tobytes()).decode()


def _unpacked(values: dict[str, Any]) -> Trace:
    genes = np.array(values["genes"], dtype=np.int64)
    if genes.ndim != 1 or not 0 < len(genes) <= MOST_GENES or (np.diff(genes) <= 0).any():
        raise ValueError("its genes are not a few rising numbers")

    def rows(name: str, kind: str) -> np.ndarray:
        flat = np.frombuffer(base64.b64decode(values[name], validate=True), kind)
        shaped = flat.reshape(len(genes), -1).astype(np.float32)
        if not np.isfinite(shaped).all() or shaped.shape[1] > WIDTH:
            raise ValueError(f"{name} is not at most {WIDTH} finite numbers for each gene")
        return unit(shaped).astype(np.float32)

    smooth, shape, quantiles = rows("smooth", "i1"), rows("shape", "i1"), rows("quantiles", "<f2")
    if smooth.shape != shape.shape or quantiles.shape[1] != _QUANTILES:
        raise ValueError("its parts do not fit together")
    return Trace(genes, smooth, shape, quantiles)


def read_traces(path: Path) -> dict[str, Trace]:
    """Read what ``write_traces`` wrote.

    Raises
    ------
    SparedBenchError
        If it is anything else.
    """
    try:
        if not path.is_file():
            raise ValueError("it is no file")
        if path.stat().st_size > _MAX_BYTES:
            raise ValueError(f"it has more than {_MAX_BYTES} bytes")
        values = read_json(path)["traces"]
        return {str(name): _unpacked(each) for name, each in values.items()}
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise SparedBenchError(f"{path} cannot be read: {error}.") from error


def traces_of_others(
    leaderboards: Path, protocol: str, label: str
) -> Iterator[tuple[str, dict[str, Trace]]]:
    """Yield the traces of all accepted entries but one; those that cannot be read are left out."""
    for path in sorted((leaderboards / protocol).glob(f"*@*/{TRACES}")):
        name = path.parent.name
        if name == label or path.is_symlink() or not _FOLDER.fullmatch(name):
            continue
        try:
            yield name, read_traces(path)
        except SparedBenchError:
            continue
