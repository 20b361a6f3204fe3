"""Mixed precision: bfloat16 where the device computes in it, float32 elsewhere."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch

from spared_bench.errors import UsageError

PRECISIONS = ("auto", "float32", "bfloat16")


def mixed(device: str, precision: str = "auto") -> AbstractContextManager[object]:
    """Compute matrix products and convolutions of a block in bfloat16, or leave them in float32.

    Weights, losses and sums stay in float32; bfloat16 has its range, so gradients need no scaling.

    Parameters
    ----------
    device : str
    precision : {"auto", "float32", "bfloat16"}
        ``"auto"``: bfloat16 on a GPU that has it, float32 elsewhere (few CPUs gain by it).

    Raises
    ------
    UsageError
        For another word.
    """
    if precision not in PRECISIONS:
        raise UsageError(
            f"precision must be one of {', '.join(map(repr, PRECISIONS))}; found {precision!r}."
        )
    kind = torch.device(device).type
    able = kind == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    if precision == "bfloat16" or (precision == "auto" and able):
        return torch.autocast(kind, dtype=torch.bfloat16)
    return nullcontext()
