"""Raw slides made on the spot, and the published library's answers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy.sparse import csr_matrix

from spared_bench.specs import DatasetSpec, SlideInfo

GOLDEN = Path(__file__).parents[1] / "golden"


def lattice(n_spots: int, side: int = 6) -> np.ndarray:
    """Spot centres on a hexagonal lattice, 100 px apart, ``side`` to a row."""
    row, column = np.divmod(np.arange(n_spots), side)
    return 100.0 * np.column_stack([column + 0.5 * (row % 2), row * np.sqrt(0.75)])


def raw_slide(counts: np.ndarray, genes: list[str], xy: np.ndarray | None = None) -> AnnData:
    """A raw slide as a reader returns it."""
    n_spots = len(counts)
    position = np.arange(n_spots)
    return AnnData(
        csr_matrix(np.asarray(counts, dtype=np.float32)),
        obs=pd.DataFrame(
            {"array_row": position, "array_col": position}, index=position.astype(str)
        ),
        var=pd.DataFrame(index=list(genes)),
        obsm={"spatial": lattice(n_spots) if xy is None else np.asarray(xy, dtype=np.float64)},
        uns={
            "slide": {
                "image_path": "/somewhere/image.tif",
                "image_scale": 1.0,
                "spot_diameter_px": 55.0,
                "um_per_px": 0.5,
            }
        },
    )


def dataset(split: dict[str, tuple[str, ...]], organism: str = "", **more: Any) -> DatasetSpec:
    """A spec with these slides."""
    slides = tuple(
        SlideInfo(slide, f"donor_of_{slide}") for part in split.values() for slide in part
    )
    return DatasetSpec(
        "made_up", factory="no:where", organism=organism, slides=slides, split=split, **more
    )


@pytest.fixture
def make_slide() -> Callable[..., AnnData]:
    return raw_slide


@pytest.fixture
def make_dataset() -> Callable[..., DatasetSpec]:
    return dataset


@pytest.fixture(scope="session", params=["human_2slides", "mouse_4slides"])
def golden(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Input and stages of the published library; ``organism`` is added."""
    with np.load(GOLDEN / f"pipeline_{request.param}.npz") as archive:
        values = dict(archive)
    return values | {"organism": request.param.split("_")[0]}


@pytest.fixture
def golden_slides(golden: dict[str, Any]) -> dict[str, AnnData]:
    slides = {}
    for slide in np.unique(golden["slide"]).tolist():
        here = golden["slide"] == slide
        slides[slide] = raw_slide(golden["counts"][here], golden["gene_ids"], golden["xy"][here])
    return slides


@pytest.fixture
def golden_spec(golden: dict[str, Any]) -> DatasetSpec:
    split: dict[str, tuple[str, ...]] = {}
    for slide in np.unique(golden["slide"]).tolist():
        part = str(golden["split"][golden["slide"] == slide][0])
        split[part] = (*split.get(part, ()), slide)
    return dataset(split, golden["organism"])
