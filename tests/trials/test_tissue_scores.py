"""Metrics of maps, domains and pathways in a run: scored, recorded, handed in and shown."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from typer.testing import CliRunner

import spared_bench
from spared_bench.api import make_bench
from spared_bench.cli import app
from spared_bench.errors import UsageError
from spared_bench.leaderboard.publish import build_leaderboard
from spared_bench.statistics.split_half import split_half
from spared_bench.submissions.build import build
from spared_bench.submissions.check import check
from spared_bench.trials.products import prepared_table
from spared_bench.trials.tissue import chosen_genes
from spared_bench_plugins.tissue_metrics import tissue_metrics
from tests.conftest import TOY_PLUGIN, TOY_PROTOCOL

NAMES = [spec.name for spec in tissue_metrics()]


@pytest.fixture
def told(workspace, tmp_path):
    """A run of three toy methods under a protocol with all these metrics, and its bench."""
    protocol = tmp_path / "told.yaml"
    wanted = ", ".join(["mse", "pcc-gene", *NAMES])
    protocol.write_text(f"{TOY_PROTOCOL.read_text()}metrics: [{wanted}]\n")
    options = {"workspace": workspace, "plugin_files": [TOY_PLUGIN], "device": "cpu"}
    report = spared_bench.run(
        ["toy"],
        ["none"],
        ["toy-ridge", "toy-mean", "toy-network"],
        str(protocol),
        executor="inline",
        track=False,
        figures=False,
        **options,
    )
    return report, make_bench(str(protocol), **options)


def test_the_chosen_genes_are_scored_and_recorded(told):
    report, bench = told
    result = report.result("toy-ridge")
    table = prepared_table(bench, "toy")

    chosen = chosen_genes(table, "spatial")

    by_gene = np.array(result.gene_scores["pcc-svg"])
    np.testing.assert_array_equal(~np.isnan(by_gene), chosen)
    assert chosen.sum() == 3
    assert result.scores["test"]["pcc-svg"] == pytest.approx(by_gene[chosen].mean())
    train = (table.obs["split"] == "train").to_numpy()
    values = np.asarray(table.layers["expression"])[train]
    slides = table.obs["slide_id"].to_numpy(str)[train]
    spread = np.mean([values[slides == s].var(axis=0) for s in dict.fromkeys(slides)], axis=0)
    assert set(np.flatnonzero(chosen_genes(table, "variable"))) == set(np.argsort(-spread)[:3])


def test_all_have_a_value_where_there_is_one_and_ranks_are_those_of_scipy(told):
    report, _ = told
    found = report.predictions("toy-ridge", images=False)
    scores = report.result("toy-ridge").scores["test"]

    assert list(scores)[: 2 + len(NAMES)] == ["mse", "pcc-gene", *NAMES]
    undefined = {name for name in NAMES if not np.isfinite(scores[name])}
    assert undefined == {"pcc-pathway", "labels-ari", "labels-nmi"}
    wanted = [
        scipy.stats.spearmanr(found.layers["measured"][m, g], found.X[m, g]).statistic
        for g, m in enumerate(found.layers["mask"].T)
    ]
    assert scores["spearman-gene"] == pytest.approx(np.mean(wanted))
    constant = report.result("toy-mean").scores["test"]
    for name in ("spearman-gene", "pcc-hvg", "pcc-svg", "above-control", "moran-pcc"):
        assert constant[name] == 0


def test_a_bundle_with_them_is_accepted_and_the_page_shows_them(told, tmp_path):
    _, bench = told
    archive = build(bench, "toy-ridge", tmp_path).archive
    report = check(archive, lambda _: bench, tmp_path / "leaderboards")
    assert report.problems == []

    page = build_leaderboard(
        bench.workspace, protocols=[bench.protocol], source="store", registry=bench.registry
    )
    table = pd.read_csv(page.parent / "leaderboard.csv")
    assert {"mean_ssim_gene", "mean_moran_error", "mean_domains_ari"} <= set(table.columns)


def test_split_halves_of_genes_are_those_of_the_scores(told, workspace):
    report, _ = told
    genes = report.scores("gene")
    genes = genes[genes["metric"] == "ssim-gene"]
    matrix = genes.pivot(index="gene", columns="predictor", values="value")

    found = spared_bench.stability("toy", "ssim-gene", workspace=workspace)
    words = ["stability", "-d", "toy", "--metric", "ssim-gene", "-w", str(workspace)]
    told = CliRunner().invoke(app, words)
    little = CliRunner().invoke(app, [*words, "--per", "slide"])

    assert found == split_half(matrix)
    assert f"3 methods by ssim-gene over {found.n_units} genes of toy" in told.output
    assert isinstance(little.exception, UsageError)
    with pytest.raises(UsageError, match=r"on 'toi' .*Did you mean 'toy'\?.*: toy \(none\)\."):
        spared_bench.stability("toi", "ssim-gene", workspace=workspace)
    with pytest.raises(UsageError, match=r"completer 'non'\. Did you mean 'none'\?"):
        spared_bench.stability("toy", "ssim-gene", completer="non", workspace=workspace)
    with pytest.raises(UsageError, match="none at all: run some"):
        spared_bench.stability("toy", "ssim-gene", workspace=workspace / "other")
