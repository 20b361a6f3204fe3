"""A dataset that has fewer genes than a protocol asks for is told of when it is run."""

from __future__ import annotations

import re

from anndata import read_h5ad

from spared_bench.api import execute, make_bench, select
from tests.conftest import TOY_PLUGIN, TOY_PROTOCOL


def lines_of(workspace, protocol):
    bench = make_bench(str(protocol), workspace=workspace, plugin_files=[TOY_PLUGIN], device="cpu")
    lines: list[str] = []
    plan = select(bench, ["toy"], ["none"], ["gene-mean"])
    for _ in range(2):  # of the store, too
        execute(plan, executor="inline", track=False, figures=False, log=lines.append)
    return bench, [line for line in lines if "is scored on" in line]


def test_a_run_says_on_how_many_genes_it_scores_instead(tmp_path):
    text = TOY_PROTOCOL.read_text()
    assert re.search(r"n_genes: \d+", text)
    greedy = tmp_path / "greedy.yaml"
    greedy.write_text(re.sub(r"n_genes: \d+", "n_genes: 5000", text))
    bench, told = lines_of(tmp_path / "w", greedy)

    (path,) = bench.workspace.store.root.glob("prepared/*/*/dataset.h5ad")
    genes = read_h5ad(path).n_vars
    assert told == 2 * [
        f"toy is scored on {genes} genes, not on the 5,000 that {bench.protocol.id} asks for: its"
        " filters left no more (`spared-bench data show toy` lists what each left)."
    ]


def test_enough_genes_are_no_news(tmp_path):
    assert lines_of(tmp_path, TOY_PROTOCOL)[1] == []
