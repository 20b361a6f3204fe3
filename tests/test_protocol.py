from __future__ import annotations

import json
from dataclasses import replace

import pytest

from spared_bench.api import load_protocol
from spared_bench.errors import ProtocolError, UnknownNameError, UsageError
from spared_bench.protocol import parse_protocol, read_protocol
from spared_bench.registry import discover
from spared_bench.specs import DatasetSpec, SlideInfo

SMALL = "name: small\nversion: 1\n"


def test_every_installed_protocol_can_be_read():
    registry = discover()
    for entry in registry.all("protocol"):
        protocol = load_protocol(entry.spec.name, registry)
        assert protocol.name == entry.spec.name
        assert str(protocol.version) == entry.spec.version


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("iteratons: 3", "unknown setting 'iteratons'"),
        ("iterations: 3", "of that name in training. There is one of that name in completion."),
        ("training: {iteratons: 3}", "'training.iteratons'. Did you mean 'iterations'?"),
        ("processing: {filtering: {real_fractoin: 1}}", "Did you mean 'real_fraction'?"),
        ("training: {iterations: 0}", "'training.iterations': expected more than 0 (found 0)."),
        ("processing: {target: log3}", "'processing.target'"),
        ("training: {precision: float16}", "'auto', 'float32' or 'bfloat16' (found 'float16')"),
        ("training: {precison: float32}", "Did you mean 'precision'?"),
        ("seeds: []", "'seeds'"),
        ("seeds: [yes]", "seeds: expected a number; found [True]"),
        ("training: {iterations: yes}", "training.iterations: expected a number; found True"),
        ("search: {grids: {lr: [no, 1.0]}}", "search.grids: expected a number"),
        ("seeds: [1", "is not valid YAML"),
        (
            "ranking: {metric: pcc-gen}",
            "'pcc-gen', which is not among the protocol's metrics: mse, pcc-gene. Did you mean"
            " 'pcc-gene'? Rank by one of them (`ranking: {metric: mse}`)",
        ),
        ("metrics: [mae]", "`ranking.metric` is 'mse', which is not among"),
        ("ranking: {completer: knn}", "expected `all`, `best`, or one of"),
        ("ranking: {metrics: mse}", "'ranking.metrics'. Did you mean 'metric'?"),
        ("patches: !!python/object/apply:os.system ['true']", "is not valid YAML"),
    ],
)
def test_a_wrong_setting_is_refused_by_name(text, message):
    with pytest.raises(ProtocolError) as refused:
        parse_protocol(SMALL + text, "mine.yaml")
    assert "mine.yaml" in str(refused.value)
    assert message in str(refused.value)


def test_a_precision_is_hashed_and_one_left_open_hashes_as_before_there_was_a_choice():
    plain = parse_protocol(SMALL, "x").hash
    assert parse_protocol(SMALL + "training: {precision: auto}", "x").hash == plain
    assert parse_protocol(SMALL + "training: {precision: float32}", "x").hash != plain


def test_what_is_no_mapping_or_far_too_large_is_no_protocol():
    with pytest.raises(ProtocolError, match="must be a YAML mapping, found a list"):
        parse_protocol("[1, 2]", "x")
    with pytest.raises(ProtocolError, match="larger than"):
        parse_protocol("a" * 200_000, "x")


def test_a_protocol_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ProtocolError, match=r"absent\.yaml"):
        read_protocol(tmp_path / "absent.yaml")


def test_the_hash_moves_with_what_moves_a_score_and_not_with_what_is_run():
    base = parse_protocol(SMALL, "x")
    ranked = "\nranking: {metric: pcc-gene, completer: best}"
    same = parse_protocol(SMALL + "datasets: [a]\nsummary: other words" + ranked, "x")
    other = parse_protocol(SMALL + "training: {iterations: 999}", "x")
    assert base.hash == same.hash
    assert base.hash != other.hash


def test_a_protocol_is_found_by_name_version_or_file(tmp_path):
    registry = discover()
    assert load_protocol("demo@1", registry).id == "demo@1"
    with pytest.raises(UsageError, match="installed in version 1, not '7'"):
        load_protocol("demo@7", registry)
    with pytest.raises(UnknownNameError, match="Did you mean 'demo'"):
        load_protocol("demmo", registry)
    path = tmp_path / "mine.yaml"
    path.write_text(SMALL)
    assert load_protocol(str(path), registry).id == "small@1"


def test_the_published_combat_and_fitting_on_training_slides_exclude_each_other():
    section = "processing: {fit_on: train, batch_correction: combat_published}"
    with pytest.raises(ProtocolError) as refused:
        parse_protocol(SMALL + section, "mine.yaml")
    message = str(refused.value)
    assert message.startswith("mine.yaml: processing: `fit_on: train` and `batch_correction: comb")
    assert "looking at its answers" in message
    assert "Use `combat`" in message
    assert "{" not in message  # no dump of the whole section


def made_up(**more) -> DatasetSpec:
    slides = (SlideInfo("a"), SlideInfo("b"))
    folds = {"loso": {"a": ("a",), "b": ("b",)}}
    return DatasetSpec(
        "made_up",
        factory="no:where",
        slides=slides,
        split={"train": ("a", "b")},
        folds=folds,
        **more,
    )


def test_a_datasets_parameters_count_only_where_a_protocol_asks_for_them():
    spec = made_up(parameters={"n_genes": 32, "spot_min_counts": 800, "batch_key": "patient_id"})
    deaf = parse_protocol(SMALL, "x").processing.for_dataset(spec)
    assert (deaf.n_genes, deaf.filtering.spot_min_counts) == (128, 10)
    heard = parse_protocol(SMALL + "processing: {from_dataset: true}", "x").processing
    settings = heard.for_dataset(spec)
    assert (settings.n_genes, settings.filtering.spot_min_counts) == (32, 800)
    assert settings.batch_key == "patient_id"
    assert settings.filtering.real_fraction == heard.filtering.real_fraction


@pytest.mark.parametrize("what", ["spot", "gene"])
@pytest.mark.parametrize(
    ("low", "high", "kept"), [(500, 100, False), (10, 10, False), (10, 11, False), (10, 12, True),
                              (10.5, 11.5, True), (10.5, 11, False), (-1, 1, True), (-1, 0, False)],
)  # fmt: skip
def test_bounds_between_which_no_count_lies_are_refused_at_once(what, low, high, kept):
    # By hand: a whole number n of low < n < high.
    assert any(low < n < high for n in range(600)) == kept
    bounds = {f"{what}_min_counts": low, f"{what}_max_counts": high}
    text = SMALL + f"processing: {{filtering: {json.dumps(bounds)}}}"
    if kept:
        parse_protocol(text, "x")
        return
    with pytest.raises(ProtocolError, match=f"leave no {what}: counts lie between them"):
        parse_protocol(text, "x")
    own = parse_protocol(SMALL + "processing: {from_dataset: true}", "x").processing
    with pytest.raises(ProtocolError, match=f"parameters of dataset 'made_up'.*leave no {what}"):
        own.for_dataset(made_up(parameters=bounds))


@pytest.mark.parametrize("value", [".nan", ".inf"])
def test_a_count_that_is_no_number_is_no_bound(value):
    with pytest.raises(ProtocolError, match="expected a number that is neither nan nor infinite"):
        parse_protocol(SMALL + f"processing: {{filtering: {{spot_max_counts: {value}}}}}", "x")


def test_a_protocol_may_name_a_dataset_its_folds_or_one_of_them():
    processing = parse_protocol(
        SMALL + "processing: {from_dataset: true, per_dataset: {made_up: {n_genes: 3},"
        " made_up.loso: {n_genes: 2, real_fraction: 0.5}, made_up.loso-b: {n_genes: 1}}}",
        "x",
    ).processing
    spec = made_up(parameters={"n_genes": 32})
    a, b = spec.fold_specs("loso")
    assert [processing.for_dataset(each).n_genes for each in (spec, a, b)] == [3, 2, 1]
    assert processing.for_dataset(b).filtering.real_fraction == 0.5


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_gene": 3}, "parameters of dataset 'made_up': 'n_gene' is no setting that a dataset"),
        ({"n_gene": 3}, "Did you mean 'n_genes'?"),
        ({"fit_on": "all"}, "'fit_on' is no setting that a dataset may have"),
        ({"n_genes": 0}, "setting 'n_genes': expected more than 0 (found 0)."),
    ],
)
def test_a_parameter_that_no_dataset_may_set_is_refused(parameters, message):
    processing = parse_protocol(SMALL + "processing: {from_dataset: true}", "x").processing
    with pytest.raises(ProtocolError) as refused:
        processing.for_dataset(made_up(parameters=parameters))
    assert message in str(refused.value)


def test_a_scheme_of_folds_may_have_hyphens_in_its_name():
    processing = parse_protocol(
        SMALL + "processing: {per_dataset: {made_up.leave-one-out: {n_genes: 2}}}", "x"
    ).processing
    spec = replace(made_up(), folds={"leave-one-out": {"b": ("b",)}})
    (fold,) = spec.fold_specs("leave-one-out")
    assert processing.for_dataset(fold).n_genes == 2


def test_a_misspelt_setting_per_dataset_is_refused_when_the_protocol_is_read():
    with pytest.raises(
        ProtocolError, match=r"per_dataset\['x'\]: 'ngenes'.*Did you mean 'n_genes'"
    ):
        parse_protocol(SMALL + "processing: {per_dataset: {x: {ngenes: 3}}}", "mine.yaml")


@pytest.mark.parametrize(
    "doubled",
    [
        "metrics: [mse, pcc-gene, mse]",
        "datasets: [a, b, a]",
        "scored_genes: [ERBB2, ERBB2]",
        "processing: {genes: [ERBB2, GNAS, ERBB2]}",
        "processing: {per_dataset: {x: {further_genes: [ERBB2, ERBB2]}}}",
        "search: {grids: {lr: [0.1, 0.01, 1.0e-1]}}",
    ],
)
def test_what_a_list_names_twice_is_refused(doubled):
    with pytest.raises(ProtocolError, match="stands there more than once"):
        parse_protocol(f"{SMALL}{doubled}\n", "mine.yaml")


def test_windows_that_show_nothing_and_endless_filters_are_refused():
    with pytest.raises(ProtocolError, match="wide is less than a pixel"):
        parse_protocol(f"{SMALL}patches: {{um: 0.112}}\n", "mine.yaml")  # millimetres
    with pytest.raises(ProtocolError, match=r"expected at least 0\.05"):
        parse_protocol(f"{SMALL}patches: {{scale: 1.0e-300}}\n", "mine.yaml")
    with pytest.raises(ProtocolError, match="expected at most 200"):
        parse_protocol(f"{SMALL}processing: {{median_hops: 1000000000}}\n", "mine.yaml")


def test_seeds_are_numbers_of_repetitions_each_once():
    from spared_bench.errors import StudyError
    from spared_bench.studies.model import parse_study

    with pytest.raises(ProtocolError, match=r"'seeds.1': expected at least 0 \(found -1\)"):
        parse_protocol(f"{SMALL}seeds: [0, -1]\n", "x")
    with pytest.raises(ProtocolError, match="2 stands there more than once"):
        parse_protocol(f"{SMALL}seeds: [2, 0, 2]\n", "x")
    factors = "factors: {size: {setting: patches.size, levels: [8, 16]}}"
    with pytest.raises(StudyError, match=r"'seeds.0': expected at least 0 \(found -1\)"):
        parse_study(f"name: x\nbase: demo\nmethods: [m]\n{factors}\nseeds: [-1]\n", "x")


@pytest.mark.parametrize(
    "name",
    ['""', '" "', r'"\0"', r'"a\nb"', "a/b", r"'..\a'", "a@1", "\u3164", "a\u200bb", "a" * 65],
)
def test_a_name_that_nobody_can_tell_or_write_is_no_name_of_a_protocol(name):
    with pytest.raises(ProtocolError, match="is no name of a protocol: expected 1 to 64 letters"):
        parse_protocol(SMALL.replace(SMALL.splitlines()[0], f"name: {name}"), "mine.yaml")


@pytest.mark.parametrize("name", ["a", "Größe 2", "我的", "a+b_c.d-1"])
def test_names_in_any_script_are_names(name):
    text = SMALL.replace(SMALL.splitlines()[0], f"name: {name}")
    assert parse_protocol(text, "mine.yaml").name == name


def test_a_refusal_does_not_repeat_a_page_that_stands_where_a_name_should():
    with pytest.raises(ProtocolError) as refused:
        parse_protocol(f"{SMALL}? {'k' * 90_000}\n: 1\n", "mine.yaml")
    assert "unknown setting 'kkk" in str(refused.value)
    assert len(str(refused.value)) < 2_000
