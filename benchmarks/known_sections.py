"""What a known neighbouring section is worth: the numbers and figures of docs/sections.md.

    python benchmarks/known_sections.py [-w WORKSPACE] [--out docs/images]

Runs the methods of known spots and the linear probe on the embedded sections, with every section
known in turn, under the settings of ``partial-demo``; then moves the known section of HER2+ by hand
to see what an error of registration costs. Writes three figures, and prints the tables in Markdown.
About two minutes of one processor.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import yaml

import spared_bench
from spared_bench.api import make_bench
from spared_bench.data import SPATIAL_3D, Slides
from spared_bench.metrics.pearson import pearson_gene
from spared_bench.trials.known import with_known
from spared_bench.trials.products import Prepared, prepare

SAMPLES = {"her2st_demo": ("C2", "C3", "C4"), "mob_demo": ("MOB1", "MOB3")}
METHODS = {
    "linear-probe": "image alone",
    "known-mean": "mean of the known section",
    "known-similar-20": "20 most similar",
    "known-ridge": "ridge of the known section",
    "known-nearest": "nearest",
    "known-nearest-8": "8 nearest",
    "known-nearest-20": "20 nearest",
    "known-inverse-distance": "inverse distance",
    "known-propagation": "label propagation",
    "known-ridge-and-nearest-8": "ridge and 8 nearest",
    "known-permuted": "8 nearest, permuted",
    "known-turned": "8 nearest, turned by 90°",
    "known-unregistered": "8 nearest, not registered",
}
SHIFTS = (0.0, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0)  # in pitches
PAIRED = ("known-nearest-8", "linear-probe")
INKS = ("#0369a1", "#c2410c")
LABELS = {"her2st_demo": "HER2+ C2, C3, C4", "mob_demo": "olfactory bulbs of two mice"}
# What is compared with the image alone, by what it needs.
STEPS = {
    "known-unregistered": "8 nearest, not registered",
    "known-ridge": "the same images, standardised by section (no registration)",
    "known-nearest-8": "8 nearest, registered (no image)",
    "known-ridge-and-nearest-8": "both",
}


def protocol_of(known: str, folder: Path, **changes: Any) -> str:
    """Write ``partial-demo`` with one known section; return its path."""
    text = (resources.files("spared_bench_plugins.protocols") / "partial-demo.yaml").read_text()
    values = yaml.safe_load(text)
    values["name"] = f"partial-{known.lower()}"
    values["known"] = {"sections": [known], **changes}
    path = folder / f"{values['name']}.yaml"
    path.write_text(yaml.safe_dump(values))
    return str(path)


def scores(options: argparse.Namespace) -> dict[tuple[str, str, str], Mapping[str, float]]:
    """Run all; return scores by known section, predicted section and method."""
    found: dict[tuple[str, str, str], Mapping[str, float]] = {}
    for dataset, sections in SAMPLES.items():
        for known in sections:
            report = spared_bench.run(
                [dataset],
                ["median"],
                list(METHODS),
                protocol_of(known, options.scratch),
                workspace=options.workspace,
                device="cpu",
                executor="inline",
            )
            for result in report.results:
                assert result.ok, result.message
                for section, values in result.slide_scores["test"].items():
                    found[known, section, result.predictor] = values
    return found


def genes(options: argparse.Namespace, dataset: str, known: str) -> dict[str, np.ndarray]:
    """Return the score of each gene by two methods, its Moran's I where known, and its name."""
    protocol = protocol_of(known, options.scratch)
    report = spared_bench.run(
        [dataset], ["median"], list(PAIRED), protocol,
        workspace=options.workspace, device="cpu", executor="inline",
    )  # fmt: skip
    of_method = {r.predictor: np.array(r.gene_scores["pcc-gene"]) for r in report.results}
    bench = make_bench(protocol, workspace=options.workspace, device="cpu")
    var = prepare(bench, dataset).adata.var
    return {
        "name": var["gene_name"].to_numpy(dtype=str),
        "moran_i": var["moran_i"].to_numpy(),
        **of_method,
    }


def shifted(options: argparse.Namespace) -> dict[str, list[float]]:
    """Return the score of the 8 nearest with the known section C3 moved by so many pitches."""
    from spared_bench_plugins.predictors.known_neighbours import NearestEight

    bench = make_bench(
        protocol_of("C3", options.scratch), workspace=options.workspace, device="cpu"
    )
    prepared = prepare(bench, "her2st_demo")
    test = prepared.slides("test")
    unmoved = np.zeros(test.n_genes, np.float32)
    given = with_known(prepared, test.without_expression(), "median", "test", unmoved)
    assert given.known is not None
    pitch = max(float(each["pitch_um"]) for each in given.sections.values())
    found: dict[str, list[float]] = {section: [] for section in ("C2", "C4")}
    for section, values in found.items():
        rows = np.flatnonzero(test.slide_ids == section)
        for shift in SHIFTS:
            each = []
            for angle in np.arange(8) * np.pi / 4 if shift else [0.0]:
                step = shift * pitch * np.array([np.cos(angle), np.sin(angle), 0.0])
                predicted = NearestEight().from_known(given.subset(rows), moved(given.known, step))
                each.append(mean_pcc(prepared, test, rows, predicted))
            values.append(float(np.mean(each)))
    return found


def moved(slides: Slides, step: np.ndarray) -> Slides:
    """Return slides at other places in the frame."""
    adata = slides.adata.copy()
    adata.obsm[SPATIAL_3D] = np.asarray(adata.obsm[SPATIAL_3D]) + step
    return replace(slides, adata=adata)


def mean_pcc(prepared: Prepared, test: Slides, rows: np.ndarray, predicted: np.ndarray) -> float:
    """Return the mean over genes of the correlation over measured spots."""
    here = test.subset(rows)
    return float(np.nanmean(pearson_gene(here.target, predicted, here.mask)))


def table(found: Mapping[tuple[str, str, str], Mapping[str, float]], metric: str) -> str:
    """Return a table of methods by known and predicted section, in Markdown."""
    pairs = list(dict.fromkeys((known, section) for known, section, _ in found))
    lines = [
        "| method | " + " | ".join(f"{known} → {section}" for known, section in pairs) + " |",
        "|---" * (len(pairs) + 1) + "|",
    ]
    for method, label in METHODS.items():
        values = " | ".join(f"{found[known, s, method][metric]:.3f}" for known, s in pairs)
        lines.append(f"| {label} (`{method}`) | {values} |")
    return "\n".join(lines)


def gains(found: Mapping[tuple[str, str, str], Mapping[str, float]]) -> str:
    """Return a table of gains over the image alone: mean, least and most over pairs of sections."""
    lines = ["| what is known of | " + " | ".join(LABELS.values()) + " |", "|---|---|---|"]
    for method, label in STEPS.items():
        cells = []
        for sections in SAMPLES.values():
            over = gains_over(found, method, [(k, s) for k in sections for s in sections])
            cells.append(f"{np.mean(over):+.3f} ({min(over):+.3f} to {max(over):+.3f})")
        lines.append(f"| {label} (`{method}`) | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def by_distance(found: Mapping[tuple[str, str, str], Mapping[str, float]]) -> str:
    """Return a table of HER2+: scores and gains one section away and two sections away."""
    sections = SAMPLES["her2st_demo"]
    lines = [
        "| method | one section away | two sections away |",
        "|---|---|---|",
    ]
    for method in ("linear-probe", *STEPS):
        cells = []
        for apart in (1, 2):
            pairs = [
                (known, section)
                for known in sections
                for section in sections
                if abs(sections.index(known) - sections.index(section)) == apart
            ]
            score = np.mean([found[k, s, method]["pcc-gene"] for k, s in pairs])
            cells.append(f"{score:.3f} ({np.mean(gains_over(found, method, pairs)):+.3f})")
        lines.append(f"| `{method}` | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def gains_over(
    found: Mapping[tuple[str, str, str], Mapping[str, float]],
    method: str,
    pairs: list[tuple[str, str]],
) -> list[float]:
    """Return the gain of a method over the image alone for each pair of two sections."""
    return [
        found[known, section, method]["pcc-gene"] - found[known, section, PAIRED[1]]["pcc-gene"]
        for known, section in pairs
        if known != section
    ]


def draw_methods(found: Mapping[tuple[str, str, str], Mapping[str, float]], path: Path) -> None:
    """Draw the mean of every method over the pairs of each sample."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.6), layout="constrained")
    axes = figure.subplots()
    places = np.arange(len(METHODS))
    for at, (dataset, sections) in enumerate(SAMPLES.items()):
        means = [
            np.mean(
                [v["pcc-gene"] for (k, _, m), v in found.items() if m == method and k in sections]
            )
            for method in METHODS
        ]
        axes.barh(places + 0.4 * at, means, 0.38, label=LABELS[dataset], color=INKS[at])
    axes.set_yticks(places + 0.2, list(METHODS.values()))
    axes.invert_yaxis()
    axes.set_xlabel("correlation of a gene over the spots of an unknown section, mean over genes")
    axes.axvline(0, color="black", linewidth=0.6)
    axes.legend(loc="lower right")
    figure.savefig(path, dpi=80)


def draw_shifts(values: Mapping[str, list[float]], alone: Mapping[str, float], path: Path) -> None:
    """Draw what an error of registration costs."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 3.8), layout="constrained")
    axes = figure.subplots()
    for (section, line), ink in zip(values.items(), INKS, strict=True):
        axes.plot(SHIFTS, line, "o-", color=ink, label=f"8 nearest, C3 known, {section} predicted")
        axes.axhline(alone[section], color=ink, linestyle="--", label=f"image alone, {section}")
    axes.set_xlabel("error of registration, in pitches (200 µm); mean over 8 directions")
    axes.set_ylabel("correlation")
    axes.legend(fontsize=8)
    figure.savefig(path, dpi=80)


def draw_genes(by_sample: Mapping[str, Mapping[str, np.ndarray]], path: Path) -> None:
    """Draw the gain of each gene by its Moran's I in what is known, a panel for each sample."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    panels = figure.subplots(1, len(by_sample), sharey=True)
    for axes, (title, values), ink in zip(panels, by_sample.items(), INKS, strict=True):
        gain = values[PAIRED[0]] - values[PAIRED[1]]
        axes.scatter(values["moran_i"], gain, s=14, color=ink)
        for at in np.argsort(-np.abs(gain))[:6]:
            axes.annotate(
                values["name"][at], (values["moran_i"][at], gain[at]), fontsize=8,
                xytext=(4, 2), textcoords="offset points",
            )  # fmt: skip
        axes.margins(x=0.15)
        axes.axhline(0, color="black", linewidth=0.6)
        axes.set_title(title)
        axes.set_xlabel("Moran's I of the gene in the known section")
    panels[0].set_ylabel("gain in correlation over image alone")
    figure.savefig(path, dpi=80)


def tell_genes(title: str, values: Mapping[str, np.ndarray]) -> None:
    """Print which genes gain the most and the least."""
    gain = values[PAIRED[0]] - values[PAIRED[1]]
    order = np.argsort(-gain)
    told = [f"{values['name'][at]} {gain[at]:+.2f}" for at in (*order[:8], *order[-5:])]
    rank = np.corrcoef(values["moran_i"], gain)[0, 1]
    print(f"\n{title}: genes, most to least gain: {', '.join(told)}")
    print(f"gain > 0: {(gain > 0).sum()} of {len(gain)}; correlation with Moran's I: {rank:.2f}")


def main() -> None:
    """Make the figures and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-w", "--workspace", type=Path, default=Path("known-sections"))
    parser.add_argument("--out", type=Path, default=Path("docs/images"))
    options = parser.parse_args()
    options.scratch = options.workspace / "protocols"
    options.scratch.mkdir(parents=True, exist_ok=True)
    options.out.mkdir(parents=True, exist_ok=True)
    found = scores(options)
    for metric in ("pcc-gene", "mse", "pcc-patch"):
        print(f"\n{metric}\n\n{table(found, metric)}")
    print(f"\ngains in pcc-gene over the image alone\n\n{gains(found)}")
    print(f"\nHER2+ by distance, pcc-gene (gain)\n\n{by_distance(found)}")
    draw_methods(found, options.out / "sections_methods.png")
    lines = shifted(options)
    print("\nshift (pitches): " + ", ".join(f"{shift:g}" for shift in SHIFTS))
    for section, values in lines.items():
        print(f"C3 -> {section}: " + ", ".join(f"{value:.3f}" for value in values))
    alone = {section: found["C3", section, PAIRED[1]]["pcc-gene"] for section in lines}
    draw_shifts(lines, alone, options.out / "sections_shift.png")
    by_sample = {
        "HER2+, C3 known": genes(options, "her2st_demo", "C3"),
        "olfactory bulbs, MOB1 known": genes(options, "mob_demo", "MOB1"),
    }
    for title, of_genes in by_sample.items():
        tell_genes(title, of_genes)
    draw_genes(by_sample, options.out / "sections_genes.png")


if __name__ == "__main__":
    main()
