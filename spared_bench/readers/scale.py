"""Whether what a slide says of its scale fits together: spots, their distances, and images.

A slide tells its scale several times: the size of a spot, the distance between spots, the size of a
pixel, and the size of every copy of its image beside the copy's factor. Each is compared with the
others, and an error names the two that contradict.

Visium has spots of 55 um, 100 um apart (10x Genomics, CG000239); ``spot_diameter_fullres`` is that
of a spot of 65 um in most versions of Space Ranger.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from spared_bench.errors import ContractError, CoordinateError, ImageError

if TYPE_CHECKING:
    from anndata import AnnData

PITCH_UM = 100.0  # Visium: between neighbours in a row, whose array_col differs by 2
_SPOT_UM = (55.0, 65.0)  # of Visium, as measured and as Space Ranger has it
_SLACK = 1.25  # of lengths: arrays are stretched when they are printed and registered
_SPOTS_UM = (1.0, 300.0)  # of any technology whose spots are predicted from patches
_SPARSE = 20.0  # diameters from a spot to the next: more is another unit, not a sparse array
_AT_EDGE = 1 / 3  # of the spots; more are not there where an image was cropped
_TOLERANCE = 0.02  # of the sizes of images, beside a pixel for rounding


@dataclass(frozen=True)
class ImageCopy:
    """A reduced copy of the full-resolution image.

    Parameters
    ----------
    name : str
        ``"hires"``, ``"lowres"``, ...
    width, height : int
        Pixels.
    factor : float
        Its pixels per full-resolution pixel, as the slide says.
    """

    name: str
    width: int
    height: int
    factor: float

    @property
    def full(self) -> np.ndarray:
        """Width and height that the full-resolution image has by this copy, (2,)."""
        return np.array([self.width, self.height]) / self.factor

    @property
    def slack(self) -> np.ndarray:
        """How far off ``full`` may be, relative, (2,)."""
        return _TOLERANCE + 1 / np.array([self.width, self.height])


def check_copies(copies: Sequence[ImageCopy], where: Path) -> None:
    """Refuse copies of one image whose sizes and factors contradict each other.

    Raises
    ------
    ImageError
        Says whether exchanging two factors would help.
    """
    for index, one in enumerate(copies):
        for other in copies[index + 1 :]:
            if _agree(one.full, other.full, one.slack + other.slack):
                continue
            swapped = (
                np.array([one.width, one.height]) / other.factor,
                np.array([other.width, other.height]) / one.factor,
            )
            hint = (
                "Exchange the two factors: then they agree."
                if _agree(*swapped, one.slack + other.slack)
                else "A factor is wrong, or one of them shows another slide, or was cropped:"
                " correct the factor, or take away the image that does not show all of this slide."
            )
            raise ImageError(
                f"The {one.name} and the {other.name} image of {where} contradict each other:"
                f" {_told(one)}, and {_told(other)}; the ratio of their widths is"
                f" {one.width / other.width:.3g}, that of their factors"
                f" {one.factor / other.factor:.3g}. {hint}"
            )


def scale_by_copies(
    image: Path, copies: Sequence[ImageCopy], where: Path, rescaled: bool = False
) -> float:
    """Return the pixels of an image per full-resolution pixel, by the copies of the same slide.

    Parameters
    ----------
    image : Path
    copies : sequence of ImageCopy
        Without one nothing can be compared, and the scale is taken to be 1.
    where : Path
        Whose copies they are.
    rescaled : bool
        Whether a scale other than 1 is to be expected.

    Raises
    ------
    ImageError
        If the image has another shape than the slide; another size, unless it is rescaled.
    """
    from spared_bench.processing.images import image_size

    check_copies(copies, where)
    if not copies:
        return 1.0
    found = np.array(image_size(image), dtype=np.float64)
    for copy in copies:
        across, down = found / copy.full
        same_shape = abs(across / down - 1) < copy.slack.max()
        if not same_shape or not (rescaled or _agree(found, copy.full, copy.slack)):
            raise ImageError(
                f"The image {image} is {found[0]:.0f} x {found[1]:.0f} pixels, but the slide was"
                f" measured on one of {copy.full[0]:.0f} x {copy.full[1]:.0f}, by its {copy.name}"
                f" image and 'tissue_{copy.name}_scalef' ({copy.factor:.4g}). It is the image of"
                " another slide, turned, cropped or rescaled. Give the image that the coordinates"
                " refer to, or none: the largest that comes with the slide is then used."
            )
    largest = max(copies, key=lambda copy: copy.width * copy.height)
    return float((found / largest.full).mean()) if rescaled else 1.0


def check_on_image(
    slide: AnnData,
    image: Path,
    scale: float,
    columns: str = "pxl_row_in_fullres and pxl_col_in_fullres",
) -> None:
    """Refuse a slide whose spots are not on its image; see what would help."""
    from spared_bench.processing.images import image_size

    size = np.array(image_size(image), dtype=np.float64)
    centres = slide.obsm["spatial"] * scale
    outside = ((centres < 0) | (centres > size)).any(axis=1)
    if not outside.any():
        return
    width = float(slide.uns.get("slide", {}).get("spot_diameter_px", 0.0)) * scale
    away = np.maximum(-centres, centres - size).max(axis=1)
    hints = []
    if _inside(centres[:, ::-1], size):
        hints.append(f"With x and y exchanged all of them fit: swap {columns}.")
    if _inside(centres * (1, -1), size):
        hints.append("With -y in the place of y all of them fit: their y axis points upwards.")
    if (away <= width).all() and outside.mean() <= _AT_EDGE:
        hints.append(
            "All of them lie within a spot of its edge: if it was cropped there, leave these spots"
            " out (0 in `in_tissue` does), or give the whole image."
        )
    hint = " ".join(hints) or "The image is of another slide, or its scale is wrong."
    x, y = centres[np.flatnonzero(outside)[0]]
    raise CoordinateError(
        f"{int(outside.sum())} of {len(centres)} spots lie outside the image {image}, which is"
        f" {size[0]:.0f} x {size[1]:.0f} pixels: one is at x={x:.1f}, y={y:.1f}. {hint}"
    )


def _inside(centres: np.ndarray, size: np.ndarray) -> bool:
    return bool(((centres >= 0) & (centres <= size)).all())


def check_apart(centres: np.ndarray, pitch: float, where: Path) -> None:
    """Refuse spots of which most lie where another one lies, so that nothing tells of their scale.

    Raises
    ------
    CoordinateError
    """
    if len(centres) > 1 and not pitch > 0:
        raise CoordinateError(
            f"Most of the {len(centres)} spots of {where} lie exactly where another one lies. Their"
            " coordinates were rounded, filled with one value, or repeat each spot; correct them."
        )


def check_stretched(array: np.ndarray, steps: tuple[float, float], where: Path) -> None:
    """Refuse Visium's array positions whose pixels are not of one scale along rows and columns.

    Parameters
    ----------
    array : ndarray of shape (n_spots, 2)
        Column and row in the array. Visium's, which count half distances, add up to even numbers.
    steps : tuple of float
        Pixels per column and per row.
    where : Path

    Raises
    ------
    CoordinateError
    """
    columns, rows = np.asarray(array, dtype=np.int64).T
    both = len(np.unique(rows % 2)) == 2
    if not both or ((columns + rows) % 2).any() or not steps[0]:
        return
    raise CoordinateError(
        f"x and y of {where} are not in one scale: its array positions are those of Visium, whose"
        f" rows are 1.73 times as far apart as its columns, and a step of array_row is"
        f" {steps[1]:.3g} px long, one of array_col {steps[0]:.3g} px. Either array_row and"
        " array_col are swapped, or one axis of the coordinates was scaled."
    )


def is_speck(diameter: float, pitch: float) -> bool:
    """Return whether a diameter is too small for spots so far apart: another unit, or made up."""
    return diameter <= pitch / _SPARSE


def check_overlap(diameter: float, pitch: float, where: Path, what: str, most: float = 1.1) -> None:
    """Refuse spots that lie on one another, or are specks far apart: the scales are not one.

    Parameters
    ----------
    diameter, pitch : float
        Of a spot, and from one to the next, in the same pixels; a pitch of 0 is unknown.
    where : Path
    what : str
        What to correct, beside the coordinates.
    most : float
        Of the pitch, from which spots overlap: bins touch each other.

    Raises
    ------
    CoordinateError
    """
    if pitch and (is_speck(diameter, pitch) or not diameter < pitch * most):
        fault = "overlap" if diameter > pitch else "are specks"
        raise CoordinateError(
            f"Spots of {where} are {pitch:.3g} px apart, but {diameter:.3g} px wide: they {fault}."
            " Coordinates must be in full-resolution pixels, as the diameter is; one of them may be"
            f" in pixels of the hires image, or in micrometres. Correct it, or {what}."
        )


def check_visium(diameter: float, pitch: float, where: Path, told: str, pitch_um: float) -> None:
    """Refuse spots of another size than the technology has, by the distance between them.

    Parameters
    ----------
    diameter, pitch : float
        Of a spot, and from one to the next in a row, in full-resolution pixels.
    where : Path
    told : str
        Where the diameter comes from.
    pitch_um : float
        100 for Visium; the side of a bin for Visium HD, whose bins touch.

    Raises
    ------
    ContractError
    """
    low, high = _SPOT_UM if pitch_um == PITCH_UM else (pitch_um, pitch_um)
    found = diameter / pitch * pitch_um
    if not low / _SLACK < found < high * _SLACK:
        expected = f"{low:.3g}" if low == high else f"{low:.3g} to {high:.3g}"
        raise ContractError(
            f"Size and distance of the spots of {where} contradict each other: by {told} a spot is"
            f" {diameter:.4g} px wide, but neighbours, which are {pitch_um:.3g} um apart, are"
            f" {pitch:.4g} px apart, so that it would measure {_short(found)} um; expected"
            f" {expected} um. Either the diameter or the coordinates are not in full-resolution"
            " pixels, or of another slide: take both from one run of Space Ranger."
        )


def check_microns(told: float, by_lattice: float, where: Path) -> None:
    """Refuse ``microns_per_pixel`` of a slide that is not what the lattice of its spots tells.

    Parameters
    ----------
    told, by_lattice : float
        Of a full-resolution pixel; 0 is unknown.
    where : Path

    Raises
    ------
    ContractError
    """
    if told and by_lattice and not 0.9 < told / by_lattice < 1.1:
        raise ContractError(
            f"'microns_per_pixel' of {where} is {told:.4g}, but by the distance of its spots a"
            f" pixel measures {by_lattice:.4g} um: scale factors and positions are of different"
            " slides. Take both from one."
        )


def agreed(told: Mapping[str, float], slack: float = 0.1) -> float:
    """Return the length that the first of several tells, um per pixel or another; 0: none does.

    Parameters
    ----------
    told : mapping of str to float
        What each of them is called, and says; 0 is unknown.
    slack : float
        How far off they may be, relative.

    Raises
    ------
    ContractError
        If two contradict each other.
    """
    known = {name: length for name, length in told.items() if length}
    first = next(iter(known), "")
    for name, length in known.items():
        if not 1 - slack < known[first] / length < 1 + slack:
            raise ContractError(
                f"{first} ({known[first]:.4g}) contradicts {name} ({length:.4g}). Correct one of"
                " them."
            )
    return known.get(first, 0.0)


def check_um_per_px(um_per_px: float, diameter: float, by_lattice: float, where: Path) -> None:
    """Refuse a size of pixels that contradicts the lattice or any spot.

    Parameters
    ----------
    um_per_px : float
        As given; 0 is unknown.
    diameter : float
        Of a spot, in pixels.
    by_lattice : float
        The same by the lattice of the spots, where its pitch is known; else 0.

    Raises
    ------
    ContractError
    """
    if not um_per_px:
        return
    if by_lattice and not 1 / _SLACK < um_per_px / by_lattice < _SLACK:
        raise ContractError(
            f"`um_per_px` {um_per_px:.4g} contradicts the coordinates of {where}: by the distance"
            f" of its spots a full-resolution pixel measures {by_lattice:.4g} um. Correct it, or"
            " leave it out."
        )
    found = diameter * um_per_px
    if not _SPOTS_UM[0] <= found <= _SPOTS_UM[1]:
        raise ContractError(
            f"`um_per_px` {um_per_px:.4g} and a spot diameter of {diameter:.4g} px contradict each"
            f" other in {where}: a spot would measure {_short(found)} um; expected"
            f" {_SPOTS_UM[0]:.0f} to {_SPOTS_UM[1]:.0f}. Both refer to full-resolution"
            " pixels; correct one of them."
        )


def _agree(one: np.ndarray, other: np.ndarray, slack: np.ndarray) -> bool:
    return bool((np.abs(one / other - 1) < slack).all())


def _short(number: float) -> str:
    """Return three digits of a number, without an exponent: 1,300 or 0.22."""
    return f"{float(f'{number:.3g}'):,.10g}"


def _told(copy: ImageCopy) -> str:
    width, height = copy.full
    return (
        f"{copy.name} is {copy.width} x {copy.height} px, times 1 / {copy.factor:.4g} ="
        f" {width:.0f} x {height:.0f}"
    )
