"""Which cheats a check of submissions finds, and how often it doubts an honest run.

    spared-bench run --all --suite demo
    python benchmarks/cheats.py spared-bench-workspace

Takes every method of a finished workspace in turn. Honest: its own predictions, against the
entries and runs of all other methods. Cheats of two kinds: predictions that were bent towards the
truth (against all other methods), and copies of one that is on the board, under another name. Every
bundle goes through ``submissions.check``, as a stranger's would. Prints a table in Markdown: how
many of the methods' bundles were refused or flagged, by which flags. Reads the workspace; writes to
a scratch folder.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import sys
import tempfile
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import yaml

from spared_bench.api import make_bench
from spared_bench.bench import Bench
from spared_bench.submissions import bundle
from spared_bench.submissions.add import add
from spared_bench.submissions.build import build
from spared_bench.submissions.check import check
from spared_bench.submissions.codec import read_prediction, write_prediction
from spared_bench.submissions.report import Report
from spared_bench.submissions.rescoring import metrics_of, rescore
from spared_bench.submissions.truth import Truth, truth_of
from spared_bench.trials.cells import finished_cells

#: Facts of the data, of which a method is told, rather than doubts about its predictions.
NO_DOUBT = {"donor-overlap", "absent", "constant-seeds", "pretrained-on-test"}
COMPLETER = "none"

Bend = Callable[[np.ndarray, Truth, np.random.Generator], np.ndarray]


def means_of(values: np.ndarray, truth: Truth) -> np.ndarray:
    """Return each gene's mean over measured entries of a slide, at every spot of it."""
    found = np.zeros(values.shape)
    for rows in truth.slides:
        mask = truth.mask[rows]
        found[rows] = np.where(mask, values[rows], 0).sum(axis=0) / np.maximum(mask.sum(axis=0), 1)
    return found


def mixed(share: float) -> Bend:
    """Mix the truth in."""
    return lambda values, truth, rng: (1 - share) * values + share * truth.target


def near_mean(values: np.ndarray, truth: Truth, n: int, own: bool = True) -> np.ndarray:
    """Average values over each spot and those nearest to it, n in all."""
    from scipy.spatial import cKDTree

    found = np.zeros(values.shape)
    for rows in truth.slides:
        places = bench_places[truth.dataset][rows]
        near = cKDTree(places).query(places, k=min(n, len(rows)))[1]
        found[rows] = values[rows][near if own else near[:, 1:]].mean(axis=1)
    return found


def smoothed(values: np.ndarray, truth: Truth, rng: np.random.Generator) -> np.ndarray:
    """Give the truth, averaged over each spot and its six nearest."""
    return near_mean(truth.target, truth, 7)


def with_slide_means(values: np.ndarray, truth: Truth, rng: np.random.Generator) -> np.ndarray:
    """Shift each gene to its true mean on the slide."""
    return values - means_of(values, truth) + means_of(truth.target, truth)


def true_genes(n: int, told: Callable[[np.ndarray], np.ndarray] = lambda x: x) -> Bend:
    """Give the truth of a few genes, as it is or in other words."""

    def bend(values: np.ndarray, truth: Truth, rng: np.random.Generator) -> np.ndarray:
        found = values.copy()
        genes = rng.choice(values.shape[1], n, replace=False)
        found[:, genes] = told(truth.target[:, genes])
        return found

    return bend


def true_spots(share: float) -> Bend:
    """Give the truth of some spots."""
    return lambda values, truth, rng: np.where(
        rng.random((len(values), 1)) < share, truth.target, values
    )


def first_component(values: np.ndarray, truth: Truth, rng: np.random.Generator) -> np.ndarray:
    """Give what one component tells of the truth."""
    mean = truth.target.mean(axis=0)
    left, size, right = np.linalg.svd(truth.target - mean, full_matrices=False)
    return mean + (left[:, :1] * size[:1]) @ right[:1]


def fitted(values: np.ndarray, truth: Truth, rng: np.random.Generator) -> np.ndarray:
    """Fit each gene to the truth of the slide, by mean and slope."""
    found = values.copy()
    for rows in truth.slides:
        ours, theirs = (each[rows] - each[rows].mean(axis=0) for each in (values, truth.target))
        slope = (ours * theirs).sum(axis=0) / ((ours**2).sum(axis=0) + 1e-9)
        found[rows] = truth.target[rows].mean(axis=0) + ours * slope
    return found


def told_sign(values: np.ndarray, truth: Truth, rng: np.random.Generator) -> np.ndarray:
    """Move values a little towards the side of the median on which the truth is."""
    side = np.sign(truth.target - np.median(truth.target, axis=0))
    return values + 0.15 * truth.target.std(axis=0) * side


def with_genes_of_its_own(share: float) -> Bend:
    """Keep a share of the genes, and put smooth noise in the place of the others."""

    def bend(values: np.ndarray, truth: Truth, rng: np.random.Generator) -> np.ndarray:
        noise = near_mean(rng.normal(size=values.shape), truth, 19)
        noise = values.mean(axis=0) + values.std(axis=0) * noise / noise.std(axis=0)
        return np.where(rng.random(values.shape[1]) < share, bent_up(values), noise)

    return bend


def with_gradient(values: np.ndarray, truth: Truth, rng: np.random.Generator) -> np.ndarray:
    """Add a slope over the slide to each gene."""
    found = values.copy()
    for rows in truth.slides:
        places = bench_places[truth.dataset][rows]
        places = (places - places.mean(axis=0)) / places.std(axis=0)
        slopes = rng.normal(size=(2, values.shape[1]))
        found[rows] += 0.3 * values.std(axis=0) * (places @ slopes)
    return found


def smoothly_noisy(values: np.ndarray, truth: Truth, rng: np.random.Generator) -> np.ndarray:
    """Add noise that is alike in near spots."""
    noise = near_mean(rng.normal(size=values.shape), truth, 19)
    return values + 0.3 * values.std(axis=0) * noise / noise.std(axis=0)


def noisy(share: float, then: Callable[[np.ndarray], np.ndarray] = lambda x: x) -> Bend:
    """Add noise of a share of each gene's deviation."""
    return lambda values, truth, rng: then(
        values + share * values.std(axis=0) * rng.normal(size=values.shape)
    )


def one_gene_random(values: np.ndarray, truth: Truth, rng: np.random.Generator) -> np.ndarray:
    """Replace one gene by noise."""
    found = values.copy()
    found[:, rng.integers(values.shape[1])] = rng.normal(size=len(values))
    return found


def ranks(values: np.ndarray) -> np.ndarray:
    """Give which of its spots a value is."""
    return values.argsort(axis=0).argsort(axis=0).astype(float)


def fifths(values: np.ndarray) -> np.ndarray:
    """Give the fifth in which a value is."""
    parts = np.quantile(values, [0.2, 0.4, 0.6, 0.8], axis=0)
    return (values[None] >= parts[:, None]).sum(axis=0).astype(float)


def by_slide(values: np.ndarray, truth: Truth, rng: np.random.Generator) -> np.ndarray:
    """Stretch and shift each gene of each slide."""
    found = values.copy()
    for rows in truth.slides:
        found[rows] = values[rows] * rng.uniform(0.5, 2, values.shape[1]) + rng.normal(
            size=values.shape[1]
        )
    return found


def permuted_spots(values: np.ndarray, truth: Truth, rng: np.random.Generator) -> np.ndarray:
    """Permute the spots."""
    return values[rng.permutation(len(values))]


def permuted_genes(values: np.ndarray, truth: Truth, rng: np.random.Generator) -> np.ndarray:
    """Permute the genes."""
    return values[:, rng.permutation(values.shape[1])]


def with_other(
    folder: Path, combine: Callable[[np.ndarray, np.ndarray, np.random.Generator], np.ndarray]
) -> Bend:
    """Put a prediction together with that of another method's bundle."""

    def bend(values: np.ndarray, truth: Truth, rng: np.random.Generator) -> np.ndarray:
        (path,) = (folder / "predictions" / truth.dataset).rglob("*.npz")
        return combine(values, read_prediction(path, truth.shape).astype(np.float64), rng)

    return bend


def genes_of_both(first: np.ndarray, second: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Take every second gene from the other."""
    found = first.copy()
    found[:, ::2] = second[:, ::2]
    return found


def spots_of_both(first: np.ndarray, second: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Take half of the spots from the other, drawn at random."""
    return np.where(rng.random((len(first), 1)) < 0.5, first, second)


def mean_of_both(first: np.ndarray, second: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Average the two."""
    return (first + second) / 2


def alike_mean(first: np.ndarray, second: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Average the two so that they count alike, however far each varies."""
    parts = [(each - each.mean(axis=0)) / (each.std(axis=0) + 1e-9) for each in (first, second)]
    return first.mean(axis=0) + first.std(axis=0) * sum(parts) / 2


def bent_up(values: np.ndarray) -> np.ndarray:
    """Change values by a function that keeps their order."""
    return np.exp(np.clip(values, None, 15))


TOWARDS_THE_TRUTH: dict[str, Bend] = {
    "nothing changed (honest)": lambda values, truth, rng: values,
    **{f"truth mixed in at {share:.0%}": mixed(share) for share in (0.1, 0.2, 0.3, 0.4, 0.5)},
    "smoothed truth": smoothed,
    "slide means of the truth": with_slide_means,
}
COPIES: dict[str, Bend] = {
    "copy": lambda values, truth, rng: values,
    "copy, times 2 plus 1": lambda values, truth, rng: 2 * values + 1,
    "copy, exp": lambda values, truth, rng: bent_up(values),
    "copy, 10 % noise": noisy(0.1),
    "copy, 30 % noise": noisy(0.3),
    "copy, 30 % noise, exp": noisy(0.3, bent_up),
    "copy, 50 % noise": noisy(0.5),
    "copy, one gene random": one_gene_random,
    "copy, permuted genes": permuted_genes,
    "copy, permuted spots": permuted_spots,
}

TENTHS = (0.1, 0.2, 0.3, 0.5)

#: Tried later, with fewer methods.
FURTHER_TRUTH: dict[str, Bend] = {
    "a gene of the truth": true_genes(1),
    "three genes of the truth": true_genes(3),
    "a gene of the truth, one decimal": true_genes(1, lambda truth: truth.round(1)),
    "a gene of the truth, ranks": true_genes(1, ranks),
    "a gene of the truth, five levels": true_genes(1, fifths),
    "5 % of the spots of the truth": true_spots(0.05),
    "20 % of the spots of the truth": true_spots(0.2),
    "first component of the truth": first_component,
    "means and slopes of the truth": fitted,
    "neighbours of the truth": lambda values, truth, rng: near_mean(truth.target, truth, 7, False),
    "sign of the truth": told_sign,
}
FURTHER_COPIES: dict[str, Bend] = {
    "copy, five levels": lambda values, truth, rng: fifths(values),
    "copy, each slide stretched": by_slide,
    "copy, sharpened": lambda values, truth, rng: 2 * values - near_mean(values, truth, 7),
    "copy, one decimal": lambda values, truth, rng: values.round(1),
    "copy, averaged over 7": lambda values, truth, rng: near_mean(values, truth, 7),
    "copy, averaged over 19": lambda values, truth, rng: near_mean(values, truth, 19),
    "copy, of the nearest spot": lambda values, truth, rng: near_mean(values, truth, 2, False),
    "copy, smooth noise": smoothly_noisy,
    "copy, gradients": with_gradient,
    **{f"copy, exp, {share:.0%} of its genes": with_genes_of_its_own(share) for share in TENTHS},
}

#: Two parts: a method and the next one, by name.
TWO: dict[str, Callable[[np.ndarray, np.ndarray, np.random.Generator], np.ndarray]] = {
    "genes dealt from two": genes_of_both,
    "genes dealt from two, exp": lambda *both: bent_up(genes_of_both(*both)),
    "spots dealt from two": spots_of_both,
    "mean of two": mean_of_both,
    "mean of two, scaled alike": alike_mean,
    "mean of two, scaled alike, exp": lambda *both: bent_up(alike_mean(*both)),
}

bench_places: dict[str, np.ndarray] = {}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--protocol", default="demo")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        for line in table(arguments.workspace, arguments.protocol, Path(scratch)):
            print(line, flush=True)


def table(workspace: Path, protocol: str, scratch: Path):
    """Yield the lines of the table."""
    bench = make_bench(protocol, workspace=workspace, device="cpu", offline=True)
    truths = {name: truth_of(bench, name) for name in bench.protocol.datasets}
    remember(bench, truths)
    for name, truth in truths.items():
        bench_places[name] = places_of(bench, name, truth)
    finals = [cell.final for cell in finished_cells(bench.workspace.store, bench.protocol.id)]
    without = {final.predictor for final in finals if not final.ok}  # as for want of labels
    methods = sorted({final.predictor for final in finals} - without)
    sound = {name: unpacked(bench, name, scratch / "sound" / name) for name in methods}
    boards = scratch / "boards"
    for name in methods:  # what the board has: every method but the one that is looked at
        report = checked(bench, sound[name], scratch, scratch / "empty")
        for other in methods:
            if other != name:
                add(report, boards / other, "re-scored")
        add(report, boards / "all", "re-scored")
    yield f"| {len(methods)} methods | caught | by |"
    yield "|---|---|---|"
    for kind, bends, name_of in (
        ("own", TOWARDS_THE_TRUTH, lambda method: method),
        ("copy", COPIES, lambda method: "somebody-elses"),
        ("copy", TWO, lambda method: "somebody-elses"),
        ("own", FURTHER_TRUTH, lambda method: method),
        ("copy", FURTHER_COPIES, lambda method: "somebody-elses"),
    ):
        for label, change in bends.items():
            caught, flags, looked = 0, Counter[str](), 0
            for method, following in zip(methods, methods[1:] + methods[:1], strict=True):
                bend = change if bends is not TWO else with_other(sound[following], change)
                if kind == "copy" and is_constant(sound[method], truths):
                    continue  # nothing of it can be copied: everyone can compute means
                looked += 1
                folder = scratch / "bent"
                bent(bench, sound[method], folder, truths, bend, name_of(method))
                board = boards / ("all" if kind == "copy" else method)
                report = checked(bench, folder, scratch, board)
                kinds = {flag.kind for flag in report.flags} - NO_DOUBT
                if report.problems:
                    kinds.add("refused: " + report.problems[0][:60])
                caught += bool(kinds)
                flags.update(kinds)
                told = {f.dataset: f.reason for f in report.flags if f.kind not in NO_DOUBT}
                if label.startswith("nothing") and told:
                    print(f"false alarm: {method}: {told}", file=sys.stderr)
            by = ", ".join(f"{name} {count}" for name, count in flags.most_common()) or "–"
            yield f"| {label} | {caught} of {looked} | {by} |"


def remember(bench: Bench, truths: dict[str, Truth]) -> None:
    """Let every check use the same truths and own runs, and trace each run once."""
    from spared_bench.submissions import check as checking
    from spared_bench.submissions import suspicion

    cells = [
        cell
        for cell in finished_cells(bench.workspace.store, bench.protocol.id)
        if cell.final.completer == COMPLETER
    ]
    traces: dict[tuple[str, bytes], object] = {}
    made = suspicion.trace

    def trace_once(prediction: np.ndarray, truth: Truth, *rest: object) -> object:
        key = truth.hash, hashlib.sha256(prediction.tobytes()).digest()
        if key not in traces:
            traces[key] = made(prediction, truth, *rest)
        return traces[key]

    checking.truth_of = lambda _, name: truths[name]
    checking.finished_cells = lambda *_: cells
    suspicion.trace = trace_once


def places_of(bench: Bench, name: str, truth: Truth) -> np.ndarray:
    """Return the centres of the evaluated spots."""
    from spared_bench.trials.products import prepared_table

    adata = prepared_table(bench, name)
    rows = adata.obs["split"].to_numpy(dtype=str) == truth.split
    return np.asarray(adata.obsm["spatial"])[rows]


def unpacked(bench: Bench, predictor: str, folder: Path) -> Path:
    """Build a method's bundle, keep one completer of it, and unpack it."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    built = build(bench, predictor, folder.with_suffix(".zip"), version="1")
    with zipfile.ZipFile(built.archive) as packed:
        packed.extractall(folder)
    claim = json.loads((folder / bundle.CLAIM).read_text())
    claim["results"] = [each for each in claim["results"] if each["completer"] == COMPLETER]
    (folder / bundle.CLAIM).write_text(json.dumps(claim))
    for path in (folder / "predictions").glob("*/*"):
        if path.name != COMPLETER:
            shutil.rmtree(path)
    return folder


def is_constant(folder: Path, truths: dict[str, Truth]) -> bool:
    """Whether a method predicts the same for every spot of each slide."""
    return all(
        np.ptp(read_prediction(path, truths[path.parts[-4]].shape), axis=0).max() < 1e-6
        for path in (folder / "predictions").rglob("*.npz")
    )


def bent(
    bench: Bench, sound: Path, folder: Path, truths: dict[str, Truth], bend: Bend, method: str
) -> None:
    """Write a bundle with other predictions, and the scores that these give."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(sound, folder)
    said = yaml.safe_load((folder / bundle.DESCRIPTION).read_text())
    claim = json.loads((folder / bundle.CLAIM).read_text())
    rng, metrics = np.random.default_rng(0), metrics_of(bench)
    for result in claim["results"]:
        truth = truths[result["dataset"]]
        places = [result[name] for name in ("dataset", "completer", "predictor")]
        path = folder / "predictions" / Path(*places) / f"{result['seed']}.npz"
        values = read_prediction(path, truth.shape)
        path.unlink()
        result["predictor"] = result["predictor"] if method == said["method"] else method
        path = path.parent.parent / result["predictor"] / path.name
        path.parent.mkdir(exist_ok=True)
        write_prediction(path, bend(values.astype(np.float64), truth, rng))
        scores = rescore(bench, truth, read_prediction(path, truth.shape), metrics)
        result["split_scores"] = {truth.split: scores}
    (folder / bundle.CLAIM).write_text(json.dumps(claim))
    (folder / bundle.DESCRIPTION).write_text(yaml.safe_dump({**said, "method": method}))


def checked(bench: Bench, folder: Path, scratch: Path, board: Path) -> Report:
    """Seal, pack and check a bundle."""
    bundle.seal(folder)
    bundle.pack(folder, scratch / "bundle.zip")
    return check(scratch / "bundle.zip", lambda protocol: bench, board)


if __name__ == "__main__":
    main()
