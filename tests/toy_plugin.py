"""A single-file plugin with a tiny dataset and methods that behave, and that misbehave.

Loaded with ``--plugin tests/toy_plugin.py``, in the process of a test and in worker processes.
"""

from __future__ import annotations

import errno
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spared_bench import CompleterSpec, DatasetSpec, PredictorSpec, SlideInfo, Stage, hookimpl

SLIDES = {"one": "donor1", "two": "donor2", "three": "donor3"}
N_GENES = 8


def brightness(slide_id: str) -> np.ndarray:
    """Return how bright the patch of each spot is, in [0, 1], (49,): a slope with some noise."""
    rows, columns = np.divmod(np.arange(49), 7)
    noise = np.random.default_rng(list(SLIDES).index(slide_id)).random(49)
    return 0.8 * (rows + columns) / 12 + 0.2 * noise


def read_slide(folder: Path, slide_id: str):
    """Make a slide whose first genes follow the brightness of its image."""
    import anndata as ad
    import pandas as pd
    from PIL import Image
    from scipy import sparse

    rng = np.random.default_rng(100 + list(SLIDES).index(slide_id))
    rows, columns = np.divmod(np.arange(49), 7)
    centres = np.stack([columns, rows], axis=1) * 20.0 + 20
    bright = brightness(slide_id)
    pixels = np.full((160, 160, 3), 255, np.uint8)
    for (x, y), value in zip(centres.astype(int), bright, strict=True):
        pixels[y - 8 : y + 8, x - 8 : x + 8] = int(40 + 200 * value)
    path = folder / f"{slide_id}.png"
    if not path.exists():
        beside = path.with_suffix(f".{os.getpid()}.tmp")
        Image.fromarray(pixels).save(beside, "PNG")
        beside.replace(path)
    rate = np.exp(2 + 2 * bright[:, None] * (np.arange(N_GENES) < 4))
    rate = np.concatenate([rate, np.full((49, 20), 300.0)], axis=1)
    genes = [f"g{gene}" for gene in range(rate.shape[1])]
    slide = ad.AnnData(
        sparse.csr_matrix(rng.poisson(rate).astype(np.float32)),
        obs=pd.DataFrame(
            {"array_row": rows, "array_col": columns}, index=[f"s{i}" for i in range(49)]
        ),
        var=pd.DataFrame({"gene_name": genes}, index=genes),
        obsm={"spatial": centres},
    )
    slide.uns["slide"] = {
        "image_path": str(path),
        "image_scale": 1.0,
        "spot_diameter_px": 16.0,
        "um_per_px": 6.25,
    }
    return slide


def read_broken_slide(folder: Path, slide_id: str):
    """Return a slide whose counts are not raw."""
    slide = read_slide(folder, slide_id)
    slide.X = slide.X * 0.5
    return slide


@dataclass
class Ridge:
    """Least squares on the mean colour, the penalty to be searched."""

    penalty: float = 1.0

    def fit(self, train, val, context):
        x = self._features(train)
        gram = x.T @ x + self.penalty * np.eye(x.shape[1])
        self.weights_ = np.linalg.solve(gram, x.T @ train.target)
        context.report(1, {"train_mse": float(((x @ self.weights_ - train.target) ** 2).mean())})

    def predict(self, slides):
        return self._features(slides) @ self.weights_

    def _features(self, slides):
        colours = slides.patches[:].reshape(len(slides), -1, 3).mean(axis=1) / 255
        return np.concatenate([colours, np.ones((len(slides), 1))], axis=1)


class Network(Ridge):
    """The same, to be kept and brought back; says when it is trained."""

    def fit(self, train, val, context):
        with Path(os.environ.get("TOY_TRAININGS", os.devnull)).open("a") as file:
            file.write("trained\n")
        begun = context.scratch is not None and (context.scratch / "begun").exists()
        context.report(7 if begun else 0, {"train_mse": 0.0})
        super().fit(train, val, context)

    def save(self, folder):
        np.save(folder / "weights.npy", self.weights_)

    def load(self, folder):
        self.weights_ = np.load(folder / "weights.npy")


@dataclass
class Mean:
    """The mean of the training target."""

    def fit(self, train, val, context):
        self.mean_ = train.target.mean(axis=0)

    def predict(self, slides):
        return np.tile(self.mean_, (len(slides), 1))


@dataclass
class Slow(Mean):
    """Takes its time, and leaves a sign that it has begun."""

    seconds: float = 1.0

    def fit(self, train, val, context):
        Path(os.environ.get("TOY_SIGN", os.devnull)).touch()
        time.sleep(self.seconds)
        super().fit(train, val, context)


@dataclass
class Busy(Mean):
    """Keeps one core busy: the same work every time."""

    rounds: int = 4_000_000

    def fit(self, train, val, context):
        total = 0
        for number in range(self.rounds):
            total += number % 7
        super().fit(train, val, context)


class Raises(Mean):
    def fit(self, train, val, context):
        raise ValueError("the fit went wrong")


@dataclass
class RaisesAlways(Raises):
    """Whatever it is told."""

    value: float = 1.0


class Nan(Mean):
    def predict(self, slides):
        return super().predict(slides) * np.nan


class Dies(Mean):
    def fit(self, train, val, context):
        os.kill(os.getpid(), signal.SIGKILL)


class DiesOnce(Mean):
    def fit(self, train, val, context):
        sign = Path(os.environ["TOY_DIED"])
        if not sign.exists():
            sign.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        super().fit(train, val, context)


class DiesTwice(Mean):
    """Kills its process twice, and then does not."""

    def fit(self, train, val, context):
        folder = Path(os.environ["TOY_DEATHS"])
        if len(list(folder.iterdir())) < 2:
            (folder / str(os.getpid())).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        super().fit(train, val, context)


class Segfaults(Mean):
    def fit(self, train, val, context):
        import ctypes

        ctypes.string_at(0)


class Leaks(Mean):
    """Takes memory until it is stopped, at most 1 GiB."""

    def fit(self, train, val, context):
        self.kept_ = [np.ones(2**20) for _ in range(128)]
        time.sleep(30)


class Shares(Mean):
    """Holds 400 MiB once, which three children share, as the workers of a data loader do."""

    def fit(self, train, val, context):
        super().fit(train, val, context)
        kept = np.ones(50 * 2**20)
        children = []
        for _ in range(3):
            children.append(os.fork())
            if not children[-1]:
                time.sleep(1.5)
                os._exit(int(kept[0]) - 1)
        for child in children:
            os.waitpid(child, 0)


@dataclass
class NeedsLess(Mean):
    """Runs out of memory unless a batch is cut into parts."""

    micro_batch: int = 0

    def fit(self, train, val, context):
        if not self.micro_batch:
            raise MemoryError
        super().fit(train, val, context)


@dataclass
class Staged:
    """Predicts what the network it builds on predicts, times a factor."""

    factor: float = 1.0
    penalty: float = 1.0

    def fit(self, train, val, context):
        self.first_ = context.stages["first"]

    def predict(self, slides):
        return self.first_.predict(slides) * self.factor


class Sloppy(Mean):
    """Draws from the global generator, which no method should."""

    def predict(self, slides):
        return super().predict(slides) + np.random.normal(size=(len(slides), 1))


class Reports(Mean):
    """Says in which process it was trained."""

    def fit(self, train, val, context):
        super().fit(train, val, context)
        gpu = float(os.environ.get("CUDA_VISIBLE_DEVICES") or -1)
        context.report(1, {"pid": float(os.getpid()), "gpu": gpu})


class FillsDisk(Mean):
    def save(self, folder):
        if not Path(os.environ["TOY_SPACE"]).exists():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class WrongShape(Mean):
    def predict(self, slides):
        return super().predict(slides)[:, 1:]


class Peeks(Mean):
    def predict(self, slides):
        return slides.target


class Skips(Mean):
    def skip(self, spec):
        return f"{spec.name} is too small"


class NoPredict:
    def fit(self, train, val, context):
        return None


class Cheats:
    """A completer that changes measured entries."""

    def fit(self, train, val, context):
        return None

    def complete(self, slides):
        return slides.target + 1


PREDICTORS = {
    "toy-mean": "Mean",
    "toy-slow": "Slow",
    "toy-busy": "Busy",
    "toy-raises": "Raises",
    "toy-nan": "Nan",
    "toy-network": "Network",
    "toy-dies": "Dies",
    "toy-dies-once": "DiesOnce",
    "toy-dies-twice": "DiesTwice",
    "toy-segfaults": "Segfaults",
    "toy-leaks": "Leaks",
    "toy-shares": "Shares",
    "toy-needs-less": "NeedsLess",
    "toy-sloppy": "Sloppy",
    "toy-reports": "Reports",
    "toy-fills-disk": "FillsDisk",
    "toy-wrong-shape": "WrongShape",
    "toy-peeks": "Peeks",
    "toy-skips": "Skips",
    "toy-no-predict": "NoPredict",
}


@hookimpl
def spared_bench_predictors():
    specs = [PredictorSpec(name, f"{__name__}:{cls}") for name, cls in PREDICTORS.items()]
    penalties = (100.0, 0.01)
    factors = (0.5, 1.0)
    first = Stage("toy-network", {"penalty": 0.5}, taken={"penalty": "penalty"})
    return [
        *specs,
        PredictorSpec("toy-ridge", f"{__name__}:Ridge", search={"penalty": penalties}),
        PredictorSpec(
            "toy-raises-searched", f"{__name__}:RaisesAlways", search={"value": (1, 2, 3, 4, 5)}
        ),
        PredictorSpec(
            "toy-badly-staged", f"{__name__}:Staged", stages={"first": Stage("toy-mean")}
        ),
        PredictorSpec(
            "toy-staged",
            f"{__name__}:Staged",
            search={"factor": factors},
            stages={"first": first},
        ),
    ]


@hookimpl
def spared_bench_completers():
    return [CompleterSpec("toy-cheats", f"{__name__}:Cheats")]


@hookimpl
def spared_bench_datasets():
    common = {
        "organism": "human",
        "slides": tuple(SlideInfo(slide, donor) for slide, donor in SLIDES.items()),
        "split": {"train": ("one",), "val": ("two",), "test": ("three",)},
        "synthetic": True,
    }
    return [
        DatasetSpec("toy", f"{__name__}:read_slide", **common),
        DatasetSpec("toy-broken", f"{__name__}:read_broken_slide", **common),
        DatasetSpec("toy-absent", f"{__name__}:read_slide", **(common | {"synthetic": False})),
    ]
