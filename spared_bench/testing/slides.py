"""Small slides made on the spot, of which a patch's colours foretell the expression."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from spared_bench.data import DEPTH, LABEL, SPATIAL, Patches, Slides
from spared_bench.specs import SPLITS

_SPLIT_OF = {"a": "train", "b": "train", "c": "val", "d": "test"}
N_SPOTS, N_GENES, PATCH = 40, 6, 24
CLASSES = ("bright", "dark")


class TinySlides(NamedTuple):
    """Training, validation and test slides of a dataset made on the spot."""

    train: Slides
    val: Slides
    test: Slides


def tiny_slides() -> TinySlides:
    """Return four slides of 40 spots, 24 px patches and 6 genes; the same ones every time.

    Two slides to train on, one to choose by, one to test on, each of its own donor. Expression is
    linear in the mean red, green and blue of the patch, with a little noise; one in six entries is
    unmeasured. It is what ``log1p_cp10k`` makes of the counts and depths. Most spots have a label,
    ``bright`` or ``dark`` by the red of their patch. Satisfies ``validate_prepared``.
    """
    whole = tiny_whole()
    return TinySlides(**{s: whole.subset(whole.adata.obs["split"] == s) for s in SPLITS})


def tiny_whole() -> Slides:
    """Return all spots of ``tiny_slides``, of which these are subsets."""
    import pandas as pd
    from anndata import AnnData

    rng = np.random.default_rng(7)
    n = N_SPOTS * len(_SPLIT_OF)
    colours = rng.uniform(60, 200, size=(n, 1, 1, 3))
    pixels = colours + rng.normal(scale=12, size=(n, PATCH, PATCH, 3))
    pixels[:, 4:12, 6:16] -= 40  # a nucleus off the centre, so that symmetries tell patches apart
    images = np.clip(pixels, 0, 255).astype(np.uint8)
    planted = (colours[:, 0, 0] / 255) @ rng.normal(size=(3, N_GENES)) * 3 + 5
    expression = planted + rng.normal(scale=0.1, size=(n, N_GENES))
    mask = rng.random((n, N_GENES)) > 1 / 6
    depth = 10_000 * rng.uniform(0.5, 2.0, size=(n, 1))
    counts = np.maximum(np.rint(np.expm1(expression) * depth / 10_000), 1)
    expression = np.log1p(counts * 10_000 / depth)
    labels = np.where(colours[:, 0, 0, 0] > 130, *CLASSES).astype(object)
    labels[rng.random(n) < 0.1] = ""
    slide_ids = np.repeat(list(_SPLIT_OF), N_SPOTS)
    place = np.stack(np.divmod(np.tile(np.arange(N_SPOTS), len(_SPLIT_OF)), 8), axis=1)
    obs = {
        "slide_id": slide_ids,
        "patient_id": [f"donor_{slide}" for slide in slide_ids],
        "split": [_SPLIT_OF[slide] for slide in slide_ids],
        "array_row": place[:, 0],
        "array_col": place[:, 1],
        LABEL: labels,
    }
    var = {
        "gene_name": [f"G{i}" for i in range(N_GENES)],
        "gene_length_bp": 1000.0,
        "moran_i": 0.5,
        "expressed_fraction": mask.mean(axis=0),
    }
    adata = AnnData(
        X=np.where(mask, counts, 0).astype(np.float32),
        obs=pd.DataFrame(obs, index=[f"{slide}_{i}" for i, slide in enumerate(slide_ids)]),
        var=pd.DataFrame(var, index=[f"ENSG{i:011d}" for i in range(N_GENES)]),
        obsm={SPATIAL: place[:, ::-1] * 100.0 + 50, DEPTH: depth},
        uns={
            "spared_bench": {
                "dataset": "tiny",
                "protocol": "tests",
                "processing": {"target": "log1p_cp10k", "batch_correction": "none"},
                "classes": list(CLASSES),
            }
        },
    )
    adata.layers["counts"] = adata.X.copy()
    adata.layers["mask"] = mask
    adata.layers["prefilled"] = expression.astype(np.float32)
    adata.layers["expression"] = adata.layers["prefilled"] * mask
    adata.layers["target"] = adata.layers["prefilled"] * mask
    return Slides(adata, Patches([images[slide_ids == slide] for slide in _SPLIT_OF]))


def with_noise(slides: Slides, seed: int = 0) -> Slides:
    """Return the same spots with expression and labels that mean nothing."""
    adata = slides.adata.copy()
    rng = np.random.default_rng(seed)
    for layer in ("expression", "prefilled", "target"):
        adata.layers[layer] = rng.normal(size=adata.shape).astype(np.float32)
    adata.layers["mask"] = rng.random(adata.shape) > 0.5
    adata.layers["counts"] = rng.poisson(3, adata.shape)
    adata.X = adata.layers["counts"]
    adata.obsm[DEPTH] = rng.uniform(5_000, 20_000, size=(adata.n_obs, 1))
    if LABEL in adata.obs:
        adata.obs[LABEL] = rng.permutation(adata.obs[LABEL].to_numpy(dtype=object))
    return replace(slides, adata=adata)
