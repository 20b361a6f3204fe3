"""What a spec refuses, what it says of its donors, and its plain values."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from spared_bench.errors import PluginError, SplitError
from spared_bench.registry import discover
from spared_bench.specs import KINDS, DatasetSpec, SlideInfo, conflicts, spec_as_dict

SLIDES = tuple(SlideInfo(name, donor) for name, donor in zip("abcd", "1123", strict=True))


def dataset(split, slides=SLIDES, name="toy", **settings):
    return DatasetSpec(name, "toy:read", slides=slides, split=split, **settings)


def test_a_slide_in_two_splits_is_refused_by_name():
    with pytest.raises(PluginError, match="slide 'b' is in split 'train' and in 'test'"):
        dataset({"train": ("a", "b"), "test": ("b",)})


def test_an_unknown_slide_and_an_unknown_split_are_refused():
    with pytest.raises(PluginError, match="'val' names slide 'z', which is not among"):
        dataset({"train": ("a",), "val": ("z",)})
    with pytest.raises(PluginError, match="unknown split 'valid'"):
        dataset({"train": ("a",), "valid": ("b",)})
    with pytest.raises(PluginError, match="no training slides"):
        dataset({"test": ("a",)})


@pytest.mark.parametrize("name", ["../up", "a/b", "</script>", "a\0", "a\nb", "x" * 101, "", 7])
def test_a_slide_whose_name_cannot_be_a_files_is_refused(name):
    with pytest.raises(PluginError, match="files are named after a slide"):
        SlideInfo(name)


def test_two_slides_of_one_file_on_some_systems_are_refused():
    with pytest.raises(PluginError, match="stands twice in slides, capital letters not counted"):
        dataset({"train": ("A1",)}, slides=(SlideInfo("A1"), SlideInfo("a1")))


def test_the_tier_follows_from_the_donors_and_names_those_that_are_shared():
    other = dataset({"train": ("a", "b"), "val": ("c",), "test": ("d",)})
    assert (other.tier, other.shared_donors) == ("A", ())
    with pytest.raises(SplitError, match=r"donors \['1'\] have slides both to learn from and in"):
        dataset({"train": ("a", "d"), "test": ("b", "c")})
    same = dataset({"train": ("a", "d"), "test": ("b", "c")}, allow_shared_donors=True)
    assert (same.tier, same.shared_donors) == ("B", ("1",))
    chosen_on = dataset({"train": ("d",), "val": ("a",), "test": ("b",)}, allow_shared_donors=True)
    assert (chosen_on.tier, chosen_on.shared_donors) == ("B", ("1",))
    untested = dataset({"train": ("a",), "val": ("b",)})
    assert (untested.tier, untested.shared_donors) == ("C", ())


def test_donors_are_verified_only_where_a_spec_says_so_and_its_folds_say_the_same():
    split, folds = {"train": ("a", "b"), "test": ("c",)}, {"one": {"c": ("c",)}}
    for said, more in ((False, {}), (True, {"donors_verified": True})):
        spec = dataset(split, folds=folds, **more)
        assert [each.donors_verified for each in (spec, *spec.fold_specs("one"))] == [said, said]


def test_a_shared_folder_needs_a_plain_name():
    with pytest.raises(PluginError, match=r"storage '\.\./up' is no name of a folder"):
        dataset({"train": ("a",)}, storage="../up")


def test_a_conflict_is_told_once_for_each_pair():
    whole = dataset({"train": ("a",)}, name="whole", conflicts_with=("half", "absent"))
    half = dataset({"train": ("a",)}, name="half", conflicts_with=("whole",))
    assert conflicts([whole]) == []
    (told,) = conflicts([whole, half])
    assert told.startswith("Datasets 'half' and 'whole' hold the same slides")


@pytest.mark.parametrize("kind", KINDS)
def test_a_spec_as_a_dict_is_what_dataclasses_make_of_it(kind):
    entries = discover([]).all(kind)
    assert entries
    for entry in entries:
        assert spec_as_dict(entry.spec) == asdict(entry.spec), entry.qualified_name
