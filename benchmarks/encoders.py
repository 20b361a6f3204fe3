"""Time the probe on frozen features, and encoding against the encoder's own forward pass.

    python benchmarks/encoders.py [--threads 2] [--patches 256] [--encoder resnet50]

- probe: 5,000 spots x 1,536 features x 50 genes, 256 principal components, 13 penalties over five
  folds; beside it scikit-learn, which fits every fold and penalty anew (`--reference`).
- encoding: patches of 224 px from a file through `FrozenNetwork`, against the same network called
  in a plain loop over batches that are ready in memory; the best of three each, in turns.

Beside seconds of the clock stand processor seconds, which others on the machine move less; compare
them with `--threads 1`, because threads that wait for each other are counted as working.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from spared_bench.data import Patches
from spared_bench.models import encoders
from spared_bench.models.augment import normalise
from spared_bench.models.ridge import PENALTIES, choose_penalty, reduce, solve


def probe(reference: bool) -> None:
    """Print seconds of the whole probe."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(5000, 400)) @ rng.normal(size=(400, 1536))
    features = (features + rng.normal(size=features.shape)).astype(np.float32)
    target = rng.normal(size=(5000, 50)).astype(np.float32)
    folds = np.arange(5000) * 5 // 5000
    began, worked = time.perf_counter(), time.process_time()
    reduction, scores = reduce(features, 256)
    choice = choose_penalty(scores, target, folds)
    weights, constant = solve(scores, target, choice.penalty)
    reduction.apply(features) @ weights + constant
    took, worked = time.perf_counter() - began, time.process_time() - worked
    print(f"probe: {took:.2f} s, {worked:.2f} processor s ({len(PENALTIES)} penalties, 5 folds)")
    if not reference:
        return
    from sklearn.decomposition import PCA
    from sklearn.linear_model import Ridge
    from sklearn.preprocessing import StandardScaler

    began = time.perf_counter()
    scores = PCA(256, random_state=1).fit_transform(StandardScaler().fit_transform(features))
    for penalty in PENALTIES:
        for fold in range(5):
            Ridge(penalty).fit(scores[folds != fold], target[folds != fold])
    print(f"scikit-learn, one fit for each: {time.perf_counter() - began:.2f} s")


def encoding(name: str, n: int) -> None:
    """Print patches per second of both ways."""
    rng = np.random.default_rng(0)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    encoder = encoders.TimmEncoder(name, "random")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "patches.npy"
        np.save(path, rng.integers(0, 256, (n, 224, 224, 3), dtype=np.uint8))
        patches = Patches([np.load(path, mmap_mode="r")])
        run = encoder.opened(device)
        network = encoder.network().to(device)
        mean, std, _ = encoders.expected_input(network)
        step = 27 if device == "cpu" else 256
        ready = [
            normalise(torch.from_numpy(patches[np.arange(at, min(at + step, n))]), mean, std)
            .contiguous(memory_format=torch.channels_last)
            .to(device)
            for at in range(0, n, step)
        ]
        plain, ours = [], []
        work: list[tuple[float, float]] = []
        for _ in range(3):
            began, worked = time.perf_counter(), time.process_time()
            with torch.inference_mode():
                for batch in ready:
                    network(batch).float().cpu()
            plain.append(n / (time.perf_counter() - began))
            between = time.process_time()
            began = time.perf_counter()
            run(patches)
            ours.append(n / (time.perf_counter() - began))
            work.append((between - worked, time.process_time() - between))
    print(
        f"{name} on {device}: {max(ours):.1f} patches/s, its own forward {max(plain):.1f}"
        f" ({max(ours) / max(plain):.0%})"
    )
    theirs, own = (min(each) for each in zip(*work, strict=True))
    print(f"processor seconds of {n} patches: {own:.2f}, of its own forward {theirs:.2f}"
          f" ({theirs / own:.0%})")  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--patches", type=int, default=256)
    parser.add_argument("--encoder", default="resnet50")
    parser.add_argument("--reference", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    probe(options.reference)
    encoding(options.encoder, options.patches)
