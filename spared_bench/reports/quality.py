"""Whether the image of a slide belongs to its spots, the way they are placed on it.

Seven tests of a raw slide, none of which knows the answer. *Tissue*: most spots lie where the image
is stained. *Orientation* and *position*: from the colours under and around the spots, part of
their expression can be foretold for spots that the ridge regression has not seen; where a mirrored
or a shifted placement of the same spots foretells it better, the slide is flagged. A slide whose
colours foretell nothing in any placement fails the test *relation*. *Black*: no spot lies where the
image is 0 throughout, as a tile is that was never written or copied. *Turned*: where the image says
that it is shown turned, the spots fit its pixels as they are stored. *Bits*: it uses more than half
of the range of its values.

Made for H&E images with tens of spots or more, at any magnification at which a spot is a few pixels
wide. A slide that passes is plausible, not proven.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from spared_bench.data import SPATIAL
from spared_bench.geometry import spacing
from spared_bench.reports.dim import highest_value
from spared_bench.reports.turned import SHOWN, as_stored, orientation_of
from spared_bench.words import counted

if TYPE_CHECKING:
    from anndata import AnnData

LEAST_SPOTS = 60
_LONGEST_PX = 1000  # of the image that is looked at
_MARGIN = 0.05  # by which another placement must foretell better; in units of correlation
_LEAST_RELATION = 0.05
_LEAST_ON_TISSUE = 0.7
_REACH = 6  # shifts that are tried, in spots
_N_GENES, _N_COMPONENTS, _N_FOLDS, _PENALTY = 500, 6, 5, 10.0
_PALE = 170  # grey level from which an image's background counts as empty glass
_BLACK = 40  # and below which as painted over

_OF_PLACEMENT = ("tissue", "orientation", "position", "relation")
TESTS = (*_OF_PLACEMENT, "black", "turned", "bits")


@dataclass(frozen=True)
class SlideCheck:
    """The outcome of one test.

    Parameters
    ----------
    test : str
        One of ``TESTS``.
    passed : bool or None
        ``None`` where the slide does not allow the test.
    message : str
        One sentence with the numbers behind it.
    """

    test: str
    passed: bool | None
    message: str


def check_slide(slide: AnnData) -> list[SlideCheck]:
    """Run all tests on a raw slide.

    Parameters
    ----------
    slide : AnnData
        Of the contract of raw slides (``spared_bench.data``).

    Returns
    -------
    list of SlideCheck
        In the order of ``TESTS``.

    Raises
    ------
    ImageError
        If the image is named and cannot be read.
    """
    reason = _untestable(slide)
    if reason:
        return [SlideCheck(test, None, reason) for test in TESTS]
    view = _look_at(slide)
    spots = _spots_in(slide, view.factor)
    path = Path(slide.uns["slide"]["image_path"])
    tag = orientation_of(path)
    others = [_check_black(view, spots), _check_bits(path, view.pixels)]
    if slide.n_obs < LEAST_SPOTS:
        few = f"The slide has {counted(slide.n_obs, 'spot')}; the tests need {LEAST_SPOTS}."
        checks = [SlideCheck(test, None, few) for test in _OF_PLACEMENT]
        found = [*checks, _check_turned(tag), *others]
    else:
        foretold = _foretelling(view, spots, _responses(slide))
        turned = _check_turned(tag, foretold, spots.centres, view)
        found = [
            _check_tissue(view, spots),
            *_check_placement(view, spots, foretold),
            turned,
            *others,
        ]
    return sorted(found, key=lambda check: TESTS.index(check.test))


def _untestable(slide: AnnData) -> str:
    if not slide.uns["slide"]["image_path"]:
        return "The slide has no image."
    if slide.uns["slide"].get("modality", "H&E") != "H&E":
        return "The image is no H&E image, which the tests are made for."
    return ""


@dataclass(frozen=True)
class _View:
    """A reduced image: pixels (height, width, 3), and its pixels per full-resolution pixel."""

    pixels: np.ndarray
    factor: float


@dataclass(frozen=True)
class _Spots:
    """Centres (n_spots, 2), diameter and distance of neighbours, in pixels of the view."""

    centres: np.ndarray
    diameter: float
    pitch: float

    def mirrored(self, view: _View) -> dict[str, np.ndarray]:
        """Return mirrored placements, about the middle of the image and about their own."""
        height, width = view.pixels.shape[:2]
        own = self.centres.min(axis=0) + self.centres.max(axis=0)
        placements: dict[str, np.ndarray] = {}
        for size, about in (
            (np.array([width, height]), ""),
            (own, " about the middle of the spots"),
        ):
            x, y = self.centres.T
            placements |= {
                f"mirrored left to right{about}": np.column_stack([size[0] - x, y]),
                f"mirrored top to bottom{about}": np.column_stack([x, size[1] - y]),
                f"turned by half{about}": size - self.centres,
            }
        middle = own / 2
        placements["with x and y exchanged"] = (self.centres - middle)[:, ::-1] + middle
        return placements

    def shifted(self) -> dict[str, np.ndarray]:
        """Return placements two to six spots away."""
        steps = range(-_REACH, _REACH + 1)
        return {
            f"shifted by {x:+d}, {y:+d} spots (right, down)": self.centres
            + self.pitch * np.array([x, y])
            for x in steps
            for y in steps
            if x**2 + y**2 >= 4
        }


def _look_at(slide: AnnData) -> _View:
    from spared_bench.processing.images import read_reduced

    facts = slide.uns["slide"]
    pixels, factor = read_reduced(facts["image_path"], _LONGEST_PX)
    return _View(pixels, factor * float(facts["image_scale"]))


def _check_black(view: _View, spots: _Spots) -> SlideCheck:
    """Test whether spots lie where nothing was written: all of a spot is 0."""
    from scipy.ndimage import maximum_filter

    width = max(1, round(spots.diameter))
    brightest = maximum_filter(_extremes(view.pixels)[1], width, mode="nearest")
    x, y = np.floor(spots.centres).astype(int).T
    inside = (x >= 0) & (y >= 0) & (x < brightest.shape[1]) & (y < brightest.shape[0])
    black = int((brightest[y[inside], x[inside]] == 0).sum())
    if not black:
        return SlideCheck("black", True, "No spot lies on black.")
    return SlideCheck(
        "black",
        False,
        f"{black:,} of {counted(len(x), 'spot')} lie where the image is 0 throughout, which tissue"
        " is not: a tile that was not written or not copied, or an area that was painted over."
        " Fetch the image again, or leave these spots out.",
    )


def _check_bits(path: Path, seen: np.ndarray) -> SlideCheck:
    """Test whether an image uses more than half of the range of its values."""
    highest, top = highest_value(path, seen)
    if highest > top // 2:
        return SlideCheck("bits", True, "The image uses more than half of the range of its values.")
    bits = highest.bit_length()
    return SlideCheck(
        "bits",
        False,
        f"No value of the image is above {highest:,} of {top:,}, so it may hold {bits} bits, and"
        f" all patches are dark. If it does, multiply its values by {top / (2**bits - 1):.4g} and"
        " write it again.",
    )


def _check_turned(
    tag: int,
    foretold: Callable[[np.ndarray], float] | None = None,
    centres: np.ndarray | None = None,
    view: _View | None = None,
) -> SlideCheck:
    """Test whether spots fit the stored pixels of an image that says that it is shown turned."""
    if tag not in SHOWN:
        return SlideCheck("turned", True, "The image does not say that it is shown turned.")
    told = (
        f"The image says that it is shown {SHOWN[tag]} (orientation {tag}), and is read as stored"
    )
    if foretold is None or centres is None or view is None:
        here = there = 0.0
        found = "which of both the spots refer to cannot be tested"
    else:
        height, width = view.pixels.shape[:2]
        here, there = foretold(centres), foretold(as_stored(centres, width, height, tag))
        found = (
            f"held-out correlation of colours with expression is {max(here, 0):.2f} so, and"
            f" {max(there, 0):.2f} as shown"
        )
    if here > max(there + _MARGIN, 2 * _LEAST_RELATION):
        return SlideCheck("turned", True, f"{told}: {found}.")
    return SlideCheck(
        "turned",
        False,
        f"{told}; {found}. Write it again without the tag, with its pixels the way that the spots"
        " refer to.",
    )


def _spots_in(slide: AnnData, factor: float) -> _Spots:
    centres = np.asarray(slide.obsm[SPATIAL], dtype=np.float64) * factor
    diameter = float(slide.uns["slide"]["spot_diameter_px"]) * factor
    return _Spots(centres, diameter, spacing(centres))


def _check_tissue(view: _View, spots: _Spots) -> SlideCheck:
    """Test whether the spots lie on stained tissue."""
    tissue, background = _tissue(view, spots.diameter)
    if not (background > _PALE or background < _BLACK):
        return SlideCheck("tissue", None, "The image has no empty background to tell tissue from.")
    here = _share(tissue, spots.centres)
    best, share = max(
        ((name, _share(tissue, place)) for name, place in spots.shifted().items()),
        key=lambda item: item[1],
    )
    told = f"{here:.0%} of the spots lie on tissue"
    if here < _LEAST_ON_TISSUE:
        return SlideCheck("tissue", False, f"{told}; expected at least {_LEAST_ON_TISSUE:.0%}.")
    if share > here + 0.08:
        return SlideCheck("tissue", False, f"{told}; {best}, {share:.0%} would.")
    return SlideCheck("tissue", True, f"{told}.")


def _tissue(view: _View, diameter: float) -> tuple[np.ndarray, float]:
    """Return where the image is dark or coloured, and how bright the rest of it is."""
    from scipy.ndimage import uniform_filter

    rgb = view.pixels.astype(np.float32)
    dark, bright = _extremes(rgb)
    painted_over = bright < _BLACK
    width = max(3, round(diameter))
    tissue = np.zeros(bright.shape, dtype=bool)
    red, green, blue = np.moveaxis(_density(rgb), 2, 0)
    for values in ((red + green + blue) / 3, bright - dark):
        smooth = uniform_filter(np.where(painted_over, 0, values), width, mode="nearest")
        tissue |= smooth > _threshold(smooth)
    rest = bright[~tissue]
    return tissue, float(np.median(rest)) if rest.size else 128.0


def _extremes(rgb: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the lowest and the highest channel of each pixel, (height, width) each.

    Channel by channel: reducing along so short an axis takes ten times as long.
    """
    red, green, blue = np.moveaxis(rgb, 2, 0)
    lowest: np.ndarray = np.minimum(np.minimum(red, green), blue)
    highest: np.ndarray = np.maximum(np.maximum(red, green), blue)
    return lowest, highest


def _threshold(values: np.ndarray) -> float:
    """Split values where the classes below and above differ most (Otsu 1979)."""
    number, edges = np.histogram(values, bins=256)
    centres = (edges[:-1] + edges[1:]) / 2
    below, above = np.cumsum(number), np.cumsum(number[::-1])[::-1]
    total = np.cumsum(number * centres)
    mean_below = total / np.maximum(below, 1)
    mean_above = (total[-1] - total + number * centres) / np.maximum(above, 1)
    between = below[:-1] * above[1:] * (mean_below[:-1] - mean_above[1:]) ** 2.0
    # Where nothing lies between the classes, any value between them is as good: take the middle.
    return float(centres[:-1][between >= between.max() * (1 - 1e-9)].mean())


def _density(rgb: np.ndarray) -> np.ndarray:
    """Optical density of each channel: proportional to the amount of stain."""
    density: np.ndarray = -np.log((rgb + 1) / 256)
    return density


def _foretelling(
    view: _View, spots: _Spots, responses: np.ndarray
) -> Callable[[np.ndarray], float]:
    """Return what tells how well colours foretell the expression in a placement; -1 off it."""
    colours = _colours(view, spots.diameter)
    folds = _folds(spots.centres)

    def foretold(centres: np.ndarray) -> float:
        seen = _sample(colours, centres)
        return -1.0 if seen is None else _held_out_correlation(seen, responses, folds)

    return foretold


def _check_placement(
    view: _View, spots: _Spots, foretold: Callable[[np.ndarray], float]
) -> list[SlideCheck]:
    """Test whether a mirrored or shifted placement explains the expression better."""
    here = foretold(spots.centres)
    best = {}
    for test, placements in (("orientation", spots.mirrored(view)), ("position", spots.shifted())):
        scores = {name: foretold(place) for name, place in placements.items()}
        name = max(scores, key=lambda each: scores[each])
        best[test] = (name, scores[name])
    winner = max(best, key=lambda test: best[test][1])
    checks = []
    for test, (name, score) in best.items():
        flagged = test == winner and score > max(here + _MARGIN, 2 * _LEAST_RELATION)
        message = (
            f"Held-out correlation of colours with expression is {here:.2f}; at best"
            f" {score:.2f} {name}."
        )
        checks.append(SlideCheck(test, not flagged, message))
    related = max(here, best[winner][1] if not all(c.passed for c in checks) else here)
    told = f"Held-out correlation of colours with expression is {related:.2f}"
    passed = related >= _LEAST_RELATION
    end = "." if passed else "; an image of this slide would reach at least"
    checks.append(
        SlideCheck("relation", passed, told + (end if passed else f"{end} {_LEAST_RELATION}."))
    )
    return checks


def _colours(view: _View, diameter: float) -> np.ndarray:
    """Return what the image shows around every pixel: (height, width, 12).

    Of the density of each channel and of the saturation: mean and spread over a spot, and the mean
    over three spots.
    """
    from scipy.ndimage import uniform_filter

    rgb = view.pixels.astype(np.float32)
    dark, bright = _extremes(rgb)
    saturation = (bright - dark) / (bright + 1)
    width = max(1, round(diameter))
    maps = []
    for values in (*np.moveaxis(_density(rgb), 2, 0), saturation):
        mean = uniform_filter(values, width, mode="nearest")
        square = uniform_filter(values * values, width, mode="nearest")
        around = uniform_filter(values, 3 * width, mode="nearest")
        maps += [mean, np.sqrt(np.maximum(square - mean * mean, 0)), around]
    return np.stack(maps, axis=-1)


def _responses(slide: AnnData) -> np.ndarray:
    """Return what is to be foretold, standardised: log counts, and components of expression."""
    from scipy.sparse import csr_matrix, diags

    counts = csr_matrix(slide.X, dtype=np.float64)
    totals = counts @ np.ones(counts.shape[1])
    genes = np.argsort(-(np.ones(counts.shape[0]) @ counts), kind="stable")[:_N_GENES]
    scaled = diags(1e4 / np.maximum(totals, 1)) @ counts[:, genes]
    values = np.log1p(scaled.toarray())
    left, _, _ = np.linalg.svd(values - values.mean(axis=0), full_matrices=False)
    out = np.column_stack([np.log10(totals + 1), left[:, :_N_COMPONENTS]])
    spread = out.std(axis=0)
    kept = out[:, spread > 1e-9]
    return (kept - kept.mean(axis=0)) / kept.std(axis=0) if kept.size else np.zeros((len(out), 1))


def _folds(centres: np.ndarray) -> np.ndarray:
    """Cut the spots into strips across their longest extent: (n_spots,)."""
    centred = centres - centres.mean(axis=0)
    along = centred @ np.linalg.svd(centred, full_matrices=False)[2][0]
    rank = np.argsort(np.argsort(along, kind="stable"), kind="stable")
    return np.minimum(rank * _N_FOLDS // len(rank), _N_FOLDS - 1)


def _held_out_correlation(seen: np.ndarray, responses: np.ndarray, folds: np.ndarray) -> float:
    """Mean Pearson correlation of the responses with what is foretold of the other strips."""
    seen = (seen - seen.mean(axis=0)) / (seen.std(axis=0) + 1e-9)
    foretold = np.empty_like(responses)
    for fold in range(_N_FOLDS):
        test = folds == fold
        known, mean = seen[~test], responses[~test].mean(axis=0)
        gram = known.T @ known + _PENALTY * np.eye(seen.shape[1])
        foretold[test] = (
            seen[test] @ np.linalg.solve(gram, known.T @ (responses[~test] - mean)) + mean
        )
    foretold -= foretold.mean(axis=0)
    truth = responses - responses.mean(axis=0)
    above = (foretold * truth).sum(axis=0)
    below = np.sqrt((foretold**2).sum(axis=0) * (truth**2).sum(axis=0))
    return float(np.divide(above, below, out=np.zeros_like(above), where=below > 0).mean())


def _sample(maps: np.ndarray, centres: np.ndarray) -> np.ndarray | None:
    """Read maps at the centres, at the nearest pixel; ``None`` if a tenth lies outside."""
    height, width = maps.shape[:2]
    x, y = np.floor(centres).astype(int).T
    inside = (x >= 0) & (y >= 0) & (x < width) & (y < height)
    if inside.mean() < 0.9:
        return None
    values: np.ndarray = maps[np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)]
    return values.astype(np.float64)


def _share(tissue: np.ndarray, centres: np.ndarray) -> float:
    values = _sample(tissue[..., None], centres)
    return 0.0 if values is None else float(values.mean())
