"""The kit predicts two slides together and each alone: what one tells of the other is found."""

from __future__ import annotations

import pytest

from spared_bench.errors import PluginError
from spared_bench.registry import discover
from spared_bench.testing import predictor_checks

CHECK = "slides that are predicted together get what each gets alone"
PLUGIN = """
import numpy as np

from spared_bench import PredictorSpec, hookimpl


class SlideBySlide:
    def fit(self, train, val, context):
        self.mean_ = train.target.mean(axis=0)

    def predict(self, slides):
        parts = [self.brightness(slide) for _, slide in slides.each()]
        return self.mean_ + np.concatenate(parts)[:, None]

    def brightness(self, slides):
        bright = slides.patches[:].mean(axis=(1, 2, 3))
        return (bright - bright.mean()) / bright.std()


class AllAtOnce(SlideBySlide):
    def predict(self, slides):
        return self.mean_ + self.brightness(slides)[:, None]


class Neighbours(SlideBySlide):
    def predict(self, slides):
        # Slides lie on one another in these coordinates.
        places, bright = slides.coordinates, slides.patches[:].mean(axis=(1, 2, 3))
        near = np.linalg.norm(places[:, None] - places, axis=2) < 101
        return self.mean_ + ((near @ bright) / near.sum(axis=1))[:, None]


@hookimpl
def spared_bench_predictors():
    return [PredictorSpec(f"x-{kind.__name__.lower()}", f"{__name__}:{kind.__name__}", summary="x")
            for kind in (SlideBySlide, AllAtOnce, Neighbours)]
"""


@pytest.fixture
def check_of(tmp_path):
    path = tmp_path / "slides.py"
    path.write_text(PLUGIN)
    registry = discover([path])
    return lambda name: {each.name: each for each in predictor_checks(name, registry)}[CHECK]


def test_a_method_that_takes_slides_one_by_one_passes(check_of):
    check_of("x-slidebyslide").run()


@pytest.mark.parametrize("name", ["x-allatonce", "x-neighbours"])
def test_a_method_that_mixes_slides_is_told(check_of, name):
    with pytest.raises(PluginError, match=r"other predictions beside other slides.*difference is"):
        check_of(name).run()
