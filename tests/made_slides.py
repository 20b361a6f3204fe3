"""Small slides written to disk in the layouts that people have."""

from __future__ import annotations

import gzip
import json
from functools import cache
from pathlib import Path

import h5py
import numpy as np
from PIL import Image
from scipy import sparse

from spared_bench.processing.annotation import gene_table

PITCH = 40  # full-resolution pixels between neighbours in a row
SIDE = 8  # rows of the lattice, and spots in a row


def gene_ids(n_genes: int, organism: str = "human") -> list[str]:
    """Ensembl ids of genes that code for proteins."""
    return list(_coding(organism)[:n_genes])


@cache  # the table has tens of thousands of rows, and tests of readers ask hundreds of times
def _coding(organism: str) -> tuple[str, ...]:
    table = gene_table(organism)
    return tuple(table.index[table["gene_type"] == "protein_coding"])


def lattice() -> tuple[np.ndarray, np.ndarray]:
    """Array row and column of every spot, and its centre in pixels (x, y)."""
    array = np.array([(r, c) for r in range(SIDE) for c in range(r % 2, 2 * SIDE, 2)])
    return array, 30.0 + np.column_stack([array[:, 1] * PITCH / 2, array[:, 0] * PITCH * 0.866])


def counts(n_genes: int, seed: int) -> np.ndarray:
    """Counts that rise over the slide, (n_spots, n_genes)."""
    slope = np.linspace(0.5, 1.5, SIDE * SIDE)[:, None]
    return np.random.default_rng(seed).poisson(4 * slope, size=(SIDE * SIDE, n_genes))


def picture(seed: int) -> Image.Image:
    """An image that covers the spots."""
    return Image.fromarray(_pixels(seed).copy())


@cache
def _pixels(seed: int) -> np.ndarray:
    side = PITCH * SIDE + 80
    return np.random.default_rng(seed).integers(90, 220, (side, side, 3), dtype=np.uint8)


def space_ranger(folder: Path, n_genes: int = 12, seed: int = 0, prefix: str = "") -> Path:
    """Write the output of Space Ranger 2, with the hires image at full resolution."""
    (folder / "spatial").mkdir(parents=True)
    array, centres = lattice()
    barcodes = [f"AAAC{i:04d}-1" for i in range(len(array))]
    columns = sparse.csc_matrix(counts(n_genes, seed).T)
    with h5py.File(folder / f"{prefix}filtered_feature_bc_matrix.h5", "w") as file:
        group = file.create_group("matrix")
        for name in ("data", "indices", "indptr"):
            group[name] = getattr(columns, name)
        group["shape"] = columns.shape
        group["barcodes"] = np.array(barcodes, dtype="S")
        features = group.create_group("features")
        features["id"] = np.array(gene_ids(n_genes), dtype="S")
        features["name"] = np.array([f"S{i}" for i in range(n_genes)], dtype="S")
        features["feature_type"] = np.array(["Gene Expression"] * n_genes, dtype="S")
    header = "barcode,in_tissue,array_row,array_col,pxl_row_in_fullres,pxl_col_in_fullres"
    lines = [
        f"{barcode},1,{row},{column},{y},{x}"
        for barcode, (row, column), (x, y) in zip(barcodes, array, centres, strict=True)
    ]
    (folder / "spatial" / "tissue_positions.csv").write_text("\n".join([header, *lines]))
    factors = {"spot_diameter_fullres": 22.0, "tissue_hires_scalef": 1.0}
    (folder / "spatial" / "scalefactors_json.json").write_text(json.dumps(factors))
    picture(seed).save(folder / "spatial" / "tissue_hires_image.png")
    return folder


def st_table(path: Path, n_genes: int = 12, seed: int = 0) -> list[str]:
    """Write a gzipped table of counts of first-generation ST; return the names of its spots."""
    names = [f"{column + 2}x{row + 2}" for row in range(SIDE) for column in range(SIDE)]
    rows = ["\t".join(["", *gene_ids(n_genes)])]
    for name, values in zip(names, counts(n_genes, seed), strict=True):
        rows.append("\t".join([name, *map(str, values)]))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress("\n".join(rows).encode()))
    return names


def st_pixels(names: list[str]) -> np.ndarray:
    """Centres of such spots, in pixels."""
    places = np.array([[float(part) for part in name.split("x")] for name in names])
    return places * PITCH - 40
