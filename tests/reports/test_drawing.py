import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from spared_bench.reports.drawing import (
    UNMEASURED,
    colour_limits,
    draw_spots,
    frame_spots,
    plain,
)

CENTRES = np.array([[100.0, 100.0], [300.0, 100.0], [300.0, 200.0]])


def painted(size, values, dpi=100):
    """The pixels of three spots, 40 wide, in axes that fill the figure, and pixels per unit."""
    figure = Figure(figsize=size, dpi=dpi)
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    draw_spots(axes, CENTRES, 40, values, clim=(0, 1))
    frame_spots(axes, CENTRES, 50)
    canvas.draw()
    box = axes.get_window_extent()
    return np.asarray(canvas.buffer_rgba())[..., :3] / 255, box.width / 300


@pytest.mark.parametrize("size", [(3, 2), (6, 4), (6, 2)])
def test_a_spot_is_as_wide_as_its_diameter_says_whatever_the_size_of_the_figure(size):
    pixels, scale = painted(size, np.array([0.0, 0.5, 1.0]))
    inked = (pixels.min(axis=2) < 0.97).sum()
    assert inked == pytest.approx(3 * np.pi * (20 * scale) ** 2, rel=0.12)


def test_the_first_row_of_an_image_is_on_top_and_spots_without_a_value_are_pale():
    pixels, scale = painted((3, 2), np.array([0.0, np.nan, 1.0]))

    def at(x, y):
        return tuple(pixels[round((y - 50) * scale), round((x - 50) * scale)])

    assert at(100, 100) == pytest.approx((0.267, 0.005, 0.329), abs=0.01)  # the ends of viridis
    assert at(300, 200) == pytest.approx((0.993, 0.906, 0.144), abs=0.01)
    assert at(300, 100) == pytest.approx(to_rgb(UNMEASURED), abs=0.01)
    assert at(100, 200) == (1, 1, 1)


def test_spots_without_any_value_or_without_any_spot_are_drawn():
    axes = Figure().add_subplot()
    assert draw_spots(axes, CENTRES, 40).get_array() is None
    assert draw_spots(axes, CENTRES[:0], 40, np.array([])).get_array().size == 0


def test_colours_span_the_bulk_of_the_values_and_a_constant_has_a_range():
    assert colour_limits(np.array([*np.arange(101.0), np.nan, np.inf])) == (2.0, 98.0)
    assert colour_limits(np.full(5, 3.0)) == (2.5, 3.5)
    assert colour_limits(np.array([])) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("name", "drawn"),
    [
        ("slide 1", "slide 1"),
        ("$x^2$ and $", "$x^2$ and $"),
        ("a\n\tb", "a b"),
        ("\u202egene", "\ufffdgene"),
        ("g" * 60, "g" * 60),
        ("g" * 61, "g" * 59 + "…"),
        ("$" * 500, "$" * 59 + "…"),
    ],
    ids=["plain", "formula", "lines", "turned", "longest", "longer", "formulas"],
)
def test_a_name_is_drawn_as_it_is_written_and_cut_where_it_is_long(name, drawn):
    """As matplotlib takes it: what it parses as a formula it would not draw letter by letter."""
    figure = Figure()
    title = figure.suptitle(plain(name))
    text, is_formula = title._preprocess_math(title.get_text())
    assert not is_formula
    assert text == drawn
    FigureCanvasAgg(figure).draw()
