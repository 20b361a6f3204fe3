"""The library of the page, taken from an installed package when a site is built.

plotly.js comes with ``plotly`` (MIT). Its file is copied into the site with its licence; none of
its code is kept here.
"""

from __future__ import annotations

from functools import cache
from importlib import metadata, resources
from pathlib import Path

from spared_bench.errors import PluginError

PLOTS, LICENCES = "plotly.min.js", "LICENCES.txt"
_EXPECTED = "Install the version that spared-bench asks for: `pip install --upgrade plotly`."


def write_libraries(folder: Path) -> None:
    """Write the library and its licence into a folder, leaving files of the same size alone.

    Raises
    ------
    PluginError
        If the installed package does not have the file that is expected of it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / PLOTS, _content("plotly", "package_data/plotly.min.js"))
    _write(folder / LICENCES, _licences().encode())


def _content(package: str, path: str) -> bytes:
    try:
        return resources.files(package).joinpath(path).read_bytes()
    except (OSError, ModuleNotFoundError) as error:
        raise PluginError(f"Package {package!r} does not have {path!r}. {_EXPECTED}") from error


@cache  # the package has thousands of files, each of which is looked for
def _licences() -> str:
    """Return the licence of the package; those of what is bundled stand in the file itself."""
    distribution = metadata.distribution("plotly")
    files = distribution.files or ()
    licences = [each for each in files if each.name.upper().startswith("LICEN")]
    texts = [each.read_text(encoding="utf-8") for each in licences]
    end = f"The licences of what plotly.js bundles stand in the comments of {PLOTS}."
    return "\n\n".join([f"plotly {distribution.version}", *texts, end])


def _write(path: Path, data: bytes) -> None:
    if not path.is_file() or path.stat().st_size != len(data):
        path.write_bytes(data)
