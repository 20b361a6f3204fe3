"""Sections as registration sees them: grey levels and tissue, the tissue in the middle of a grid.

All sections of a sample lie on grids of one step: a pixel is as long in one as in the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from spared_bench.data import SPATIAL
from spared_bench.errors import CoordinateError, ImageError
from spared_bench.geometry import spacing

if TYPE_CHECKING:
    from anndata import AnnData

_LONGEST_PX = 1_200  # of the reduced image in which tissue is looked for
_ACROSS = 220  # grid pixels along the longest tissue of a sample
_COARSE = 90  # the same for the search over the full turn
_ROOM = 1.5  # side of a grid, in longest tissues: one of any turn fits
_BLACK = 128  # the middle level of what is no tissue, below which it was painted black
_SCALES_APART = 4.0  # largest ratio of the tissues' lengths that one scale is believed at


@dataclass(frozen=True, eq=False)
class Picture:
    """One section on a square grid.

    Parameters
    ----------
    grey : ndarray of float64, of shape (side, side)
        Optical density, smoothed to half a pitch within the tissue, of mean 0 and length 1 there;
        0 elsewhere.
    tissue : ndarray of float64, of shape (side, side)
        Share of each pixel that is tissue.
    to_full : ndarray of float64, of shape (3, 3)
        From x and y on the grid to full-resolution pixels of the section.
    step_um : float
        Length of a grid pixel; in the shared unit where no section has a scale.
    """

    grey: np.ndarray
    tissue: np.ndarray
    to_full: np.ndarray
    step_um: float

    @property
    def side(self) -> int:
        """Pixels of a side of the grid."""
        return len(self.grey)


@dataclass(frozen=True, eq=False)
class _Reduced:
    density: np.ndarray
    tissue: np.ndarray
    per_pixel: float  # of the reduced image, in full-resolution pixels
    um_per_px: float


@dataclass(frozen=True)
class Scales:
    """How long a full-resolution pixel of each section is.

    Parameters
    ----------
    um_per_px : dict of str to float
        1 for all where no section has a scale.
    known : bool
        Whether these are micrometres.
    """

    um_per_px: dict[str, float]
    known: bool


def scales_of(slides: Mapping[str, AnnData]) -> Scales:
    """Return the scales of the sections of a sample.

    Raises
    ------
    CoordinateError
        If some have a scale and some have none: their lengths cannot be compared.
    """
    um = {name: float(slide.uns["slide"]["um_per_px"]) for name, slide in slides.items()}
    without = [name for name, value in um.items() if not value > 0]
    if without and len(without) < len(um):
        having = [name for name in um if name not in without]
        raise CoordinateError(
            f"Sections {', '.join(without)} have no `um_per_px`, and {', '.join(having)} of the"
            " same sample have one, so their lengths cannot be compared. Give all of them their"
            " scale (`um_per_px` of the slides in the dataset's description)."
        )
    return Scales(dict.fromkeys(um, 1.0) if without else um, not without)


def pictures_of(
    slides: Mapping[str, AnnData], scales: Scales
) -> tuple[dict[str, Picture], dict[str, Picture]]:
    """Return the pictures of the sections of a sample, fine ones and coarse ones.

    Parameters
    ----------
    slides : mapping of str to AnnData
        Raw slides, with images.
    scales : Scales

    Raises
    ------
    ImageError
        If a section has no image, or no tissue is found on it.
    CoordinateError
        If one tissue is so much longer than another that they cannot be of one scale.
    """
    reduced = {name: _reduced(name, slide, scales) for name, slide in slides.items()}
    lengths = {name: _length(each) for name, each in reduced.items()}
    longest, shortest = max(lengths, key=lengths.__getitem__), min(lengths, key=lengths.__getitem__)
    if lengths[longest] > _SCALES_APART * lengths[shortest]:
        unit = "um" if scales.known else "full-resolution pixels, since no section has `um_per_px`"
        raise CoordinateError(
            f"The tissue of section {longest} is {lengths[longest]:,.0f} long and that of"
            f" {shortest} {lengths[shortest]:,.0f} (in {unit}): they are of different scale, or no"
            " sections of one sample. Correct `um_per_px` of these slides, or their sample."
        )
    pitch = float(np.median([
        spacing(np.asarray(slide.obsm[SPATIAL])) * scales.um_per_px[name]
        for name, slide in slides.items()
    ]))  # fmt: skip
    made = []
    for across in (_ACROSS, _COARSE):
        step = lengths[longest] / across
        side = 2 * round(_ROOM * across / 2)
        made.append({name: _on_grid(each, step, side, pitch) for name, each in reduced.items()})
    return made[0], made[1]


def _reduced(name: str, slide: AnnData, scales: Scales) -> _Reduced:
    from scipy.ndimage import binary_fill_holes

    from spared_bench.processing.images import read_reduced
    from spared_bench.processing.tissue_mask import tissue_mask

    facts = slide.uns["slide"]
    if not facts["image_path"]:
        raise ImageError(
            f"Section {name} has no image, so it cannot be registered to its neighbours. Add the"
            " image, give its transform by hand (`spared-bench data align --transforms FILE`), or"
            " take a protocol with `known: {register: none}`."
        )
    pixels, factor = read_reduced(
        facts["image_path"], _LONGEST_PX, facts.get("modality") == "fluorescence"
    )
    tissue = binary_fill_holes(tissue_mask(pixels))
    if not tissue.any():
        raise ImageError(
            f"No tissue is found on the image of section {name} ({facts['image_path']}), so it"
            " cannot be registered. Give its transform by hand (`spared-bench data align"
            " --transforms FILE`)."
        )
    level = pixels.mean(axis=2)
    glass = float(np.median(level[~tissue])) if not tissue.all() else 255.0
    if glass < _BLACK:
        glass = 255.0
    density = -np.log10(np.clip(level, 1, glass) / glass)
    per_pixel = 1 / (factor * float(facts["image_scale"]))
    return _Reduced(density, tissue, per_pixel, scales.um_per_px[name])


def _length(reduced: _Reduced) -> float:
    """Return the longer side of the box around the tissue, in the shared unit."""
    rows, columns = np.nonzero(reduced.tissue)
    side = max(np.ptp(rows), np.ptp(columns)) + 1
    return float(side * reduced.per_pixel * reduced.um_per_px)


def _on_grid(reduced: _Reduced, step: float, side: int, pitch: float) -> Picture:
    from scipy.ndimage import affine_transform, gaussian_filter

    per_step = step / (reduced.um_per_px * reduced.per_pixel)  # reduced pixels per grid pixel
    centre = np.argwhere(reduced.tissue).mean(axis=0)
    offset = centre - per_step * (side - 1) / 2
    blur = max(0.0, 0.5 * per_step - 0.25)
    share = gaussian_filter(reduced.tissue.astype(np.float64), blur)
    dark = gaussian_filter(reduced.density * reduced.tissue, blur)
    grid = {"output_shape": (side, side), "order": 1}
    tissue = affine_transform(share, [per_step] * 2, offset, **grid)
    dark = affine_transform(dark, [per_step] * 2, offset, **grid)
    to_full = np.diag([per_step * reduced.per_pixel] * 2 + [1.0])
    to_full[:2, 2] = (offset[::-1] + 0.5) * reduced.per_pixel
    return Picture(_levelled(dark, tissue, 0.5 * pitch / step), tissue, to_full, step)


def _levelled(dark: np.ndarray, tissue: np.ndarray, sigma: float) -> np.ndarray:
    """Smooth densities within the tissue, and give them mean 0 and length 1 there."""
    from scipy.ndimage import gaussian_filter

    inside = tissue > 0.5
    if not inside.any():  # thinner than a pixel of the grid
        return np.zeros_like(dark)
    mean = dark / np.maximum(tissue, 1e-3)
    low, high = np.percentile(mean[inside], (1, 99))
    mean = np.where(inside, np.clip(mean, low, high), 0)
    sigma = max(sigma, 1.0)
    weight = gaussian_filter(inside.astype(np.float64), sigma)
    smooth = gaussian_filter(mean, sigma) / np.maximum(weight, 1e-6)
    smooth = np.where(inside, smooth - smooth[inside].mean(), 0)
    length = np.linalg.norm(smooth)
    return smooth / length if length > 0 else smooth


def turned(picture: Picture, degrees: float) -> Picture:
    """Return a picture turned about the middle of its grid; for tests and controls."""
    from scipy.ndimage import rotate

    grey, tissue = (
        rotate(each, degrees, reshape=False, order=1) for each in (picture.grey, picture.tissue)
    )
    return replace(picture, grey=grey, tissue=tissue)


def mirrored(picture: Picture) -> Picture:
    """Return a picture with left and right exchanged, about the middle of its grid."""
    return replace(picture, grey=picture.grey[:, ::-1], tissue=picture.tissue[:, ::-1])
