# %% [markdown]
# # Train, predict and plot
#
# A method is trained on two sections of the breast tumour, scored on the third, and then applied to an
# image for which the benchmark has no expression.

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import spared_bench
from spared_bench.geometry import spacing
from spared_bench.reports.drawing import colour_limits, draw_spots, frame_spots

report = spared_bench.run(
    datasets=["her2st_demo"],
    completers=["median"],
    predictors=["linear-probe", "gene-mean", "shuffled"],
)
print(f"{report.new + report.cached} trials, {report.failed_trials} failed")

# %% [markdown]
# The linear probe is a ridge regression on colours of the patch; `gene-mean` and `shuffled` are
# controls, which no method may fail to beat. Running the cell again trains nothing: results are kept
# under the hash of all that made them.
#
# ## Scores

# %%
scores = pd.DataFrame({result.predictor: result.scores["test"] for result in report.results}).T
scores[["mse", "pcc-gene", "pcc-patch"]].round(3)

# %% [markdown]
# `pcc-gene` is the correlation over spots, averaged over genes. `pcc-patch` is the one over genes,
# averaged over spots: it is high for the training mean too, because genes differ in level. Look at the
# controls before you believe a number.

# %%
probe = next(result for result in report.results if result.predictor == "linear-probe")
by_gene = pd.Series(probe.gene_scores["pcc-gene"], index=probe.gene_symbols).sort_values()
axes = by_gene.plot.barh(figsize=(6, 6.5), width=0.8, color="#3d6d8c")
axes.set_xlabel("PCC over the spots of section C4")
axes.spines[["top", "right"]].set_visible(False)
axes.tick_params(axis="y", labelsize=8)

# %% [markdown]
# ## Apply the trained method to an image
#
# Here it is the image of the test section, at the measured spots, so that prediction and measurement
# can be compared; for a slide of your own, give its path and positions, or a grid
# (`spared-bench predict --help`).

# %%
from pathlib import Path

from spared_bench.trials.raw_slides import read_raw_slides

bench = report.plan.bench
dataset = spared_bench.load_dataset("her2st_demo")
measured = dataset.adata[dataset.adata.obs["slide_id"] == "C4"]
facts = read_raw_slides(bench, "her2st_demo")["C4"].uns["slide"]
scale = facts["image_scale"]  # pixels of the image per full-resolution pixel

predicted = spared_bench.predict(
    "her2st_demo/median/linear-probe",
    Path(facts["image_path"]),
    spots=measured.obsm["spatial"] * scale,
    spot_diameter_px=facts["spot_diameter_px"] * scale,
    um_per_px=facts["um_per_px"] / scale,
)
predicted

# %% [markdown]
# ## Measured beside predicted, on the tissue

# %%
from PIL import Image

picture = np.asarray(Image.open(facts["image_path"]))
places, wide = predicted.obsm["spatial"], 0.8 * spacing(predicted.obsm["spatial"])
best = by_gene.index[-1]
column = probe.gene_symbols.index(best)
mask = measured.layers["mask"][:, column]
truth = np.where(mask, measured.layers["expression"][:, column], np.nan)
guess = np.asarray(predicted.X)[:, column]

figure, (tissue, left, right) = plt.subplots(1, 3, figsize=(11, 3.8), layout="constrained")
tissue.imshow(picture)
tissue.set_title("H&E", loc="left")
for axes, values, what in ((left, truth, "measured"), (right, guess, "predicted")):
    axes.imshow(picture, alpha=0.35)
    spots = draw_spots(axes, places, wide, values, clim=colour_limits(values))
    figure.colorbar(spots, ax=axes, shrink=0.7)
    axes.set_title(f"{best}, {what}", loc="left")
for axes in (tissue, left, right):
    frame_spots(axes, places, wide)

# %%
figure, axes = plt.subplots(figsize=(3.8, 3.8), layout="constrained")
axes.scatter(truth, guess, s=10, color="#3d6d8c", alpha=0.7)
axes.set(xlabel=f"{best}, measured (log1p)", ylabel="predicted")
correlation = np.corrcoef(truth[mask], guess[mask])[0, 1]
axes.set_title(f"PCC {correlation:.2f}", loc="left")
axes.spines[["top", "right"]].set_visible(False)

# %% [markdown]
# The prediction is flatter than what was measured, as that of every method trained on squared error is:
# it is near the mean of what looks alike. A correlation does not see this, an error does.
