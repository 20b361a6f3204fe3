"""BLEEP: images and expression meet in one space; a patch gets the expression of its neighbours.

Xie et al., NeurIPS 2023; github.com/bowang-lab/BLEEP. Two projection heads, one
on the features of a ResNet-50 and one on the expression itself, are trained to place a spot's patch
and its expression together. To predict, the patch finds the most similar training spots.

Differs from the authors' code: channels in the order of RGB and normalised as the weights expect
(there BGR, as it is read, and in [0, 1]); no augmentation at inference; the reference holds every
training spot (an adaptation drops the last batch); weights are chosen on validation slides by the
error of the prediction, not on a random fifth of the spots by the loss. Kept, because they are
published: targets that are not detached, and the second cross-entropy with transposed targets,
whose rows do not sum to 1. The temperature divides the targets' similarities, as in the paper; the
authors' code multiplies by it there, which is the same at the published 1.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Optimizer

from spared_bench import PredictorSpec
from spared_bench.bounds import Count, NotNegative, Positive, Size
from spared_bench.data import Slides
from spared_bench.errors import UsageError
from spared_bench.models import TorchPredictor, build_backbone

SPEC = PredictorSpec(
    "bleep",
    f"{__name__}:Bleep",
    summary="Contrastive embedding of patch and expression; mean of the nearest spots",
    citation="Xie et al., NeurIPS 2023",
    licence="MIT",
    pretraining="ImageNet-1k classification",
    gpu=True,
    search={"lr": (1e-2, 1e-3, 1e-4, 1e-5)},
)

POOLINGS = ("average", "weighted", "nearest")


@dataclass
class Bleep(TorchPredictor):
    """Predict the expression of a spot from training spots that resemble its patch.

    Parameters
    ----------
    backbone : str
        Any network of timm or torchvision.
    options : dict
        Of the network's constructor, for a variant of it.
    width : int
        Of the common space.
    temperature : float
    n_neighbours : int
        Training spots that a prediction is made of.
    pooling : {"average", "weighted", "nearest"}
        Their simple mean, as published; weighted by ``exp(-(d^2 - min d^2 + 1))`` with the
        Euclidean distance d of the embeddings; or the most similar one alone.
    weight_decay : float
    """

    name: ClassVar[str] = "bleep"
    loss_name: ClassVar[str] = "contrastive"
    separable: ClassVar[bool] = False
    tiny: ClassVar[dict[str, Any]] = {
        "backbone": "test_resnet",
        "weights": "random",
        "width": 16,
        "n_neighbours": 5,
    }
    configurations: ClassVar[dict[str, dict[str, Any]]] = {
        "small": {"backbone": "test_resnet", "weights": "random"},  # 0.5 million parameters
        # Adam without decay, which AdamW is at a decay of 0.
        "spared": {"lr": 1e-2, "weight_decay": 0.0, "normalisation": "egn"},
    }

    lr: Positive = 1e-3
    backbone: str = "resnet50.a1_in1k"
    options: dict[str, Any] = field(default_factory=dict)
    width: Size = 256
    temperature: Positive = 1.0
    n_neighbours: Count = 50
    pooling: Literal["average", "weighted", "nearest"] = "average"
    weight_decay: NotNegative = 1e-3

    def build(self, n_genes: int) -> nn.Module:
        if self.pooling not in POOLINGS:
            raise UsageError(f"pooling must be one of {POOLINGS}; found {self.pooling!r}.")
        encoder = build_backbone(self.backbone, self.weights, 0, **self.options)
        return TwoTowers(encoder, n_genes, self.width)

    def start(self, network: nn.Module, train: Slides) -> None:
        """Keep the expression of all training spots, to be found again."""
        network.reference = torch.from_numpy(train.target.copy())

    def optimizer(self, parameters: Iterable[nn.Parameter]) -> Optimizer:
        decay = self.weight_decay
        return torch.optim.AdamW(parameters, lr=self.lr, weight_decay=decay, fused=True)

    def loss(self, network: Any, batch: Any) -> Tensor:
        images = network.embed_images(batch.images)  # (n_spots, width)
        spots = network.embed_expression(batch.target)  # (n_spots, width)
        return contrastive_loss(images, spots, self.temperature)

    def predict_batch(self, network: Any, batch: Any) -> Tensor:
        """Return (n_spots, n_genes), made of the expression of training spots."""
        return retrieve(
            network.embed_images(batch.images),
            network.embed_expression(network.reference),
            network.reference,
            self.n_neighbours,
            self.pooling,
        )


class TwoTowers(nn.Module):
    """Images and expression to one space.

    Parameters
    ----------
    encoder : nn.Module
        (n, 3, size, size) -> (n, its width).
    n_genes : int
    width : int
        Of the space.

    Attributes
    ----------
    reference : Tensor of shape (n_training_spots, n_genes)
        Saved with the weights.
    """

    reference: Tensor

    def __init__(self, encoder: nn.Module, n_genes: int, width: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.image_head = Projection(_features(encoder), width)
        self.expression_head = Projection(n_genes, width)
        self.register_buffer("reference", torch.empty(0, n_genes))

    def embed_images(self, images: Tensor) -> Tensor:
        """(n, 3, size, size) -> (n, width), float32."""
        return self.image_head(self.encoder(images)).float()

    def embed_expression(self, expression: Tensor) -> Tensor:
        """(n, n_genes) -> (n, width), float32."""
        return self.expression_head(expression).float()

    def _load_from_state_dict(self, state: dict[str, Any], prefix: str, *rest: Any) -> None:
        # How many spots the reference holds is known only from what was saved.
        saved = state.get(f"{prefix}reference", self.reference)
        if saved.shape[1:] == self.reference.shape[1:]:
            self.reference = self.reference.new_empty(saved.shape)
        super()._load_from_state_dict(state, prefix, *rest)


class Projection(nn.Module):
    """A projection head: linear, then a residual block of GELU, linear and dropout, then a norm."""

    def __init__(self, n_inputs: int, width: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.projection = nn.Linear(n_inputs, width)
        self.linear = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)
        self.norm = nn.LayerNorm(width)

    def forward(self, values: Tensor) -> Tensor:
        """(n, n_inputs) -> (n, width)."""
        projected = self.projection(values)
        changed = self.dropout(self.linear(functional.gelu(projected)))
        return self.norm(projected + changed)


def contrastive_loss(images: Tensor, spots: Tensor, temperature: float = 1.0) -> Tensor:
    """Cross-entropy of expression-to-image similarities with soft targets, in both directions.

    Rows are spots and columns images, in the logits as in the targets. It matters: a target's row
    sums to 1 and its column does not.

    Parameters
    ----------
    images, spots : Tensor of float32, of shape (n_spots, width)
        Embeddings, not normalised.
    temperature : float

    Returns
    -------
    Tensor
        Scalar.
    """
    with torch.autocast(images.device.type, enabled=False):
        logits = spots @ images.T / temperature  # (n_spots, n_spots)
        similar = (images @ images.T + spots @ spots.T) / (2 * temperature)
        targets = similar.softmax(dim=1)
        of_spots = -(targets * logits.log_softmax(dim=1)).sum(dim=1)
        of_images = -(targets.T * logits.T.log_softmax(dim=1)).sum(dim=1)
        return (of_spots + of_images).mean() / 2


def retrieve(
    images: Tensor, reference: Tensor, expression: Tensor, n_neighbours: int, pooling: str
) -> Tensor:
    """Make a prediction of the references of highest cosine similarity.

    Parameters
    ----------
    images : Tensor of shape (n_spots, width)
    reference : Tensor of shape (n_references, width)
    expression : Tensor of shape (n_references, n_genes)
    n_neighbours : int
        All references where there are fewer.
    pooling : {"average", "weighted", "nearest"}

    Returns
    -------
    Tensor of shape (n_spots, n_genes)
    """
    with torch.autocast(images.device.type, enabled=False):
        cosine = functional.normalize(images) @ functional.normalize(reference).T
        wanted = 1 if pooling == "nearest" else min(n_neighbours, len(reference))
        found = cosine.topk(wanted, dim=1).indices  # (n_spots, wanted)
        if pooling != "weighted":
            return expression[found].mean(dim=1)
        distance = (reference[found] - images[:, None]).square().sum(dim=2)
        # exp(-(d^2 - min d^2 + 1)) made to sum to 1: the constants fall out.
        weights = (-distance).softmax(dim=1)
        return (weights[..., None] * expression[found]).sum(dim=1)


def _features(encoder: nn.Module) -> int:
    """Return how many features an encoder without a last layer gives."""
    width = getattr(encoder, "num_features", None)
    if width is not None:
        return int(getattr(encoder, "head_hidden_size", width))
    encoder.eval()
    with torch.no_grad():
        width = encoder(torch.zeros(1, 3, 224, 224)).shape[1]
    encoder.train()
    return int(width)
