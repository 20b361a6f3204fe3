"""A made-up task in the exact layout of HEST-Benchmark, and a sample in that of HEST-1k."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from anndata import AnnData

GENES = ("ACTB", "CD3E", "EPCAM", "KRT8", "MS4A1", "VIM", "COL1A1", "PTPRC")
SPOTS = 12  # to a side


def make_sample(folder: Path, sample: str, seed: int, kind: str = "adata", side: int = 32) -> None:
    """Write one sample: expression follows the colour of its patches, some spots have no patch."""
    rng = np.random.default_rng(seed)
    n = SPOTS * SPOTS
    grid = np.stack(np.meshgrid(np.arange(SPOTS), np.arange(SPOTS), indexing="ij"), -1)
    place = grid.reshape(-1, 2)
    field = np.sin(place @ rng.normal(0, 0.4, (2, 3)) + rng.uniform(0, 6, 3))  # (n, 3)
    rates = np.exp(0.8 * field @ rng_of_genes().normal(size=(3, len(GENES))) + 0.5)
    counts = rng.poisson(rates).astype(np.uint16)  # as Xenium's
    names = [f"{row:03d}x{column:03d}" for row, column in place]
    controls = rng.poisson(1.0, (n, 2)).astype(np.uint16)
    adata = AnnData(
        np.hstack([counts, controls]),
        obs=pd.DataFrame({"in_tissue": 0, "array_row": 0, "array_col": 0}, index=names),
        var=pd.DataFrame(index=[*GENES, "BLANK_0001", "NegControlProbe_1"]),
    )
    px = 0.25  # micrometres of a pixel
    adata.obsm["spatial"] = 500 + place[:, ::-1] * 100 / px
    thumb = rng.integers(0, 255, (60, 60, 3)).astype(np.uint8)
    adata.uns["spatial"] = {
        "ST": {
            "images": {"downscaled_fullres": thumb},
            "scalefactors": {
                "tissue_downscaled_fullres_scalef": 60 / 6000,
                "spot_diameter_fullres": 55 / px,
            },
        }
    }
    (folder / kind).mkdir(parents=True, exist_ok=True)
    (folder / "patches").mkdir(exist_ok=True)
    adata.write_h5ad(folder / kind / f"{sample}.h5ad")
    kept = rng.permutation(n)[: n - 10]  # another order, and not all
    noise = rng.normal(0, 12, (len(kept), side, side, 3))
    base = 150 + 60 * field[kept][:, None, None]
    images = np.clip(base + noise, 0, 255).astype(np.uint8)
    with h5py.File(folder / "patches" / f"{sample}.h5", "w") as file:
        stored = file.create_dataset("img", data=images)
        stored.attrs["patch_size"], stored.attrs["factor"] = 112 / px, 2.0
        file["coords"] = adata.obsm["spatial"][kept][:, ::-1].astype(np.int64)
        file["barcode"] = np.array([[names[spot].encode()] for spot in kept])


def rng_of_genes() -> np.random.Generator:
    return np.random.default_rng(99)


def make_task(folder: Path, samples: tuple[str, ...] = ("S1", "S2", "S3"), side: int = 32) -> Path:
    """Write a task with one fold per sample."""
    for seed, sample in enumerate(samples):
        make_sample(folder, sample, seed, side=side)
    (folder / "splits").mkdir()
    for number, test in enumerate(samples):
        parts = {"train": [s for s in samples if s != test], "test": [test]}
        for part, members in parts.items():
            with (folder / "splits" / f"{part}_{number}.csv").open("w", newline="") as file:
                rows = csv.writer(file)
                rows.writerow(["sample_id", "patches_path", "expr_path"])
                rows.writerows([s, f"patches/{s}.h5", f"adata/{s}.h5ad"] for s in members)
    genes = {"genes": sorted(GENES)}
    (folder / "var_50genes.json").write_text(json.dumps(genes))
    return folder
