"""How long it takes to check a submission of 26 datasets and three seeds, and in how much memory.

    python benchmarks/rescoring.py [--spots 300000] [--genes 128] [--seeds 3] [--keep FOLDER]

Makes up counts and predictions of the sizes of the SpaRED datasets, 300,000 spots and 128 genes in
all for each seed, writes a bundle of them, and times ``check`` on it: opening and hashing the
archive, reading every prediction, all metrics of ``spared-strict``, and the forensics. All spots
are in the evaluated split, which is more than any real submission has. The truth is made up in
memory, in place of what ``data prepare`` makes, so the time to read it is left out.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np

from spared_bench.api import make_bench
from spared_bench.bench import Bench
from spared_bench.keys.hashing import digest
from spared_bench.leaderboard.entries import EntryResult
from spared_bench.submissions import bundle
from spared_bench.submissions.check import check
from spared_bench.submissions.codec import read_prediction, write_prediction
from spared_bench.submissions.rescoring import metrics_of, rescore
from spared_bench.submissions.schema import Claim, ClaimedDataset
from spared_bench.submissions.truth import Truth

PROTOCOL = "spared-strict"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--spots", type=int, default=300_000)
    parser.add_argument("--genes", type=int, default=128)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--keep", type=Path, help="Keep the bundle here.")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        bench = make_bench(PROTOCOL, workspace=Path(scratch) / "workspace", device="cpu")
        settings = bench.settings.protocol | {"seeds": list(range(options.seeds))}
        bench = Bench(replace(bench.settings, protocol=settings), bench.registry)
        made = Made(bench, options.spots, options.genes)
        archive = (options.keep or Path(scratch)) / "made.zip"
        begun = time.perf_counter()
        made.write(Path(scratch) / "bundle", archive)
        print(f"made a bundle of {archive.stat().st_size / 1e6:.0f} MB", end=" ")
        print(f"in {time.perf_counter() - begun:.0f} s")
        with mock.patch("spared_bench.submissions.check.truth_of", made.truth_of):
            begun, making, cpu = time.perf_counter(), made.seconds, time.process_time()
            report = check(archive, lambda protocol: bench, Path(scratch) / "leaderboards")
            making = made.seconds - making
            seconds, cpu = time.perf_counter() - begun - making, time.process_time() - cpu
    assert report.ok, report.problems
    entries = options.seeds * made.n_spots * options.genes
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(
        f"{len(report.results)} results of {len(made.sizes)} datasets, {made.n_spots} spots a seed"
    )
    print(f"checked in {seconds:.1f} s: {entries / seconds / 1e6:.2f} million entries per second")
    print(f"CPU time, with making the truth again, {cpu:.1f} s")
    print(f"peak memory, with making it, {peak / 2**30:.2f} GiB")
    print(f"flags: {len(report.flags)}")


class Made:
    """Made-up datasets: the sizes of the real ones, in three slides each."""

    def __init__(self, bench: Bench, spots: int, genes: int) -> None:
        self.bench, self.genes, self.seconds = bench, genes, 0.0
        published = {name: bench.dataset(name).n_spots for name in bench.protocol.datasets}
        scale = spots / sum(published.values())
        self.sizes = {name: max(60, round(size * scale)) for name, size in published.items()}

    @property
    def n_spots(self) -> int:
        """Of all datasets."""
        return sum(self.sizes.values())

    def truth_of(self, bench: Bench, name: str) -> Truth:
        """Make the truth of a dataset, the same every time; the time it takes is kept apart."""
        begun = time.perf_counter()
        truth = self._make(name)
        self.seconds += time.perf_counter() - begun
        return truth

    def _make(self, name: str) -> Truth:
        rng = np.random.default_rng(list(name.encode()))
        shape = self.sizes[name], self.genes
        rate = np.exp(rng.normal(1.2, 0.6, size=(shape[0], 1)) + rng.normal(0, 0.7, size=shape[1]))
        counts = rng.poisson(rate).astype(np.float32)
        expression = np.log2(1 + counts * 40)
        slides = np.sort(rng.integers(3, size=shape[0])).astype(str)
        return Truth(
            dataset=name,
            split=self.bench.dataset(name).evaluation_split,
            hash=digest(name),
            spots=tuple(f"{name}_{i}" for i in range(shape[0])),
            genes=tuple(f"ENSG{i:011d}" for i in range(shape[1])),
            target=expression,
            expression=expression,
            mask=counts > 0,
            slide_ids=slides,
            counts=counts,
            places=np.stack([np.arange(shape[0]) % 60, np.arange(shape[0]) // 60], axis=1) * 100.0,
            training_means=expression[rng.permutation(shape[0])[:60]].reshape(3, 20, -1).mean(1),
        )

    def results(self, folder: Path, truth: Truth) -> Iterator[EntryResult]:
        """Write the predictions of a dataset and yield what they score."""
        metrics = metrics_of(self.bench)
        for seed in self.bench.protocol.seeds:
            rng = np.random.default_rng([seed, *truth.dataset.encode()])
            prediction = truth.target * 0.3 + rng.normal(2, 0.5, size=truth.shape)
            place = {"dataset": truth.dataset, "completer": "median", "predictor": "made"}
            result = EntryResult(**place, seed=seed, split_scores={truth.split: {}})
            path = folder / bundle.prediction_name(result)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_prediction(path, prediction.astype(np.float32))
            scores = rescore(self.bench, truth, read_prediction(path, truth.shape), metrics)
            yield result.model_copy(update={"split_scores": {truth.split: scores}})

    def write(self, folder: Path, archive: Path) -> None:
        """Write the bundle."""
        datasets, results = {}, []
        for name in self.sizes:
            truth = self._make(name)
            bundle.write_ids(folder / bundle.ids_name(name, "spots"), truth.spots)
            bundle.write_ids(folder / bundle.ids_name(name, "genes"), truth.genes)
            spots, genes = truth.shape
            datasets[name] = ClaimedDataset(
                hash=truth.hash, split=truth.split, n_spots=spots, n_genes=genes
            )
            results += self.results(folder, truth)
        protocol = self.bench.protocol
        claim = Claim(
            protocol=protocol.id, protocol_hash=protocol.hash, datasets=datasets, results=results
        )
        description = {"method": "made", "version": "1", "protocol": protocol.id}
        texts = {
            bundle.CLAIM: claim.model_dump_json(),
            bundle.DESCRIPTION: "".join(
                f"{key}: '{value}'\n" for key, value in description.items()
            ),
            bundle.PROVENANCE: json.dumps({"spared_bench": "benchmark"}),
        }
        for name, text in texts.items():
            (folder / name).write_text(text, encoding="utf-8")
        bundle.seal(folder)
        bundle.pack(folder, archive)


if __name__ == "__main__":
    main()
