# %% [markdown]
# # Gallery
#
# Figures that the package draws, each with the call that made it here, from the embedded slides. The
# page of a leaderboard has more, which answer to the mouse.
#
# ![The leaderboard of the demo suite](images/leaderboard.png)

# %%
# %matplotlib inline
import numpy as np
from IPython.display import Image, display

import spared_bench
from spared_bench.trials.raw_slides import read_raw_slides

dataset = spared_bench.load_dataset("her2st_demo")
raw = read_raw_slides(dataset.bench, "her2st_demo")

# %% [markdown]
# ## A slide and its spots
#
# `spared-bench data show her2st_demo`

# %%
from spared_bench.reports.slide_figures import draw_slide, spot_values

draw_slide(raw["C3"], spot_values(raw["C3"], None), "her2st_demo · C3", "total counts")

# %% [markdown]
# ## What methods look at
#
# Patches of each split, as the protocol cuts them.

# %%
from spared_bench.reports.dataset_figures import patch_sheet

splits = {split: dataset.slides(split) for split in ("train", "val", "test")}
patch_sheet(
    {
        split: slides.patches[np.linspace(0, len(slides) - 1, 14).astype(int)]
        for split, slides in splits.items()
    }
)

# %% [markdown]
# ## Variance of a gene against its mean

# %%
from spared_bench.reports.dataset_figures import mean_against_variance

moments = {}
for split, slides in splits.items():
    counts = slides.counts
    moments[split] = counts.mean(axis=0), counts.var(axis=0)
mean_against_variance(moments)

# %% [markdown]
# ## Measured beside predicted: the best gene and the worst
#
# Drawn for every trial that counts; the board shows it.

# %%
report = spared_bench.run(
    datasets=["her2st_demo"],
    completers=["median"],
    predictors=["linear-probe", "view-attention"],
    track=False,
)
store = report.plan.bench.workspace.store
figures = sorted(store.root.glob("figures/*/*/*.png"))
display(*(Image(path, width=760) for path in figures if path.name != "calibration.png"))

# %% [markdown]
# ## Is a method as sure as it should be?
#
# Of a method that predicts variances.

# %%
display(*(Image(path, width=380) for path in figures if path.name == "calibration.png"))

# %% [markdown]
# ## Completion
#
# What `spared-bench complete` measures: values that were hidden, and what a completer makes of them
# ([completion](completion.md)).
#
# ![Error against the share that was hidden](images/completion_masking.png)
#
# ![A gene of regenerating muscle, hidden and completed](images/completion_visium_muscle.png)
