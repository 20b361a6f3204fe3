"""Small slides with every layer that completers see, on a hexagonal lattice."""

from __future__ import annotations

import importlib

import numpy as np
import pandas as pd
from anndata import AnnData

from spared_bench.data import Patches, Slides
from spared_bench_plugins.completers import spared_bench_completers

SPECS = {spec.name: spec for spec in spared_bench_completers()}


def hexagonal(n_spots: int, columns: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """Array indices as on a Visium slide, and pixels in which neighbours are 100 apart."""
    row, place = np.divmod(np.arange(n_spots), columns)
    array = np.column_stack([row, 2 * place + row % 2])
    return array, np.column_stack([array[:, 1] * 50.0, row * 50 * 3**0.5])


def slides_of(
    sizes: list[int], n_genes: int = 4, seed: int = 0, measured: float = 0.6, columns: int = 6
) -> Slides:
    """Slides with these numbers of spots; smooth genes, some entries of which are measured."""
    rng = np.random.default_rng(seed)
    places = [hexagonal(size, columns) for size in sizes]
    array = np.concatenate([place[0] for place in places])
    pixels = np.concatenate([place[1] for place in places])
    waves = np.sin(pixels @ rng.normal(scale=0.01, size=(2, n_genes)))
    values = (6 + 2 * waves + rng.normal(scale=0.3, size=waves.shape)).astype(np.float32)
    mask = rng.random(values.shape) < measured
    n_spots = len(values)
    adata = AnnData(
        obs=pd.DataFrame(
            {
                "slide_id": np.repeat([f"slide{i}" for i in range(len(sizes))], sizes),
                "array_row": array[:, 0],
                "array_col": array[:, 1],
            },
            index=[f"s{i}" for i in range(n_spots)],
        ),
        var=pd.DataFrame(
            {"expressed_fraction": mask.mean(axis=0)}, index=[f"g{i}" for i in range(n_genes)]
        ),
        obsm={"spatial": pixels},
        layers={"mask": mask, "target": np.where(mask, values, 0), "prefilled": values},
    )
    images = rng.integers(0, 255, size=(n_spots, 8, 8, 3)).astype(np.uint8)
    return Slides(adata, Patches([images]))


def changed(slides: Slides, **layers: np.ndarray) -> Slides:
    """The same spots with some layers replaced."""
    adata = slides.adata.copy()
    for name, values in layers.items():
        adata.layers[name] = values
    return Slides(adata, slides.patches)


def with_noise(slides: Slides, seed: int = 0) -> Slides:
    """The same spots with expression that means nothing."""
    rng = np.random.default_rng(seed)
    mask = rng.random(slides.mask.shape) < 0.5
    values = rng.normal(50, 20, size=mask.shape).astype(np.float32)
    return changed(slides, mask=mask, target=np.where(mask, values, 0), prefilled=values)


def create(name: str, **parameters):
    """A completer by name, with the parameters for tests where it has them."""
    module, _, attribute = SPECS[name].factory.partition(":")
    factory = getattr(importlib.import_module(module), attribute)
    return factory(**getattr(factory, "tiny", {}) | parameters)
