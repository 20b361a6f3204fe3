"""The class of a machine, by what different systems tell of their CPU."""

from __future__ import annotations

import pytest

from spared_bench.trials import machine
from spared_bench.trials.machine import machine_class


@pytest.fixture
def cpu(tmp_path, monkeypatch):
    """A machine with this architecture and this list of instructions (``None``: no list)."""
    for name in (*machine._HELD, *machine._HELD_ON_GPU):
        monkeypatch.delenv(name, raising=False)

    def make(architecture, text):
        path = tmp_path / "cpuinfo"
        if text is not None:
            path.write_bytes(text)
        monkeypatch.setattr(machine, "_CPUINFO", path)
        monkeypatch.setattr("platform.machine", lambda: architecture)
        machine._cpu.cache_clear()

    yield make
    machine._cpu.cache_clear()


INTEL = b"processor\t: 0\nflags\t\t: fpu sse avx avx2 avx512f avx512_bf16 amx_bf16\nbugs\t\t: x\n"


@pytest.mark.parametrize(
    ("architecture", "text", "expected"),
    [
        ("x86_64", INTEL, "x86-64 amx_bf16"),
        ("x86_64", INTEL.replace(b" amx_bf16", b""), "x86-64 avx512_bf16"),
        ("x86_64", INTEL.replace(b" avx512_bf16 amx_bf16", b""), "x86-64 avx512f"),
        ("x86_64", b"model name\t: an avx512f of its own\nflags\t\t: sse avx2\n", "x86-64 avx2"),
        ("x86_64", b"flags\t\t: sse sse2\n", "x86-64"),
        ("AMD64", None, "x86-64"),
        ("arm64", None, "aarch64"),
        ("aarch64", b"Features\t: fp asimd bf16\n", "aarch64"),
        ("x86_64", b"vendor_id\t: GenuineIntel\n" + INTEL, "Intel x86-64 amx_bf16"),
        ("x86_64", b"vendor_id\t: AuthenticAMD\nflags\t\t: avx2\n", "AMD x86-64 avx2"),
        ("x86_64", b"vendor_id\t: CentaurHauls\nflags\t\t: avx2\n", "CentaurHauls x86-64 avx2"),
        ("x86_64", b"vendor_id\t:\nflags\t\t: avx2\n", "x86-64 avx2"),
        ("ppc64le", b"cpu\t\t: POWER9 \xff\n", "ppc64le"),
        ("", None, "unknown"),
    ],
)
def test_the_class_of_a_cpu_is_its_maker_its_architecture_and_its_widest_instructions(
    cpu, architecture, text, expected
):
    cpu(architecture, text)
    assert machine_class("cpu") == expected


def test_what_holds_libraries_to_fewer_instructions_is_told(cpu, monkeypatch):
    cpu("x86_64", INTEL)
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    assert machine_class("cpu") == "x86-64 amx_bf16 (ONEDNN_MAX_CPU_ISA=AVX2)"
    assert machine_class("cuda:1", "NVIDIA H100") == "NVIDIA H100"
    monkeypatch.setenv("MKL_CBWR", "COMPATIBLE" * 10)  # with it a network differed by 0.09
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "0")
    told = machine_class("cpu")
    assert told.startswith("x86-64 amx_bf16 (ONEDNN_MAX_CPU_ISA=AVX2, MKL_CBWR=COMPATIBLE")
    assert len(told) < 100
    assert machine_class("cuda:1", "NVIDIA H100") == "NVIDIA H100 (NVIDIA_TF32_OVERRIDE=0)"


@pytest.mark.parametrize(
    ("name", "device"),
    [
        ("GLIBC_TUNABLES", "cpu"),  # without its FMA, the C library's exp has other last digits
        ("NUMBA_OPT", "cpu"),
        ("BLIS_ARCH_TYPE", "cpu"),
        ("CUBLAS_WORKSPACE_CONFIG", "cuda"),
    ],
)
def test_what_moves_last_digits_otherwise_is_told(cpu, monkeypatch, name, device):
    cpu("x86_64", INTEL)
    monkeypatch.setenv(name, "x")
    assert machine_class(device).endswith(f" ({name}=x)")


def test_a_gpu_whose_name_is_not_known_is_its_kind_of_device():
    assert machine_class("cuda:1") == "cuda"
    assert machine_class("mps") == "mps"


def test_torch_agrees_about_this_machine():
    torch = pytest.importorskip("torch")
    told = getattr(torch.cpu, "get_capabilities", dict)()
    if not told:
        pytest.skip("this version of PyTorch does not tell what the CPU can")
    widest = machine._cpu().split()[-1]
    for name in ("amx_bf16", "avx512_bf16", "avx512f", "avx2"):
        if told.get(name):
            assert widest == name
            break
