"""The class of machine that computes a trial: what of it can move a number.

Libraries choose their kernels by the instructions of the CPU (oneDNN, PyTorch's own, BLAS), MKL by
its maker, too, and kernels add up in different orders, so two machines of one class agree more
closely than two of different classes.
"""

from __future__ import annotations

import os
import platform
from functools import cache
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")
#: Instructions by which kernels are chosen, the widest first.
_CLASSES = ("amx_bf16", "avx512_bf16", "avx512f", "avx2")
#: What makes libraries choose other kernels than the CPU's class would: oneDNN, PyTorch, MKL,
#: OpenBLAS and its like, NumPy, Numba, the C library's own functions. What no instruction changes
#: (threads) is recorded beside it.
_HELD = (
    *("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"),
    *("ONEDNN_DEFAULT_FPMATH_MODE", "DNNL_DEFAULT_FPMATH_MODE", "ATEN_CPU_CAPABILITY"),
    *("MKL_CBWR", "MKL_ENABLE_INSTRUCTIONS", "MKL_DEBUG_CPU_TYPE", "OPENBLAS_CORETYPE"),
    *("NPY_DISABLE_CPU_FEATURES", "NPY_ENABLE_CPU_FEATURES"),
    *("FLEXIBLAS", "BLIS_ARCH_TYPE", "NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES"),
    *("NUMBA_ENABLE_AVX", "NUMBA_OPT", "NUMBA_LOOP_VECTORIZE", "NUMBA_SLP_VECTORIZE"),
    *("NUMBA_DISABLE_JIT", "GLIBC_TUNABLES"),
)
#: The same of a GPU: cuBLAS and cuDNN.
_HELD_ON_GPU = (
    *("NVIDIA_TF32_OVERRIDE", "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE", "CUBLAS_WORKSPACE_CONFIG"),
    *("TORCH_BLAS_PREFER_CUBLASLT", "DISABLE_ADDMM_CUDA_LT"),
)
_LONGEST = 40  # of a value that is told
#: What CPUs call their makers. MKL takes other kernels on those of one maker than of another.
_MAKERS = {"GenuineIntel": "Intel", "AuthenticAMD": "AMD", "HygonGenuine": "Hygon"}
_NAMES = {"amd64": "x86-64", "x86_64": "x86-64", "arm64": "aarch64"}


def machine_class(device: str, gpu: str = "") -> str:
    """Return the class of the machine behind a torch device.

    Parameters
    ----------
    device : str
        ``"cpu"``, ``"mps"``, ``"cuda"``, ``"cuda:1"``.
    gpu : str
        The name of the GPU, where it is known.

    Returns
    -------
    str
        The GPU's name, or maker, architecture and widest known instructions of the CPU:
        ``"Intel x86-64 avx512_bf16"``, ``"AMD x86-64 avx2"``, ``"aarch64"``. Where the environment
        makes libraries choose otherwise, that is said: ``"AMD x86-64 avx2 (MKL_CBWR=COMPATIBLE)"``.
    """
    kind = _cpu() if device == "cpu" else gpu or device.partition(":")[0]
    names = _HELD if device == "cpu" else _HELD_ON_GPU
    held = [f"{name}={os.environ[name][:_LONGEST]}" for name in names if os.environ.get(name)]
    return f"{kind} ({', '.join(held)})" if held else kind


@cache
def _cpu() -> str:
    """Return the CPU's class; its architecture alone where the system does not tell more.

    Only Linux does, in a file; elsewhere one would have to ask a library that may be absent.
    """
    machine = platform.machine()
    name = _NAMES.get(machine.lower(), machine) or "unknown"
    try:
        text = _CPUINFO.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return name
    known = set(_told(text, "flags").split())
    widest = next((each for each in _CLASSES if each in known), "")
    maker = _told(text, "vendor_id")
    return " ".join(filter(None, [_MAKERS.get(maker, maker[:_LONGEST]), name, widest]))


def _told(text: str, name: str) -> str:
    """Return what the list says of its first CPU under a name; empty where it does not."""
    line = next((line for line in text.splitlines() if line.startswith(name)), "")
    return line.partition(":")[2].strip()
