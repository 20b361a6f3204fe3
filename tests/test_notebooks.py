"""Every notebook of the documentation runs on the embedded data, and shows what it says."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted(path.stem for path in (ROOT / "docs" / "notebooks").glob("*.py"))
pytestmark = pytest.mark.notebooks


@pytest.fixture(scope="session")
def notebooks():
    for package in ("jupytext", "nbclient", "ipykernel"):
        pytest.importorskip(package, reason="the extra `docs` is not installed")
    path = ROOT / "tools" / "docs_site" / "notebooks.py"
    spec = importlib.util.spec_from_file_location("docs_site_notebooks", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def outputs(notebook):
    return [each for cell in notebook.cells for each in cell.get("outputs", [])]


def shown(notebook):
    """All text that the cells put out."""
    found = []
    for each in outputs(notebook):
        found.append(each.get("text", ""))
        found.append(each.get("data", {}).get("text/plain", ""))
    return "\n".join(found)


def figures(notebook):
    return sum("image/png" in each.get("data", {}) for each in outputs(notebook))


def test_the_notebooks_are_those_that_were_asked_for():
    assert set(NOTEBOOKS) == {
        "first-look", "train-predict-plot", "own-visium", "write-a-predictor", "compare-honestly",
        "gallery",
    }  # fmt: skip


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_it_runs_without_an_error_or_a_command_that_failed(name, notebooks):
    notebook = notebooks.executed(name)
    assert [each for each in outputs(notebook) if each["output_type"] == "error"] == []
    text = shown(notebook)
    for sign in ("Traceback", "Error:", "Plugin 'nearest' of", "No such file"):
        assert sign not in text.replace("WithheldError:", ""), text
    assert figures(notebook) >= 1


def test_a_first_look_shows_spots_of_every_split_that_add_up(notebooks):
    text = shown(notebooks.executed("first-look"))
    spots = re.findall(r"^\d +C\d +C +(train|val|test) +(\d+)$", text, re.MULTILINE)
    assert {split for split, _ in spots} == {"train", "val", "test"}
    assert f"n_obs × n_vars = {sum(int(number) for _, number in spots)} × 33" in text
    assert "WithheldError" in text


def test_a_predictor_beats_both_controls_and_passes_the_kit(notebooks):
    text = shown(notebooks.executed("write-a-predictor"))
    assert "  passed  " in text
    assert "  failed  " not in text
    rows = dict(re.findall(r"^(nearest|gene-mean|shuffled) .* (-?\d\.\d+)$", text, re.MULTILINE))
    assert float(rows["nearest"]) > 0.2
    assert abs(float(rows["gene-mean"])) < 0.05
    assert abs(float(rows["shuffled"])) < 0.05


def test_a_run_of_own_slides_ends_with_a_summary_and_the_page(notebooks):
    text = shown(notebooks.executed("own-visium"))
    assert "my_breast (test slides):" in text
    assert "no interval: one slide" in text
    assert "Leaderboard: " in text


def test_a_comparison_says_what_three_datasets_cannot_say(notebooks):
    text = shown(notebooks.executed("compare-honestly"))
    assert "3 datasets: a signed-rank test could not have found less than p = 0.25." in text


def test_no_output_says_where_it_was_made(notebooks):
    for name in NOTEBOOKS:
        page = notebooks.pages(name)
        (markdown,) = (text for at, text in page.items() if at.endswith(".md"))
        assert str(ROOT) not in markdown, name
        assert str(Path.home()) + "/" not in markdown, name
