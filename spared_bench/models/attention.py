"""The transformer block that HisToGene, Hist2ST and EGN share, after Vaswani et al., 2017.

Pre-norm, with q, k and v from one linear layer without bias. PyTorch's fused kernel computes the
attention, which gives the same numbers without ever holding the matrix of all pairs.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional


class Attention(nn.Module):
    """Self-attention of several heads: (batch, n, width) -> (batch, n, width).

    A bias, (batch, heads, n, n), is added to the scores of every query (row) and key (column).
    """

    def __init__(self, width: int, heads: int, head_width: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * heads * head_width, bias=False)
        self.out = nn.Linear(heads * head_width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, bias: Tensor | None = None) -> Tensor:
        batch, n, _ = x.shape
        qkv = self.qkv(x).view(batch, n, 3, self.heads, -1)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # each (batch, heads, n, head_width)
        mixed = functional.scaled_dot_product_attention(q, k, v, bias)
        return self.dropout(self.out(mixed.transpose(1, 2).reshape(batch, n, -1)))


def feed_forward(width: int, hidden: int, dropout: float = 0.0) -> nn.Sequential:
    """Two linear layers with a GELU between: (..., width) -> (..., width)."""
    return nn.Sequential(
        nn.Linear(width, hidden),
        nn.GELU(),
        nn.Dropout(dropout),
        nn.Linear(hidden, width),
        nn.Dropout(dropout),
    )


class Block(nn.Module):
    """Attention, then a feed-forward network, each added to its normalised input."""

    def __init__(
        self, width: int, heads: int, head_width: int, hidden: int, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attention = Attention(width, heads, head_width, dropout)
        self.norm2 = nn.LayerNorm(width)
        self.feed_forward = feed_forward(width, hidden, dropout)

    def forward(self, x: Tensor, bias: Tensor | None = None) -> Tensor:
        x = x + self.attention(self.norm1(x), bias)
        return x + self.feed_forward(self.norm2(x))
