"""What makes pages of the site from docstrings, links and commands."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[1] / "tools" / "docs_site"


def tool(name, monkeypatch, *needs):
    for package in needs:
        pytest.importorskip(package, reason="the extra `docs` is not installed")
    monkeypatch.syspath_prepend(TOOLS)
    for each in ("api_pages", "cli_page", "docstrings", "hooks", "notebooks"):
        monkeypatch.delitem(sys.modules, each, raising=False)
    return import_module(name)


TABLE = """First.

======  =========================
``X``   counts, sparse, or a | b
        goes on here
``Y``   labels
======  =========================

Last::

    one = 1
      two = 2

    three
After.
"""


def test_tables_and_literal_blocks_of_docstrings_become_markdown(monkeypatch):
    markdown = pytest.importorskip("markdown")
    docstrings = tool("docstrings", monkeypatch, "griffe")
    text = docstrings.as_markdown(TABLE)
    html = markdown.markdown(text, extensions=["tables", "fenced_code"])
    assert "<td><code>X</code></td>\n<td>counts, sparse, or a | b goes on here</td>" in html
    assert "<td><code>Y</code></td>\n<td>labels</td>" in html
    assert "one = 1\n  two = 2\n\nthree\n</code></pre>" in html
    assert "<p>Last:</p>" in html
    assert "<p>After.</p>" in html


def test_a_table_with_headings_keeps_them(monkeypatch):
    docstrings = tool("docstrings", monkeypatch, "griffe")
    text = "A.\n\n====  ===\nwhat  how\n====  ===\nx     1\n====  ===\n\nB."
    assert docstrings.as_markdown(text).split() == (
        ["A.", "|", "what", "|", "how", "|", "|---|---|", "|", "x", "|", "1", "|", "B."]
    )


def test_a_docstring_without_either_stays_as_it_is(monkeypatch):
    docstrings = tool("docstrings", monkeypatch, "griffe")
    text = "A line.\n\nParameters\n----------\nx : int\n    One of ``a == b``.\n"
    assert docstrings.as_markdown(text) == text


@pytest.mark.parametrize(
    ("markdown", "source", "uri", "expected"),
    [
        ("[a](docs/views.md#x)", "CONTRIBUTING.md", "contributing.md", "[a](views.md#x)"),
        ("[a](../CONTRIBUTING.md)", "docs/design.md", "design.md", "[a](contributing.md)"),
        ("[a](../views.md)", "docs/tutorials/author.md", "tutorials/author.md", "[a](../views.md)"),
        ("[a](../plugins/metrics.py)", "docs/x.md", "x.md", "a (`plugins/metrics.py`)"),
        ("[a](nowhere.py)", "docs/x.md", "x.md", "[a](nowhere.py)"),
        ("[a](https://example.org/b.md)", "docs/x.md", "x.md", "[a](https://example.org/b.md)"),
        ("![a](images/b.png)", "docs/x.md", "x.md", "![a](images/b.png)"),
    ],
)
def test_links_to_files_of_the_repository_lead_somewhere(
    monkeypatch, markdown, source, uri, expected
):
    hooks = tool("hooks", monkeypatch, "mkdocs")
    monkeypatch.delenv("REPO_URL", raising=False)
    assert hooks.redirected(markdown, source, uri) == expected


def test_links_to_code_lead_to_the_repository_where_its_address_is_known(monkeypatch):
    hooks = tool("hooks", monkeypatch, "mkdocs")
    monkeypatch.setenv("REPO_URL", "https://example.org/r/")
    found = hooks.redirected("[a](../plugins/metrics.py)", "docs/x.md", "x.md")
    assert found == "[a](https://example.org/r/blob/main/plugins/metrics.py)"


def test_help_with_signs_of_markdown_stays_text(monkeypatch):
    cli_page = tool("cli_page", monkeypatch)
    assert cli_page._escaped("<a> `b_c<d>` [e] f|g_h") == r"\<a\> `b_c<d>` \[e\] f\|g\_h"


def test_the_page_of_commands_has_every_command_with_its_options(monkeypatch):
    page = tool("cli_page", monkeypatch).page()
    assert "## spared-bench doctor" in page
    assert "### spared-bench data add" in page
    section = page.partition("## spared-bench doctor")[2].partition("\n## ")[0]
    assert "| `--offline` | Ask no server of weights or MLflow. |" in section


def test_what_a_notebook_gave_is_kept_until_it_or_the_code_changes(monkeypatch, tmp_path):
    notebooks = tool("notebooks", monkeypatch, "nbformat", "filelock")
    import nbformat

    monkeypatch.setattr(notebooks, "ROOT", tmp_path)
    monkeypatch.setattr(notebooks, "SOURCES", tmp_path / "docs")
    monkeypatch.setattr(notebooks, "CACHE", tmp_path / "cache")
    for name in ("docs", "plugins"):
        (tmp_path / name).mkdir()
    (tmp_path / "docs" / "a.py").write_text("# %%\n1\n")
    code = tmp_path / "plugins" / "b.py"
    code.write_text("x = 1\n")
    ran = []

    def run(name):
        ran.append(name)
        return nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(str(len(ran)))])

    monkeypatch.setattr(notebooks, "_run", run)
    shown = [notebooks.executed("a").cells[0].source for _ in range(2)]
    code.write_text("x = 2\n")
    shown += [notebooks.executed("a").cells[0].source for _ in range(2)]
    assert shown == ["1", "1", "2", "2"]
    assert len(list((tmp_path / "cache").glob("a-*.ipynb"))) == 1


def test_a_notebook_begins_with_what_others_made_of_the_data_and_nothing_else(
    tmp_path, monkeypatch
):
    notebooks = tool("notebooks", monkeypatch)
    for kind in ("prepared", "features", "trials", "figures"):
        entry = tmp_path / "other" / "workspace" / "store" / kind / "ab" / "abcd"
        (entry / "arrays").mkdir(parents=True)
        (entry / "arrays" / "values.npy").write_text(kind)
    notebooks.link_data(tmp_path / "mine")
    notebooks.link_data(tmp_path / "mine")  # a second time, nothing is in its way
    store = tmp_path / "mine" / "workspace" / "store"
    found = {str(path.relative_to(store)): path for path in store.rglob("*") if path.is_file()}
    assert set(found) == {f"{kind}/ab/abcd/arrays/values.npy" for kind in ("prepared", "features")}
    assert all(path.stat().st_nlink == 2 for path in found.values())
