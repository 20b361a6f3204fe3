from __future__ import annotations

import pytest

from spared_bench.api import load_protocol
from spared_bench.errors import ProtocolError, UnknownNameError, UsageError
from spared_bench.protocol import parse_protocol, read_protocol
from spared_bench.registry import discover

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
        ("training: {iteratons: 3}", "'training.iteratons'. Did you mean 'iterations'?"),
        ("processing: {filtering: {real_fractoin: 1}}", "Did you mean 'real_fraction'?"),
        ("training: {iterations: 0}", "'training.iterations': Input should be greater than 0"),
        ("processing: {target: log3}", "'processing.target'"),
        ("seeds: []", "'seeds'"),
        ("seeds: [1", "is not valid YAML"),
        ("patches: !!python/object/apply:os.system ['true']", "is not valid YAML"),
    ],
)
def test_a_wrong_setting_is_refused_by_name(text, message):
    with pytest.raises(ProtocolError) as refused:
        parse_protocol(SMALL + text, "mine.yaml")
    assert "mine.yaml" in str(refused.value)
    assert message in str(refused.value)


def test_what_is_no_mapping_or_far_too_large_is_no_protocol():
    with pytest.raises(ProtocolError, match="must be a YAML mapping, found list"):
        parse_protocol("[1, 2]", "x")
    with pytest.raises(ProtocolError, match="larger than"):
        parse_protocol("a" * 200_000, "x")


def test_a_protocol_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ProtocolError, match=r"absent\.yaml"):
        read_protocol(tmp_path / "absent.yaml")


def test_the_hash_moves_with_what_moves_a_score_and_not_with_what_is_run():
    base = parse_protocol(SMALL, "x")
    same = parse_protocol(SMALL + "datasets: [a]\nsummary: other words", "x")
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
