"""The published table on the board agrees with what its authors say of it."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from spared_bench.api import load_protocol
from spared_bench.leaderboard.comparisons import comparisons, errors
from spared_bench.leaderboard.entries import ENTRY, entry_path, read_entries, read_entry
from spared_bench.leaderboard.merging import ORIGIN, entry_trials
from spared_bench.leaderboard.published import measured, published_view, reported_rows
from spared_bench.registry import discover
from spared_bench.statistics.summaries import normalised, wins
from tests.board_samples import METRICS, board_rows

MSE, PCC = METRICS["mse"], METRICS["pcc-gene"]
ROOT = Path(__file__).parents[2]
COMMITTED = ROOT / "leaderboards"


@pytest.fixture(scope="module")
def part():
    from spared_bench.specs import spec_as_dict
    from spared_bench_plugins.datasets.spared import spared_datasets

    specs = {spec.name: spec for spec in spared_datasets()}
    facts = {
        name: {
            **spec_as_dict(spec),
            "tier": spec.tier,
            "evaluation_split": spec.evaluation_split,
        }
        for name, spec in specs.items()
    }
    entries, refused = read_entries(COMMITTED, "spared@1")
    published = [entry for entry in entries if entry.trust == "reported"]
    assert refused == []
    (part,) = board_rows(entry_trials(published, facts), facts).protocols
    return part


def rounded(values: dict[str, float], digits: int = 3) -> dict[str, float]:
    return {name: round(float(value), digits) for name, value in values.items()}


def load_script(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return script


def test_the_committed_entries_are_what_their_script_writes():
    written = load_script("published_entries").published_entries()

    assert len(written) == 10
    assert [read_entry(entry_path(COMMITTED, entry)) for entry in written] == written
    assert all(entry_path(COMMITTED, entry).name == ENTRY for entry in written)


def test_mean_normalised_errors_and_wins_are_those_of_the_published_table(part):
    view = published_view(part, MSE)

    assert rounded(view["all"]["mean"]) == {
        **{"ViT-B+Delta": 1.036, "SEPAL": 1.048, "EGGN": 1.064, "STNet": 1.093, "ViT-B": 1.106},
        **{"ShuffleNet": 1.096, "EGN": 1.115, "Hist2ST": 1.293, "BLEEP": 1.451, "HisToGene": 2.099},
    }
    assert {name: n for name, n in view["all"]["wins"].items() if n} == {
        **{"ViT-B+Delta": 8, "EGGN": 5, "STNet": 5, "SEPAL": 3, "ShuffleNet": 2, "EGN": 2},
        "ViT-B": 1,
    }
    assert view["all"]["datasets"]["Hist2ST"] == 2
    assert view["all"]["datasets"]["HisToGene"] == 25


def test_without_the_cell_that_looks_copied_the_wins_are_as_the_paper_says(part):
    rows = reported_rows(part)
    names = [row.origin.method for row in rows]
    left = errors(rows, measured(part), MSE, names, without=[("10xgmbsp", "EGGN")])

    assert wins(left)[["STNet", "EGGN"]].tolist() == [6, 4]
    assert rounded(normalised(left).mean().drop("Hist2ST").to_dict()) == {
        **{"ViT-B+Delta": 1.028, "SEPAL": 1.040, "EGGN": 1.067, "STNet": 1.086, "ViT-B": 1.098},
        **{"ShuffleNet": 1.087, "EGN": 1.105, "BLEEP": 1.441, "HisToGene": 2.076},
    }


def test_the_pages_paired_tests_are_what_the_documentation_says_of_them(part):
    (found,) = comparisons(part, MSE)
    names = {str(place): row.origin.method for place, row in enumerate(part.rows)}
    text = " ".join((ROOT / "docs/statistics.md").read_text("utf-8").split())
    told = text.split("### What pairing adds")[1]

    assert f"of the eight methods that have all {found['n_datasets']} datasets" in told
    assert found["n_methods"] == 8 and names["8"] == "HisToGene"
    assert found["methods_left_out"] == {"8": 24, "9": 2}
    statistic, p = found["friedman"]["statistic"], found["friedman"]["p"]
    assert f"χ² = {statistic:.1f} (p = {p:.1e})" in told
    ranks = ", ".join(f"{names[row]} {rank:.2f}" for row, rank in found["ranks"].items())
    assert f"average ranks {ranks}, with a critical difference of" in told
    assert f"critical difference of {found['critical_difference']:.2f}." in told
    matrix = found["matrices"]["wilcoxon"]
    rows = [names[row] for row in found["pairs"]]
    told_apart = {
        (rows[i], rows[j]): round(matrix[i][j], 3)
        for i in range(8)
        for j in range(i)
        if matrix[i][j] < 0.05 and "BLEEP" not in (rows[i], rows[j])
    }
    assert told_apart == {
        **{("ViT-B", "ViT-B+Delta"): 0.012, ("EGN", "ViT-B+Delta"): 0.012},
        ("EGN", "SEPAL"): 0.015,
    }
    assert all(matrix[rows.index("BLEEP")][rows.index(each)] < 0.05 for each in rows[:-1])


def test_the_hardest_and_the_easiest_dataset_are_as_the_paper_says(part):
    view = published_view(part, PCC)

    assert (view["hardest"][0], round(view["hardest"][1], 3)) == ("mmbr", 0.164)
    assert (view["easiest"][0], round(view["easiest"][1], 3)) == ("10xgmbsp", 0.736)


def test_the_best_method_of_each_dataset_is_the_highest_of_the_catalogue(part):
    """Figure 1b names it; here from the catalogue's columns, not through the board."""
    catalogue = yaml.safe_load((ROOT / "plugins/datasets/spared/catalogue.yaml").read_text("utf-8"))
    best = published_view(part, PCC)["best"]

    assert len(best) == 26
    for name, entry in catalogue["datasets"].items():
        scores = dict(zip(catalogue["methods"], entry["pcc"], strict=True))
        highest = max(value for value in scores.values() if value is not None)
        assert scores[best[name.lower()]] == highest, name


def test_reported_rows_carry_the_labels_of_a_run_of_the_protocol(part):
    registry = discover()
    protocol = load_protocol("spared", registry)
    assert {row.completer for row in part.rows} <= set(protocol.completers)
    assert {row.predictor for row in part.rows} <= set(registry.names("predictor"))
    # Where both are there, a reported and a reproduced row are compared in one group.
    runs = [
        replace(trial, facts={k: v for k, v in trial.facts.items() if k != ORIGIN})
        for trial in entry_trials(read_entries(COMMITTED, "spared@1")[0])
        if trial.predictor == "vit-b"
    ]
    both = [*runs, *entry_trials(read_entries(COMMITTED, "spared@1")[0])]
    (joined,) = board_rows(both).protocols
    (group,) = comparisons(joined, MSE)
    assert group["completer"] == "spackle-released"
    assert group["n_methods"] + len(group["methods_left_out"]) == 11


def test_reported_rows_have_as_many_parameters_as_their_script_counts():
    script = load_script("published_parameters")
    counts = script.counts()
    assert yaml.safe_load((ROOT / "plugins/datasets/spared/parameters.yaml").read_text()) == counts
    # Known from elsewhere: torchvision's and timm's own heads for 128 and 32 outputs.
    assert counts["ShuffleNet"] == {128: 472_992, 32: 374_592}
    assert counts["STNet"] == {128: 7_085_056, 32: 6_986_656}
    assert counts["ViT-B+Delta"] == counts["ViT-B"] == {128: 85_897_088, 32: 85_823_264}
    entries = {entry.method: entry for entry in read_entries(COMMITTED, "spared@1")[0]}
    for method, entry in entries.items():
        assert {result.n_parameters for result in entry.results} <= set(counts[method].values())
    order = sorted(entries, key=lambda name: counts[name][128])
    assert (order[0], order[-1]) == ("ShuffleNet", "Hist2ST")  # as the paper says of figure 4b


def test_the_suspect_cells_are_flagged_with_what_they_equal(part):
    flags = {
        (row.origin.method, flag.dataset): flag.reason
        for row in part.rows
        for flag in row.origin.flags
    }

    assert set(flags) == {("HisToGene", "mmbr"), ("HisToGene", "mmbo"), ("EGGN", "10xgmbsp")}
    assert "equals that of EGGN on mmbo" in flags["EGGN", "10xgmbsp"]


def test_dunn_of_normalised_errors_sets_histogene_and_bleep_apart_as_published(part):
    found = published_view(part, MSE)["dunn"]
    methods, p = found["methods"], found["p"]

    apart = {"HisToGene", "BLEEP"}
    for i, a in enumerate(methods):
        for j, b in enumerate(methods):
            if i != j:
                assert (p[i][j] < 0.05) == ((a in apart) != (b in apart)), (a, b)
    pair = p[methods.index("HisToGene")][methods.index("ViT-B+Delta")]
    assert pair == pytest.approx(2.76e-10, rel=0.005)
    assert p[methods.index("STNet")][methods.index("HisToGene")] == pytest.approx(8.9e-6, rel=0.01)


def test_the_boards_own_means_leave_the_union_of_two_datasets_out(part):
    (repeats,) = [dataset for dataset in part.datasets if dataset.repeats]

    assert repeats.name == "mmbr"
    vit = next(row for row in part.rows if row.predictor == "vit-b-delta")
    found = vit.summary(MSE)
    assert (found.normalised.covered, found.normalised.total) == (25, 25)
    assert vit.rank == 1
    assert found.interval[0] < found.normalised.value < found.interval[1]


def test_the_documentation_prints_the_matrix_and_the_means_that_the_board_computes(part):
    view = published_view(part, MSE)
    methods, p = view["dunn"]["methods"], view["dunn"]["p"]
    text = (ROOT / "docs" / "statistics.md").read_text(encoding="utf-8")
    lines = [[cell.strip(" *") for cell in line.split("|")[1:-1]] for line in text.splitlines()]

    start = next(i for i, line in enumerate(lines) if line[:1] == ["ours"])
    printed = lines[start + 2 : start + 10]
    checked = 0
    for name, *cells in printed:
        for other, cell in zip(lines[start][1:], cells, strict=True):
            if cell:
                value = p[methods.index(name)][methods.index(other)]
                assert float(cell) == pytest.approx(value, rel=0.005, abs=0.0005 * (value > 1e-3))
                checked += 1
    assert checked == 36
    means = {line[0]: line[1:] for line in lines if len(line) == 6 and line[0] in view["methods"]}
    for name in view["methods"]:
        wanted = [f"{view[part]['mean'][name]:.3f}" for part in ("all", "without_suspect")]
        assert [means[name][1], means[name][3]] == wanted


def test_the_committed_entries_of_papers_are_what_their_script_writes():
    written = load_script("paper_entries").paper_entries()

    assert [read_entry(entry_path(COMMITTED, entry)) for entry in written] == written
    assert {entry.protocol for entry in written} == {"sepal-paper@1", "asign-paper@1"}
    assert all(entry.trust == "reported" for entry in written)


def test_sepals_table_has_its_best_values_where_the_paper_prints_them_bold():
    sepal = load_script("paper_entries").SEPAL
    visium = {name: row[1] for name, row in sepal.items()}
    stnet = {name: row[2] for name, row in sepal.items() if row[2]}

    # MAE and MSE are best when low, the other four when high.
    best = [min, min, max, max, max, max]
    table_2 = {n: v for n, v in visium.items() if n in stnet}
    assert [best[k](table_2, key=lambda n: table_2[n][k]) for k in range(6)] == ["SEPAL"] * 6
    assert [best[k](stnet, key=lambda n: stnet[n][k]) for k in (0, 1, 2, 3, 5)] == [
        *("SEPAL", "SEPAL", "EGN", "SEPAL", "SEPAL")
    ]
