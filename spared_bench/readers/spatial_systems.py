"""The way from shapes of a SpatialData object to its image, by the coordinate systems of both."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from spared_bench.errors import CoordinateError

_SAME = 0.001  # of the image's size, beside a pixel: systems were written with other roundings
_STRETCH = 1.1  # of one direction beside the other; registrations by hand are a little off


def way_between(
    sdata: Any, element: Any, picture: Any, size: tuple[int, int], path: Path
) -> np.ndarray:
    """Return the affine matrix from x and y of an element to pixels of an image, (3, 3).

    Parameters
    ----------
    sdata : SpatialData
    element, picture : elements of it
        Shapes or labels, and an image.
    size : tuple of int
        Width and height of the image in pixels.
    path : Path
        For the message.

    Raises
    ------
    CoordinateError
        If no coordinate system joins them, two that do contradict each other, or pixels would not
        be square.
    """
    from spatialdata.transformations import (
        get_transformation,
        get_transformation_between_coordinate_systems,
    )

    ours, theirs = (get_transformation(each, get_all=True) for each in (element, picture))
    ways = {
        name: np.linalg.inv(_matrix(theirs[name], path)) @ _matrix(ours[name], path)
        for name in ours
        if name in theirs
    }
    if not ways:
        try:
            found = get_transformation_between_coordinate_systems(sdata, element, picture)
        except RuntimeError as error:
            raise CoordinateError(
                f"Shapes and image of {path} have no coordinate system in common, and no clear way"
                f" between them: the shapes are in {_listed(ours)}, the image is in"
                f" {_listed(theirs)}. Write both in one with"
                " `spatialdata.transformations.set_transformation`."
            ) from error
        ways[""] = _matrix(found, path)
    (first, way), *others = ways.items()
    width, height = size
    corners = np.array([[0, width, 0, width], [0, 0, height, height], [1, 1, 1, 1]])
    for name, other in others:
        moved = way @ np.linalg.inv(other) @ corners - corners
        if np.abs(moved).max() > 1 + _SAME * max(width, height):
            raise CoordinateError(
                f"Coordinate systems {first!r} and {name!r} of {path} contradict each other: they"
                " put the shapes in other places of the image. Remove the wrong one from both with"
                " `spatialdata.transformations.remove_transformation`."
            )
    most, least = np.linalg.svd(way[:2, :2], compute_uv=False)
    if not most <= _STRETCH * least:
        raise CoordinateError(
            f"The way from the shapes of {path} to its image stretches one direction"
            f" {most / least:.3g} times as much as the other; expected square pixels, and spots"
            " that stay circles or squares. Correct the transformations, or resample the image."
        )
    return way


def stretch_of(way: np.ndarray) -> float:
    """Return how many pixels a length of 1 has by the matrix of ``way_between``."""
    return float(np.sqrt(abs(np.linalg.det(way[:2, :2]))))


def _matrix(transformation: Any, path: Path) -> np.ndarray:
    matrix = transformation.to_affine_matrix(input_axes=("x", "y"), output_axes=("x", "y"))
    if not np.isfinite(matrix).all() or not np.linalg.det(matrix):
        raise CoordinateError(
            f"A transformation of {path} has no inverse, or holds no finite numbers:"
            f" {matrix.tolist()}. Correct it with"
            " `spatialdata.transformations.set_transformation`."
        )
    return np.asarray(matrix, dtype=np.float64)


def _listed(systems: Any) -> str:
    return ", ".join(map(repr, systems)) or "none"
