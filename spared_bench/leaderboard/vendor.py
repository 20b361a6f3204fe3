"""The two libraries of the page, taken from installed packages when a site is built.

DataTables (with jQuery) comes with ``itables``, plotly.js with ``plotly``, both MIT. Their files
are copied into the site with their licences; none of their code is kept here. A browser loads no
modules from a disk, so the export at the end of DataTables' bundle becomes a global name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import metadata, resources
from pathlib import Path

from spared_bench.errors import PluginError

TABLES, TABLES_STYLE, PLOTS, LICENCES = (
    "datatables.js",
    "datatables.css",
    "plotly.min.js",
    "LICENCES.txt",
)
_EXPORT = re.compile(r"\bexport\s*\{([^{}]*\bas default\b[^{}]*)\}\s*;?")
_EXPECTED = (
    "Install the versions that spared-bench asks for: `pip install --upgrade itables plotly`."
)


def write_libraries(folder: Path) -> None:
    """Write the libraries and their licences into a folder, leaving files of the same size alone.

    Raises
    ------
    PluginError
        If an installed package does not have the file that is expected of it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    bundle = _text("itables", "html/dt_bundle.js")
    _write(folder / TABLES, as_script(bundle))
    _write(folder / TABLES_STYLE, _text("itables", "html/dt_bundle.css"))
    _write(folder / PLOTS, _text("plotly", "package_data/plotly.min.js"))
    _write(folder / LICENCES, "\n\n".join(_licences()))


def as_script(module: str) -> str:
    """Turn DataTables' module into a plain script that sets ``window.DataTable``."""
    found = _EXPORT.search(module)
    exported = found[1].split(",") if found else []
    default = [each.split()[0] for each in exported if each.split()[-1] == "default"]
    if found is None or not default:
        raise PluginError(f"itables has another bundle of DataTables than expected. {_EXPECTED}")
    start, end = found.span()
    body = f"{module[:start]}window.DataTable={default[0]};{module[end:]}"
    return f"(()=>{{{body}\n}})();\n"


def _text(package: str, path: str) -> str:
    try:
        return resources.files(package).joinpath(path).read_text(encoding="utf-8")
    except (OSError, ModuleNotFoundError) as error:
        raise PluginError(f"Package {package!r} does not have {path!r}. {_EXPECTED}") from error


def _licences() -> Iterator[str]:
    """Yield the licence of each package; those of what is bundled stand in the files themselves."""
    for package in ("itables", "plotly"):
        distribution = metadata.distribution(package)
        yield f"{package} {distribution.version}"
        for path in distribution.files or ():
            if path.name.upper().startswith("LICEN"):
                yield path.read_text(encoding="utf-8")
    yield (
        "The licences of DataTables, jQuery, JSZip and what plotly.js bundles stand in the comments"
        f" of {TABLES} and {PLOTS}."
    )


def _write(path: Path, text: str) -> None:
    data = text.encode()
    if not path.is_file() or path.stat().st_size != len(data):
        path.write_bytes(data)
