"""The studies that come with the package: each reads, plans without its data, and says so."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from scipy import sparse
from typer.testing import CliRunner

from spared_bench.cli import app
from spared_bench.registry import discover
from spared_bench.studies.loading import load_study

SPEEDS = Path(__file__).parents[2] / "plugins/predictors/speeds.yaml"
NAMES = [
    *("asign-ablation", "demo-augmentation", "demo-sections", "jiang-augmentation"),
    *("jiang-genes", "jiang-ood", "jiang-stain", "jiang-transform", "jiang-variants"),
    *("robustness", "sepal-ablation", "spared-difficulty", "target-matters"),
]


@pytest.fixture(scope="module")
def registry():
    return discover()


def test_every_study_that_ships_is_listed_and_called_what_it_says(registry):
    assert registry.names("study") == NAMES
    for name in NAMES:
        study, _ = load_study(name, registry)
        assert study.name == name
        assert study.summary
        assert study.question


@pytest.mark.parametrize("name", NAMES)
def test_every_study_plans_without_its_data_and_says_what_it_would_fetch(tmp_path, name):
    wanted = ["study", "run", name, "--dry-run", "--json", "-w", str(tmp_path / "w")]
    done = CliRunner().invoke(app, wanted)

    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert (told["cells"] > 0) == (name != "spared-difficulty")
    embedded = name in ("demo-augmentation", "demo-sections", "robustness", "target-matters")
    assert bool(told["downloads"]) != embedded
    assert not (tmp_path / "w").exists()


def by_hand() -> dict[str, tuple[int, float]]:
    """Trainings that have a figure and their seconds, summed from the papers' numbers of spots."""
    rates = {
        name: (each["training"], each["prediction"])
        for name, speeds in yaml.safe_load(SPEEDS.read_text(encoding="utf-8")).items()
        for each in speeds
        if each["configuration"] == "published"
    }

    def seconds(name: str, steps_of: float, validated: float, evaluated: float) -> float:
        training, prediction = rates[name]
        return 1000 * steps_of / training + (100 * validated + evaluated) / prediction

    sample, section = 26_759 / 9, 30_612 / 68
    # Seven stains, three seeds; 2 samples choose and 3 test; windows of 1,000 spots, or a batch.
    stain = 21 * seconds("hist2st", 1_000, 2 * sample, 5 * sample)
    stain += 21 * seconds("shufflenet", 256, 2 * sample, 5 * sample)
    # Six sets of genes, nine folds; a fifth of 8 samples chooses, 1 tests.
    held = 0.2 * 8 * sample
    genes = 54 * seconds("stimage", 256, held, held + sample)
    genes += 54 * 9 * sample / rates["linear-probe"][1]
    # 11 sections of stnet choose and 12 test; of 10xghbc, one of two slides does both.
    sepal = 0.0
    for name, variants in (("vit-b", 1), ("vit-b-delta", 2), ("sepal", 16)):
        sepal += variants * seconds(name, 256, 11 * section, 23 * section)
        sepal += variants * seconds(name, 256, 7_785 / 2, 7_785 / 2)
    return {"jiang-stain": (42, stain), "jiang-genes": (108, genes), "sepal-ablation": (38, sepal)}


def test_hours_of_studies_without_their_data_are_those_of_a_sum_by_hand(tmp_path):
    for name, (trainings, seconds) in by_hand().items():
        wanted = ["study", "plan", name, "--json", "-w", str(tmp_path / "w")]
        told = json.loads(CliRunner().invoke(app, wanted).stdout)
        (figures,) = told["figures"].values()
        assert figures["trainings"] == trainings
        assert figures["hours"] == pytest.approx(seconds / 3600, rel=1e-9)
        assert figures["unknown_spots"] == []


def test_a_plan_of_many_factors_says_in_what_each_variant_differs_from_the_base(tmp_path):
    def lines_of(name):
        done = CliRunner().invoke(app, ["study", "plan", name, "-w", str(tmp_path / "w")])
        return [" ".join(line.split()) for line in done.stdout.splitlines()]

    lines = lines_of("asign-ablation")
    assert lines[:4] == [
        "The base: blocks: both; labels of known spots: mixed in; connections: 8 within, 12 across;"
        " known: the first section.",
        "variant cells done",
        "the base 34 0",
        "blocks: without cross-attention 34 0",
    ]
    assert (
        "Methods: asign-3d. Datasets: dlpfc (3 folds), her2st (8 folds), stnet (23 folds)." in lines
    )
    assert (
        "Each training takes at most 5,000 steps, each of 128 spots, or of one slide where a method"
        " sees whole slides."
    ) in lines
    assert lines_of("target-matters")[:2] == [
        "target method cells done",
        "log1p_cp10k linear-probe 2 0",
    ]


def test_the_shares_of_missing_entries_are_those_of_plain_counting(monkeypatch, rng):
    from types import SimpleNamespace

    from spared_bench.data import COUNTS
    from spared_bench.studies import difficulty

    raw = rng.poisson(0.4, (30, 12)).astype(float)
    kept = raw[:, :4]
    slides = {"a": SimpleNamespace(n_obs=30, n_vars=12, X=sparse.csr_matrix(raw))}
    table = SimpleNamespace(layers={COUNTS: sparse.csr_matrix(kept)})
    monkeypatch.setattr(difficulty, "read_raw_slides", lambda bench, name: slides)
    monkeypatch.setattr(difficulty, "prepared_table", lambda bench, name: table)

    found = difficulty.missing_shares(None, "x")

    expected = ((raw == 0).mean(), (kept == 0).mean(), (kept == 0).any(axis=1).mean())
    np.testing.assert_allclose(found, expected)


PLUGIN = """
from spared_bench import StudySpec, hookimpl


def mine():
    size = "{setting: patches.size, levels: [8, 16]}"
    return f"name: mine\\nmethods: [linear-probe]\\nfactors: {{a: {size}}}"


@hookimpl
def spared_bench_studies():
    return [StudySpec("mine", "spared_bench_file_of_mine:mine", summary="Of a stranger")]
"""


def test_a_plugin_may_bring_a_study(tmp_path):
    path = tmp_path / "of_mine.py"
    path.write_text(PLUGIN)
    found = discover([path])

    study, folder = load_study("mine", found)
    assert (study.name, folder) == ("mine", None)
    listed = CliRunner().invoke(app, ["list", "studies", "--plugin", str(path), "--json"])
    assert "mine" in {each["name"] for each in json.loads(listed.stdout)}


def test_an_unknown_study_is_refused_with_the_nearest(registry):
    from spared_bench.errors import UnknownNameError

    with pytest.raises(UnknownNameError, match=r"Did you mean 'jiang-stain'\?.*list studies"):
        load_study("jiang-stains", registry)


def test_a_plan_names_the_weights_that_are_still_to_be_fetched(monkeypatch, tmp_path):
    here = {"vgg16.tv_in1k"}
    monkeypatch.setattr(
        "spared_bench.running.requirements._why_not_here",
        lambda network, weights, ours: "" if network in here else "not here",
    )
    wanted = ["study", "plan", "jiang-ood", "-w", str(tmp_path / "w")]
    told = json.loads(CliRunner().invoke(app, [*wanted, "--json"]).stdout)
    assert set(told["weights"]) == {"densenet121.tv_in1k", "resnet50.a1_in1k", "resnet50.tv_in1k"}
    assert "Pretrained weights to fetch first:" in CliRunner().invoke(app, wanted).output


def test_a_study_that_trains_nothing_says_so(tmp_path):
    wanted = ["study", "plan", "spared-difficulty", "-w", str(tmp_path / "w")]
    assert "it trains nothing, and reads what there is" in CliRunner().invoke(app, wanted).output


@pytest.mark.parametrize(
    ("makes", "message"),
    [
        ("raise RuntimeError('boom')", r"factory '.*:mine' failed: RuntimeError: boom"),
        ("raise SystemExit(3)", r"failed: SystemExit: 3"),
        ("return 17", r"returned a int; expected the text of a YAML"),
        ("return b'name: mine'", r"returned a bytes"),
        (
            "return 'name: jiang-stain\\nmethods: [m]\\n"
            "factors: {a: {setting: patches.size, levels: [8, 9]}}'",
            r"calls itself 'jiang-stain' in its YAML",
        ),
    ],
)
def test_a_plugin_that_makes_no_study_of_its_name_is_told_so(tmp_path, makes, message):
    from spared_bench.errors import PluginError

    text = PLUGIN.replace("of_mine", "of_evil")
    start, end = text.index("    size ="), text.index("@hookimpl")
    path = tmp_path / "of_evil.py"
    path.write_text(f"{text[:start]}    {makes}\n\n\n{text[end:]}")
    with pytest.raises(PluginError, match=message):
        load_study("mine", discover([path]))


def test_what_a_plugin_prints_while_it_makes_a_study_leaves_json_json(tmp_path):
    path = tmp_path / "of_mine.py"
    path.write_text(PLUGIN.replace("    size =", "    print('hello')\n    size ="))
    wanted = ["study", "plan", "mine", "--plugin", str(path), "--json", "-w", str(tmp_path / "w")]
    assert json.loads(CliRunner().invoke(app, wanted).stdout)["study"]


def test_a_file_called_as_a_shipped_study_is_that_study_or_refused(registry, tmp_path):
    from spared_bench.errors import StudyError

    shipped = SPEEDS.parents[1] / "studies/demo-augmentation.yaml"
    text = shipped.read_text(encoding="utf-8")
    path = tmp_path / "copy.yaml"
    path.write_text(f"# a copy\n{text}", encoding="utf-8")
    assert load_study(str(path), registry)[0] == load_study("demo-augmentation", registry)[0]
    assert "max_cells: 24" in text
    path.write_text(text.replace("max_cells: 24", "max_cells: 23"), encoding="utf-8")
    with pytest.raises(StudyError, match="calls itself 'demo-augmentation', as a study that is"):
        load_study(str(path), registry)


TWO_LEVELS = "methods: [linear-probe]\nfactors: {{a: {{setting: patches.size, levels: {}}}}}\n"


def test_two_files_of_one_name_do_not_write_over_each_others_report(tmp_path):
    """Whichever stands in the workspace; an edit, a copy and a move are the same study."""
    from spared_bench.errors import StudyError
    from spared_bench.studies import kinds
    from spared_bench.studies.loading import open_study

    one, two = tmp_path / "one.yaml", tmp_path / "two.yaml"
    workspace = tmp_path / "workspace"

    def report(path: Path) -> None:
        kinds.report_only(open_study(str(path), workspace=workspace), log=lambda line: None)

    one.write_text(f"name: same\n{TWO_LEVELS.format([8, 9])}")
    report(one)
    one.write_text(f"name: same\n{TWO_LEVELS.format([8, 10])}")
    report(one)

    two.write_text(one.read_text())
    report(two)
    two.write_text(f"name: same\nversion: 2\n{TWO_LEVELS.format([8, 11])}")
    report(two)
    page = workspace / "studies" / "same" / "index.html"
    before = page.read_bytes()
    with pytest.raises(StudyError, match=r"one\.yaml calls itself 'same', as .*two\.yaml does"):
        report(one)
    assert page.read_bytes() == before

    two.rename(tmp_path / "moved.yaml")
    report(tmp_path / "moved.yaml")
    (tmp_path / "moved.yaml").write_text(f"name: other\n{TWO_LEVELS.format([8, 11])}")
    report(one)


def test_a_strangers_study_called_as_a_shipped_one_is_refused(tmp_path):
    from spared_bench.errors import StudyError

    path = tmp_path / "of_shadow.py"
    path.write_text(PLUGIN.replace("of_mine", "of_shadow").replace('"mine"', '"jiang-stain"'))
    found = discover([path])
    assert load_study("jiang-stain", found)[0].base == "jiang"
    with pytest.raises(StudyError, match="is called as one that spared-bench registers"):
        load_study("of_shadow.py:jiang-stain", found)
