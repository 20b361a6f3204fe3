"""Methods that declare views, and a dataset whose pixels have no scale; with toy_plugin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from spared_bench import CompleterSpec, DatasetSpec, PredictorSpec, SlideInfo, View, hookimpl
from spared_bench.models.encoders import ColorEncoder

REGION = View(scale=3, size=16)


@dataclass
class Region:
    """Least squares on the colours of a region as wide as its field says."""

    wide: float = 3.0

    @property
    def views(self) -> Mapping[str, View]:
        return {"region": View(scale=self.wide, size=16)}

    def fit(self, train, val, context):
        x = self.seen(train)
        self.weights_ = np.linalg.solve(x.T @ x + np.eye(x.shape[1]), x.T @ train.target)

    def predict(self, slides):
        return self.seen(slides) @ self.weights_

    def seen(self, slides):
        features = slides.features(ColorEncoder(), view="region").astype(float)
        return np.concatenate([features, np.ones((len(slides), 1))], axis=1)

    def save(self, folder):
        np.save(folder / "weights.npy", self.weights_)

    def load(self, folder):
        self.weights_ = np.load(folder / "weights.npy")


class Same(Region):
    """Another method that asks for an equal view, by another name."""

    views = {"around": View(scale=3, size=16)}  # noqa: RUF012

    def seen(self, slides):
        patches = slides.view("around")[:].reshape(len(slides), -1, 3).mean(axis=1) / 255
        return np.concatenate([patches, np.ones((len(slides), 1))], axis=1)


class All(Region):
    """Looks at the spot, around it, at tiles and at a grid."""

    views = {  # noqa: RUF012
        "target": View(size=12),
        "region": REGION,
        "context": View(um=300, size=32, grid=True),
        "tiles": View(size=8, tiles=3),
    }

    def seen(self, slides):
        windows = slides.windows("context")
        context = slides.features(ColorEncoder(), view="context")[windows.of_spot]
        tiles = (
            slides.features(ColorEncoder(), view="tiles") * slides.tiles_inside("tiles")[..., None]
        )
        own = slides.features(ColorEncoder())
        assert slides.patches.shape == (len(slides), 12, 12, 3)
        return np.concatenate([super().seen(slides), context, tiles.mean(axis=1), own], axis=1)


class Far(Region):
    views = {"region": View(pixels=5000)}  # noqa: RUF012


class Micro(Region):
    views = {"region": View(um=100, size=16)}  # noqa: RUF012


class Late(Region):
    views = None

    def __init__(self):
        self.views = {"region": REGION}


@dataclass
class Looks:
    """A completer that looks around."""

    views = {"region": REGION}  # noqa: RUF012

    def fit(self, train, val, context):
        assert train.view("region").shape == (len(train), 16, 16, 3)

    def complete(self, slides):
        return slides.target + ~slides.mask * slides.view("region")[:].mean() / 255


def read_without_scale(folder, slide_id):
    from tests.toy_plugin import read_slide

    slide = read_slide(folder, slide_id)
    slide.uns["slide"]["um_per_px"] = 0.0
    return slide


@hookimpl
def spared_bench_predictors():
    classes = {"region": Region, "same": Same, "all": All, "far": Far, "micro": Micro, "late": Late}
    return [
        PredictorSpec(f"sees-{name}", f"{__name__}:{cls.__name__}") for name, cls in classes.items()
    ]


@hookimpl
def spared_bench_completers():
    return [CompleterSpec("looks", f"{__name__}:Looks")]


@hookimpl
def spared_bench_datasets():
    slides = {"one": "donor1", "two": "donor2", "three": "donor3"}
    return [
        DatasetSpec(
            "toy-no-scale",
            f"{__name__}:read_without_scale",
            organism="human",
            slides=tuple(SlideInfo(slide, donor) for slide, donor in slides.items()),
            split={"train": ("one",), "val": ("two",), "test": ("three",)},
            synthetic=True,
        )
    ]
