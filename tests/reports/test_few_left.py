"""What filters left too little of, genes or spots of a slide, is told of when it is run."""

from __future__ import annotations

import re

import h5py
import numpy as np
from anndata import read_h5ad

from spared_bench.api import execute, make_bench, select
from spared_bench.reports.few_left import few_spots
from spared_bench.sources.adding import add_description
from tests import made_slides
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


def test_a_run_says_of_which_slides_the_filters_left_few_spots(tmp_path):
    names = ["A", "B", "C"]
    for seed, name in enumerate(names):
        made_slides.space_ranger(tmp_path / name, seed=seed)
    with h5py.File(tmp_path / "C/filtered_feature_bc_matrix.h5", "r+") as file:
        data, indptr = file["matrix/data"], file["matrix/indptr"]
        data[indptr[3] :] = np.minimum(data[indptr[3] :], 1)  # all spots but three are poor
    (tmp_path / "own.yaml").write_text(
        "{name: own, format: space_ranger, organism: human,"
        f" slides: {{{', '.join(f'{name}: {{path: {name}, patient: {name}}}' for name in names)}}},"
        " split: {train: [A], test: [B, C]}, parameters: {n_genes: 4, spot_min_counts: 13}}"
    )
    add_description(tmp_path / "own.yaml", tmp_path / "w/data")
    bench = make_bench("own@1", workspace=tmp_path / "w", device="cpu")
    lines: list[str] = []
    plan = select(bench, ["own"], ["none"], ["gene-mean"])
    execute(plan, executor="inline", track=False, figures=False, log=lines.append)

    (told,) = [line for line in lines if "is scored on" in line]
    assert told.startswith("own is scored on 3 spots of slide C: over so few, correlations")


def test_slides_with_few_spots_are_named_and_many_of_them_counted():
    assert few_spots({"A": 20, "B": 19, "C": 1}) == "19 spots of slide B, 1 spot of slide C"
    assert few_spots(dict.fromkeys("ABCDEFGH", 3)).endswith("slide E, few of 3 more slides")
    assert not few_spots({})
