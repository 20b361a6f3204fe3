"""Checks of a frozen encoder: whether it loads, and gives what its spec says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from spared_bench.data import Patches
from spared_bench.errors import in_words
from spared_bench.guard import guarded
from spared_bench.models.declared import DeclaredEncoder
from spared_bench.models.encoder_table import KnownEncoder
from spared_bench.models.encoders import ColorEncoder

_N = 3
#: How much features may differ between sizes of a batch, relative to their spread.
_TOLERANCE = {"float32": 1e-3, "float16": 0.05, "bfloat16": 0.1}


def known_patch(size: int) -> np.ndarray:
    """Return the patch of ``EncoderSpec.known_output``, (1, size, size, 3), uint8."""
    ramp = np.arange(size) * 255 // (size - 1)
    red, green = np.broadcast_arrays(ramp[None, :], ramp[:, None])
    return np.stack([red, green, (red + green) // 2], axis=-1)[None].astype(np.uint8)


def check_encoder(
    known: KnownEncoder, weights: str = "pretrained", device: str = "cpu"
) -> list[dict[str, str]]:
    """Check one encoder on made-up patches of the size that it was trained on.

    Parameters
    ----------
    known : KnownEncoder
    weights : str
    device : str

    Returns
    -------
    list of dict
        ``check``, ``state`` (``"passed"``, ``"failed"``, ``"skipped"``) and what is ``told``.
    """
    spec = known.spec
    encoder: Any = ColorEncoder() if spec.loader == "colour" else DeclaredEncoder(known, weights)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (_N, spec.size, spec.size, 3), dtype=np.uint8)
    try:
        with guarded():
            encode = encoder.opened(device) if hasattr(encoder, "opened") else encoder.encode
            together = encode(Patches([images]))
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # of one encoder, sys.exit too; others are checked all the same
        return [_told("loads", "failed", " ".join(in_words(error)[0].split()))]
    has_weights = spec.loader != "colour"
    where = f"weights {weights}, on {device}" if has_weights else "it has no weights; on cpu"
    found = [
        _told("loads", "passed", where),
        _width(spec.width, together),
        _apart(together),
        _alone(encode, images, together, spec.precision),
    ]
    if not spec.known_output:
        found.append(_told("known output", "skipped", "none is published"))
    elif weights == "random":
        found.append(_told("known output", "skipped", "weights are random"))
    else:
        got = encode(Patches([known_patch(spec.size)]))[0, : len(spec.known_output)]
        apart = float(np.abs(got - np.array(spec.known_output)).max())
        near = apart <= 1e-2 * float(np.abs(spec.known_output).max())
        state = "passed" if near else "failed"
        found.append(_told("known output", state, f"largest difference {apart:.2g}"))
    return found


def _told(check: str, state: str, told: str) -> dict[str, str]:
    return {"check": check, "state": state, "told": told}


def _width(wanted: int, features: np.ndarray) -> dict[str, str]:
    right = features.shape == (_N, wanted)
    return _told(
        "width", "passed" if right else "failed", f"{features.shape[1]}, expected {wanted}"
    )


def _apart(features: np.ndarray) -> dict[str, str]:
    same = bool((features == features[0]).all())
    told = f"{_N} patches have the same features" if same else "patches have features of their own"
    return _told("patches told apart", "failed" if same else "passed", told)


def _alone(
    encode: Callable[[Patches], np.ndarray], images: np.ndarray, together: np.ndarray, kind: str
) -> dict[str, str]:
    try:
        with guarded():
            alone = np.concatenate([encode(Patches([images[at : at + 1]])) for at in range(_N)])
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        told = f"of a patch alone: {' '.join(in_words(error)[0].split())}"
        return _told("another size of batch", "failed", told)
    apart = float(np.abs(alone - together).max() / max(float(together.std()), 1e-12))
    state = "passed" if apart <= _TOLERANCE[kind] else "failed"
    return _told("another size of batch", state, f"largest difference {apart:.2g} of the spread")
