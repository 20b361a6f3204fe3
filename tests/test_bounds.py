"""Bounds of parameters: what lies outside is refused, by whatever method, when a run is planned."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, ClassVar

import pydantic
import pytest
from annotated_types import Ge, Gt, Interval, Le, Lt

from spared_bench.annotations import fits
from spared_bench.api import make_bench, select
from spared_bench.bench import Bench
from spared_bench.bounds import (
    Count,
    CountOrZero,
    NotNegative,
    Part,
    Positive,
    Share,
    Size,
    out_of_bounds,
)
from spared_bench.errors import PluginError, UsageError
from spared_bench.parameters import checked, signature_of
from spared_bench.registry import discover

KINDS: list[Any] = [
    *(Count, CountOrZero, Size, Positive, NotNegative, Share, Part),
    Annotated[int, Interval(gt=2, le=7)],
    Annotated[float, Gt(-1), Lt(1)],
    tuple[Count, Share],
    tuple[Positive, ...],
    list[Annotated[int, Ge(3), Le(3)]],
    dict[str, NotNegative],
    Count | None,
]
VALUES: list[Any] = [
    *(-5, -1, -1e-9, 0, 0.0, 1e-9, 0.5, 0.999, 1, 1.0, 2, 3, 7, 8, 65_536, 65_537, 10**12, None),
    *((1, 0.5), (0, 0.5), (1, 1.0), (2.0, 3.0), (2.0, -3.0), (), [3, 3], [3, 4], {}),
    *({"a": 1.0}, {"a": 1.0, "b": -1.0}),
]


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_bounds_are_those_of_pydantic(kind):
    adapter = pydantic.TypeAdapter(kind, config=pydantic.ConfigDict(strict=False))
    for value in VALUES:
        if not fits(value, kind):
            continue  # of another type, which is refused before
        try:
            adapter.validate_python(value)
            expected = True
        except pydantic.ValidationError:
            expected = False
        assert (not out_of_bounds(value, kind)) == expected, value


def test_what_is_expected_is_said():
    class Method:
        def __init__(self, width: Size = 4, share: Annotated[float, Ge(0), Lt(1)] = 0.0) -> None:
            pass

    signature = signature_of("predictor 'm'", Method)
    with pytest.raises(UsageError, match=r"'width' of m is -4; expected at least 1 and at most 65"):
        checked("m", signature, "width", -4, "--set")
    with pytest.raises(UsageError, match="'share' of m is 7; expected at least 0 and less than 1"):
        checked("m", signature, "share", 7, "--set")
    assert checked("m", signature, "share", 0, "--set") == 0.0
    assert isinstance(checked("m", signature, "share", 0, "--set"), float)  # one key with 0.0

    class Wrong(Method):
        configurations: ClassVar = {"small": {"width": 0}}

    with pytest.raises(PluginError, match=r"configuration 'small': parameter 'width'.* is 0"):
        signature_of("predictor 'w'", Wrong)


def _numbers() -> list[tuple[str, str, str, Any]]:
    registry = discover([], only=())
    found = []
    for kind in ("completer", "predictor"):
        for name in registry.names(kind):
            signature = signature_of(name, registry.get(kind, name).load())
            found += [
                (kind, name, each.name, each.bounded)
                for each in signature.parameters.values()
                if each.type in ("int", "float")
            ]
    return found


def test_every_number_of_our_methods_has_bounds(tmp_path):
    numbers = _numbers()
    assert len(numbers) > 150
    # Plugins are found once, not for each of hundreds of benches.
    found = make_bench("demo", datasets=["mob_demo"], workspace=tmp_path, device="cpu")
    for kind, name, parameter, bounded in numbers:
        refused = [-1] + ([0] if out_of_bounds(0, bounded) else [])
        for value in refused:
            settings = replace(found.settings, parameters={name: {parameter: value}})
            bench = Bench(settings, found.registry)
            methods = ([name], ["gene-mean"]) if kind == "completer" else (["none"], [name])
            with pytest.raises(UsageError, match=f"'{parameter}' of {kind} '{name}' is {value};"):
                select(bench, ["mob_demo"], *methods)


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("spackle", {"n_heads": 0}, "'n_heads' of completer 'spackle' is 0"),
        ("spackle", {"dropout": 7}, "less than 1"),
        ("spackle", {"width": 10, "n_heads": 3}, "3 heads; expected a width divisible"),
        ("spackle-released", {"width": 10, "n_heads": 3}, "width=10 and 3 heads"),
        ("asign-2d", {"width": 64, "heads": 5}, "width=64 and 5 heads"),
        ("triplex", {"slide": [2, 5, 2, 0.1]}, "slide has width=64 and 5 heads"),
        ("triplex", {"slide": [2, 4, 2, 1.5]}, "'slide' of predictor 'triplex'"),
        ("view-attention", {"width": 64, "heads": 5}, "width=64, heads=5"),
        ("feature-attention", {"hidden": 64, "heads": 5}, "hidden=64, heads=5"),
        ("egn", {"tile": 49, "image_size": 48}, "tile=49 and image_size=48"),
        ("hist2st", {"image_size": 6}, "at least 7"),
        ("hist2st-gat", {"n_views": 3}, "n_views=3 with the encoder 'color'"),
        ("deepspace", {"weights": "pretrained", "pool": 2}, "no pretrained weights for a VGG16"),
        ("sepal", {"layers": 5}, "at most 4"),
        ("sepal", {"layout": "hex"}, "expected 'visium' or 'legacy_st' or 'free'"),
        ("sepal", {"operator": "gnn"}, "expected 'gcn' or"),
        ("st-net", {"solver": "adamw"}, "expected 'adam' or 'sgd'"),
        ("st-net", {"precision": "half"}, "expected 'auto' or"),
        ("st-net", {"normalisation": "none"}, "expected 'imagenet' or"),
        ("bleep", {"pooling": "max"}, "expected 'average' or"),
        ("stimage", {"fits": "log"}, "expected 'counts' or"),
        ("asign-3d", {"across_by": "chance"}, "expected 'overlap' or"),
    ],
)  # fmt: skip
def test_what_cannot_be_together_is_refused_when_a_run_is_planned(tmp_path, name, values, message):
    bench = make_bench(
        "demo", datasets=["mob_demo"], workspace=tmp_path, device="cpu", parameters={name: values}
    )
    is_completer = name in bench.registry.names("completer")
    methods = ([name], ["gene-mean"]) if is_completer else (["none"], [name])
    with pytest.raises(UsageError, match=message):
        select(bench, ["mob_demo"], *methods)


def test_candidates_of_a_search_are_within_bounds(tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text("{name: own, version: 1, search: {grids: {lr: [0.1, -0.1]}}}")
    bench = make_bench(str(path), workspace=tmp_path, device="cpu", weights="random")
    with pytest.raises(UsageError, match=r"'shufflenet' cannot run so: 'lr' is -0\.1; exp"):
        select(bench, ["mob_demo"], ["none"], ["shufflenet"])


def test_a_network_that_there_is_not_is_refused_whatever_its_weights(tmp_path):
    from spared_bench.running.requirements import check_requirements

    bench = make_bench(
        "demo",
        datasets=["mob_demo"],
        workspace=tmp_path,
        device="cpu",
        weights="random",
        parameters={"st-net": {"backbone": "resnet99"}, "egn": {"encoder": "resnet98"}},
    )
    plan = select(bench, ["mob_demo"], ["none"], ["st-net", "egn"])
    with pytest.raises(UsageError) as refused:
        check_requirements(plan)
    assert "Predictor 'st-net' has backbone='resnet99': Neither timm" in str(refused.value)
    assert "Predictor 'egn' has encoder='resnet98': Neither timm" in str(refused.value)
