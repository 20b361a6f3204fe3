"""The pages about writing a method: their code passes the kit, and is what `plugins new` writes."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest
import yaml

from spared_bench.models.augmentation.names import BUILT_IN, made
from spared_bench.registry import discover
from spared_bench.scaffold.packages import new_package
from spared_bench.testing.conformance import examine

DOCS = Path(__file__).parents[1] / "docs"
PAGES = {
    "write-a-patch-method": ("my-method", ""),
    "write-a-slide-method": ("my-slides", "slide"),
    "write-a-feature-method": ("my-head", "features"),
}


def blocks(page):
    text = (DOCS / f"{page}.md").read_text(encoding="utf-8")
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


@pytest.mark.parametrize("page", PAGES)
def test_the_code_of_a_page_passes_the_conformance_kit(page, tmp_path, monkeypatch):
    name, _ = PAGES[page]
    module = name.replace("-", "_")
    model, plugin = blocks(page)
    (tmp_path / f"{module}_model.py").write_text(model)
    (tmp_path / f"{module}_plugin.py").write_text(plugin)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    results = list(examine(discover([tmp_path / f"{module}_plugin.py"]), [("predictor", name)]))

    assert [each for each in results if each.status == "failed"] == []
    assert sum(each.status == "passed" for each in results) >= 12


@pytest.mark.parametrize("page", [page for page, (_, form) in PAGES.items() if form])
def test_a_page_shows_what_plugins_new_writes(page, tmp_path):
    name, form = PAGES[page]
    new_package("predictor", name, tmp_path, discover(), form)
    module = name.replace("-", "_")
    written = [
        (tmp_path / name / f"{module}_{part}.py").read_text() for part in ("model", "plugin")
    ]
    assert blocks(page) == written


def test_the_table_of_augmentations_has_all_of_them_with_their_defaults():
    text = (DOCS / "augmentation.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z-]+)` \| (?:`(.*?)`)? ?\|", text, re.MULTILINE)
    shown = {name: yaml.safe_load(f"{{{given}}}") for name, given in rows}
    assert list(shown) == list(BUILT_IN)
    for name, given in shown.items():
        (augmentation,) = made([{name: given}])
        defaults = inspect.signature(type(augmentation)).parameters
        assert given.keys() == defaults.keys(), name
        assert augmentation == type(augmentation)(), name
