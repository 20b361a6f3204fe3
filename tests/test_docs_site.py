"""The documentation site: it builds without a warning, and has what it promises."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from html.parser import HTMLParser
from importlib import import_module
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import typer
from typer.main import get_command

import spared_bench
from spared_bench.cli import app
from tests.accessibility import faults

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.notebooks
#: Of the folders in which code is as a plugin's author would write it.
WRITTEN_BY_PLUGINS = ("plugins", "examples")


@pytest.fixture(scope="session")
def site(tmp_path_factory) -> Path:
    for package in ("mkdocs", "material", "mkdocstrings", "mike", "jupytext", "nbclient"):
        pytest.importorskip(package, reason="the extra `docs` is not installed")
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", folder],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


class Page(HTMLParser):
    """The anchors of a page, what it links to, and what it loads."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.anchors |= {values[name] for name in ("id", "name") if values.get(name)}
        if tag == "a" and values.get("href"):
            self.links.append(values["href"])
        if tag in ("img", "script", "iframe") and values.get("src"):
            self.loaded.append(values["src"])
        if tag == "link" and values.get("href") and values.get("rel") != "canonical":
            self.loaded.append(values["href"])


@pytest.fixture(scope="session")
def pages(site):
    return {path: Page(path) for path in sorted(site.rglob("*.html"))}


def test_every_link_leads_to_a_file_and_to_an_anchor_that_are_there(site, pages):
    broken = []
    for path, page in pages.items():
        if path.name == "404.html":
            continue
        for link in [*page.links, *page.loaded]:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc or link.startswith("data:"):
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if target.is_dir():
                target = target / "index.html"
            anchors = pages[target].anchors if target in pages else set()
            if not target.is_file() or unquote(parts.fragment) not in anchors | {""}:
                broken.append(f"{path.relative_to(site)}: {link}")
    assert broken == []


def test_nothing_is_loaded_from_elsewhere(site, pages):
    loaded = {each for page in pages.values() for each in page.loaded if "//" in each}
    assert loaded == set()


def test_the_search_finds_a_word_of_every_page_without_a_server(site, pages):
    index = (site / "search" / "search_index.js").read_text(encoding="utf-8")
    for word in ("signed-rank", "space_ranger", "WithheldError", "--isolate"):
        assert word in index


def test_the_search_answers_in_a_folder_that_is_opened_from_disk(browser, site):
    page = browser.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto((site / "index.html").as_uri())
    page.wait_for_selector(".md-search__input:visible")
    page.click(".md-search__input")
    page.wait_for_function("document.querySelector('iframe') !== null")
    page.keyboard.type("signed-rank")
    page.wait_for_selector(".md-search-result__item")
    found = page.inner_text(".md-search-result__list")
    page.close()
    assert "Statistics" in found
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    "name", ["index.html", "performance.html", "write-a-slide-method.html", "gallery.html"]
)
def test_what_is_written_can_be_read_on_its_ground(browser, site, name, scheme):
    page = browser.new_page(color_scheme=scheme)
    page.goto((site / name).as_uri())
    page.wait_for_selector(".md-content")
    found = [fault for fault in faults(page) if fault.startswith("color-contrast")]
    page.close()
    assert found == []


def documented(pages) -> set[str]:
    reference = [page for path, page in pages.items() if path.parent.name == "reference"]
    return set().union(*(page.anchors for page in reference))


def test_every_public_name_is_in_the_reference(pages):
    anchors = documented(pages)
    lacking = [n for n in spared_bench.__all__ if f"spared_bench.{n}" not in anchors]
    for room in ("data", "models", "readers", "specs", "testing"):
        module = import_module(f"spared_bench.{room}")
        lacking += [
            f"{room}.{name}"
            for name in module.__all__
            if f"spared_bench.{room}.{name}" not in anchors
        ]
    assert lacking == []


def imported_by_plugins() -> set[str]:
    """What plugins import of this package, as ``module.name``."""
    found = set()
    for folder in WRITTEN_BY_PLUGINS:
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(
                    ("spared_bench.", "spared_bench")
                ):
                    if (node.module or "").startswith("spared_bench_plugins"):
                        continue
                    found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def test_what_plugins_import_is_in_the_reference(pages):
    anchors = documented(pages)
    imported = imported_by_plugins()
    assert len(imported) > 50
    assert sorted(name for name in imported - anchors if is_ours(name)) == []


def is_ours(name: str) -> bool:
    """Whether a name stands for something that this package defines, or hands on."""
    module, _, attribute = name.rpartition(".")
    value = getattr(import_module(module), attribute)
    return getattr(value, "__module__", module).startswith("spared_bench")


def commands(command, name="spared-bench"):
    """Yield the full name of every command, with its options."""
    context = typer.Context(command, info_name=name)
    children = getattr(command, "commands", {})
    options = [opt for each in command.get_params(context) for opt in each.opts if opt[:2] == "--"]
    yield name, [each for each in options if each != "--help"]
    for child, its in children.items():
        yield from commands(its, f"{name} {child}")


def test_every_command_and_option_is_in_the_reference_of_the_command_line(site):
    text = (site / "reference" / "cli.html").read_text(encoding="utf-8")
    text = re.sub(r"<[^>]+>", "", text)
    for name, options in commands(get_command(app)):
        assert name in text
        for option in options:
            assert option in text, (name, option)


def test_every_page_of_docs_is_in_the_navigation(site, pages):
    linked = {
        (path.parent / unquote(urlsplit(link).path)).resolve()
        for path, page in pages.items()
        for link in page.links
        if not urlsplit(link).scheme
    }
    named = [p.relative_to(ROOT / "docs") for p in (ROOT / "docs").rglob("*.md")]
    assert [str(p) for p in named if (site / p.with_suffix(".html")).resolve() not in linked] == []


def test_the_output_of_the_notebooks_is_on_their_pages(site):
    page = (site / "notebooks" / "train-predict-plot.html").read_text(encoding="utf-8")
    assert "pcc-gene" in page
    assert len(list((site / "notebooks").rglob("*.png"))) >= 5
    assert (site / "notebooks" / "train-predict-plot.ipynb").is_file()


def test_links_between_the_markdown_files_of_the_repository_lead_somewhere():
    broken = []
    files = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    made = {"index.md"}  # it links to pages that are made when the site is built
    for path in files:
        text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
        for link in re.findall(r"\]\(([^)#\s]+)", text):
            if "://" in link or link.startswith("mailto:"):
                continue
            at = path.parent / link
            notebook = at.with_suffix(".py").exists() and at.parent.name == "notebooks"
            if not (at.exists() or notebook or (path.name in made and link[:9] == "reference")):
                broken.append(f"{path.relative_to(ROOT)}: {link}")
    assert broken == []
