"""How alike the maps of a gene look, predicted and measured: structural similarity on the array."""

from __future__ import annotations

import numpy as np

from spared_bench.metrics.arrays import checked
from spared_bench.metrics.tissue import Tissue, over_slides

_WINDOW = 7  # scikit-image's own
_MOST_CELLS = 20_000_000


def ssim_gene(
    truth: np.ndarray, prediction: np.ndarray, mask: np.ndarray, tissue: Tissue
) -> np.ndarray:
    """Structural similarity of the predicted and the measured map of each gene.

    Wang et al., IEEE Trans. Image Process. 2004, doi:10.1109/TIP.2003.819861, by scikit-image's
    ``structural_similarity`` with its defaults (a uniform window of seven cells, smaller on a
    smaller array). A cell of the map is a spot at its row and column of the array; where columns
    are staggered, as on Visium, every two of them are one. Cells without a measured spot hold the
    gene's mean over measured spots, each map its own, and do not count themselves. The range of
    values is that of the truth, so that predictions of another scale are less similar.

    Parameters
    ----------
    truth, prediction, mask : ndarray of shape (n_spots, n_genes)
    tissue : Tissue
        Slides are looked at one by one, and the mean over them is taken.

    Returns
    -------
    ndarray of shape (n_genes,)
        In [-1, 1]. nan for a gene of constant truth, for a slide that has fewer than three rows or
        columns of spots, and for one whose spots lie on no array (positions that are no whole
        numbers, or shared).

    Raises
    ------
    ShapeMismatchError
        If the three arrays differ in shape.
    """
    return over_slides(_of_slide, *checked(truth, prediction, mask), tissue)


def cells_of(array: np.ndarray) -> np.ndarray | None:
    """Return row and column of each spot in a map without gaps between columns, (n_spots, 2).

    ``None`` where positions are no whole numbers, two spots share one, or the map is too large.
    """
    places = np.asarray(array, dtype=np.float64)
    if not len(places) or not np.isfinite(places).all() or (places != np.rint(places)).any():
        return None
    cells: np.ndarray = places.astype(np.int64) - places.min(axis=0).astype(np.int64)
    if (np.ptp(cells.sum(axis=1) % 2) == 0) and np.ptp(cells[:, 1] % 2) > 0:
        cells = np.stack([cells[:, 0], cells[:, 1] // 2], axis=1)  # staggered
    size = cells.max(axis=0) + 1
    if len(np.unique(cells, axis=0)) < len(cells) or int(size[0]) * int(size[1]) > _MOST_CELLS:
        return None
    return cells


def _of_slide(
    truth: np.ndarray, prediction: np.ndarray, mask: np.ndarray, tissue: Tissue
) -> np.ndarray:
    from skimage.metrics import structural_similarity

    scores = np.full(truth.shape[1], np.nan)
    cells = cells_of(tissue.array)
    if cells is None:
        return scores
    shape = tuple(int(n) for n in cells.max(axis=0) + 1)
    window = min(_WINDOW, *(n - 1 + n % 2 for n in shape))  # the largest odd one that fits
    if window < 3:
        return scores
    for gene, seen in enumerate(mask.T):
        spread = float(np.ptp(truth[seen, gene])) if seen.any() else 0.0
        if not spread > 0:
            continue
        at = tuple(cells[seen].T)
        maps = [_map(values[seen, gene], at, shape) for values in (truth, prediction)]
        _, similar = structural_similarity(*maps, win_size=window, data_range=spread, full=True)
        scores[gene] = np.clip(similar[at].mean(), -1.0, 1.0)
    return scores


def _map(values: np.ndarray, at: tuple[np.ndarray, ...], shape: tuple[int, ...]) -> np.ndarray:
    values = values.astype(np.float64)
    drawn = np.full(shape, values.mean())
    drawn[at] = values
    return drawn
