"""A slide that nobody has measured: an image, and where on it expression is wanted."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from spared_bench.data import SPATIAL
from spared_bench.errors import CoordinateError, MissingFileError, UsageError
from spared_bench.geometry import spacing
from spared_bench.readers.text import bare, read_text

if TYPE_CHECKING:
    from anndata import AnnData

_MOST_POINTS = 1_000_000  # of a grid; a capture area of Visium HD has 700,000 bins of 8 um


def read_positions(path: Path) -> tuple[list[str], np.ndarray]:
    """Read spots from a CSV with columns ``x`` and ``y``, in pixels of the image, maybe ``spot``.

    Returns
    -------
    names : list of str
        From the column ``spot``, else ``spot_0``, ``spot_1``, ...
    centres : ndarray of float64, of shape (n_spots, 2)

    Raises
    ------
    MissingFileError, CoordinateError
    """
    import pandas as pd

    if not path.is_file():
        raise MissingFileError(f"There is no file of positions at {str(path)!r}. Check the path.")
    text = read_text(path, CoordinateError, "file of positions")
    try:
        table = pd.read_csv(io.StringIO(text), dtype={"spot": str}, skipinitialspace=True)
        table.columns = [bare(str(name)) for name in table.columns]
        centres = table[["x", "y"]].to_numpy(dtype=np.float64)
    except (KeyError, ValueError) as error:
        raise CoordinateError(
            f"{path} cannot be read as positions: {error}. Expected a CSV with a header and the"
            " columns x and y, numbers in pixels of the image; a column spot may name them."
        ) from error
    lacking = int((~np.isfinite(centres)).any(axis=1).sum())
    if not len(centres) or lacking:
        raise CoordinateError(
            f"{path} has {len(centres)} rows, of which {lacking} lack a coordinate. Expected at"
            " least one row, each with x and y."
        )
    names = list(table["spot"]) if "spot" in table else [f"spot_{i}" for i in range(len(table))]
    if len(set(names)) < len(names) or not all(isinstance(name, str) for name in names):
        raise CoordinateError(
            f"{path} names a spot more than once, or not at all, in its column spot. Give every"
            " spot its own name, or leave the column out."
        )
    return names, centres


def grid(width: int, height: int, step: float) -> np.ndarray:
    """Return the points of a square grid over an image, (n, 2): x, y; half a step from its edge.

    Raises
    ------
    UsageError
        If there is no point on the image, or more than a million.
    """
    if not step > 0 or width * height / step**2 > _MOST_POINTS or step / 2 >= min(width, height):
        raise UsageError(
            f"A grid of {step:.4g} px over an image of {width} x {height} px has no point on it, or"
            f" more than {_MOST_POINTS:,}. Check the step and the micrometres per pixel."
        )
    across, down = np.arange(step / 2, width, step), np.arange(step / 2, height, step)
    x, y = np.meshgrid(across, down)
    return np.stack([x.ravel(), y.ravel()], axis=1)


def check_diameter(diameter: float, width: int, height: int) -> None:
    """Raise UsageError where a spot is no pixel wide, or wider than the image."""
    if not 1 <= diameter <= max(width, height):
        raise UsageError(
            f"A spot would be {diameter:.4g} px wide on an image of {width} x {height} px. Expected"
            " a pixel at least and the image at most: check `--um-per-px`, or give the width with"
            " `--spot-diameter-px`."
        )


def make_slide(
    image: Path,
    names: Sequence[str],
    centres: np.ndarray,
    diameter: float,
    um_per_px: float = 0.0,
) -> AnnData:
    """Return a new slide without expression: what ``cut_slide`` and a predictor look at.

    ``um_per_px`` is needed by methods that look at windows in micrometres; 0: unknown.
    """
    import pandas as pd
    from anndata import AnnData

    place = np.rint((centres - centres.min(axis=0)) / spacing(centres)).astype(int)
    slide = AnnData(
        obs=pd.DataFrame(
            {
                "slide_id": image.stem,
                "patient_id": image.stem,
                "split": "test",
                "array_row": place[:, 1],
                "array_col": place[:, 0],
            },
            index=pd.Index(list(names), dtype=str),
        ),
        obsm={SPATIAL: centres},
    )
    facts = {"image_path": str(image), "image_scale": 1.0, "spot_diameter_px": diameter}
    slide.uns["slide"] = facts | {"um_per_px": um_per_px}
    return slide
