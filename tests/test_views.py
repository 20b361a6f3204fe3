"""What a view may be, and what a method may declare."""

from __future__ import annotations

import math
import re

import pytest

from spared_bench import View
from spared_bench.data.views import checked_views, declared_by
from spared_bench.errors import PluginError, ViewError

FACTS = {"spot_diameter_px": 40.0, "um_per_px": 0.5}


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"scale": 2, "um": 50}, "scale and um both say how wide"),
        ({"scale": -1}, "scale is -1; expected a number of 0 or more"),
        ({"um": math.nan}, "um is nan"),
        ({"pixels": "9"}, "pixels is '9'"),
        ({"size": 2.5}, "size is 2.5; expected a whole number"),
        ({"size": 100_000}, "size is 100000"),
        ({"tiles": 4}, "tiles is 4; expected an odd number"),
        ({"tiles": True}, "tiles is True"),
        ({"grid": 1}, "grid is 1; expected True or False"),
        ({"grid": "no"}, "grid is 'no'; expected True or False"),
        ({"tiles": 3, "grid": True}, "grid and tiles exclude each other"),
    ],
)
def test_a_view_that_cannot_be_says_what_is_wrong(values, told):
    with pytest.raises(PluginError, match=re.escape(told)):
        View(**values)


def test_the_same_view_is_equal_however_its_numbers_are_written():
    assert View(scale=4) == View(scale=4.0)
    assert View(**View(um=500, grid=True).as_dict()) == View(um=500, grid=True)
    assert View(scale=4).as_dict()["scale"] == 4.0


def test_what_a_view_leaves_open_is_the_protocols():
    assert View(size=0).settled(1.5, 224) == View(scale=1.5, size=224)
    assert View(um=50, size=64).settled(1.5, 224) == View(um=50, size=64)


def test_the_side_of_a_window_follows_the_slide():
    assert View(scale=4.6).side_px(FACTS) == pytest.approx(184)
    assert View(um=512).side_px(FACTS) == 1024
    assert View(pixels=77).side_px(FACTS) == 77
    with pytest.raises(ViewError, match="um_per_px is 0"):
        View(um=512).side_px({**FACTS, "um_per_px": 0})


def test_the_field_of_view_is_that_of_all_tiles():
    assert View(scale=1, tiles=5).reach_um(FACTS) == 100
    assert View(um=512, grid=True).reach_um(FACTS) == 512
    assert View(pixels=30).reach_um(FACTS) == 15
    assert math.isnan(View(pixels=30).reach_um({**FACTS, "um_per_px": 0}))
    assert View(um=30).reach_um({**FACTS, "um_per_px": 0}) == 30


@pytest.mark.parametrize("declared", [[View()], {"region": 224}, {"": View()}, {3: View()}, View()])
def test_what_is_no_mapping_of_views_names_the_method(declared):
    with pytest.raises(PluginError, match=r"^Predictor 'x': `views` must map names to `View`"):
        checked_views(declared, "Predictor 'x'")


@pytest.mark.parametrize("name", ["../x", "a b", "x\n<b>", "\ud800", "1st", "x" * 65, "_x"])
def test_a_name_that_no_view_may_have_is_told_in_characters_that_can_be_printed(name):
    with pytest.raises(PluginError, match=r"^Predictor 'x': a view is named ") as error:
        checked_views({name: View()}, "Predictor 'x'")
    str(error.value).encode("ascii")
    assert list(checked_views({"my_region-2": View()}, "Predictor 'x'")) == ["my_region-2"]


def test_a_property_that_raises_is_told_and_is_not_taken_for_no_views():
    class Typo:
        @property
        def views(self):
            return {"region": View(scale=self.widht)}

    with pytest.raises(PluginError, match=r"^Predictor 'x': its `views` .*no attribute 'widht'"):
        declared_by(Typo(), "Predictor 'x'")
    assert declared_by(object(), "Predictor 'x'") is None


@pytest.mark.parametrize("view", [View(grid=True), View(tiles=3)])
def test_the_target_is_one_window_per_spot(view):
    with pytest.raises(PluginError, match=r"^Predictor 'x': the view 'target' is what"):
        checked_views({"target": view}, "Predictor 'x'")
