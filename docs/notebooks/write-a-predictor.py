# %% [markdown]
# # Write a predictor
#
# A predictor has `fit` and `predict`, and nothing to inherit from. This one takes the mean expression
# of the training spots whose patches have the most similar colours.

# %%
# %%writefile nearest_model.py
"""Predict the mean expression of the training spots of the most similar colours."""

from dataclasses import dataclass

import numpy as np
from sklearn.neighbors import KNeighborsRegressor


@dataclass
class Nearest:
    n_neighbours: int = 10

    def fit(self, train, val, context):
        self.model_ = KNeighborsRegressor(int(self.n_neighbours), weights="distance")
        self.model_.fit(colours(train.patches), train.target)

    def predict(self, slides):
        return self.model_.predict(colours(slides.patches))


def colours(patches):
    pixels = patches[:].reshape(len(patches), -1, 3)  # (n_spots, n, 3)
    return np.concatenate([pixels.mean(axis=1), pixels.std(axis=1)], axis=1)


# %% [markdown]
# What the benchmark reads to know it stands in a file of its own, which imports nothing heavy, so that
# listing methods is instant.

# %%
# %%writefile nearest_plugin.py
from spared_bench import PredictorSpec, hookimpl


@hookimpl
def spared_bench_predictors():
    return [PredictorSpec("nearest", "nearest_model:Nearest", summary="Most similar colours")]


# %% [markdown]
# ## Does it keep what predictors promise?
#
# The conformance kit makes four small slides and asks: does the order of genes hold, does a prediction
# change with expression that it must not see, is the same seed the same result, ...

# %%
# !spared-bench plugins check nearest --plugin nearest_plugin.py | cat

# %% [markdown]
# Checks that are skipped are of what this method does not offer: it has no `save` and `load`, so a
# trained one cannot be kept.
#
# ## Where does it stand?
#
# Beside the two controls and a ridge regression on colours. `n_neighbours` is a field, so it can be set.

# %%
from pathlib import Path

import pandas as pd

import spared_bench

report = spared_bench.run(
    datasets=["her2st_demo"],
    completers=["median"],
    predictors=["nearest", "linear-probe", "gene-mean", "shuffled"],
    plugin_files=[Path("nearest_plugin.py")],
    track=False,  # no runs in MLflow, and no page
)
scores = pd.DataFrame({result.predictor: result.scores["test"] for result in report.results}).T
scores[["mse", "pcc-gene"]].sort_values("mse").round(3)

# %% [markdown]
# ## What is it made of?
#
# The same method with more neighbours predicts flatter. Each setting is a trial of its own, kept under
# the hash of its parameters.

# %%
rows = []
for k in (1, 5, 20, 60):
    each = spared_bench.run(
        datasets=["her2st_demo"],
        completers=["median"],
        predictors=["nearest"],
        plugin_files=[Path("nearest_plugin.py")],
        parameters={"nearest": {"n_neighbours": k}},
        track=False,
        figures=False,
    )
    test = each.results[0].scores["test"]
    rows.append({"n_neighbours": k, "mse": test["mse"], "pcc-gene": test["pcc-gene"]})
table = pd.DataFrame(rows).set_index("n_neighbours")
table.round(3)

# %%
axes = table.plot(
    subplots=True, layout=(1, 2), figsize=(8, 2.8), logx=True, marker="o", legend=False
)
for place, name in zip(axes.flat, table.columns, strict=True):
    place.set_title(name, loc="left")
    place.spines[["top", "right"]].set_visible(False)

# %% [markdown]
# These are scores on the *test* section, so choosing `n_neighbours` by this figure would be choosing on
# the answers. A spec says `search={"n_neighbours": (5, 20)}` instead, and the harness chooses on
# validation spots. Next: [compare two methods honestly](compare-honestly.md), [write a method that sees
# a patch](../write-a-patch-method.md) with a network, [put it on the board](../tutorials/author.md).
