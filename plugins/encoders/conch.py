"""CONCH v1, which its makers' own package loads (pip install git+https://github.com/mahmoodlab/CONCH).

The features are those before the projection, not normalised, as for anything but retrieval.
"""

from __future__ import annotations

from typing import Any

from spared_bench import EncoderSpec

SPEC = EncoderSpec(
    "conch-v1",
    f"{__name__}:load",
    summary="ViT-B/16 trunk and attentional pooling (CoCa); sees a patch at 448 px",
    licence="CC-BY-NC-ND-4.0",
    citation="Lu et al., Nature Medicine 2024, doi 10.1038/s41591-024-02856-4",
    extras=("conch",),
    loader="factory",
    source="hf-hub:MahmoodLab/CONCH/pytorch_model.bin",
    width=512,
    mean=(0.48145466, 0.4578275, 0.40821073),
    std=(0.26862954, 0.26130258, 0.27577711),
    size=448,
    resize=448,
    interpolation="bicubic",
    um_per_px=(0.5,),
    gated=True,
    pretraining="in-house tiles (iBOT), then 1.17 M pairs of images and captions (educational"
    " sources, PubMed Central open access)",
    aliases=("conch",),
    parameters_millions=86.0,
)


def load(weights: str) -> Any:
    """Return the image tower: (n, 3, 448, 448) -> (n, 512)."""
    from conch.open_clip_custom import create_model_from_pretrained
    from torch import nn

    from spared_bench.models.hub import hub_file, refuse

    if weights == "random":
        refuse(SPEC, "its package makes no network without them")
    path = str(hub_file(SPEC)) if weights == "pretrained" else weights
    model, _ = create_model_from_pretrained("conch_ViT-B-16", path)

    class Tower(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, images: Any) -> Any:
            return self.model.encode_image(images, proj_contrast=False, normalize=False)

    return Tower()
