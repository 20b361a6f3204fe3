"""What `--set` is given twice."""

from __future__ import annotations

import re

import pytest

from spared_bench.api import make_bench, select
from spared_bench.cli.commands.run import parse_settings
from spared_bench.errors import UsageError


def test_one_parameter_has_one_value():
    same = parse_settings(["st-net.lr=1", "st-net.lr=1.0", "egn.lr=2"])
    assert same == {"st-net": {"lr": 1}, "egn": {"lr": 2}}
    with pytest.raises(UsageError, match=r"st-net\.lr two values"):
        parse_settings(["st-net.lr=1", "egn.lr=1", "st-net.lr=2"])


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("vit-b.options.num_heads=4", "`--set 'vit-b.options={num_heads: 4}'`"),
        ("spackle.options.a.b=x", "`--set 'spackle.options={a: {b: 'x'}}'`"),
        ("training.iterations=3", "'training' belongs to the protocol"),
        ("processing.n_genes=3", "'processing' belongs to the protocol"),
        ("vit-b.options={num_heads=4}", "Option 'num_heads=4' of predictor 'vit-b' has no value"),
        ("vit-b.options={depht: }", "Option 'depht' of predictor 'vit-b' has no value"),
    ],
)
def test_what_is_set_in_another_place_is_told_where_it_goes(tmp_path, setting, told):
    """The last two ran and changed nothing: timm passes over an option without a value."""
    with pytest.raises(UsageError, match=re.escape(told)):
        bench = make_bench("demo", workspace=tmp_path, parameters=parse_settings([setting]))
        select(bench, ["her2st_demo"], ["none"], ["vit-b"])


@pytest.mark.parametrize("written", ["gene-mean,vit-b", "gene-mean vit-b", "gene-mean, vit-b"])
def test_several_names_in_one_are_told_how_they_are_written(tmp_path, written):
    bench = make_bench("demo", workspace=tmp_path)
    with pytest.raises(UsageError, match="name each by itself, `-p gene-mean -p vit-b`"):
        select(bench, ["her2st_demo"], ["none"], [written])
    with pytest.raises(UsageError, match="`-d her2st_demo -d mob_demo`"):
        select(bench, ["her2st_demo,mob_demo"])
    with pytest.raises(UsageError, match="`spared-bench list predictors`"):
        select(bench, ["her2st_demo"], ["none"], ["gene-mean,vit-x"])


@pytest.mark.parametrize(
    ("weights", "why"),
    [
        ("~nobody_of_this_name/w.pt", "Could not determine home directory"),
        ("w" * 300 + ".pt", "File name too long"),
        ("w\0.pt", "null"),
    ],
)
def test_weights_that_can_be_no_file_are_refused_when_planning(tmp_path, weights, why):
    bench = make_bench("demo", workspace=tmp_path, weights=weights)
    with pytest.raises(UsageError, match=rf"cannot be a file: .*{why}.* Name one that is there"):
        select(bench, ["planted"], ["none"], ["shufflenet"])
