# %% [markdown]
# # Compare two methods honestly
#
# Two methods, three datasets of the demo. Which is better, and how sure can one be? The point of this
# page is how little three datasets can say.

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import spared_bench

names = ["linear-probe", "feature-mlp", "gene-mean"]
numbers_alone = {"track": False, "figures": False}  # neither runs in MLflow nor maps
report = spared_bench.run(
    datasets=["her2st_demo", "mob_demo", "planted"],
    completers=["median"],
    predictors=names,
    **numbers_alone,
)
found = {(r.dataset, r.predictor): r for r in report.results if r.ok}
mse = pd.Series({key: r.scores["test"]["mse"] for key, r in found.items()}).unstack()[names]
mse.round(3)

# %% [markdown]
# ## On one scale
#
# A dataset with more variance has larger errors, so errors are divided by the lowest one on their
# dataset before they are compared or averaged.

# %%
from spared_bench.statistics.summaries import normalised, wins

relative = normalised(mse)
relative.round(3)

# %%
wins(mse[names[:2]])

# %% [markdown]
# ## What a test could say at all
#
# The signed-rank test of *n* datasets has a smallest p that it can ever reach, however large the
# difference. With three datasets that is 0.25: **no result whatever would be significant**, so a
# comparison of two methods on three datasets is a description and no evidence.

# %%
from spared_bench.statistics.pairwise import wilcoxon_p

best_case = {n: wilcoxon_p(np.arange(1.0, n + 1), np.zeros(n)) for n in range(2, 11)}
axes = pd.Series(best_case, name="smallest p").plot(marker="o", figsize=(5.5, 3), color="#3d6d8c")
axes.axhline(0.05, color="#a0453a", linestyle="--", linewidth=1)
axes.set(xlabel="datasets", ylabel="smallest p of a signed-rank test")
axes.spines[["top", "right"]].set_visible(False)

# %%
real = ["her2st_demo", "mob_demo"]
print(
    "p on these three:", wilcoxon_p(mse["linear-probe"].to_numpy(), mse["feature-mlp"].to_numpy())
)
print("least that it could have been:", best_case[3])

# %% [markdown]
# ## Why genes are no replicates
#
# It is tempting to pair by gene instead: there are dozens. But the genes of one slide are measured on
# the same spots and rise and fall together. Such a test says that the difference is there *on this
# slide*, and nothing of the next slide.

# %%
figure, axes = plt.subplots(1, 3, figsize=(10, 3.4), layout="constrained", sharex=True, sharey=True)
for place, dataset in zip(axes, mse.index, strict=True):
    first = np.array(found[dataset, "linear-probe"].gene_scores["pcc-gene"])
    second = np.array(found[dataset, "feature-mlp"].gene_scores["pcc-gene"])
    place.axline((0, 0), slope=1, color="#b4b8bd", linewidth=1)
    place.scatter(first, second, s=12, color="#3d6d8c", alpha=0.8)
    higher = np.nanmean(second > first)
    place.set_title(f"{dataset}\nfeature-mlp higher: {higher:.0%} of genes", loc="left", fontsize=9)
    place.set_xlabel("PCC, linear-probe")
_ = axes[0].set_ylabel("PCC, feature-mlp")

# %% [markdown]
# ## Seeds
#
# A network trained twice is not the same network. A difference that is smaller than that between two
# seeds is none. The demo trains one seed; three are a matter of a protocol with `seeds: [0, 1, 2]`, here a copy
# of the demo's.

# %%
from pathlib import Path

import yaml

three = report.plan.bench.protocol.model_dump(mode="json") | {
    "name": "three-seeds",
    "seeds": [0, 1, 2],
}
Path("three.yaml").write_text(yaml.safe_dump(three))
again = spared_bench.run(
    datasets=real,
    completers=["median"],
    predictors=names[:2],
    protocol="three.yaml",
    **numbers_alone,
)
seeds = pd.DataFrame(
    [(r.dataset, r.predictor, r.seed, r.scores["test"]["mse"]) for r in again.results],
    columns=["dataset", "predictor", "seed", "mse"],
)
seeds.pivot_table("mse", ["dataset", "predictor"], "seed").round(4)

# %%
between = seeds.groupby(["dataset", "predictor"])["mse"].agg(["mean", "std"]).unstack()
between.round(4)

# %% [markdown]
# A ridge regression has no seed that matters, so its standard deviation is 0.
#
# ## A sentence that one can stand by
#
# Say how many datasets, of whom, by what error, against which controls, with what interval, and what a
# test could have said:

# %%
gap = (mse["feature-mlp"] / mse["linear-probe"] - 1).round(3)
for dataset in mse.index:
    over = mse.loc[dataset, "linear-probe"] / mse.loc[dataset, "gene-mean"] - 1
    print(
        f"{dataset}: feature-mlp's MSE differs by {gap[dataset]:+.1%} from the linear probe's,"
        f" and that by {over:+.1%} from the control's"
    )
print(f"{len(mse)} datasets: a signed-rank test could not have found less than p = {best_case[3]}.")

# %% [markdown]
# The leaderboard does the same for all methods at once: normalised errors, intervals over datasets only
# where there are five or more, Holm's correction, and beside each test what it can reach.
# [Statistics](../statistics.md) has the reasons.
