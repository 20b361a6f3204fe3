"""The layers of torch-geometric that predictors use, imported without its own warnings."""

from __future__ import annotations

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # torch.jit.script is deprecated, and it still calls it
    from torch_geometric.nn import (
        GATConv,
        GCNConv,
        GINConv,
        GraphConv,
        SAGEConv,
        TransformerConv,
    )

__all__ = ["GATConv", "GCNConv", "GINConv", "GraphConv", "SAGEConv", "TransformerConv"]
