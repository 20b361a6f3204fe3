"""What somebody's settings of matplotlib say changes no figure of ours."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np
import pytest

import spared_bench
from spared_bench.reports.calibration import confusion_figure
from spared_bench.reports.dataset_figures import as_data_uri, patch_sheet
from spared_bench.reports.own_style import in_own_style

THEIRS = {
    "text.usetex": True,  # which needs LaTeX
    "image.origin": "lower",  # upside down
    "savefig.bbox": "tight",
    "savefig.dpi": 30,
    "image.cmap": "gray",
}
HERE = Path(spared_bench.__file__).parent
#: What a notebook shows is drawn as whoever writes it has set.
OF_NOTEBOOKS = {"scverse/figures.py"}


def pictures(folder: Path) -> list[bytes | str]:
    patches = {"a slide": np.arange(4 * 8 * 8 * 3, dtype=np.uint8).reshape(4, 8, 8, 3)}
    confusion_figure(folder / "confusion.png", np.array([[3, 1], [0, 2]]), ["one", "an_other"])
    return [(folder / "confusion.png").read_bytes(), as_data_uri(patch_sheet(patches))]


@pytest.mark.filterwarnings("error")
def test_figures_are_the_same_whatever_somebodys_settings_are(tmp_path):
    expected = pictures(tmp_path)
    with matplotlib.rc_context(THEIRS):
        assert pictures(tmp_path) == expected


def test_somebodys_settings_are_as_they_were_after_it():
    with matplotlib.rc_context(THEIRS):
        with in_own_style():
            assert matplotlib.rcParams["image.origin"] == "upper"
        assert {name: matplotlib.rcParams[name] for name in THEIRS} == THEIRS


def test_whatever_draws_a_figure_draws_it_so():
    drawing = {path for path in HERE.rglob("*.py") if " = Figure(" in path.read_text()}
    drawing -= {HERE / name for name in OF_NOTEBOOKS}
    assert len(drawing) > 5
    assert [path for path in drawing if "@in_own_style()" not in path.read_text()] == []
