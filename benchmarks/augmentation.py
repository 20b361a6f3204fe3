"""What augmentations cost, against torchvision patch by patch and against a training step.

    python benchmarks/augmentation.py [--device cpu] [--batch 256] [--repeats 3]

Every built-in augmentation does a batch of random patches. The plain way is what torchvision has
for it (scikit-image for stains), image by image as in a data loader, timed on 32 of them. The step
is that of ShuffleNet as a protocol runs it, without augmentation, on the same batch. All in one
process, one after the other; the best of the repeats counts. As ``gpu.py``, it runs where torch,
torchvision and NumPy are all there is, and scikit-image.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from bare_package import find_package
from torchvision.transforms import v2

find_package()

from made_up import made_up_slides  # noqa: E402

from spared_bench.interfaces import Budget, Context  # noqa: E402
from spared_bench.models.augmentation.names import BUILT_IN, made  # noqa: E402
from spared_bench.models.seeded import seeded  # noqa: E402
from spared_bench.models.trainer import Gradients  # noqa: E402
from spared_bench.models.units import PatchUnits  # noqa: E402
from spared_bench_plugins.predictors.shufflenet import ShuffleNet  # noqa: E402

SIZE = 224  # px
_PLAIN_IMAGES = 32
_NEAREST, _BILINEAR = v2.InterpolationMode.NEAREST, v2.InterpolationMode.BILINEAR


def hed_of_scikit_image(image: torch.Tensor) -> torch.Tensor:
    """Change the stains of one image as scikit-image takes them apart; torchvision has nothing."""
    from skimage.color import hed2rgb, rgb2hed

    stains = rgb2hed(image.permute(1, 2, 0).numpy())
    stains = stains * np.random.uniform(0.95, 1.05, 3) + np.random.uniform(-0.004, 0.004, 3)
    made = torch.from_numpy(np.rint(255 * hed2rgb(stains)).astype(np.uint8))
    return made.permute(2, 0, 1)


def lab_of_scikit_image(image: torch.Tensor) -> torch.Tensor:
    """Give one image a drawn look in scikit-image's CIELAB."""
    from skimage.color import lab2rgb, rgb2lab

    lab = rgb2lab(image.permute(1, 2, 0).numpy())
    wanted = np.random.normal([62, 23, -11], [19, 11, 7])
    lab = (lab - lab.mean((0, 1))) / lab.std((0, 1)) * [14, 8, 6] + wanted
    made = torch.from_numpy(np.rint(255 * lab2rgb(lab)).astype(np.uint8))
    return made.permute(2, 0, 1)


#: By name, what does the same to one image, with the same ranges.
PLAIN: dict[str, Callable[[torch.Tensor], Any]] = {
    "symmetries": v2.Compose(
        [
            v2.RandomHorizontalFlip(),
            v2.RandomVerticalFlip(),
            v2.RandomApply([v2.RandomRotation((90, 90), _NEAREST)]),
        ]
    ),
    "flips": v2.Compose([v2.RandomHorizontalFlip(), v2.RandomVerticalFlip()]),
    "quarter-turns": v2.RandomChoice([v2.RandomRotation((a, a), _NEAREST) for a in (0, 90, 180)]),
    "rotation": v2.RandomRotation(180, _BILINEAR),
    "crop-scale": v2.RandomResizedCrop(SIZE, (0.25, 1.0), (1.0, 1.0)),
    "colour-jitter": v2.ColorJitter(0.5, 0.5, 0.5),
    "grey": v2.RandomGrayscale(0.1),
    "blur": v2.RandomApply([v2.GaussianBlur(13, (0.1, 2.0))]),
    "noise": v2.Compose(
        [v2.ToDtype(torch.float32, scale=True), v2.GaussianNoise(sigma=0.05),
         v2.ToDtype(torch.uint8, scale=True)]
    ),
    "hed-jitter": hed_of_scikit_image,
    "randstainna": lab_of_scikit_image,
}  # fmt: skip


def best(work: Callable[[], object], repeats: int, device: str) -> float:
    """Return the shortest of some runs, in seconds, after one that warms up.

    On a CPU, seconds of the processor, summed over threads: what else runs does not count.
    """
    clock = time.process_time if torch.device(device).type == "cpu" else time.perf_counter
    work()
    taken = []
    for _ in range(repeats):
        _wait(device)
        started = clock()
        work()
        _wait(device)
        taken.append(clock() - started)
    return min(taken)


def step_of_shufflenet(batch: int, device: str) -> Callable[[], object]:
    """Return a training step on a batch of random patches."""
    slides, _, _ = made_up_slides(batch)
    predictor = ShuffleNet(weights="random", augment=False)
    with seeded(0, device):
        network = predictor._place(predictor.build(slides.n_genes), device).train()
    optimizer = predictor.optimizer(network.parameters())
    context = Context(budget=Budget(batch_size=batch, augment=False), device=device)
    units, recipe = PatchUnits(slides, device), predictor.recipe(context.budget)
    rows = torch.arange(batch)
    gradients = Gradients(network, predictor.loss, units, recipe, context)

    def step() -> None:
        gradients(rows, None)
        optimizer.step()

    return step


def _wait(device: str) -> None:
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize()


def main() -> None:
    """Time all of it and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=3)
    wanted = parser.parse_args()
    device, batch = wanted.device, wanted.batch
    gpu = torch.device(device).type == "cuda"
    where = torch.cuda.get_device_name(device) if gpu else "CPU"
    print(f"{where}, {torch.get_num_threads()} threads, torch {torch.__version__}, batch {batch}")
    step = best(step_of_shufflenet(batch, device), wanted.repeats, device)
    print(f"a step of ShuffleNet, {SIZE} px: {step * 1e3:.0f} ms")
    drawn = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (batch, SIZE, SIZE, 3), dtype=torch.uint8, generator=drawn)
    images = images.to(device).permute(0, 3, 1, 2)
    for name in BUILT_IN:
        (augmentation,) = made(name)
        ours = best(lambda: augmentation(images, drawn), wanted.repeats, device)  # noqa: B023
        few = images[:_PLAIN_IMAGES]
        if name in ("hed-jitter", "randstainna"):
            few = few.cpu()
        plain = best(lambda: [PLAIN[name](image) for image in few], wanted.repeats, device)  # noqa: B023
        plain *= batch / len(few)
        print(
            f"{name:14s} {ours * 1e3:7.1f} ms  {ours / step:6.1%} of a step   plain"
            f" {plain * 1e3:8.1f} ms, {plain / ours:5.1f} times as long",
            flush=True,
        )


if __name__ == "__main__":
    main()
