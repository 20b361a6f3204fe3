"""Folds of a dataset as one column of the board."""

from dataclasses import replace

import pytest

from spared_bench.leaderboard.digest import digest
from spared_bench.leaderboard.folds import lacking_folds, with_joined_folds
from spared_bench.leaderboard.plugin_facts import known_to, with_what_is_known
from spared_bench.leaderboard.rows import Known, board_rows
from spared_bench.protocol import Ranking
from spared_bench.registry import discover
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


@pytest.mark.parametrize(
    ("protocol", "fold", "whole", "unlisted"),
    [
        ("jiang@1", "her2st.loso-a1", "her2st", None),
        ("jiang@1", "her2st.patient-a", "her2st", True),
        ("asign@1", "her2st.patient-a", "her2st", None),
        ("asign@1", "her2st.loso-a1", "her2st", True),
        ("partial@1", "dlpfc.donor-br5292", "dlpfc", None),
        ("hest@1", "hest_idc.fold-0", "hest_idc", None),
    ],
)
def test_folds_of_the_scheme_that_a_protocol_lists_count_on_its_board(
    protocol, fold, whole, unlisted
):
    registry = discover([], data_dir=None)
    assert fold in known_to(registry).datasets
    mine = replace(trial(0, 0.5, fold_of=whole), protocol=protocol, dataset=fold)
    (found,) = with_what_is_known([mine], [], registry, [])
    assert found.facts.get("unlisted") is unlisted


def test_folds_that_nobody_ran_are_told_of_by_what_plugins_say():
    known = known_to(discover([], data_dir=None))
    mine = replace(trial(0, 0.5, fold_of="hest_idc"), dataset="hest_idc.fold-0")
    (told,) = lacking_folds([mine], known.datasets)
    assert told.startswith("Scores on hest_idc are of 1 of its 4 folds")


JOINED = Known(
    metrics={"pcc-gene": METRIC}, rankings={"hest@1": Ranking(metric="pcc-gene", folds="mean")}
)


def of_scheme(scheme, number, score, predictor="probe", **facts):
    one = trial(number, score, predictor, **facts)
    return replace(one, key=f"{one.key}-{scheme}", dataset=f"hest_x.{scheme}-{number}")


def columns(trials, known=JOINED):
    (part,) = board_rows(trials, known).protocols
    return {
        each.name: (each.counts, [row.datasets[each.name].score(METRIC).mean for row in part.rows])
        for each in part.datasets
    }


def test_two_schemes_are_two_tasks_and_the_listed_one_has_the_name_of_the_dataset():
    both = [trial(0, 0.2), trial(1, 0.4), of_scheme("loo", "a", 0.8, unlisted=True)]
    assert columns(both) == {
        "hest_x": (True, [pytest.approx(0.3)]),
        "hest_x.loo": (False, [pytest.approx(0.8)]),
    }


def test_of_two_schemes_that_nobody_lists_each_has_its_own_name_and_the_slides_count_once():
    both = [trial(0, 0.2), trial(1, 0.4), of_scheme("loo", "a", 0.8)]
    found = columns(both)
    assert {name: scores for name, (_, scores) in found.items()} == {
        "hest_x.fold": [pytest.approx(0.3)],
        "hest_x.loo": [pytest.approx(0.8)],
    }
    assert sum(counts for counts, _ in found.values()) == 1


def test_names_of_schemes_may_have_hyphens():
    folds = {"leave-one": {"a": (), "b": ()}, "leave-two": {"a-b": ()}}
    known = replace(JOINED, datasets={"hest_x": {"folds": folds}})
    trials = [
        of_scheme("leave-one", "a", 0.2),
        of_scheme("leave-one", "b", 0.4),
        of_scheme("leave-two", "a-b", 0.8),
    ]
    assert set(columns(trials, known)) == {"hest_x.leave-one", "hest_x.leave-two"}


def test_a_run_on_the_split_of_a_dataset_is_no_mean_of_its_folds():
    own = replace(trial(0, 0.9), dataset="hest_x", facts={"evaluation_split": "test"})
    (part,) = board_rows([trial(0, 0.2), trial(1, 0.4), own], JOINED).protocols
    (row,) = part.rows
    assert row.complete
    assert row.datasets["hest_x"].score(METRIC).mean == pytest.approx(0.3)
    assert "1 result on the split of hest_x itself is not shown" in " ".join(part.notes)
    reported = {"fold_of": "", "evaluation_split": "test", "unlisted": True}
    entry = replace(own, facts=own.facts | {"origin": {"trust": "reported", "flags": []}})
    (part,) = board_rows([entry, replace(own, facts=reported)], JOINED).protocols
    assert [row.origin.trust for row in part.rows] == ["reported"]


def test_the_summary_of_a_run_counts_the_folds_of_one_scheme():
    both = [trial(0, 0.2), trial(1, 0.4), of_scheme("loo", "a", 0.8, unlisted=True)]
    told = [line for line in digest(both, JOINED) if "best" in line]
    assert [line.partition(": ")[2] for line in told] == [
        "pcc-gene 0.300, no interval: the mean of 2 folds",
        "pcc-gene 0.800, no interval: the mean of 1 fold",
    ]
