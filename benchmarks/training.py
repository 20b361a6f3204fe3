"""Images per second of a training step, against the plain way to write it.

    python benchmarks/training.py [--device cpu] [--network NAME ...] [--batch 32] [--steps 4]

The plain way: a DataLoader over decoded patches, torchvision transforms item by item, float32,
torch.optim.Adam, in a process of its own. Ours: the package's trainer as a protocol runs it, in
the precision that it chooses, and in float32 too where that is another; this process keeps freed
memory as those of a run do. Both train the same network from the same random weights on the same
224 px patches, one after the other. On a GPU the share of a step that the data take and the share
of the measured matrix-multiply peak (for networks whose operations are known) are printed too.
Methods that see a slide take one of as many spots as the others have patches in a batch. What
frozen encoders tell of other views is made up: it is found once, before the first step. Add a line
to ``NETWORKS`` for another predictor.
"""

from __future__ import annotations

import argparse
import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from made_up import made_up_slides
from steps import (
    matmul_peak,
    our_data,
    our_steps,
    plain_slide_steps,
    plain_steps,
    seconds_per_step,
)

from spared_bench.data import Patches, Slides
from spared_bench.data.viewed import Cut, SpotView, Windows
from spared_bench.interfaces import TargetTransform
from spared_bench.memory import keep_freed_memory
from spared_bench.models import TorchPredictor
from spared_bench.models.precision import precision_of
from spared_bench_plugins.networks.count_units import CountTarget
from spared_bench_plugins.predictors.asign_2d import ASIGN2D
from spared_bench_plugins.predictors.deepspace import DeepSpaCE
from spared_bench_plugins.predictors.hist2st import Hist2ST
from spared_bench_plugins.predictors.hist2st_encoder import Hist2STEncoder
from spared_bench_plugins.predictors.hist2st_gat import Hist2STGAT
from spared_bench_plugins.predictors.hist2st_regclass import Hist2STRegclass
from spared_bench_plugins.predictors.shufflenet import ShuffleNet
from spared_bench_plugins.predictors.st_net import STNet
from spared_bench_plugins.predictors.stimage import STimage
from spared_bench_plugins.predictors.triplex import Triplex
from spared_bench_plugins.predictors.vit_b import ViTB


@dataclass(frozen=True)
class Subject:
    """A predictor to time; ``macs`` are those of one image's forward pass, 0 where unknown.

    ``slide`` says that a step is a slide; ``plain``, that the network takes a batch of images to
    the target, so that it can be trained the plain way; ``prepare(predictor, slides)`` tells the
    predictor what ``fit`` would.
    """

    predictor: Callable[..., TorchPredictor]
    macs: float = 0.0
    slide: bool = False
    plain: bool = True
    prepare: Callable[[TorchPredictor, Slides], None] | None = None

    def prepared(self, slides: Slides, **parameters: object) -> TorchPredictor:
        """Return the predictor, told what it needs of these slides."""
        predictor = self.predictor(**parameters)
        if self.prepare is not None:
            self.prepare(predictor, slides)
        return predictor


def of_target(predictor: TorchPredictor, slides: Slides) -> None:
    """Let STimage learn the made-up target, of which no counts are known."""
    predictor.learns_ = CountTarget.fitted("shifted_target", slides, TargetTransform())


def of_two_classes(predictor: TorchPredictor, slides: Slides) -> None:
    """Name the published number of classes."""
    predictor.classes_ = ["one", "other"]


NETWORKS = {
    "shufflenet": Subject(partial(ShuffleNet, weights="random"), 0.04e9),
    "st-net": Subject(partial(STNet, weights="random"), 2.8e9),
    "vit-b": Subject(partial(ViTB, weights="random"), 17e9),
    "hist2st": Subject(Hist2ST, slide=True),
    "triplex": Subject(partial(Triplex, weights="random"), slide=True),
    "asign-2d": Subject(partial(ASIGN2D, weights="random"), slide=True, plain=False),
    "hist2st-regclass": Subject(Hist2STRegclass, slide=True, prepare=of_two_classes),
    # Features are found once, but for the augmented views of the second.
    "hist2st-encoder": Subject(partial(Hist2STEncoder, weights="random"), slide=True, plain=False),
    "hist2st-gat": Subject(partial(Hist2STGAT, weights="random"), slide=True, plain=False),
    "stimage": Subject(partial(STimage, weights="random"), 4.1e9, plain=False, prepare=of_target),
    "deepspace": Subject(partial(DeepSpaCE, weights="random"), 15.5e9),
}


def with_made_up_views(slides: Slides, predictor: TorchPredictor) -> Slides:
    """Return the slides with the views that a method declares, and with features from nowhere."""
    spots, views = np.arange(len(slides)), getattr(predictor, "views", {})
    if not views:
        return slides
    cuts = {}
    for name, view in views.items():
        place = (slides.coordinates // max(view.pixels, 1)).astype(np.int64)
        cells, of_spot = np.unique(place, axis=0, return_inverse=True)
        ids = np.full(len(cells), slides.slide_ids[0])
        centres = (cells + 0.5) * view.pixels
        nowhere = Patches([np.empty((len(cells), 0, 0, 3), dtype=np.uint8)])
        windows = Windows(nowhere, of_spot.reshape(-1), ids, centres, cells[:, 1], cells[:, 0])
        inside = np.ones((len(spots), view.tiles**2), dtype=bool)
        cuts[name] = Cut(spots, inside=inside, windows=windows)

    def features_of(encoder: Any, seen: Slides, name: str) -> np.ndarray:
        tiles = views[name].tiles ** 2
        shape = (len(seen.windows(name)),) if views[name].grid else (len(seen), tiles)
        rng = np.random.default_rng(0)
        return rng.normal(size=(*shape, encoder.width)).astype(np.float32)

    seen = {name: SpotView(views[name], partial(_same, cut), spots) for name, cut in cuts.items()}
    return replace(slides, views=seen, features_of=features_of)


def _same(cut: Cut) -> Cut:
    return cut


def plainly_timed(name: str, device: str, batch: int, n_steps: int, threads: int) -> float:
    """Return the seconds of a step the plain way, in a process of its own."""
    fresh = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, fresh) as pool:
        return pool.submit(_plain_seconds, name, device, batch, n_steps, threads).result()


def _plain_seconds(name: str, device: str, batch: int, n_steps: int, threads: int) -> float:
    torch.set_num_threads(threads)
    subject = NETWORKS[name]
    slides, images, target = made_up_slides(max(4 * batch, 64))
    given = given_to(subject, slides, batch)
    method = subject.prepared(given)
    steps = (
        plain_slide_steps(method, given, images[:batch], device)
        if subject.slide
        else plain_steps(method, images, target, batch, device)
    )
    return seconds_per_step(steps, n_steps, device)


def given_to(subject: Subject, slides: Slides, batch: int) -> Slides:
    """Return what a network is trained on: the slides, or one of as many spots as a batch has."""
    given = slides.subset(np.arange(batch)) if subject.slide else slides
    return with_made_up_views(given, subject.predictor())


def main() -> None:
    """Time every network both ways and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    gpu = torch.cuda.is_available()
    parser.add_argument("--device", default="cuda" if gpu else "cpu")
    parser.add_argument("--network", action="append", choices=list(NETWORKS))
    parser.add_argument("--batch", type=int, default=256 if gpu else 32)
    parser.add_argument("--steps", type=int, default=20 if gpu else 4)
    parser.add_argument("--compile", action="store_true", help="ours with torch.compile")
    wanted = parser.parse_args()
    device, batch = wanted.device, wanted.batch
    on_gpu = torch.device(device).type == "cuda"
    keep_freed_memory()
    slides, _, _ = made_up_slides(max(4 * batch, 64))
    where = torch.cuda.get_device_name(device) if on_gpu else "CPU"
    print(f"{where}, {torch.get_num_threads()} threads, torch {torch.__version__}, batch {batch}")
    peak = matmul_peak(device) if on_gpu else 0.0
    if peak:
        print(f"measured bfloat16 matrix-multiply peak: {peak / 1e12:.0f} TFLOP/s")
    for name in wanted.network or NETWORKS:
        subject = NETWORKS[name]
        given = given_to(subject, slides, batch)
        plain = 0.0
        if subject.plain:
            plain = plainly_timed(name, device, batch, wanted.steps, torch.get_num_threads())
            print(f"{name:16s} plain float32  {batch / plain:8.1f} images/s", flush=True)
        with torch.device("meta"):
            default = precision_of(subject.predictor().build(slides.n_genes), device)
        for precision in dict.fromkeys((default, "float32")):
            predictor = subject.prepared(given, compile=wanted.compile, precision=precision)
            steps = our_steps(predictor, given, batch, device)
            ours = seconds_per_step(steps, wanted.steps, device)
            data = seconds_per_step(our_data(predictor, given, batch, device), wanted.steps, device)
            faster = f"   {plain / ours:5.2f} x" if plain else ""
            line = (
                f"{name:16s} ours {precision:9s} {batch / ours:8.1f} images/s{faster}"
                f"   data {data / ours:6.1%} of the step"
            )
            if peak and subject.macs:
                # A step is a forward and a backward pass, twice as long; 2 operations per MAC.
                line += f"   {6 * subject.macs * batch / ours / peak:.0%} of the peak"
            print(line, flush=True)


if __name__ == "__main__":
    main()
