"""Whether the image of a slide belongs to its spots, the way they are placed on it.

Nine tests of a raw slide, none of which knows the answer. *Tissue*: most spots lie where the image
is stained. *Orientation* and *position*: from the colours under and around the spots, part of
their expression can be foretold for spots that the ridge regression has not seen; where a mirrored
or a shifted placement of the same spots foretells it better, the slide is flagged. A slide whose
colours foretell nothing in any placement fails the test *relation*. *Black*: no spot lies where the
image is 0 throughout, as a tile is that was never written or copied. *Turned*: where the image says
that it is shown turned, the spots fit its pixels as they are stored. *Bits*: it uses more than half
of the range of its values. *Colours*: under the spots it is not grey, dark, blue or green, as
fluorescence is. *Spots*, of slides without an image, too: there are enough of them for a
correlation to say something.

Made for H&E images with tens of spots or more, at any magnification at which a spot is a few pixels
wide. A slide that passes is plausible, not proven.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from spared_bench.reports.dim import highest_value
from spared_bench.reports.foretelling import foretelling, responses_of
from spared_bench.reports.placed_spots import (
    PlacedSpots,
    ReducedImage,
    density,
    extremes,
    look_at,
    sample,
    spots_in,
)
from spared_bench.reports.turned import SHOWN, as_stored, orientation_of
from spared_bench.words import counted

if TYPE_CHECKING:
    from anndata import AnnData

LEAST_SPOTS = 60
_MOST_SPOTS = 20_000
FEW_SPOTS = 20  # of fewer, a correlation of what is unrelated is above 0.4 in one of twelve genes
_MARGIN = 0.05  # by which another placement must foretell better; in units of correlation
_LEAST_RELATION = 0.05
_LEAST_ON_TISSUE = 0.7
_PALE = 170  # grey level from which an image's background counts as empty glass
_BLACK = 40  # and below which as painted over

#: Of 8 bits. On 11 H&E images, a tenth of the tissue has channels 42 apart and more, its middle is
#: 0.69 to 0.92 as bright as the brightest places, its red 0.8 to 1.6 of its blue, its green least.
_GREY = 12
_DARK, _BLUE, _GREEN = 0.35, 0.6, 1.15

_OF_PLACEMENT = ("tissue", "orientation", "position", "relation")
_OF_IMAGE = (*_OF_PLACEMENT, "black", "turned", "bits", "colours")
TESTS = (*_OF_IMAGE, "spots")


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
        checks = [SlideCheck(test, None, reason) for test in _OF_IMAGE]
        return [*checks, _check_spots(slide.n_obs, tested=False)]
    image = look_at(slide)
    spots = spots_in(slide, image.factor)
    path = Path(slide.uns["slide"]["image_path"])
    tag = orientation_of(path)
    others = [
        _check_black(image, spots),
        _check_bits(path, image.pixels),
        _check_colours(image, spots),
        _check_spots(slide.n_obs),
    ]
    if slide.n_obs < LEAST_SPOTS:
        few = f"The slide has {counted(slide.n_obs, 'spot')}; the tests need {LEAST_SPOTS}."
        checks = [SlideCheck(test, None, few) for test in _OF_PLACEMENT]
        found = [*checks, _check_turned(tag), *others]
    else:
        some = _some_of(slide.n_obs)
        looked_at = replace(spots, centres=spots.centres[some])
        foretold = foretelling(image, looked_at, responses_of(slide[some]))
        turned = _check_turned(tag, foretold, looked_at.centres, image)
        found = [
            _check_tissue(image, spots),
            *_check_placement(image, looked_at, foretold),
            turned,
            *others,
        ]
    return sorted(found, key=lambda check: TESTS.index(check.test))


def _some_of(n_spots: int) -> np.ndarray:
    """Return the rows of all spots, or of as many as expression is foretold for, in order.

    Of the bins of Visium HD, that would take minutes and 10 GB.
    """
    if n_spots <= _MOST_SPOTS:
        return np.arange(n_spots)
    return np.sort(np.random.default_rng(0).choice(n_spots, _MOST_SPOTS, replace=False))


def _untestable(slide: AnnData) -> str:
    if not slide.uns["slide"]["image_path"]:
        return "The slide has no image."
    if slide.uns["slide"].get("modality", "H&E") != "H&E":
        return "The image is no H&E image, which the tests are made for."
    return ""


def _check_spots(n_spots: int, tested: bool = True) -> SlideCheck:
    """Test whether there are spots enough; ``tested`` says whether anything else of a slide is."""
    told = f"The slide has {counted(n_spots, 'spot')}"
    if n_spots >= FEW_SPOTS:
        return SlideCheck("spots", True if tested else None, f"{told}.")
    return SlideCheck(
        "spots",
        False,
        f"{told}: over so few, correlations are far from 0 by chance (over two, they are 1 or -1),"
        " and in means over slides it counts as much as any other.",
    )


def _check_black(image: ReducedImage, spots: PlacedSpots) -> SlideCheck:
    """Test whether spots lie where nothing was written: all of a spot is 0."""
    from scipy.ndimage import maximum_filter

    width = max(1, round(spots.diameter))
    brightest = maximum_filter(extremes(image.pixels)[1], width, mode="nearest")
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


def _check_colours(image: ReducedImage, spots: PlacedSpots) -> SlideCheck:
    """Test whether spots have colours that haematoxylin and eosin may have, on a bright ground."""
    found = sample(image.pixels.astype(np.float32), spots.centres)
    if found is None:
        return SlideCheck("colours", None, "Spots lie beside the image.")
    found = found.reshape(-1, 3)
    seen = np.percentile(found.max(axis=1) - found.min(axis=1), 90)
    red, green, blue = np.median(found, axis=0)
    bright = np.percentile(image.pixels.max(axis=2), 99.5)
    told = f"Under the spots, the image has the colour {red:.0f}, {green:.0f}, {blue:.0f}"
    if seen < _GREY:
        doubt = "is grey"
    elif max(red, green, blue) < _DARK * bright:
        doubt = f"is dark beside its brightest places ({bright:.0f})"
    elif red < _BLUE * blue or green > _GREEN * max(red, blue):
        doubt = "is blue or green"
    else:
        return SlideCheck("colours", True, f"{told} (red, green, blue).")
    return SlideCheck(
        "colours",
        False,
        f"{told} (red, green, blue): it {doubt}, and tissue in H&E is pink and violet on white."
        " Give the H&E image, if this is one of fluorescence (DAPI), in grey, or inverted.",
    )


def _check_turned(
    tag: int,
    foretold: Callable[[np.ndarray], float] | None = None,
    centres: np.ndarray | None = None,
    image: ReducedImage | None = None,
) -> SlideCheck:
    """Test whether spots fit the stored pixels of an image that says that it is shown turned."""
    if tag not in SHOWN:
        return SlideCheck("turned", True, "The image does not say that it is shown turned.")
    told = (
        f"The image says that it is shown {SHOWN[tag]} (orientation {tag}), and is read as stored"
    )
    if foretold is None or centres is None or image is None:
        here = there = 0.0
        found = "which of both the spots refer to cannot be tested"
    else:
        height, width = image.pixels.shape[:2]
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


def _check_tissue(image: ReducedImage, spots: PlacedSpots) -> SlideCheck:
    """Test whether the spots lie on stained tissue."""
    tissue, background = _tissue(image, spots.diameter)
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


def _tissue(image: ReducedImage, diameter: float) -> tuple[np.ndarray, float]:
    """Return where the image is dark or coloured, and how bright the rest of it is."""
    from scipy.ndimage import uniform_filter

    rgb = image.pixels.astype(np.float32)
    dark, bright = extremes(rgb)
    painted_over = bright < _BLACK
    width = max(3, round(diameter))
    tissue = np.zeros(bright.shape, dtype=bool)
    red, green, blue = np.moveaxis(density(rgb), 2, 0)
    for values in ((red + green + blue) / 3, bright - dark):
        smooth = uniform_filter(np.where(painted_over, 0, values), width, mode="nearest")
        tissue |= smooth > _threshold(smooth)
    rest = bright[~tissue]
    return tissue, float(np.median(rest)) if rest.size else 128.0


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


def _check_placement(
    image: ReducedImage, spots: PlacedSpots, foretold: Callable[[np.ndarray], float]
) -> list[SlideCheck]:
    """Test whether a mirrored or shifted placement explains the expression better."""
    here = foretold(spots.centres)
    best = {}
    for test, placements in (("orientation", spots.mirrored(image)), ("position", spots.shifted())):
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


def _share(tissue: np.ndarray, centres: np.ndarray) -> float:
    values = sample(tissue[..., None], centres)
    return 0.0 if values is None else float(values.mean())
