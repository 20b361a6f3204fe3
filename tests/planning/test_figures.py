"""Hours by figures measured elsewhere, against sums by hand."""

from __future__ import annotations

import pytest

from spared_bench.api import make_bench, select
from spared_bench.cli.plan import _unavailable, hours_told
from spared_bench.errors import PluginError
from spared_bench.planning.figures import Figures, Training, by_figures
from spared_bench.planning.forecast import forecast
from spared_bench.specs import DatasetSpec, PredictorSpec, Speed
from tests.changed_specs import with_changed
from tests.conftest import TOY_PLUGIN, TOY_PROTOCOL

FAST = Speed("a fast machine", training=32.0, prediction=100.0)
SLOW = Speed("a slow machine", training=2.0, prediction=10.0)
OTHER = Speed("a fast machine", training=1.0, prediction=1.0, configuration="small")


def planned(tmp_path, predictors, changes, datasets=("toy-absent",), completers=("none", "median")):
    """Plan with specs that are changed by their names."""
    bench = make_bench(str(TOY_PROTOCOL), workspace=tmp_path, plugin_files=[TOY_PLUGIN])
    bench.registry = with_changed(bench.registry, changes)
    return select(bench, list(datasets), list(completers), list(predictors))


def test_hours_of_a_dataset_that_is_to_be_fetched_are_those_of_its_published_spots(tmp_path):
    # A slide of each kind, of 100 spots; 4 steps of 16 spots, validated every 2.
    plan = planned(
        tmp_path,
        ["toy-mean", "toy-nan"],
        {"toy-mean": {"speeds": (FAST, SLOW, OTHER)}, "toy-absent": {"n_spots": 300}},
    )
    assert [len(ids) for ids in plan.bench.dataset("toy-absent").split.values()] == [1, 1, 1]
    ahead = forecast(plan)
    assert (ahead.open_trials, ahead.absent_trials) == (0, 4)  # 2 methods with 2 completers
    fast = 4 * 16 / 32 + (2 * 100 + 100 + 100) / 100
    slow = 4 * 16 / 2 + (2 * 100 + 100 + 100) / 10
    found = {
        name: (each.hours, each.trainings, each.without) for name, each in ahead.figures.items()
    }
    assert found == {
        "a fast machine": (pytest.approx(2 * fast / 3600), 2, ["toy-nan"]),
        "a slow machine": (pytest.approx(2 * slow / 3600), 2, ["toy-nan"]),
    }


def test_a_step_of_a_method_that_sees_slides_is_a_slide(tmp_path):
    changes = {"toy-absent": {"n_spots": 300}, "toy-mean": {"speeds": (FAST,), "scope": "slide"}}
    ahead = forecast(planned(tmp_path, ["toy-mean"], changes, completers=["none"]))
    whole = 4 * 100 / 32 + (2 * 100 + 100 + 100) / 100
    assert ahead.figures["a fast machine"].hours == pytest.approx(whole / 3600)


def test_strips_of_training_slides_are_predicted_where_no_slides_are_for_validation(tmp_path):
    split = {"train": ("one", "two"), "test": ("three",)}
    changes = {
        "toy-absent": {"n_spots": 300, "split": split, "allow_shared_donors": True},
        "toy-mean": {"speeds": (FAST,)},
    }
    plan = planned(tmp_path, ["toy-mean"], changes, completers=["none"])
    assert plan.bench.protocol.validation.held_out_fraction == 0.2
    whole = 4 * 16 / 32 + (2 * 40 + 40 + 100) / 100  # a fifth of two slides chooses, twice
    assert forecast(plan).figures["a fast machine"].hours == pytest.approx(whole / 3600)


def test_a_method_without_steps_passes_once_over_all_spots(tmp_path):
    once = Speed("m", training=0.0, prediction=50.0)
    changes = {"toy-absent": {"n_spots": 300}, "toy-mean": {"speeds": (once,)}}
    ahead = forecast(planned(tmp_path, ["toy-mean"], changes, completers=["none"]))
    assert ahead.figures["m"].hours == pytest.approx(300 / 50 / 3600)


def test_a_search_counts_every_candidate_and_its_best_one_once(tmp_path):
    changes = {"toy-absent": {"n_spots": 300}, "toy-ridge": {"speeds": (FAST,)}}
    ahead = forecast(planned(tmp_path, ["toy-ridge"], changes))
    # Two candidates on the completer of the search, `none`; there the better one is the number.
    assert ahead.absent_trials == 2 + 1
    assert ahead.figures["a fast machine"].trainings == 3


def test_open_trials_without_a_past_have_figures(tmp_path):
    changes = {"toy": {"n_spots": 300}, "toy-mean": {"speeds": (FAST,)}}
    known = forecast(planned(tmp_path, ["toy-mean"], changes, ["toy"], ["none"]))
    assert (known.without_past, known.figures["a fast machine"].trainings) == (1, 1)


def test_of_a_dataset_whose_spots_are_unknown_hours_are_those_of_the_steps(tmp_path):
    # 4 steps of 16 spots; predictions are left out, and it is said of which dataset.
    changes = {"toy-mean": {"speeds": (FAST,)}, "toy-nan": {"speeds": (SLOW,)}}
    plan = planned(tmp_path, ["toy-mean", "toy-nan", "toy-ridge"], changes, completers=["none"])
    ahead = forecast(plan)
    assert ahead.figures == {
        "a fast machine": Figures(
            pytest.approx(4 * 16 / 32 / 3600), 1, ["toy-nan", "toy-ridge"], ["toy-absent"]
        ),
        "a slow machine": Figures(
            pytest.approx(4 * 16 / 2 / 3600), 1, ["toy-mean", "toy-ridge"], ["toy-absent"]
        ),
    }
    assert ahead.without_figures == ["toy-ridge"]
    assert hours_told(ahead)[0] == (
        "1 of these: at least 2.0 seconds of one worker on a fast machine, by figures measured"
        " there; none is known for toy-nan, toy-ridge; left out is what depends on the number of"
        " spots of toy-absent, which is unknown."
    )


@pytest.mark.parametrize(
    "changed",
    [{"speeds": (Speed("m", 0.0, 50.0),)}, {"speeds": (Speed("m", 5.0, 50.0),), "scope": "slide"}],
)
def test_without_spots_nothing_is_told_of_a_method_that_takes_no_steps_or_sees_slides(
    tmp_path, changed
):
    ahead = forecast(planned(tmp_path, ["toy-mean"], {"toy-mean": changed}, completers=["none"]))
    assert ahead.figures == {"m": Figures(0.0, 0, [], ["toy-absent"])}
    (line,) = hours_told(ahead)
    assert line == (
        "No hours can be told on m: they depend on the number of spots of toy-absent, which is"
        " unknown."
    )


@pytest.mark.parametrize(
    ("said", "step"),
    # 26,759 spots on nine slides; the method's own windows have at most 1,000.
    [({}, 1_000), ({"max_spots": 0}, 26_759 / 9), ({"max_spots": 5_000}, 26_759 / 9)],
)
def test_a_step_of_a_method_that_sees_slides_in_windows_is_at_most_a_window(tmp_path, said, step):
    bench = make_bench("jiang", workspace=tmp_path, device="cpu", parameters={"hist2st": said})
    bench.registry = with_changed(bench.registry, {"hist2st": {"speeds": (FAST,)}})
    (found,) = by_figures([(bench, [Training("visium_breast", "hist2st", 7)])]).values()
    assert bench.protocol.training.validate_every >= 7
    predicted = (2 + 2 + 3) * 26_759 / 9 / 100  # one validation; at the end validation and test
    assert found.hours == pytest.approx((7 * step / 32 + predicted) / 3600)


@pytest.mark.parametrize(
    "speeds",
    [
        [FAST],
        ({"machine": "m"},),
        (Speed("m", -1.0, 1.0),),
        (Speed("m", 1.0, 0.0),),
        (Speed("m", float("nan"), 1.0),),
        (Speed("", 1.0, 1.0),),
        (Speed(5, 1.0, 1.0),),
        (Speed("m\x1b[2J", 1.0, 1.0),),
        (Speed("m", "fast", 1.0),),
        (Speed("m", 1.0, 1.0, configuration=None),),
    ],
)
def test_speeds_that_are_none_are_refused(speeds):
    with pytest.raises(PluginError, match="speeds must be a tuple of Speed"):
        PredictorSpec("mine", "mine:Mine", speeds=speeds)


def test_the_whole_of_spared_is_forecast_without_its_data(tmp_path):
    bench = make_bench("spared", workspace=tmp_path)
    searched = ["shufflenet", "st-net", "vit-b", "vit-b-delta", "sepal"]
    fixed = ["bleep", "egn", "eggn", "histogene", "hist2st"]  # whose adapters fix the rate
    ahead = forecast(select(bench, [], ["none", "spackle-released"], [*searched, *fixed]))
    assert len(ahead.downloads) > 1
    # 13 candidates on the median, and two numbers of the best one.
    assert ahead.absent_trials == 26 * (5 * (13 + 2) + 5 * 2)
    (figures,) = ahead.figures.values()
    per_method = dict.fromkeys(searched, 26 * 15) | dict.fromkeys(fixed, 26 * 2)
    lacking = sum(per_method[name] for name in figures.without)
    assert figures.trainings == ahead.absent_trials - lacking > 0
    assert figures.hours > 26 * 15 * 256_000 / 1000 / 3600  # at a thousand spots a second


def test_many_datasets_that_are_to_be_fetched_are_told_in_one_line(tmp_path):
    plan = select(make_bench("spared", workspace=tmp_path), [], ["median"], ["gene-mean"])
    (line,) = _unavailable(plan)
    specs = [plan.bench.dataset(name) for name in plan.unavailable]
    assert all(isinstance(spec, DatasetSpec) and f" {spec.name}" in line for spec in specs)
    few = select(make_bench("spared", workspace=tmp_path), ["vmb", "vlo"], [], ["gene-mean"])
    assert [line.split()[1] for line in _unavailable(few)] == ["'vmb'", "'vlo'"]
