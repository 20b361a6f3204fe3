"""The class of machine that computes a trial: what of it can move a number.

Libraries choose their kernels by the instructions of the CPU (oneDNN, PyTorch's own, BLAS), and
kernels add up in different orders, so two machines of one class agree more closely than two of
different classes.
"""

from __future__ import annotations

import os
import platform
from functools import cache
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")
#: Instructions by which kernels are chosen, the widest first.
_CLASSES = ("amx_bf16", "avx512_bf16", "avx512f", "avx2")
#: What holds libraries to fewer instructions than the CPU has.
_HELD = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY")
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
        The GPU's name, or architecture and widest known instructions of the CPU:
        ``"x86-64 avx512_bf16"``, ``"x86-64 avx2"``, ``"aarch64"``. Where the environment holds
        libraries to fewer, that is said: ``"x86-64 avx512_bf16 (ONEDNN_MAX_CPU_ISA=AVX2)"``.
    """
    if device != "cpu":
        return gpu or device.partition(":")[0]
    held = [f"{name}={os.environ[name]}" for name in _HELD if os.environ.get(name)]
    return f"{_cpu()} ({', '.join(held)})" if held else _cpu()


@cache
def _cpu() -> str:
    """Return the CPU's class; its architecture alone where the system does not list instructions.

    Only Linux does, in a file; elsewhere one would have to ask a library that may be absent.
    """
    machine = platform.machine()
    name = _NAMES.get(machine.lower(), machine) or "unknown"
    try:
        text = _CPUINFO.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return name
    flags = next((line for line in text.splitlines() if line.startswith("flags")), "")
    known = set(flags.partition(":")[2].split())
    widest = next((each for each in _CLASSES if each in known), "")
    return f"{name} {widest}".strip()
