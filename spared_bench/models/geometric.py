"""The layers of torch-geometric that predictors use, imported when a network is made of them.

It takes longer to import than torch itself, and a plan has to know the methods' parameters only.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch_geometric.nn import (
        GATConv,
        GCNConv,
        GINConv,
        GraphConv,
        SAGEConv,
        TransformerConv,
    )

__all__ = ["GATConv", "GCNConv", "GINConv", "GraphConv", "SAGEConv", "TransformerConv"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit.script is deprecated, and it still calls it
        from torch_geometric import nn
    return getattr(nn, name)
