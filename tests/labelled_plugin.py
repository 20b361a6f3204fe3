"""A single-file plugin: the toy slides with labels, and a method that predicts all it can.

Loaded with ``--plugin tests/labelled_plugin.py``, in the process of a test and in workers.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spared_bench import DatasetSpec, PredictorSpec, SlideInfo, hookimpl
from spared_bench.interfaces import Prediction

CLASSES = ("dark", "bright")
SLIDES = ("one", "two", "three")


def read_slide(folder: Path, slide_id: str):
    """Read a toy slide, labelled by how bright a spot is; every seventh spot is not labelled."""
    from tests import toy_plugin

    slide = toy_plugin.read_slide(folder, slide_id)
    bright = toy_plugin.brightness(slide_id) > 0.5
    labels = np.where(bright, CLASSES[1], CLASSES[0]).astype(object)
    labels[::7] = ""
    slide.obs["label"] = labels
    return slide


@dataclass
class Full:
    """Ridge on the mean colour, its residual variance, and classes by a threshold on brightness."""

    inflation: float = 1.0
    means_only: bool = False

    def skip(self, spec):
        return None if spec.classes else "it learns classes, and the dataset has none"

    def fit(self, train, val, context):
        x = self._features(train)
        gram = x.T @ x + 1e-3 * np.eye(x.shape[1])
        self.weights_ = np.linalg.solve(gram, x.T @ train.target)
        seen = train.mask
        residual = np.where(seen, (x @ self.weights_ - train.target) ** 2, 0).sum(axis=0)
        self.variance_ = self.inflation * residual / np.maximum(seen.sum(axis=0), 1)
        red = x[:, 0]
        lit = {name: red[train.labels == name] for name in train.classes}
        self.threshold_ = 0.5 * (lit["dark"].max() + lit["bright"].min())

    def predict(self, slides):
        x = self._features(slides)
        if self.means_only:
            return x @ self.weights_
        bright = 1 / (1 + np.exp(-60 * (x[:, 0] - self.threshold_)))
        variance = np.tile(self.variance_, (len(slides), 1))
        shares = {"dark": 1 - bright, "bright": bright}
        classes = np.stack([shares[name] for name in slides.classes], axis=1)
        return Prediction(x @ self.weights_, variance, classes)

    def save(self, folder):
        np.savez(folder / "x.npz", w=self.weights_, v=self.variance_, t=self.threshold_)

    def load(self, folder):
        with np.load(folder / "x.npz") as file:
            self.weights_, self.variance_, self.threshold_ = file["w"], file["v"], file["t"]

    def _features(self, slides):
        colours = slides.patches[:].reshape(len(slides), -1, 3).mean(axis=1) / 255
        return np.concatenate([colours, np.ones((len(slides), 1))], axis=1)


class Peeking(Full):
    """Asks for the labels of the slides that it is to predict."""

    def predict(self, slides):
        return slides.labels


class Negative(Full):
    """Returns the logarithm of a variance."""

    def predict(self, slides):
        found = super().predict(slides)
        return Prediction(found.mean, np.log(found.variance + 1e-9))


@hookimpl
def spared_bench_predictors():
    names = {"full": "Full", "peeking": "Peeking", "negative": "Negative"}
    return [
        PredictorSpec(name, f"{__name__}:{cls}", summary="all that can be predicted")
        for name, cls in names.items()
    ]


@hookimpl
def spared_bench_datasets():
    return [
        DatasetSpec(
            "labelled",
            f"{__name__}:read_slide",
            organism="human",
            slides=tuple(SlideInfo(name, f"donor of {name}") for name in SLIDES),
            split={"train": ("one",), "val": ("two",), "test": ("three",)},
            synthetic=True,
            classes=CLASSES,
        )
    ]
