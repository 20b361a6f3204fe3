"""What methods can be made with, and what protocol and user make of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import InitVar, dataclass, field
from datetime import date
from functools import partial
from typing import Annotated, Any, ClassVar, Literal, Optional

import pytest

from spared_bench.annotations import fits, in_words
from spared_bench.errors import PluginError, UsageError
from spared_bench.parameters import Wishes, resolve, signature_of


@dataclass
class Network:
    name: ClassVar[str] = "network"
    configurations: ClassVar[dict[str, dict[str, Any]]] = {
        "small": {"width": 16, "weights": "random"},
        "large": {"width": 4096},
    }

    lr: float = 1e-4
    width: int = 512
    weights: str = "pretrained"
    mode: Literal["fast", "exact"] = "fast"
    options: dict[str, Any] = field(default_factory=dict)
    limit: int | None = None
    made_: float = field(init=False, default=0.0)


def chosen(factory=Network, **wishes):
    return resolve("predictor 'net'", signature_of("predictor 'net'", factory), Wishes(**wishes))


def test_each_source_replaces_the_weaker_ones():
    wishes: dict[str, Any] = {}
    assert chosen(**wishes).values == {}
    wishes["configuration"] = "small"
    assert chosen(**wishes).values == {"width": 16, "weights": "random"}
    wishes["overrides"] = {"width": 32, "weights": "protocol.pth"}
    assert chosen(**wishes).values == {"width": 32, "weights": "protocol.pth"}
    wishes["weights"] = "pretrained"
    assert chosen(**wishes).values == {"width": 32, "weights": "pretrained"}
    wishes["by_hand"] = {"weights": "hand.pth", "lr": 1}
    assert chosen(**wishes).values == {"width": 32, "weights": "hand.pth", "lr": 1.0}


@pytest.mark.parametrize("source", ["overrides", "by_hand"])
def test_another_configuration_can_be_chosen_for_one_method(source):
    wishes = {"configuration": "small", source: {"configuration": "large", "lr": 0.1}}
    assert chosen(**wishes).configuration == "large"
    assert chosen(**wishes).values == {"width": 4096, "lr": 0.1}
    wishes[source] = {"configuration": "published"}
    assert chosen(**wishes) == chosen()


def test_a_method_that_does_not_offer_the_configuration_uses_its_defaults_and_says_so():
    found = chosen(configuration="spared", overrides={"width": 8})
    assert (found.configuration, found.values) == ("published", {"width": 8})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"widht": 3}, r"no parameter 'widht'\. Did you mean 'width'\? Its parameters are: lr \("),
        ({"made_": 3.0}, "no parameter 'made_'"),
        ({"name": "x"}, "no parameter 'name'"),
        ({"lr": "fast"}, r"parameter 'lr' of predictor 'net' is 'fast', of type str; .* float"),
        ({"lr": True}, "of type bool; expected float"),
        ({"width": 1.5}, "of type float; expected int"),
        ({"width": None}, "of type NoneType; expected int"),
        ({"mode": "slow"}, "expected 'fast' or 'exact'"),
        ({"options": [1]}, r"expected dict\[str, Any\]"),
        ({"limit": "no"}, r"expected int \| None"),
        ({"configuration": "smal"}, "Did you mean 'small'.* It offers: published, small, large"),
        ({"configuration": ["small"]}, r"no configuration \['small'\]"),
    ],
)
@pytest.mark.parametrize(
    ("source", "told"), [("overrides", "overrides of the protocol: "), ("by_hand", "--set: ")]
)
def test_what_cannot_be_set_is_refused(values, message, source, told):
    with pytest.raises(UsageError, match=message) as caught:
        chosen(**{source: values})
    assert str(caught.value).startswith(told)


def test_all_mistakes_are_told_at_once():
    with pytest.raises(UsageError) as caught:
        chosen(overrides={"a": 1, "lr": "x"}, by_hand={"b": 2})
    assert all(f"'{name}'" in str(caught.value) for name in ("a", "lr", "b"))


def test_a_whole_number_and_the_same_float_are_one_experiment():
    made = chosen(by_hand={"lr": 10, "width": 10}).values
    assert (repr(made["lr"]), repr(made["width"])) == ("10.0", "10")


class Plain:
    def __init__(self, depth: int, *, rate=0.1, **rest):
        self.depth = depth


class Strict:
    def __init__(self, depth: int = 2, rate: NotImported = 0.1):  # noqa: F821
        self.depth = depth


def function(depth: int = 2, /, rate: float = 0.5):
    return Strict(depth)


@dataclass
class Handed:
    source: InitVar[str] = "x"


def test_classes_and_functions_that_are_no_dataclass_are_asked_for_their_arguments():
    plain = signature_of("m", Plain)
    assert list(plain.parameters) == ["depth", "rate"]
    assert plain.takes_all
    assert plain.parameters["depth"].required
    with pytest.raises(UsageError, match="needs a value of depth: it has no default"):
        chosen(Plain)
    assert chosen(Plain, by_hand={"depth": 1, "other": 3}).values == {"depth": 1, "other": 3}

    strict = signature_of("m", Strict)  # an annotation that cannot be told takes everything
    assert strict.parameters["rate"].type == "any"
    with pytest.raises(UsageError, match="no parameter 'other'"):
        chosen(Strict, by_hand={"other": 3})

    assert list(signature_of("m", function).parameters) == ["rate"]
    with pytest.raises(UsageError, match="expected float"):
        chosen(function, by_hand={"rate": "x"})
    assert list(signature_of("m", partial(Network, width=3)).parameters)[:2] == ["lr", "width"]
    assert signature_of("m", dict).takes_all
    assert chosen(Handed, by_hand={"source": "y"}).values == {"source": "y"}


def test_defaults_are_what_the_method_would_have():
    found = signature_of("m", Network).parameters
    assert {name: one.default for name, one in found.items()} == {
        name: getattr(Network(), name) for name in found
    }


@pytest.mark.parametrize(
    ("configurations", "message"),
    [
        ({"small": {"widht": 3}}, r"configuration 'small': predictor 'net' has no .*'width'"),
        ({"small": {"width": "x"}}, "of type str; expected int"),
        ({"published": {}}, "'published' stands for the defaults"),
        (["small"], "must map names to mappings"),
        ({"small": 3}, "must map names to mappings"),
    ],
)
def test_configurations_that_cannot_be_are_the_plugins_fault(configurations, message):
    broken = type("Broken", (Network,), {"configurations": configurations})
    with pytest.raises(PluginError, match=message):
        chosen(broken)


def test_a_parameter_cannot_be_called_configuration():
    @dataclass
    class Named:
        configuration: str = ""

    with pytest.raises(PluginError, match="a word that chooses among"):
        signature_of("predictor 'named'", Named)


def test_weights_for_all_leave_alone_what_means_something_else():
    @dataclass
    class Weighted:
        weights: float = 0.5

    assert chosen(Weighted, weights="random").values == {}
    assert chosen(Plain, weights="random", by_hand={"depth": 1}).values == {"depth": 1}


@pytest.mark.parametrize(
    ("value", "annotation", "expected"),
    [
        ([1, 2], tuple[int, ...], True),
        ([1, "x"], tuple[int, ...], False),
        ([1, 2], tuple[int, int], True),
        ([1], tuple[int, int], False),
        ([], tuple, True),
        ("abc", Sequence[str], False),
        ({"a": 1}, Mapping[str, float], True),
        ({"a": "x"}, Mapping[str, float], False),
        ({1: 1}, dict[str, int], False),
        (None, Optional[float], True),  # noqa: UP045
        (None, None, True),
        (3, Annotated[int, "positive"], True),
        (1, Literal[True], False),
        ("x", Any, True),
        ("x", "not resolved", True),
        ("x", object, True),
        (float("nan"), float, True),
    ],
)
def test_a_value_fits_its_annotation(value, annotation, expected):
    assert fits(value, annotation) is expected


def test_types_are_written_as_people_write_them():
    told = [in_words(each) for each in (float, int | None, Literal["a", "b"], dict[str, Any], Any)]
    assert told == ["float", "int | None", "'a' or 'b'", "dict[str, Any]", "any"]


@pytest.mark.parametrize(
    "values",
    [
        {"lr": float("nan")},
        {"lr": float("-inf")},
        {"options": {"a": [1.0, float("inf")]}},
        {"options": {"since": date(2001, 1, 1)}},
        {"weights": "\ud800"},
    ],
)
@pytest.mark.parametrize("source", ["overrides", "by_hand"])
def test_a_value_that_no_key_can_hold_is_refused(values, source):
    with pytest.raises(UsageError, match="a value must be finite"):
        chosen(**{source: values})


def test_a_method_that_takes_anything_takes_no_value_that_no_key_can_hold():
    with pytest.raises(UsageError, match="a value must be finite"):
        chosen(lambda **kwargs: None, by_hand={"x": float("nan")})


@dataclass
class ForCheckers:
    """Of which a parameter has a type that is imported ``if TYPE_CHECKING``."""

    lr: float = 0.1
    mask: NDArray | None = None  # noqa: F821
    since: date | None = None


@dataclass
class Derived(ForCheckers):
    steps: int = 3


class PlainForCheckers:
    def __init__(self, lr: float = 0.1, mask: NDArray | None = None):  # noqa: F821
        pass


def function_for_checkers(lr: float = 0.1, mask: NDArray | None = None):  # noqa: F821
    pass


@pytest.mark.parametrize("factory", [ForCheckers, Derived, PlainForCheckers, function_for_checkers])
def test_a_type_that_cannot_be_told_costs_that_of_no_other_parameter(factory):
    found = signature_of("x", factory).parameters
    assert (found["lr"].annotation, found["mask"].annotation) == (float, Any)
    assert factory is not Derived or found["steps"].annotation is int
    assert "since" not in found or found["since"].annotation == date | None


def test_none_is_taken_where_it_is_the_default_and_whole_numbers_stay_one_experiment():
    def make(rate: float = None, size: int | float = 3, name: str = None): ...  # noqa: RUF013

    signature = signature_of("predictor 'net'", make)
    assert signature.parameters["rate"].type == "float | None"
    by_hand = {"rate": None, "name": None}
    assert chosen(make, by_hand=by_hand).values == by_hand
    found = chosen(make, by_hand={"rate": 10, "size": 10}).values
    assert (type(found["rate"]), type(found["size"])) == (float, int)
    with pytest.raises(
        UsageError, match=r"'rate' of .* is 'fast', of type str; expected float \| None"
    ):
        chosen(make, by_hand={"rate": "fast"})
    with pytest.raises(UsageError, match=r"'size' of .* expected int \| float"):
        chosen(make, by_hand={"size": None})
