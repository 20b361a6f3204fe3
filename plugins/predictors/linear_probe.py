"""Linear probe: ridge regression from fixed features of a patch to all genes at once.

The features are 24 numbers of colour and texture (``backbone="color"``), which need no weights, or
the pooled output of a frozen network. They are standardised by the training slides. The penalty is
chosen by the harness on validation error.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

from spared_bench import PredictorSpec
from spared_bench.data import Encoder, Slides
from spared_bench.interfaces import Context
from spared_bench.models import ColorEncoder, TimmEncoder
from spared_bench.models.arrays import load_arrays, save_arrays

SPEC = PredictorSpec(
    "linear-probe",
    f"{__name__}:LinearProbe",
    summary="Ridge regression on colour features, or on those of a frozen backbone",
    licence="MIT",
    encoder="backbone",
    search={"alpha": (1.0, 10.0, 100.0, 1_000.0, 10_000.0)},
)


@dataclass
class LinearProbe:
    """Predict the expression of a spot as a linear function of the features of its patch.

    Parameters
    ----------
    backbone : str
        ``"color"``, or any network of timm or torchvision.
    weights : str
        Of the network: ``"pretrained"``, ``"random"`` or a file; ``"color"`` has none.
    alpha : float
        Weight of the squared coefficients beside the squared error summed over spots.
    """

    name: ClassVar[str] = "linear-probe"
    tiny: ClassVar[dict[str, Any]] = {}

    backbone: str = "color"
    weights: str = "pretrained"
    alpha: float = 100.0

    @property
    def encoder(self) -> Encoder:
        """What turns patches into features."""
        if self.backbone == "color":
            return ColorEncoder()
        return TimmEncoder(self.backbone, self.weights)

    @property
    def weights_used(self) -> str | None:
        """The weights in use; colour features have none."""
        return None if self.backbone == "color" else self.weights

    def fit(self, train: Slides, val: Slides, context: Context) -> None:
        """Solve for the coefficients, towards all entries of the target; ``val`` is not used."""
        features = train.features(self.encoder).astype(np.float64)
        scaler = StandardScaler().fit(features)
        ridge = Ridge(self.alpha).fit(scaler.transform(features), train.target.astype(np.float64))
        # Of one gene, scikit-learn gives a vector and no matrix of one row.
        by_gene = ridge.coef_.reshape(-1, features.shape[1])
        # The scaling goes into the coefficients, (width, n_genes), so that they stand alone.
        self.coefficients_ = by_gene.T / scaler.scale_[:, None]
        self.intercept_ = ridge.intercept_ - scaler.mean_ @ self.coefficients_

    def predict(self, slides: Slides) -> np.ndarray:
        """Return (n_spots, n_genes), float32."""
        features = slides.features(self.encoder).astype(np.float64)
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
