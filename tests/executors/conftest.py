"""Our own generated dataset, prepared once for the tests that are about what comes after."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import TOY_PROTOCOL


def planted(root: Path, more: str = "") -> Path:
    """Write the toy protocol, for the dataset ``planted`` and with more settings."""
    root.mkdir(exist_ok=True)
    path = root / "protocol.yaml"
    path.write_text(TOY_PROTOCOL.read_text().replace("[toy]", "[planted]") + more)
    return path


@pytest.fixture(scope="session")
def prepared_planted(tmp_path_factory) -> Callable[[Path], Path]:
    """Copy a workspace in which ``planted`` is prepared for that protocol."""
    from spared_bench.api import make_bench
    from spared_bench.trials.completed import make_completed
    from spared_bench.trials.products import make_dataset

    root = tmp_path_factory.mktemp("planted")
    bench = make_bench(str(planted(root)), workspace=root / "workspace", device="cpu")
    make_dataset(bench, "planted")
    make_completed(bench, "planted", "none")
    return lambda to: Path(shutil.copytree(root / "workspace", to))
