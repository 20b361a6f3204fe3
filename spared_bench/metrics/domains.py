"""Domains of a tissue: do clusters of predicted expression agree with those of the measured.

The spots of a slide are clustered twice, by their measured and by their predicted expression, in
the same way: genes standardised over measured spots, their first 50 principal components where
there are more, a graph of the 15 nearest spots in that space, and Leiden's algorithm on it
(Traag et al., Sci. Rep. 2019, doi:10.1038/s41598-019-41695-z; graspologic-native's), the best of
five by its modularity, always with the same seed. A spot without a measured gene is in no domain.

The resolution is fixed by a rule that looks at no prediction. On a slide with labels of people, it
is the lowest of 0.1, 0.2, ..., 2.0 at which the measured expression falls into as many domains as
the slide has labels (2.0 where none is enough); elsewhere it is 1.

Of a slide of more than 20,000 spots, so many are looked at: clustering takes time by the square of
their number, hours for the bins of Visium HD. Which ones, places alone decide.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from spared_bench.metrics.arrays import checked
from spared_bench.metrics.tissue import Tissue, over_slides, standardised

NEIGHBOURS = 15
_COMPONENTS = 50
_RESOLUTIONS = tuple(round(0.1 * step, 1) for step in range(1, 21))
_SEED = 0
#: The best of so many; a single one depends on the order in which it looks at spots.
_TRIALS = 5
_LEAST_SPOTS, _MOST_SPOTS = 20, 20_000

_Agreement = Callable[[np.ndarray, np.ndarray], float]


def domains_ari(
    truth: np.ndarray, prediction: np.ndarray, mask: np.ndarray, tissue: Tissue
) -> np.ndarray:
    """Adjusted Rand index of the domains of the prediction and those of the measured expression.

    Hubert and Arabie, J. Classif. 1985, doi:10.1007/BF01908075.

    Parameters
    ----------
    truth, prediction, mask : ndarray of shape (n_spots, n_genes)
    tissue : Tissue
        Slides are looked at one by one, and the mean over them is taken.

    Returns
    -------
    ndarray of shape ()
        At most 1, and 0 for domains that have nothing to do with each other, such as the single one
        of a constant prediction. nan for a slide of fewer than 20 spots, and where the measured
        expression is a single domain. Of more than 20,000 spots, over as many of them.

    Raises
    ------
    ShapeMismatchError
        If the three arrays differ in shape.
    """
    return over_slides(_against_measured(_ari), *checked(truth, prediction, mask), tissue)


def domains_nmi(
    truth: np.ndarray, prediction: np.ndarray, mask: np.ndarray, tissue: Tissue
) -> np.ndarray:
    """Normalised mutual information of the same domains, in [0, 1]; see ``domains_ari``."""
    return over_slides(_against_measured(_nmi), *checked(truth, prediction, mask), tissue)


def labels_ari(
    truth: np.ndarray, prediction: np.ndarray, mask: np.ndarray, tissue: Tissue
) -> np.ndarray:
    """Adjusted Rand index of the domains of the prediction and the labels that people gave.

    Over labelled spots; all spots are clustered. Parameters as ``domains_ari``.

    Returns
    -------
    ndarray of shape ()
        nan where no slide has labels of two classes at least.
    """
    return over_slides(_against_labels(_ari), *checked(truth, prediction, mask), tissue)


def labels_nmi(
    truth: np.ndarray, prediction: np.ndarray, mask: np.ndarray, tissue: Tissue
) -> np.ndarray:
    """Normalised mutual information of domains and labels, in [0, 1]; see ``labels_ari``."""
    return over_slides(_against_labels(_nmi), *checked(truth, prediction, mask), tissue)


def domains_of(values: np.ndarray, resolution: float) -> np.ndarray:
    """Return the domain of each spot of one slide, (n_spots,), int64.

    Parameters
    ----------
    values : ndarray of shape (n_spots, n_genes)
        Standardised. Spots with the same values are in the same domain, so that the order in which
        spots are stored, which follows the tissue, makes none.
    resolution : float
        Of Leiden's modularity; the higher, the more domains.
    """
    return _Graph(values).domains(resolution)


def resolution_for(values: np.ndarray, n_domains: int) -> float:
    """Return the lowest resolution at which there are so many domains, or the highest of all."""
    graph = _Graph(values)
    for resolution in _RESOLUTIONS:
        if len(np.unique(graph.domains(resolution))) >= n_domains:
            return resolution
    return _RESOLUTIONS[-1]


class _Graph:
    """The graph of the spots of a slide, whatever the resolution; see ``domains_of``."""

    def __init__(self, values: np.ndarray) -> None:
        distinct, which = np.unique(values, axis=0, return_inverse=True)
        # Leiden looks at rows in their order: one that the order of genes does not change.
        order = np.lexsort(np.sort(distinct, axis=1).T)
        self._which = np.argsort(order)[np.asarray(which).ravel()]
        self._edges = _edges(distinct[order]) if len(distinct) > 1 else []

    def domains(self, resolution: float) -> np.ndarray:
        import graspologic_native as native

        if not self._edges:
            return np.zeros(len(self._which), dtype=np.int64)
        _, found = native.leiden(
            self._edges, resolution=resolution, seed=_SEED, iterations=2, trials=_TRIALS
        )
        return np.array([found[str(row)] for row in self._which], dtype=np.int64)


def _edges(values: np.ndarray) -> list[tuple[str, str, float]]:
    """Connect each row with its nearest ones; what is mutual counts twice."""
    from sklearn.decomposition import PCA
    from sklearn.neighbors import NearestNeighbors

    n_rows, n_genes = values.shape
    if min(n_rows, n_genes) > _COMPONENTS:
        values = PCA(_COMPONENTS, svd_solver="full").fit_transform(values)
    nearest = NearestNeighbors(n_neighbors=min(NEIGHBOURS, n_rows - 1)).fit(values)
    near = nearest.kneighbors(return_distance=False)
    return [(str(row), str(other), 1.0) for row, others in enumerate(near) for other in others]


def _clustered(
    truth: np.ndarray, prediction: np.ndarray, mask: np.ndarray, tissue: Tissue
) -> tuple[np.ndarray, np.ndarray] | None:
    """Return the domains of measured and predicted expression; ``None`` for too few spots."""
    if len(truth) < _LEAST_SPOTS or not np.isfinite(prediction[mask]).all():
        return None
    measured, predicted = standardised(truth, mask), standardised(prediction, mask)
    n_labels = len(_classes(tissue))
    resolution = resolution_for(measured, n_labels) if n_labels > 1 else 1.0
    return domains_of(measured, resolution), domains_of(predicted, resolution)


def _looked_at(mask: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Return which spots of a slide are clustered: those with a measured gene, or many of them."""
    known = np.asarray(mask.any(axis=1))
    here = np.flatnonzero(known)
    if len(here) > _MOST_SPOTS:
        here = here[np.lexsort(places[here].T)]  # whatever the order in which spots are stored
        known[np.random.default_rng(_SEED).permutation(here)[_MOST_SPOTS:]] = False
    return known


def _classes(tissue: Tissue) -> set[str]:
    return set() if tissue.labels is None else set(map(str, tissue.labels)) - {""}


def _against_measured(agreement: _Agreement) -> Callable[..., np.ndarray]:
    def score(
        truth: np.ndarray, prediction: np.ndarray, mask: np.ndarray, tissue: Tissue
    ) -> np.ndarray:
        known = _looked_at(mask, tissue.places)
        found = _clustered(truth[known], prediction[known], mask[known], tissue)
        if found is None or len(np.unique(found[0])) < 2:
            return np.asarray(np.nan)
        return np.asarray(agreement(*found))

    return score


def _against_labels(agreement: _Agreement) -> Callable[..., np.ndarray]:
    def score(
        truth: np.ndarray, prediction: np.ndarray, mask: np.ndarray, tissue: Tissue
    ) -> np.ndarray:
        if tissue.labels is None or len(_classes(tissue)) < 2:
            return np.asarray(np.nan)
        known = _looked_at(mask, tissue.places)
        found = _clustered(truth[known], prediction[known], mask[known], tissue)
        if found is None:
            return np.asarray(np.nan)
        labels = np.asarray(tissue.labels, dtype=str)[known]
        return np.asarray(agreement(labels[labels != ""], found[1][labels != ""]))

    return score


def _ari(first: np.ndarray, second: np.ndarray) -> float:
    from sklearn.metrics import adjusted_rand_score

    return float(adjusted_rand_score(first, second))


def _nmi(first: np.ndarray, second: np.ndarray) -> float:
    from sklearn.metrics import normalized_mutual_info_score

    return float(normalized_mutual_info_score(first, second))
