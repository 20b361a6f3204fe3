"""A rigid registration of two sections: all turns are tried by grey levels, the best are refined.

What is compared is tissue and grey levels together, ``score = Dice + correlation``: the outlines of
sections nearly tie at half a turn, and grey levels alone do not hold the outline. For every turn,
the best shift of all is found by convolution. No start is needed, so that sections may lie any
distance and any turn apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spared_bench.registration.pictures import Picture, turned

STEP_DEGREES = 4.0
FAR_DEGREES = 30.0  # a runner-up is at least so far from the best
_CANDIDATES = 3


@dataclass(frozen=True, eq=False)
class Found:
    """A registration of one grid on another.

    Parameters
    ----------
    matrix : ndarray of shape (3, 3)
        From x and y on the grid of the moved picture to that of the fixed one.
    score : float
        Dice + correlation; at most 2.
    """

    matrix: np.ndarray
    score: float


@dataclass(frozen=True, eq=False)
class Searched:
    """The best turn, and the best of those that were tried far from it, on the coarse grid."""

    best: Found
    runner_up: Found


def rigid(degrees: float, shift: tuple[float, float], side: int) -> np.ndarray:
    """Return the matrix of a turn about the middle of a grid, and a shift after it, in x and y."""
    angle, middle = np.deg2rad(degrees), (side - 1) / 2
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = np.eye(3)
    matrix[:2, :2] = turn
    matrix[:2, 2] = middle - turn @ [middle, middle] + np.asarray(shift)
    return matrix


def degrees_of(matrix: np.ndarray) -> float:
    """Return by how much a matrix turns, in (-180, 180]."""
    return float(np.rad2deg(np.arctan2(matrix[1, 0] - matrix[0, 1], matrix[0, 0] + matrix[1, 1])))


def moved(picture: Picture, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return grey levels and tissue of a picture on the grid that a matrix leads to."""
    from skimage.transform import warp

    # What scipy's ``affine_transform`` gives, to the last digits, in half the time.
    back = np.linalg.inv(matrix)
    grey, tissue = (
        warp(each, back, order=1, preserve_range=True, clip=False)
        for each in (picture.grey, picture.tissue)
    )
    return grey, tissue


def score_of(fixed: Picture, other: Picture, matrix: np.ndarray) -> float:
    """Return Dice of the tissue + correlation of grey levels; what is off the grid counts as none.

    The correlation is over both tissues: where one has none it has the mean level of the other.
    """
    return likeness(fixed, *moved(other, matrix), 0.5 * other.tissue.sum())


def likeness(fixed: Picture, grey: np.ndarray, tissue: np.ndarray, least: float = 0.0) -> float:
    """Return the score of grey levels and tissue that lie on the grid of a fixed picture.

    An affine matrix changes the area and the length: what stands there counts, and at least
    ``least`` of area.
    """
    # Not ``norm``: its product is dealt to threads, of which the search would wait for thousands.
    area, length = max(tissue.sum(), least), max(np.sqrt(np.square(grey).sum()), 0.5)
    dice = 2 * (fixed.tissue * tissue).sum() / (fixed.tissue.sum() + area)
    return float(dice + (fixed.grey * grey).sum() / length)


def search(fixed: Picture, other: Picture) -> Searched:
    """Try all turns of one picture on another.

    Parameters
    ----------
    fixed, other : Picture
        On grids of one side and step.
    """
    from scipy.fft import irfft2, rfft2

    side, shape = fixed.side, fixed.grey.shape
    held = rfft2(fixed.grey), rfft2(fixed.tissue)
    total = fixed.tissue.sum() + other.tissue.sum()
    turns = np.arange(0.0, 360.0, STEP_DEGREES)
    scores, matrices = np.empty(len(turns)), []
    for at, degrees in enumerate(turns):
        # Counter-clockwise on the screen is the negative sense of x to the right, y downwards.
        copy = turned(other, -degrees)
        grey = irfft2(held[0] * np.conj(rfft2(copy.grey)), shape)
        both = irfft2(held[1] * np.conj(rfft2(copy.tissue)), shape)
        found = grey + 2 * both / total
        row, column = np.unravel_index(found.argmax(), shape)
        scores[at] = found[row, column]
        shift = [(each + side // 2) % side - side // 2 for each in (column, row)]
        matrices.append(rigid(degrees, (shift[0], shift[1]), side))
    best: list[Found] = []
    left = scores.copy()
    for _ in range(_CANDIDATES):
        at = int(left.argmax())
        best.append(refined(fixed, other, matrices[at]))
        left[_apart(turns, turns[at]) < FAR_DEGREES] = -np.inf
    first = max(best, key=lambda each: each.score)
    far = _apart(turns, degrees_of(first.matrix)) >= FAR_DEGREES
    at = int(np.where(far, scores, -np.inf).argmax())
    return Searched(first, Found(matrices[at], float(scores[at])))


def _apart(degrees: np.ndarray, from_: float) -> np.ndarray:
    apart: np.ndarray = np.abs((degrees - from_ + 180) % 360 - 180)
    return apart


def refined(fixed: Picture, other: Picture, matrix: np.ndarray, affine: bool = False) -> Found:
    """Improve a matrix by Powell's method: turn and shift, or all six numbers of an affine one."""
    from scipy.optimize import minimize

    middle, reach = (fixed.side - 1) / 2, fixed.side / 3
    to_middle = np.eye(3)
    to_middle[:2, 2] = -middle

    def made(values: np.ndarray) -> np.ndarray:
        """Change the matrix by a turn (or more) about the middle, in units of about a pixel."""
        change = np.eye(3)
        if affine:
            change[:2, :2] += values[2:].reshape(2, 2) / reach
        else:
            angle = values[2] / reach
            change[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
        change[:2, 2] = values[:2]
        moved_there: np.ndarray = np.linalg.inv(to_middle) @ change @ to_middle @ matrix
        return moved_there

    def cost(values: np.ndarray) -> float:
        return -score_of(fixed, other, made(values))

    start = np.zeros(6 if affine else 3)
    found = minimize(cost, start, method="Powell", options={"xtol": 0.05, "ftol": 1e-5})
    return Found(made(found.x), -float(found.fun))
