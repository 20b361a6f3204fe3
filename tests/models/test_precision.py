"""Which precision is chosen where: by the device, and on a CPU by the size of the network."""

import pytest
import torch
from torch import nn

from spared_bench.errors import UsageError
from spared_bench.models.precision import mixed, precision_of

with torch.device("meta"):
    SMALL, LARGE = nn.Linear(2236, 2236, bias=False), nn.Linear(2237, 2237, bias=False)


def cpu_tells(monkeypatch, **capabilities):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)


@pytest.mark.parametrize("instructions", ["avx512_bf16", "amx_bf16"])
def test_a_cpu_with_bfloat16_computes_large_networks_in_it(monkeypatch, instructions):
    cpu_tells(monkeypatch, **{instructions: True})
    assert precision_of(LARGE, "cpu") == "bfloat16"
    assert precision_of(SMALL, "cpu") == "float32"
    assert precision_of(LARGE, "cpu", "float32") == "float32"


def test_a_cpu_without_it_or_that_does_not_tell_stays_in_float32(monkeypatch):
    cpu_tells(monkeypatch, avx512_bf16=False, avx2=True)
    assert precision_of(LARGE, "cpu") == "float32"
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    assert precision_of(LARGE, "cpu") == "float32"


@pytest.mark.parametrize("name", ["ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"])
def test_a_cpu_that_a_variable_holds_to_older_instructions_stays_in_float32(monkeypatch, name):
    cpu_tells(monkeypatch, avx512_bf16=True)
    for held_to, precision in (
        ("AVX2", "float32"),
        ("avx512_core", "float32"),
        ("AVX512_CORE_BF16", "bfloat16"),
        ("AVX512_CORE_AMX", "bfloat16"),
        ("DEFAULT", "bfloat16"),
        ("", "bfloat16"),
    ):
        monkeypatch.setenv(name, held_to)
        assert precision_of(LARGE, "cpu") == precision, held_to


def test_what_is_asked_for_is_what_is_computed():
    layer = nn.Linear(3, 2)
    for precision, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
        with mixed(layer, "cpu", precision):
            assert layer(torch.ones(1, 3)).dtype == dtype


def test_an_unknown_precision_is_refused():
    with pytest.raises(UsageError, match="'auto', 'float32', 'bfloat16'; found 'half'"):
        precision_of(SMALL, "cpu", "half")
