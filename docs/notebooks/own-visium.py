# %% [markdown]
# # Your own Visium slides
#
# From folders of Space Ranger to a ranking on your slides. You have such folders; this page makes
# three, so that it can run anywhere: the images are those of the embedded breast tumour, on which a
# Visium lattice is laid, and each spot gets counts drawn around those of the nearest measured spot.
# **These are made-up slides**: no number below says anything about a method.

# %%
# %matplotlib inline
import json
from pathlib import Path

import h5py
import numpy as np
from PIL import Image
from scipy import sparse
from scipy.spatial import cKDTree

import spared_bench
from spared_bench.trials.raw_slides import read_raw_slides


def write_outs(folder, slide, seed):
    """Write a slide as Space Ranger 2 does, on a lattice of 100 µm."""
    facts, random = slide.uns["slide"], np.random.default_rng(seed)
    um, scale = facts["um_per_px"], facts["image_scale"]
    measured = slide.obsm["spatial"]
    pitch = 100 / um
    low, high = measured.min(axis=0), measured.max(axis=0)
    rows, columns = (
        int((high[1] - low[1]) / (pitch * 0.866)) + 1,
        int((high[0] - low[0]) / pitch) + 1,
    )
    array = np.array([(r, 2 * c + r % 2) for r in range(rows) for c in range(columns)])
    centres = low + np.column_stack([array[:, 1] * pitch / 2, array[:, 0] * pitch * 0.866])
    distance, nearest = cKDTree(measured).query(centres)
    kept = distance < 150 / um
    array, centres, nearest = array[kept], centres[kept], nearest[kept]
    counts = sparse.csc_matrix(random.poisson(slide.X[nearest].toarray()).T.astype(np.int32))
    (folder / "spatial").mkdir(parents=True, exist_ok=True)
    names = [f"SPOT{i:05d}-1" for i in range(len(array))]
    with h5py.File(folder / "filtered_feature_bc_matrix.h5", "w") as file:
        group = file.create_group("matrix")
        for part in ("data", "indices", "indptr"):
            group[part] = getattr(counts, part)
        group["shape"], group["barcodes"] = counts.shape, np.array(names, dtype="S")
        features = group.create_group("features")
        features["id"] = np.array(slide.var_names, dtype="S")
        features["name"] = np.array(slide.var.get("gene_name", slide.var_names), dtype="S")
        features["feature_type"] = np.array(["Gene Expression"] * slide.n_vars, dtype="S")
    header = "barcode,in_tissue,array_row,array_col,pxl_row_in_fullres,pxl_col_in_fullres"
    lines = [
        f"{n},1,{r},{c},{y:.0f},{x:.0f}"
        for n, (r, c), (x, y) in zip(names, array, centres, strict=True)
    ]
    (folder / "spatial" / "tissue_positions.csv").write_text("\n".join([header, *lines]))
    factors = {"spot_diameter_fullres": 65 / um, "tissue_hires_scalef": scale}
    (folder / "spatial" / "scalefactors_json.json").write_text(json.dumps(factors))
    Image.open(facts["image_path"]).save(folder / "spatial" / "tissue_hires_image.png")


raw = read_raw_slides(spared_bench.load_dataset("her2st_demo").bench, "her2st_demo")
for seed, (name, slide) in enumerate(raw.items()):
    write_outs(Path("slides") / name / "outs", slide, seed)

# %% [markdown]
# ## What you have

# %%
# !find slides -type f | sort

# %% [markdown]
# ## Describe them
#
# A short YAML file; no Python is needed. Split by donor where you can: neighbouring sections of one
# block are near copies. The made-up slides are of one donor, which has to be said.

# %%
description = """\
name: my_breast
format: space_ranger
organism: human
tissue: breast cancer
slides:
  C2: {path: slides/C2/outs, patient: p1}
  C3: {path: slides/C3/outs, patient: p1}
  C4: {path: slides/C4/outs, patient: p1}
split: {train: [C2, C3], test: [C4]}
allow_shared_donors: true
"""
Path("my_breast.yaml").write_text(description)
print(description)

# %% [markdown]
# `data add` reads every slide, compares all that the folder says of its scale, and asks whether the
# image belongs to the spots.

# %%
# !spared-bench data add my_breast.yaml

# %% [markdown]
# ## Look at them
#
# `spared-bench data show my_breast` writes one page with pictures and tests of every slide. One of them:

# %%
from spared_bench.reports.slide_figures import draw_slide, spot_values

dataset = spared_bench.load_dataset("my_breast", "demo")
mine = read_raw_slides(dataset.bench, "my_breast")
draw_slide(mine["C4"], spot_values(mine["C4"], None), "my_breast · C4", "total counts")

# %% [markdown]
# ## Run methods on them
#
# `--suite demo` is the toy version, which ends in seconds here; the progress that it shows in a terminal is left out. Without it the protocol is `own`:
# every method as published, which wants a GPU.

# %%
# !spared-bench run --suite demo -d my_breast -c median -p linear-probe -p gene-mean -p shuffled 2>/dev/null | cat

# %% [markdown]
# The page that it names opens from disk. [Slides of your own](../own-slides.md) has all formats, and
# what is refused and why.
