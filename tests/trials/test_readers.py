"""What the reader of a dataset may return."""

from __future__ import annotations

import numpy as np
import pytest

from spared_bench.errors import ContractError
from spared_bench.registry import discover
from spared_bench.trials.raw_slides import read_slide
from tests import toy_plugin

PLUGIN = """
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


@hookimpl
def spared_bench_datasets():
    given = {"slides": (SlideInfo("one"),), "split": {"train": ("one",)}, "synthetic": True}
    names = ("nothing", "table", "backed")
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
