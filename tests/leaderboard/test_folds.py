"""Folds of a dataset as one column of the board."""

from dataclasses import replace

import pytest

from spared_bench.leaderboard.digest import digest
from spared_bench.leaderboard.folds import with_joined_folds
from spared_bench.leaderboard.rows import Known, board_rows
from spared_bench.protocol import Ranking
from spared_bench.results import TrialResult
from spared_bench.specs import MetricSpec

METRIC = MetricSpec("pcc-gene", "m:m", bounds=(-1.0, 1.0))


def trial(fold, score, predictor="probe", status="ok", **facts):
    return TrialResult(
        key=f"{predictor}-{fold}",
        status=status,
        protocol="hest@1",
        dataset=f"hest_x.fold-{fold}",
        completer="none",
        predictor=predictor,
        seed=0,
        scores={"test": {"pcc-gene": score}} if status == "ok" else {},
        facts={"fold_of": "hest_x", "evaluation_split": "test", **facts},
    )


def test_the_score_of_a_dataset_is_the_mean_over_its_folds():
    (joined,) = with_joined_folds([trial(0, 0.2), trial(1, 0.5)])
    assert joined.dataset == "hest_x"
    assert joined.scores["test"]["pcc-gene"] == pytest.approx(0.35)


def test_a_fold_that_others_have_makes_a_failure_where_it_lacks_or_failed():
    found = with_joined_folds(
        [trial(0, 0.2), trial(1, 0.5), trial(0, 0.9, "other"), trial(1, 0, "bad", "error"),
         trial(0, 0.3, "bad")]
    )  # fmt: skip
    by_name = {each.predictor: each for each in found}
    assert by_name["probe"].ok
    assert by_name["other"].status == "skipped"
    assert "hest_x.fold-1" in by_name["other"].message
    assert by_name["bad"].status == "error"


def test_what_one_fold_has_to_say_is_said_of_the_whole():
    def fold(number, n_parameters, code, **facts):
        made = {
            "machine": f"m{number}",
            "plugins": {"predictor": f"mine 1 code {code}", "completer": "ours 1 code c"},
        }
        one = trial(number, 0.5, **facts)
        return replace(
            one,
            n_parameters=n_parameters,
            environment=made,
            gene_scores={"pcc-gene": [0.1]},
            calibration={"test": [0.1]},
        )

    encoder = {"name": "uni", "seen": "unknown"}
    doubt = {"tested": 2, "failed": {"s9": ["too small"]}}
    ranking = Ranking(metric="pcc-gene", folds="mean")
    known = Known(metrics={"pcc-gene": METRIC}, rankings={"hest@1": ranking})
    (part,) = board_rows(
        [
            fold(0, 10, "aa", encoder=encoder, tier="A", slide_checks={"tested": 2, "failed": {}}),
            fold(1, 30, "bb", encoder=encoder | {"seen": "overlap: x"}, tier="B",
                 slide_checks=doubt, by_hand={"probe.alpha": 2.0}, field_of_view_um=50.0),
        ],
        known,
    ).protocols  # fmt: skip
    (row,) = part.rows
    assert row.n_parameters == 30
    assert row.n_codes == 2
    assert row.machine == "m0, m1"
    assert row.by_hand == "probe.alpha=2.0"
    assert row.field_of_view_um == 50.0
    assert row.encoder["seen"] == "overlap: x, unknown"
    assert part.datasets[0].tier == "B"
    assert part.datasets[0].doubts == ("s9 (too small)",)
    (joined,) = with_joined_folds([fold(0, 10, "aa"), fold(1, 30, "aa")])
    assert joined.gene_scores == joined.calibration == {}


@pytest.mark.parametrize(
    ("folds", "names"), [("mean", ["hest_x"]), ("apart", ["hest_x.fold-0", "hest_x.fold-1"])]
)
def test_the_protocol_says_whether_folds_are_joined(folds, names):
    known = Known(
        metrics={"pcc-gene": METRIC},
        rankings={"hest@1": Ranking(metric="pcc-gene", folds=folds)},
    )
    (part,) = board_rows([trial(0, 0.2), trial(1, 0.4)], known).protocols
    assert [each.name for each in part.datasets] == names


def test_rows_say_what_their_encoder_is_and_may_have_seen():
    encoder = {"name": "uni", "licence": "NC", "pretraining": "secret", "seen": "unknown"}
    known = Known(metrics={"pcc-gene": METRIC}, rankings={"hest@1": Ranking(metric="pcc-gene")})
    (part,) = board_rows([trial(0, 0.2, encoder=encoder)], known).protocols
    assert part.rows[0].encoder == encoder
    (part,) = board_rows([trial(0, 0.2, encoder=encoder, weights="random")], known).protocols
    assert part.rows[0].encoder == {
        **encoder, "pretraining": "none, random weights", "seen": "declared: none",
    }  # fmt: skip


def test_the_summary_of_a_run_says_that_a_score_is_a_mean_of_folds():
    known = Known(
        metrics={"pcc-gene": METRIC},
        rankings={"hest@1": Ranking(metric="pcc-gene", folds="mean")},
    )
    lines = digest([trial(0, 0.2), trial(1, 0.4)], known)
    assert lines[1] == "  best     probe · none: pcc-gene 0.300, no interval: the mean of 2 folds"


def test_methods_are_told_apart_over_the_donors_of_all_folds():
    ranking = Ranking(metric="pcc-gene", folds="mean")
    slides = [{"slide_id": f"s{n}", "patient_id": f"p{n}"} for n in range(6)]
    known = Known(
        datasets={f"hest_x.fold-{n}": {"slides": slides} for n in range(6)},
        metrics={"pcc-gene": METRIC},
        rankings={"hest@1": ranking},
    )

    def fold(n, score, predictor):
        seen = {"test": {f"s{n}": {"pcc-gene": score}}}
        return replace(trial(n, score, predictor), slide_scores=seen)

    first = [fold(n, 0.5 + n / 100, "probe") for n in range(6)]
    second = [fold(n, 0.4 - n / 100, "other") for n in range(6)]

    lines = digest([*first, *second], known)

    # 2 / 2^6, the smallest p there is: all six agree.
    assert lines[2].endswith("significantly worse (p = 0.031, signed-rank test over 6 donors)")


@pytest.mark.parametrize(("n_run", "n_notes"), [(1, 1), (5, 0)])
def test_a_board_says_of_how_many_folds_a_score_is(n_run, n_notes):
    names = [*(f"hest_x.fold-{n}" for n in range(5)), *(f"hest_x.donor-{n}" for n in range(9))]
    known = Known(
        datasets={"hest_x": {"fold_of": ""}, **{name: {"fold_of": "hest_x"} for name in names}},
        metrics={"pcc-gene": METRIC},
        rankings={"hest@1": Ranking(metric="pcc-gene", folds="mean")},
    )
    (part,) = board_rows([trial(n, 0.2) for n in range(n_run)], known).protocols

    assert len(part.notes) == n_notes
    for note in part.notes:
        assert note == (
            "Scores on hest_x are of 1 of its 5 folds, and not its mean over all: no method has a"
            " result on hest_x.fold-1, hest_x.fold-2, hest_x.fold-3 and 1 more."
        )
