"""Encoders of a registry: told to methods, and joined to predictors by name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import partial

from spared_bench.errors import UsageError
from spared_bench.keys.hashing import digest
from spared_bench.models.encoder_table import KnownEncoder, declare
from spared_bench.registry.registered import Registered
from spared_bench.specs import EncoderSpec, PredictorSpec
from spared_bench.specs.base import NAME


def declare_encoders(entries: Iterable[Registered]) -> None:
    """Tell the encoders to methods, which name them in a parameter and know no registry."""
    declare(
        KnownEncoder(
            entry.spec,
            entry.plugin.distribution,
            entry.load,
            partial(_code, entry),
            imported=entry.told is None,
        )
        for entry in entries
        if isinstance(entry.spec, EncoderSpec)
    )


def _code(entry: Registered) -> str:
    files = entry.named_files
    return digest([entry.code, files]) if files else entry.code


def on_encoder(entry: Registered, encoder: str) -> Registered:
    """Return a predictor on an encoder, ``predictor+encoder``: a method, and a row, of its own.

    Parameters
    ----------
    entry : Registered
        The predictor.
    encoder : str
        The name under which it is registered, or under which timm or torchvision has it.

    Raises
    ------
    UsageError
        If the predictor takes no encoder, or both names together are too long for one.
    """
    spec = entry.spec
    assert isinstance(spec, PredictorSpec)
    if not spec.encoder:
        raise UsageError(
            f"Predictor {spec.name!r} was asked for on encoder {encoder!r}, and it takes none."
            " `spared-bench info NAME` shows the parameters of a predictor."
        )
    fixed = {**spec.fixed, spec.encoder: encoder}
    name = f"{spec.name}+{encoder.rpartition(':')[2]}"
    if not NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} cannot be the name of a method, which has 64 characters at most, of a-z, 0-9"
            f" and _ + . -. Set its parameter instead: `-p {spec.name} --set"
            f" {spec.name}.{spec.encoder}={encoder}`."
        )
    variant = replace(spec, name=name, variant_of=spec.name, fixed=fixed)
    return replace(entry, spec=variant)
