# %% [markdown]
# # A first look at a dataset
#
# What a dataset of the benchmark holds, and what a method is shown of it. The slides are those of the
# demo: three sections of a HER2-positive breast tumour, shipped with the package, so nothing is
# downloaded.

# %%
# %matplotlib inline
import textwrap

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import spared_bench
from spared_bench.reports.slide_figures import draw_slide, spot_values
from spared_bench.trials.raw_slides import read_raw_slides

dataset = spared_bench.load_dataset("her2st_demo")  # prepared as the protocol `demo` says
adata = dataset.adata
adata

# %% [markdown]
# `layers["counts"]` are raw; `layers["target"]` is what methods learn, and `layers["mask"]` is True
# where something was measured. Only these entries are scored. [Data](../reference/data.md) says all.
#
# ## Which spots are for what
#
# Splits are made by slide, and by donor where there are several donors. Here all three sections are of
# one donor, so the dataset is of *tier B*: a score says how a method carries over to another section,
# and not to another person. No slide was set aside to choose parameters on, so a strip of each training
# slide is held out (`val`).

# %%
spots = adata.obs.groupby(["slide_id", "patient_id", "split"], observed=True).size()
spots.rename("spots").reset_index()

# %% [markdown]
# ## The slides as they were read
#
# Before a protocol filters anything. Circles are as large as the spots are.

# %%
raw = read_raw_slides(dataset.bench, "her2st_demo")
slide = raw["C4"]
draw_slide(slide, spot_values(slide, "ERBB2"), "her2st_demo · C4", "ERBB2")

# %% [markdown]
# What a reader left out or put right is kept with the slide:

# %%
for name, each in raw.items():
    print(name, f"{each.uns['slide']['um_per_px']:.3f} µm/px", each.uns["slide"]["repairs"])

# %% [markdown]
# ## What was measured, and what was not
#
# In spatial transcriptomics a zero is mostly a transcript that was not caught. The demo scores
# entries with counts only; these are the genes with the fewest.

# %%
measured = pd.DataFrame(
    {
        "gene": adata.var["gene_name"],
        "measured": adata.layers["mask"].mean(axis=0),
        "Moran's I": adata.var["moran_i"],
    }
).sort_values("measured")
measured.head(6).round(3)

# %%
print(
    f"{dataset.missing_fraction:.1%} of {adata.n_obs} spots × {adata.n_vars} genes are unmeasured"
)

# %% [markdown]
# ## What a method sees
#
# A patch around each spot, and the expression of the training slides; never that of the slide it
# predicts.

# %%
train, test = dataset.slides("train"), dataset.slides("test")
gene = list(adata.var["gene_name"]).index("SCGB2A2")
values = np.where(train.mask[:, gene], train.target[:, gene], np.nan)
lowest_first = np.argsort(values)[: np.isfinite(values).sum()]
chosen = lowest_first[np.linspace(0, len(lowest_first) - 1, 12).astype(int)]

figure, axes = plt.subplots(2, 6, figsize=(9, 3.4), layout="constrained")
for place, spot in zip(axes.flat, chosen, strict=True):
    place.imshow(train.patches[[spot]][0])
    place.set_title(f"SCGB2A2 {values[spot]:.1f}", fontsize=9)
    place.set_axis_off()

# %% [markdown]
# Asking a slide that is predicted for its expression is an error, which a method cannot catch by
# accident:

# %%
from spared_bench.errors import WithheldError

try:
    test.without_expression().target
except WithheldError as error:
    print(textwrap.fill(f"{type(error).__name__}: {error}", 90))
