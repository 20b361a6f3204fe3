"""How often an interval of a mean holds it: Student's, and percentiles of a bootstrap.

For as many slides or datasets as there are, of values that are normal, skewed, or bounded like a
correlation. The bootstrap is what the leaderboard showed before, drawn from all samples at once.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np

from spared_bench.statistics.intervals import mean_interval

SIZES = (2, 3, 5, 8, 12, 26)
RESAMPLES = 1_000

Draw = Callable[[np.random.Generator, tuple[int, int]], np.ndarray]
#: Name, how values are drawn, their mean.
KINDS: tuple[tuple[str, Draw, float], ...] = (
    ("normal", lambda rng, shape: rng.normal(size=shape), 0.0),
    (
        "1 + exponential (normalised errors)",
        lambda rng, shape: 1 + rng.exponential(0.1, shape),
        1.1,
    ),
    ("beta(5, 2) (correlations)", lambda rng, shape: rng.beta(5, 2, shape), 5 / 7),
)


def percentiles(samples: np.ndarray) -> np.ndarray:
    """Return the middle 95 % of the resampled means of each row: (n_samples, 2)."""
    n = samples.shape[1]
    drawn = np.random.default_rng(n).integers(n, size=(RESAMPLES, n))
    times = np.stack([np.bincount(each, minlength=n) for each in drawn]) / n
    return np.quantile(samples @ times.T, [0.025, 0.975], axis=1, method="inverted_cdf").T


def students(samples: np.ndarray) -> np.ndarray:
    """Return the interval of each row: (n_samples, 2)."""
    return np.array([mean_interval(row) for row in samples])


def main() -> None:
    """Print the share of intervals that hold the mean, as a table of Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--samples", type=int, default=20_000)
    count = parser.parse_args().samples
    print("| values | interval | " + " | ".join(f"n = {n}" for n in SIZES) + " |")
    print("|---|---|" + "---:|" * len(SIZES))
    rng = np.random.default_rng(20240711)
    for name, draw, mean in KINDS:
        shares: dict[str, list[float]] = {"bootstrap": [], "Student's": []}
        for n in SIZES:
            samples = draw(rng, (count, n))
            for way, found in (
                ("bootstrap", percentiles(samples)),
                ("Student's", students(samples)),
            ):
                shares[way].append(float(((found[:, 0] <= mean) & (mean <= found[:, 1])).mean()))
        for way, held in shares.items():
            print(f"| {name} | {way} | " + " | ".join(f"{share:.2f}" for share in held) + " |")


if __name__ == "__main__":
    main()
