"""24 numbers of colour and texture, which need no weights (``spared_bench.models.encoders``)."""

from __future__ import annotations

from spared_bench import EncoderSpec

SPEC = EncoderSpec(
    "color",
    summary="24 numbers of colour, stain and texture, made by hand; no weights",
    licence="MIT",
    loader="colour",
    width=24,
    pretraining="none",
    seen_slides=(),
)
