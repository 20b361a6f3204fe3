"""The violins of the completion benchmark, on an axis of logarithms."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from spared_bench.completion.benchmark import CompletionResult, Condition
from spared_bench.completion.figures import _draw_spread, draw_datasets, draw_masking


@pytest.fixture
def axes():
    return Figure().add_subplot()


def test_a_violin_is_as_wide_as_errors_are_dense_by_their_logarithms(axes, rng):
    errors = np.exp(rng.normal(np.log(0.2), 0.5, size=400))

    _draw_spread(axes, 3.0, [*errors, float("nan"), 0.0], "red")

    (violin,) = axes.collections
    x, y = violin.get_paths()[0].vertices.T
    assert x.min() == pytest.approx(2.6) and x.max() == pytest.approx(3.4)
    assert y[x.argmax()] == pytest.approx(0.2, rel=0.3)  # where most are
    assert 0 < y.min() < errors.min() and y.max() > errors.max()
    half = np.abs(x - 3)
    far = (y > 0.2 * np.exp(1.0)) | (y < 0.2 * np.exp(-1.0))  # two deviations away
    assert half[far].max() < 0.25 * half.max()


@pytest.mark.parametrize("errors", [[], [0.1, 0.2], [0.3] * 50, [float("nan")] * 50, [0.0] * 50])
def test_of_few_errors_or_of_equal_ones_no_violin_is_drawn(axes, errors):
    _draw_spread(axes, 1.0, errors, "red")
    assert not axes.collections


@pytest.mark.parametrize("draw", [draw_datasets, draw_masking])
def test_names_of_any_length_and_kind_are_drawn(draw):
    """Of a completer or a dataset of somebody else's; a formula that is none ended the drawing."""
    odd = "$\\frac{$" + "x" * 2_000
    results = [
        CompletionResult("", "", odd, name, "val", Condition("fraction", rate), [{"mse": 0.5}] * 2)
        for name in ("median", odd)
        for rate in (0.3, 0.5)
    ]
    figure = draw(results)
    FigureCanvasAgg(figure).draw()
    assert max(len(text.get_text()) for text in figure.findobj(Text)) < 130
