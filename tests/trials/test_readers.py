"""What the reader of a dataset may return."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from spared_bench.errors import ContractError, PluginError
from spared_bench.registry import discover
from spared_bench.trials import raw_slides
from spared_bench.trials.raw_slides import read_slide
from tests import toy_plugin

PLUGIN = """
import time

import anndata as ad
from spared_bench import DatasetSpec, SlideInfo, hookimpl
from tests.toy_plugin import read_slide


def nothing(folder, slide_id):
    read_slide(folder, slide_id)


def table(folder, slide_id):
    return read_slide(folder, slide_id).to_df()


def backed(folder, slide_id):
    path = folder / f"{slide_id}.h5ad"
    read_slide(folder, slide_id).write_h5ad(path)
    return ad.read_h5ad(path, backed="r")


def waits(folder, slide_id):
    while True:
        try:
            time.sleep(60)
        except Exception:  # of a server that does not answer: once more
            pass


def naps(folder, slide_id):
    time.sleep(0.5)
    return read_slide(folder, slide_id)


def insists(folder, slide_id):
    while True:
        try:
            time.sleep(60)
        except BaseException:
            pass


@hookimpl
def spared_bench_datasets():
    given = {"slides": (SlideInfo("one"),), "split": {"train": ("one",)}, "synthetic": True}
    names = ("nothing", "table", "backed", "waits", "naps", "insists")
    return [DatasetSpec(f"reads-{name}", f"{__name__}:{name}", **given) for name in names]
"""


@pytest.fixture
def entry(tmp_path):
    path = tmp_path / "odd_readers.py"
    path.write_text(PLUGIN)
    registry = discover([path])
    return lambda name: registry.get("dataset", f"reads-{name}")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("nothing", r"\(.*:nothing\) returned None for slide 'one'; .* Does it lack a `return`\?"),
        ("table", r"returned DataFrame for slide 'one'; expected an AnnData\.$"),
    ],
)
def test_a_reader_that_returns_no_slide_is_named(name, told, entry, tmp_path):
    with pytest.raises(ContractError, match=rf"The reader of dataset 'reads-{name}' .*{told}"):
        read_slide(entry(name), tmp_path, "one")


def test_a_slide_that_is_left_on_disk_is_read(entry, tmp_path):
    slide = read_slide(entry("backed"), tmp_path, "one")
    expected = toy_plugin.read_slide(tmp_path, "one")

    assert not slide.isbacked
    np.testing.assert_array_equal(slide.X.toarray(), expected.X.toarray())


def test_a_reader_that_does_not_return_is_given_up(entry, tmp_path, monkeypatch):
    monkeypatch.setattr(raw_slides, "_SECONDS_AT_MOST", 0.2)
    told = r"'reads-waits' .* has not returned within 0.2 s, of slide 'one'\. It is given up\.$"
    with pytest.raises(PluginError, match=told):
        read_slide(entry("waits"), tmp_path, "one")


def test_an_alarm_of_whoever_asks_for_a_slide_is_theirs(entry, tmp_path):
    """As pytest-timeout and deadlines of scripts set one."""
    rung = []
    before = signal.signal(signal.SIGALRM, lambda *_: rung.append("theirs"))
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    try:
        slide = read_slide(entry("naps"), tmp_path, "one")
        time.sleep(0.2)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert slide.n_obs
    assert rung == ["theirs"]


def test_a_reader_that_cannot_be_stopped_ends_its_process(entry, tmp_path):
    code = f"""
from pathlib import Path
from spared_bench.registry import discover
from spared_bench.trials import raw_slides
raw_slides._SECONDS_AT_MOST = 0.2
found = discover([Path({str(tmp_path / "odd_readers.py")!r})]).get("dataset", "reads-insists")
raw_slides.read_slide(found, Path({str(tmp_path)!r}), "one")
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 70
    assert "has not returned within 0.2 s, and cannot be stopped." in done.stderr
