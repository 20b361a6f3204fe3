"""Spots with those around them: frozen features, relative positions, and attention among them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from spared_bench.data import Slides
from spared_bench.geometry import rows_by_slide, spacing
from spared_bench.models.neighbour_units import NeighbourUnits


@dataclass(frozen=True)
class AroundBatch:
    """The spots of one step, each in a window of the spots around it.

    Parameters
    ----------
    features : Tensor of float32, of shape (n_seen, width)
        Of every spot that is seen, each once.
    around : Tensor of int64, of shape (n_spots, 1 + most)
        Rows of ``features``: the spot itself, then its neighbours.
    there : Tensor of bool, of that shape
        False where there is no neighbour.
    offset : Tensor of float32, of shape (n_spots, 1 + most, 2)
        x and y less those of the spot, in distances between neighbouring spots.
    seen : Tensor of int64, of shape (n_seen,)
        Which of all spots those of ``features`` are.
    target_seen : Tensor of shape (n_seen, n_genes)
        Their target, where expression is visible.
    target, mask : Tensor of shape (n_spots, n_genes)
        As in ``Batch``.
    """

    features: Tensor
    around: Tensor
    there: Tensor
    offset: Tensor
    seen: Tensor
    target_seen: Tensor
    target: Tensor
    mask: Tensor


class AroundUnits(NeighbourUnits):
    """Spots, each with the features and relative positions of those around it; see the base."""

    def __init__(
        self, slides: Slides, features: np.ndarray, reach: float, most: int, device: str = "cpu"
    ) -> None:
        super().__init__(slides, features, reach, most, device)
        places = np.empty((len(slides), 2), dtype=np.float32)
        for rows in rows_by_slide(slides.slide_ids):
            places[rows] = slides.coordinates[rows] / spacing(slides.coordinates[rows])
        self._places = torch.from_numpy(places).to(device)

    def batch(self, rows: Tensor, augment: torch.Generator | None = None) -> AroundBatch:  # type: ignore[override]
        """Return these spots; features are fixed, so nothing is augmented."""
        here = rows.to(self._around.device)
        seen, around = torch.unique(self._around[here], return_inverse=True)
        places = self._places[seen][around]
        return AroundBatch(
            self._features[seen],
            around,
            self._there[here],
            places - places[:, :1],
            seen,
            self._target[seen],
            self._target[here],
            self._mask[here],
        )


class RelativeAttention(nn.Module):
    """One block of attention among the spots of each window, biased by relative positions.

    Parameters
    ----------
    width, heads : int
    dropout : float
    by_distance : bool
        Whether only the distance of two spots counts, so that turning a slide changes nothing.
    """

    def __init__(self, width: int, heads: int, dropout: float, by_distance: bool = False) -> None:
        super().__init__()
        self.heads, self.by_distance = heads, by_distance
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.joined = nn.Linear(width, width)
        self.bias = nn.Sequential(
            nn.Linear(1 if by_distance else 3, 32), nn.GELU(), nn.Linear(32, heads)
        )
        self.forward_ = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Dropout(dropout), nn.Linear(2 * width, width)
        )

    def forward(self, tokens: Tensor, offset: Tensor, there: Tensor) -> Tensor:
        """(n, k, width), (n, k, 2), (n, k) -> (n, k, width)."""
        n, k, width = tokens.shape
        apart = offset[:, :, None] - offset[:, None]  # (n, k, k, 2)
        # Not the norm itself, whose slope at 0 is undefined.
        distance = (apart.square().sum(-1, keepdim=True) + 1e-12).sqrt()
        seen = distance if self.by_distance else torch.cat([apart, distance], dim=-1)
        bias = self.bias(seen).permute(0, 3, 1, 2)  # (n, heads, k, k)
        bias = bias.masked_fill(~there[:, None, None], float("-inf"))
        parts = self.query_key_value(self.before(tokens)).view(n, k, 3, self.heads, -1)
        query, key, value = parts.permute(2, 0, 3, 1, 4)  # (n, heads, k, width / heads) each
        found = nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        tokens = tokens + self.joined(found.transpose(1, 2).reshape(n, k, width))
        joined: Tensor = tokens + self.forward_(self.between(tokens))
        return joined
