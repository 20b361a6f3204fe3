"""A made-up task in the exact layout of HEST-Benchmark, to try readers and protocols on.

The layout is that of Jaume et al., NeurIPS 2024, arXiv 2406.16192; tissue and counts are generated.
Three smooth fields lie over each section. They move the amount of haematoxylin, that of eosin and
the density of nuclei in the image, and, by weights that are the same in all sections, the rates of
the genes.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData

from spared_bench.errors import UsageError

GENES = ("ACTB", "CD3E", "EPCAM", "KRT8", "MS4A1", "VIM", "COL1A1", "PTPRC")
SPOTS = 12  # to a side
SAMPLES = ("S1", "S2", "S3")

_PITCH_UM, _EDGE_UM, _PATCH_UM = 100.0, 125.0, 112.0
_PX_UM = 0.25  # of the full-resolution image, which is not written
_WITHOUT_PATCH = 10  # spots
_THUMBNAIL = 300  # pixels
# Optical densities of haematoxylin and eosin: Ruifrok and Johnston 2001.
_STAINS = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11]])
_BLOCK = 256  # rows that are painted at a time


def make_task(folder: Path, samples: tuple[str, ...] = SAMPLES, side: int = 224) -> Path:
    """Write a task of HEST-Benchmark with one fold per sample.

    Parameters
    ----------
    folder : Path
        Empty or not there; its name is the task's.
    samples : tuple of str
        At least two; each has 144 spots, of which 134 have a patch.
    side : int
        Of a patch, in pixels; HEST's have 224.

    Returns
    -------
    Path
        ``folder``.

    Raises
    ------
    UsageError
        If there is something in the folder.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} is there already, and not empty. Name a new folder.")
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
    (folder / "var_50genes.json").write_text(json.dumps({"genes": sorted(GENES)}))
    return folder


def make_sample(folder: Path, sample: str, seed: int, kind: str = "adata", side: int = 224) -> None:
    """Write one sample: ``<kind>/<sample>.h5ad`` (``st`` in HEST-1k) and ``patches/<sample>.h5``.

    As in real samples, patches are in an order of their own and not of all spots, and ``obs`` has
    columns that say nothing.
    """
    rng = np.random.default_rng(seed)
    wave, phase = rng.normal(0, 0.4, (2, 3)), rng.uniform(0, 6, 3)
    rows, columns = np.meshgrid(np.arange(SPOTS), np.arange(SPOTS), indexing="ij")
    place = np.stack([rows.ravel(), columns.ravel()], axis=1)
    weights = np.random.default_rng(99).normal(size=(3, len(GENES)))  # of all samples
    rates = np.exp(0.8 * np.sin(place @ wave + phase) @ weights + 0.5)
    counts = rng.poisson(rates).astype(np.uint16)  # as Xenium's
    controls = rng.poisson(1.0, (len(place), 2)).astype(np.uint16)
    names = [f"{row:03d}x{column:03d}" for row, column in place]
    adata = AnnData(
        np.hstack([counts, controls]),
        obs=pd.DataFrame({"in_tissue": 0, "array_row": 0, "array_col": 0}, index=names),
        var=pd.DataFrame(index=[*GENES, "BLANK_0001", "NegControlProbe_1"]),
    )
    centres_um = _EDGE_UM + place[:, ::-1] * _PITCH_UM  # x, y
    adata.obsm["spatial"] = centres_um / _PX_UM
    image = _paint(wave, phase, _PATCH_UM / side, rng)
    adata.uns["spatial"] = {"ST": _described(image)}
    (folder / kind).mkdir(parents=True, exist_ok=True)
    (folder / "patches").mkdir(exist_ok=True)
    adata.write_h5ad(folder / kind / f"{sample}.h5ad")
    kept = rng.permutation(len(place))[: len(place) - _WITHOUT_PATCH]
    corners = np.round(centres_um[kept] / (_PATCH_UM / side) - side / 2).astype(int)
    patches = np.stack([image[y : y + side, x : x + side] for x, y in corners])
    barcodes = [names[spot] for spot in kept]
    _write_patches(folder / "patches" / f"{sample}.h5", patches, barcodes, centres_um[kept])


def _paint(wave: np.ndarray, phase: np.ndarray, um: float, rng: np.random.Generator) -> np.ndarray:
    """Return a section as an image, (height, width, 3), uint8, at so many µm per pixel."""
    from scipy.ndimage import gaussian_filter

    side = round((2 * _EDGE_UM + (SPOTS - 1) * _PITCH_UM) / um)
    noise = gaussian_filter(rng.normal(size=(side, side)).astype(np.float32), max(0.5, 2.5 / um))
    noise /= noise.std()
    image = np.empty((side, side, 3), dtype=np.uint8)
    at = ((np.arange(side) + 0.5) * um - _EDGE_UM) / _PITCH_UM  # in spots
    for top in range(0, side, _BLOCK):
        rows = at[top : top + _BLOCK]
        grid = np.stack(np.broadcast_arrays(rows[:, None], at[None, :]), axis=-1)
        field = np.sin(grid @ wave + phase)  # (rows, side, 3)
        nuclei = noise[top : top + _BLOCK] > 1.2 - 0.7 * field[..., 2]
        amounts = np.stack(
            [0.15 + 0.1 * field[..., 0] + 0.7 * nuclei, 0.35 + 0.2 * field[..., 1]], axis=-1
        )
        amounts[~np.logical_and.outer(_inside(rows), _inside(at))] = 0  # glass
        light = 10.0 ** -(amounts @ _STAINS) * 250 + rng.normal(0, 3, (*field.shape[:2], 3))
        image[top : top + _BLOCK] = np.clip(light, 0, 255).astype(np.uint8)
    return image


def _inside(at: np.ndarray) -> np.ndarray:
    """Whether places, in spots, are within the tissue, which ends behind the outer patches."""
    found: np.ndarray = (at > -0.6) & (at < SPOTS - 0.4)
    return found


def _described(image: np.ndarray) -> dict[str, object]:
    """Return ``uns["spatial"]["ST"]`` with a thumbnail of the section."""
    from PIL import Image

    small = Image.fromarray(image).resize((_THUMBNAIL, _THUMBNAIL), Image.Resampling.BOX)
    full = (2 * _EDGE_UM + (SPOTS - 1) * _PITCH_UM) / _PX_UM
    return {
        "images": {"downscaled_fullres": np.asarray(small)},
        "scalefactors": {
            "tissue_downscaled_fullres_scalef": _THUMBNAIL / full,
            "spot_diameter_fullres": 55 / _PX_UM,
        },
    }


def _write_patches(
    path: Path, images: np.ndarray, barcodes: list[str], centres_um: np.ndarray
) -> None:
    import h5py

    with h5py.File(path, "w") as file:
        stored = file.create_dataset("img", data=images)
        stored.attrs["patch_size"], stored.attrs["factor"] = _PATCH_UM / _PX_UM, 2.0
        file["coords"] = (centres_um[:, ::-1] / _PX_UM).astype(np.int64)
        file["barcode"] = np.array([[name.encode()] for name in barcodes])
