"""The notebooks of `docs/notebooks`, run once for each state of the code, and shown with output.

They are Python files in the percent format of jupytext. What a run gave is kept in
`build/notebooks` under a hash of the notebook and of all code that it can use, so that only a
change runs it again.

    python tools/docs_site/notebooks.py [NAME ...]      runs them, and says which cell fails
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sys
from base64 import b64decode
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "docs" / "notebooks"
CACHE = ROOT / "build" / "notebooks"
LONGEST_S = 300  # of a cell
_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_STYLE = re.compile(r"<style.*?</style>|\n\s*(?=\n)", re.DOTALL)  # of pandas; the site has its own
_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
_CODE = ("spared_bench", "plugins", "examples")
#: Kinds of entries of a store that are made of the data alone; no page shows which are there.
_OF_THE_DATA = ("prepared", "patches", "views", "completed", "features", "pictures")


def names() -> list[str]:
    """Return the notebooks, by the alphabet."""
    return sorted(path.stem for path in SOURCES.glob("*.py"))


def executed(name: str) -> Any:
    """Return a notebook with the output of its cells, from the cache if nothing has changed.

    Raises
    ------
    nbclient.exceptions.CellExecutionError
        If a cell raises.
    """
    import nbformat
    from filelock import FileLock

    path = CACHE / f"{name}-{_state(name)}.ipynb"
    CACHE.mkdir(parents=True, exist_ok=True)
    with FileLock(CACHE / f"{name}.lock"):  # tests in other processes want it too
        if not path.is_file():
            notebook = _run(name)
            for earlier in CACHE.glob(f"{name}-*.ipynb"):
                earlier.unlink()
            beside = path.with_suffix(".part")
            nbformat.write(notebook, beside)
            beside.rename(path)
    return nbformat.read(path, as_version=4)


def pages(name: str) -> dict[str, str | bytes]:
    """Return the page of a notebook, its figures, and the notebook, by address in the site."""
    import nbformat

    notebook = executed(name)
    folder = "" if name == "gallery" else "notebooks/"
    found: dict[str, str | bytes] = {f"{folder}{name}.ipynb": nbformat.writes(notebook)}
    parts, heading = [], name
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            parts.append(cell.source)
            heading = (_HEADING.findall(cell.source) or [heading])[-1]
            continue
        parts.append(_fenced(cell.source, "python"))
        for output in cell.outputs:
            figure = f"{name}/{len(found)}.png"
            text, png = _shown(output, figure, heading)
            parts.append(text)
            if png:
                found[f"{folder}{figure}"] = png
    parts.append(f"[This page as a notebook]({name}.ipynb){{ .md-button download }}")
    return {f"{folder}{name}.md": "\n\n".join(parts) + "\n", **found}


def _shown(output: Any, figure: str, heading: str) -> tuple[str, bytes]:
    """Return an output as Markdown, and the bytes of the figure that it refers to, if it does."""
    if output.output_type == "stream":
        return _fenced(_ANSI.sub("", output.text).rstrip(), "text"), b""
    data = output.data
    if "image/png" in data:
        return f"![Figure: {heading}]({figure})", b64decode(data["image/png"])
    if "text/html" in data:
        return f'<div class="output">{_STYLE.sub("", data["text/html"])}</div>', b""
    return _fenced(data["text/plain"], "text"), b""


def _fenced(text: str, language: str) -> str:
    return f"````{language}\n{text}\n````"


def _state(name: str) -> str:
    """Return a hash of a notebook and of all code that it can use."""
    found = hashlib.sha256()
    files = [SOURCES / f"{name}.py"]
    for folder in _CODE:
        files += (p for p in (ROOT / folder).rglob("*") if p.is_file() and p.suffix != ".pyc")
    for path in sorted(files):
        found.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes())
    return found.hexdigest()[:16]


def _run(name: str) -> Any:
    """Run a notebook in a folder of its own, whose workspace has the results of earlier runs."""
    import jupytext
    import nbformat
    from nbclient import NotebookClient

    notebook = jupytext.read(SOURCES / f"{name}.py", fmt="py:percent")
    notebook.metadata["kernelspec"] = {
        "name": "python3",
        "display_name": "Python 3",
        "language": "python",
    }
    folder = CACHE / "work" / name
    folder.mkdir(parents=True, exist_ok=True)
    # What a cell writes, and the datasets that it adds, are new each time; results are kept.
    workspace = folder / "workspace"
    for left in [workspace / "data", *(each for each in folder.iterdir() if each != workspace)]:
        if left.is_dir():
            shutil.rmtree(left)
        else:
            left.unlink(missing_ok=True)
    link_data(folder)
    client = NotebookClient(
        notebook,
        timeout=LONGEST_S,
        startup_timeout=LONGEST_S,
        coalesce_streams=True,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
    )
    # The kernel is this environment's, whatever else is installed; its warnings are for its log.
    client.create_kernel_manager()
    client.km.kernel_spec.argv[0] = sys.executable
    here = str(Path(sys.executable).parent)  # for the commands that a notebook calls
    settings = {
        "PATH": os.pathsep.join([here, os.environ.get("PATH", "")]),
        "SPARED_BENCH_WORKSPACE": str(folder / "workspace"),
        "PYTHONWARNINGS": "ignore",
    }
    client.execute(env={**os.environ, **settings})
    # Where it ran is nobody's business, and would change the page from machine to machine.
    return nbformat.reads(nbformat.writes(notebook).replace(f"{folder}/", ""), as_version=4)


def link_data(folder: Path) -> None:
    """Put what other notebooks made of the data into the workspace of the one in this folder.

    Entries have the hash of all that they depend on for a name, and appear whole; trials, scores
    and figures are left out, so that a notebook shows what it made itself.
    """
    own = folder / "workspace" / "store"
    for store in sorted(folder.parent.glob("*/workspace/store")):
        for kind in _OF_THE_DATA if store != own else ():
            for entry in store.glob(f"{kind}/*/*"):
                place = own / entry.relative_to(store)
                if not place.exists():
                    shutil.copytree(entry, place, copy_function=os.link)


if __name__ == "__main__":
    for each in sys.argv[1:] or names():
        print(f"{each}: {len(executed(each).cells)} cells")
