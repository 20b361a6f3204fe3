"""What mkdocs adds to `docs/`: references made from the code, notebooks, pages of the root.

mkdocs puts this folder on the path while it imports this file.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import api_pages
import cli_page
import notebooks
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]
#: Pages of the repository's root, and what they are called here.
FROM_ROOT = {"CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
_LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(([^)#\s]+)(#[^)\s]*)?\)")


def on_config(config: Any) -> Any:
    """Give pages that have no place in the navigation one at its end."""
    placed = set(re.findall(r"[\w./-]+\.md", str(config.nav)))
    pages = sorted(str(p.relative_to(ROOT / "docs")) for p in (ROOT / "docs").rglob("*.md"))
    if more := [page for page in pages if page not in placed]:
        config.nav.append({"More": more})
    return config


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that are made."""
    pages: dict[str, str | bytes] = {
        "reference/cli.md": cli_page.page(),
        **api_pages.pages(),
        **{name: (ROOT / source).read_text(encoding="utf-8") for source, name in FROM_ROOT.items()},
    }
    # From the last on: tests that run them at the same time begin with the first.
    for name in reversed(notebooks.names()):
        pages |= notebooks.pages(name)
    for uri, content in pages.items():
        if (there := files.get_file_from_path(uri)) is not None:
            files.remove(there)
        files.append(File.generated(config, uri, content=content))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Let links lead to pages of the site, or to the repository where there is none."""
    uri = page.file.src_uri
    source = next((name for name, made in FROM_ROOT.items() if made == uri), "")
    return redirected(markdown, source or f"docs/{uri}", uri)


def on_serve(server: Any, **_: Any) -> Any:
    """Watch what the made pages are made from."""
    for folder in ("spared_bench", "plugins", "CONTRIBUTING.md", "CHANGELOG.md"):
        server.watch(str(ROOT / folder))
    return server


def redirected(markdown: str, source: str, uri: str) -> str:
    """Return Markdown whose links to files of the repository lead somewhere.

    Parameters
    ----------
    markdown : str
    source : str
        Where the text lies in the repository.
    uri : str
        Where its page lies in the site.
    """

    def target(match: re.Match[str]) -> str:
        text, link, anchor = match[1], match[2], match[3] or ""
        if ":" in link or link.startswith("/"):
            return match[0]
        path = os.path.normpath(Path(source).parent / link).replace(os.sep, "/")
        page = FROM_ROOT.get(path) or (path.removeprefix("docs/") if path[:5] == "docs/" else "")
        if page:
            there = os.path.relpath(page, Path(uri).parent).replace(os.sep, "/")
            return f"[{text}]({there}{anchor})"
        if not (ROOT / path).exists():
            return match[0]  # a link that leads nowhere is for mkdocs to find
        home = os.environ.get("REPO_URL", "").rstrip("/")
        return f"[{text}]({home}/blob/main/{path})" if home else f"{text} (`{path}`)"

    return _LINK.sub(target, markdown)
