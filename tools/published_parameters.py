"""Count the trainable parameters of the ten methods as SpaRED ran them (the paper's figure 4b).

    python tools/published_parameters.py > plugins/datasets/spared/parameters.yaml

The paper draws the numbers and prints none. Our networks are built on torch's meta device, without
memory for their weights, in the configuration that the published adapters use, for both numbers of
genes. A test holds the committed file against this script.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import torch
import yaml

#: Method of the published table -> our predictor, and parameters where SpaRED's are not its own.
RAN: dict[str, tuple[str, dict[str, Any]]] = {
    "ShuffleNet": ("shufflenet:ShuffleNet", {"weights": "random"}),
    "STNet": ("st_net:STNet", {"weights": "random"}),
    "EGN": ("egn:EGN", {}),
    "EGGN": ("eggn:EGGN", {}),
    "HisToGene": ("histogene:HisToGene", {"image_size": 224}),
    "ViT-B": ("vit_b:ViTB", {"weights": "random"}),
    "ViT-B+Delta": ("vit_b_delta:ViTBDelta", {"weights": "random"}),
    "SEPAL": ("sepal:SEPAL", {"weights": "random"}),
    "BLEEP": ("bleep:Bleep", {"weights": "random"}),
    "Hist2ST": ("hist2st:Hist2ST", {"image_size": 224, "head_width": 128}),
}
#: SEPAL is its graph network and the network of patches below it.
BELOW = {"SEPAL": "ViT-B+Delta"}


def counts() -> dict[str, dict[int, int]]:
    """Return the parameters of every method with 128 and with 32 genes."""
    found = {method: {n_genes: _count(method, n_genes) for n_genes in (128, 32)} for method in RAN}
    for method, below in BELOW.items():
        for n_genes in found[method]:
            found[method][n_genes] += found[below][n_genes]
    return found


def _count(method: str, n_genes: int) -> int:
    address, parameters = RAN[method]
    module, name = address.split(":")
    factory = getattr(import_module(f"spared_bench_plugins.predictors.{module}"), name)
    with torch.device("meta"):
        network = factory(**parameters).build(n_genes)
    return sum(p.numel() for p in network.parameters() if p.requires_grad)


if __name__ == "__main__":
    print("# Trainable parameters of the ten methods as SpaRED ran them, by number of genes:")
    print("# counted on our networks by tools/published_parameters.py.")
    print(yaml.safe_dump(counts(), sort_keys=False), end="")
