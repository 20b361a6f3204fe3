"""Mixed precision: bfloat16 where the device computes in it and the network gains, else float32."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import nn

from spared_bench.errors import UsageError

PRECISIONS = ("auto", "float32", "bfloat16")

#: Variables that hold oneDNN to some instructions, and values by which it emulates bfloat16: a step
#: of DenseNet-121 takes seven times as long as in float32 then.
_HELD_TO = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")
_OLDER = ("SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX512_CORE", "AVX512_CORE_VNNI")
#: Below it a CPU loses more by converting than it gains (``benchmarks/training.py``).
_LARGE = 5_000_000


def mixed(
    network: nn.Module, device: str, precision: str = "auto"
) -> AbstractContextManager[object]:
    """Compute matrix products and convolutions of a block in bfloat16, or leave them in float32.

    Weights, losses and sums stay in float32; bfloat16 has its range, so gradients need no scaling.
    The parameters are those of ``precision_of``.
    """
    if precision_of(network, device, precision) == "bfloat16":
        return torch.autocast(torch.device(device).type, dtype=torch.bfloat16)
    return nullcontext()


def precision_of(network: nn.Module, device: str, precision: str = "auto") -> str:
    """Return ``"bfloat16"`` or ``"float32"``: how a network is computed on a device.

    Parameters
    ----------
    network : Module
    device : str
    precision : {"auto", "float32", "bfloat16"}
        ``"auto"``: bfloat16 on a GPU that has it; on a CPU that has instructions for it if the
        network has 5 million parameters or more, so that small ones give the same numbers (to
        rounding) on every CPU; float32 elsewhere.

    Raises
    ------
    UsageError
        For another word.
    """
    if precision not in PRECISIONS:
        raise UsageError(
            f"precision must be one of {', '.join(map(repr, PRECISIONS))}; found {precision!r}."
        )
    if precision != "auto":
        return precision
    kind = torch.device(device).type
    able = (kind == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)) or (
        kind == "cpu" and _cpu_has_bfloat16() and _size(network) >= _LARGE
    )
    return "bfloat16" if able else "float32"


def _size(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def _cpu_has_bfloat16() -> bool:
    # Not every version of PyTorch that we accept tells.
    told: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    held_to = next((os.environ[name] for name in _HELD_TO if os.environ.get(name)), "")
    return bool(told.get("avx512_bf16") or told.get("amx_bf16")) and held_to.upper() not in _OLDER
