"""What a saved model needs to be applied to a new slide."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from anndata import AnnData

    from spared_bench.data.views import View


def describe_application(
    adata: AnnData,
    cutting: dict[str, Any],
    offset: np.ndarray,
    views: Mapping[str, View],
    stain: Mapping[str, Any] | None = None,
) -> str:
    """Return the text of ``application.json`` for a model trained on this prepared dataset.

    ``views`` are what the method looks at, settled; ``stain``, the colours that slides were given
    (``trials.stains.target_of``).
    """
    facts = adata.uns["spared_bench"].get("slide_facts", {})
    widths = np.multiply(facts.get("spot_diameter_px", 0.0), facts.get("um_per_px", 0.0))
    values = {
        "patches": cutting,
        "views": {name: view.as_dict() for name, view in views.items()},
        "spot_um": float(np.median(widths)),
        "offset": [float(value) for value in offset],
        **({"stain": dict(stain)} if stain else {}),
        "classes": [str(name) for name in adata.uns["spared_bench"].get("classes", ())],
    }
    return json.dumps(values, indent=1, allow_nan=False)
