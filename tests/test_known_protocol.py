"""Which slides and spots of a dataset are known, scored and learnt from, as the protocol says."""

from __future__ import annotations

import pytest

from spared_bench import DatasetSpec, SlideInfo
from spared_bench.errors import PluginError, ProtocolError, SplitError
from spared_bench.protocol import Protocol, parse_protocol


def protocol(text: str) -> Protocol:
    return parse_protocol(f"name: partial\nversion: 1\nknown: {text}\n", "test")


def dataset(split=None, order=True, **changes) -> DatasetSpec:
    """Two samples of four and three sections, and one of one."""
    infos = tuple(
        SlideInfo(f"{sample}{at}", patient_id=sample, order=at if order else None)
        for sample, n in (("A", 4), ("B", 3), ("C", 1))
        for at in range(1, n + 1)
    )
    split = split or {"train": ("C1", "B1", "B2", "B3"), "test": ("A1", "A2", "A3", "A4")}
    return DatasetSpec(**{"name": "d", "factory": "a:b", "slides": infos, "split": split} | changes)


@pytest.mark.parametrize(
    ("known", "learnt", "scored"),
    [
        ("{sections: first}", {"A1"}, {"A2", "A3", "A4"}),
        ("{sections: middle}", {"A3"}, {"A1", "A2", "A4"}),
        ("{sections: [A2, A4]}", {"A2", "A4"}, {"A1", "A3"}),
        ("{sections: middle, scored: next}", {"A3"}, {"A2", "A4"}),
        ("{sections: first, scored: next}", {"A1"}, {"A2"}),
    ],
)
def test_known_sections_are_learnt_from_and_the_others_scored(known, learnt, scored):
    chosen = protocol(known)
    found = chosen.divide(dataset())

    assert set(found.split["train"]) == {"C1", "B1", "B2", "B3"} | learnt
    assert set(found.split["test"]) == scored
    assert found.tier == "B"
    assert chosen.divide(found) == found  # however often it is asked


def test_every_reported_sample_has_its_known_section_also_that_of_choices():
    split = {"train": ("C1",), "val": ("B2", "B1", "B3"), "test": ("A1", "A2", "A3", "A4")}
    found = protocol("{sections: first}").divide(dataset(split))

    assert {part: set(slides) for part, slides in found.split.items()} == {
        "train": {"C1", "A1", "B1"}, "val": {"B2", "B3"}, "test": {"A2", "A3", "A4"},
    }  # fmt: skip


def test_a_share_of_spots_leaves_all_sections_of_a_sample_reported():
    split = {"train": ("A1", "A2"), "test": ("A3",)}
    slides = tuple(SlideInfo(f"A{at}", patient_id="A", order=at) for at in (1, 2, 3))
    spec = dataset(split, slides=slides, allow_shared_donors=True)
    chosen = protocol("{share: 0.2}")
    found = chosen.divide(spec)

    assert chosen.known.parts_known(found) == {"A": {"A1", "A2", "A3"}}
    assert {slide for part in found.split.values() for slide in part} == {"A1", "A2", "A3"}


@pytest.mark.parametrize(
    ("known", "spec", "message"),
    [
        ("{sections: first}", dataset(order=False), r"sample 'A' are in no order \(A1: None"),
        ("{sections: [A9]}", dataset(), "none of which is a section of a reported sample"),
        ("{sections: [A1, A2, A3, A4]}", dataset(), "so that nothing is left to predict"),
        ("{sections: first}", dataset({"train": ("A1",), "test": ("C1",)}), "one section only"),
        ("{sections: first}", dataset({"train": ("A1", "B1")}), "no slides in `test` or `val`"),
        (
            "{sections: [A1]}",
            dataset({"train": ("C1",), "test": ("A1", "A2", "B1", "B2")}),
            "names no section of sample 'B'",
        ),
    ],
)
def test_what_leaves_nothing_to_know_or_to_predict_is_refused_with_the_reason(known, spec, message):
    chosen = protocol(known)
    assert chosen.divide(spec) == spec  # it can still be listed
    with pytest.raises(SplitError, match=message):
        chosen.require_usable(chosen.divide(spec))


def test_two_sections_at_one_place_are_in_no_order():
    slides = tuple(SlideInfo(name, patient_id="A", order=1) for name in ("x", "y"))
    spec = dataset({"train": ("x",), "test": ("y",)}, slides=slides, allow_shared_donors=True)
    with pytest.raises(SplitError, match="Give each its place along z"):
        protocol("{sections: first}").require_usable(spec)
    protocol("{sections: [x], register: none}").require_usable(spec)  # which asks for no order


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{sectoins: first}", r"unknown setting 'known.sectoins'. Did you mean 'sections'\?"),
        ("{sections: []}", "is an empty list"),
        ("{share: 1.5}", "less than 1"),
        ("{register: rigd}", "'rigid', 'affine' or 'deformable'"),
        ("{}\nprocessing: {fit_on: all}", "needs `processing.fit_on: train`"),
        ("{}\nprocessing: {smoothing: array_neighbours}", "needs `processing.smoothing: none`"),
    ],
)
def test_a_setting_that_cannot_be_is_refused(text, message):
    with pytest.raises(ProtocolError, match=message):
        protocol(text)


def test_the_hash_of_a_protocol_without_known_is_what_it_was_and_known_moves_it():
    plain = parse_protocol("name: a\nversion: 1\n", "test")
    values = plain.model_dump(mode="json")
    assert values["known"] is None
    known = parse_protocol("name: a\nversion: 1\nknown: {sections: first}\n", "test")
    other = parse_protocol("name: a\nversion: 1\nknown: {sections: middle}\n", "test")
    assert len({plain.hash, known.hash, other.hash}) == 3
    again = Protocol.model_validate(known.model_dump(mode="json"))
    assert again == known


@pytest.mark.parametrize(
    ("field", "value"), [("order", 1.5), ("order", True), ("thickness_um", -1.0),
                         ("thickness_um", "ten")]
)  # fmt: skip
def test_a_place_or_a_thickness_that_is_none_is_refused(field, value):
    with pytest.raises(PluginError, match=field):
        SlideInfo("s", **{field: value})


def test_a_sample_is_named_after_the_donor_and_else_after_the_slide():
    assert SlideInfo("s", "p", sample_id="block").sample == "block"
    assert SlideInfo("s", "p").sample == "p"
    assert SlideInfo("s").sample == "s"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("target: log_share, ranking: mean", "needs `zeros: measured`"),
        ("target: log_share, zeros: measured", "needs `ranking: mean`"),
    ],
)
def test_shares_among_genes_need_what_they_are_made_of(settings, message):
    with pytest.raises(ProtocolError, match=message):
        parse_protocol(f"name: a\nversion: 1\nprocessing: {{{settings}}}\n", "test")
