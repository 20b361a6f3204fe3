"""All sections of a sample on one frame: each registered to the next one inwards, and so on.

The middle section stays as it is. From it outwards, every section is registered to its neighbour,
and the matrices are multiplied. Both directions of a pair are tried, since one can end in a worse
optimum than the other; a pair that is in doubt is also tried against the middle section.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from spared_bench.errors import ContractError
from spared_bench.registration.by_hand import checked_matrix
from spared_bench.registration.field import Field, field_between
from spared_bench.registration.pictures import (
    Picture,
    Scales,
    mirrored,
    pictures_of,
    scales_of,
)
from spared_bench.registration.quality import Quality, quality_of
from spared_bench.registration.search import refined, score_of, search

if TYPE_CHECKING:
    from anndata import AnnData

Method = Literal["none", "centroid", "rigid", "affine", "deformable"]


@dataclass(frozen=True, eq=False)
class Aligned:
    """Where one section lies in the frame of its sample.

    Parameters
    ----------
    matrix : ndarray of float64, of shape (3, 3)
        From full-resolution pixels of the section to those of the reference section.
    to : str
        The section that it was registered to; its own name where it was not.
    how : str
        The method, ``"manual"``, or ``"reference"``.
    quality : Quality
        Of the registration to ``to``.
    field : Field, optional
        What is added after the matrix (``deformable``); None, too, where none came nearer.
    """

    matrix: np.ndarray
    to: str
    how: str
    quality: Quality
    field: Field | None = None

    def moved(self, points: np.ndarray) -> np.ndarray:
        """Return points (n, 2) in full-resolution pixels of the reference section."""
        there = np.asarray(points, np.float64) @ self.matrix[:2, :2].T + self.matrix[:2, 2]
        return there if self.field is None else self.field.moved(there)

    def unmoved(self, points: np.ndarray) -> np.ndarray:
        """Return where points (n, 2) of the reference section lie on this one, in its pixels."""
        there = np.asarray(points, np.float64)
        there = there if self.field is None else self.field.unmoved(there)
        back = np.linalg.inv(self.matrix)
        return np.asarray(there @ back[:2, :2].T + back[:2, 2])


@dataclass(frozen=True, eq=False)
class Registration:
    """The sections of a sample in one frame.

    Parameters
    ----------
    reference : str
        The section whose full-resolution pixels are the frame.
    um_per_px : float
        Of these pixels; 1 where no section has a scale.
    sections : dict of str to Aligned
        In their order.
    notes : tuple of str
        What was taken for granted, a sentence each.
    """

    reference: str
    um_per_px: float
    sections: dict[str, Aligned]
    notes: tuple[str, ...] = ()

    def frame(self, name: str, points: np.ndarray) -> np.ndarray:
        """Return points of a section, (n, 2) in its full-resolution pixels, in the frame, in um."""
        return self.sections[name].moved(points) * self.um_per_px

    @property
    def doubtful(self) -> dict[str, tuple[str, ...]]:
        """The sections whose registration is in doubt, and why."""
        return {n: a.quality.reasons for n, a in self.sections.items() if not a.quality.good}


def register(
    slides: Mapping[str, AnnData],
    method: Method = "rigid",
    by_hand: Mapping[str, np.ndarray] | None = None,
) -> Registration:
    """Register the sections of a sample to the middle one.

    Parameters
    ----------
    slides : mapping of str to AnnData
        Raw slides in their order through the sample.
    method : {"none", "centroid", "rigid", "affine", "deformable"}
        ``"none"``: all sections lie on the slide as they lie in the sample. ``"centroid"``: shifted
        by the middles of their tissues. ``"affine"`` and ``"deformable"`` begin at ``"rigid"``.
    by_hand : mapping of str to ndarray of shape (3, 3), optional
        Matrices to full-resolution pixels of the middle section that are taken as they are.

    Raises
    ------
    ImageError, CoordinateError
        See ``pictures_of``.
    ContractError
        For a matrix by hand that is of no section, or cannot be one.
    """
    by_hand = {name: checked_matrix(name, value) for name, value in (by_hand or {}).items()}
    if strange := [name for name in by_hand if name not in slides]:
        raise ContractError(
            f"A transform by hand is of {strange[0]!r}, which is no section here:"
            f" {', '.join(slides)}."
        )
    names, scales = list(slides), scales_of(slides)
    reference = names[len(names) // 2]
    notes: tuple[str, ...] = () if scales.known else (
        "No section has `um_per_px`: a full-resolution pixel is taken to be as long in all of them,"
        " and for 1 um.",
    )  # fmt: skip
    if by_hand.get(reference) is not None and not np.allclose(by_hand[reference], np.eye(3)):
        raise ContractError(
            f"The matrix by hand of {reference} is not the identity; it is the middle section, to"
            " which all others are aligned. Leave it out."
        )
    needed = [name for name in names if name != reference and name not in by_hand]
    made = {reference: Aligned(np.eye(3), reference, "reference", Quality())}
    if method == "none" or not needed:
        scale = {n: scales.um_per_px[n] / scales.um_per_px[reference] for n in names}
        for name in needed:
            matrix = np.diag([scale[name], scale[name], 1.0])
            made[name] = Aligned(matrix, name, "none", Quality())
    else:
        made |= _from_images(slides, scales, reference, method, [*by_hand])
    for name, matrix in by_hand.items():
        if name != reference:
            made[name] = Aligned(matrix, reference, "manual", Quality())
    ordered = {name: made[name] for name in names}
    if stiff := [n for n, a in ordered.items() if a.how == "deformable" and a.field is None]:
        notes += (
            f"No local field brings {', '.join(stiff)} nearer to {reference} than the matrix alone:"
            " there is none.",
        )
    return Registration(reference, scales.um_per_px[reference], ordered, notes)


def _from_images(
    slides: Mapping[str, AnnData],
    scales: Scales,
    reference: str,
    method: Method,
    left_out: Sequence[str],
) -> dict[str, Aligned]:
    names = [name for name in slides if name not in left_out or name == reference]
    fine, coarse = pictures_of({name: slides[name] for name in names}, scales)
    middle = names.index(reference)
    inwards = [
        *((names[at], names[at + 1]) for at in range(middle - 1, -1, -1)),
        *((names[at], names[at - 1]) for at in range(middle + 1, len(names))),
    ]
    grids = {reference: np.eye(3)}
    made: dict[str, Aligned] = {}
    for name, inner in inwards:
        matrix, quality = _pair(fine, coarse, name, inner, method)
        grids[name], to = grids[inner] @ matrix, inner
        if not quality.good and inner != reference:
            direct, other = _pair(fine, coarse, name, reference, method)
            if sum_of(other) > sum_of(quality):
                grids[name], quality, to = direct, other, reference
        field = None
        if method == "deformable":
            field = field_between(fine[reference], fine[name], grids[name])
        full = fine[reference].to_full @ grids[name] @ np.linalg.inv(fine[name].to_full)
        made[name] = Aligned(full, to, method, quality, field)
    return made


def sum_of(quality: Quality) -> float:
    """Return Dice + correlation, by which two registrations of a section are compared."""
    return quality.dice + quality.correlation


def _pair(
    fine: Mapping[str, Picture],
    coarse: Mapping[str, Picture],
    name: str,
    inner: str,
    method: Method,
) -> tuple[np.ndarray, Quality]:
    """Register one section to another: the matrix between their fine grids, and its quality."""
    if method == "centroid":  # in the middle of every grid
        return np.eye(3), quality_of(fine[inner], fine[name], np.eye(3))
    there = search(coarse[inner], coarse[name])
    back = search(coarse[name], coarse[inner])
    finer = (fine[inner].side - 1) / (coarse[inner].side - 1)
    scaling = np.diag([finer, finer, 1.0])

    def on_fine(matrix: np.ndarray) -> np.ndarray:
        return np.asarray(scaling @ matrix @ np.linalg.inv(scaling))

    forward = refined(fine[inner], fine[name], on_fine(there.best.matrix))
    reverse = refined(fine[name], fine[inner], on_fine(back.best.matrix))
    candidates = [(forward.matrix, there), (np.linalg.inv(reverse.matrix), back)]
    matrix, searched = max(candidates, key=lambda c: score_of(fine[inner], fine[name], c[0]))
    if method in ("affine", "deformable"):
        matrix = refined(fine[inner], fine[name], matrix, affine=True).matrix
    other_way_up = search(coarse[inner], mirrored(coarse[name])).best.score
    return matrix, quality_of(fine[inner], fine[name], matrix, searched, other_way_up)
