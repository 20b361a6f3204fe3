"""Colours of slides and genes per spot by laboratory: what changes between training and test.

After figure 2 of Jiang et al. 2023 (bioRxiv 2023.09.20.558624), with the stains beside the colours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from spared_bench.bench import Bench
from spared_bench.errors import SparedBenchError
from spared_bench.reports.dataset_figures import as_data_uri
from spared_bench.reports.drawing import plain
from spared_bench.reports.own_style import in_own_style
from spared_bench.studies.blocks import Picture, Pictures, Section, Sentences
from spared_bench.studies.planning import StudyPlan
from spared_bench.trials.products import prepare
from spared_bench.trials.raw_slides import read_raw_slides

_CHANNELS = ("red", "green", "blue", "haematoxylin", "eosin")
_PIXELS, _BINS = 200_000, 64
_COLOURS = ("#3d6d8c", "#c98a2b", "#a0453a", "#3f7a52", "#6b4f8c", "#8a9097")


@dataclass(frozen=True)
class Distributions:
    """What is seen of one slide.

    Parameters
    ----------
    slide, laboratory : str
    channels : dict of str to ndarray
        A sample of values of each channel: red, green and blue from 0 to 255, amounts of
        haematoxylin and eosin in natural optical density.
    genes_per_spot : ndarray of int, of shape (n_spots,)
        Genes with a count, over all genes of the slide.
    """

    slide: str
    laboratory: str
    channels: Mapping[str, np.ndarray]
    genes_per_spot: np.ndarray


def laboratories(plan: StudyPlan, log: Callable[[str], None]) -> list[Section]:
    """Return the section of a report about the slides of a study by laboratory.

    A dataset that is not here, or has no images, is left out with the reason.
    """
    bench = plan.base
    parts: list[Pictures | Sentences] = []
    for dataset in dict.fromkeys(d for variant in plan.variants for d in variant.datasets):
        try:
            slides = distributions(bench, dataset, plan.study.laboratories)
        except SparedBenchError as error:
            parts.append(Sentences(dataset, (str(error),), notice=True))
            continue
        log(f"Colours of the slides of {dataset}")
        parts.append(
            Pictures(
                dataset,
                (
                    Picture(draw_channels(slides), "Share of pixels by channel.", wide=True),
                    Picture(draw_genes(slides), "Share of spots by genes with a count.", wide=True),
                ),
                "One line per slide, coloured by laboratory: values of the pixels of its patches,"
                " before any normalisation, and genes seen per spot.",
            )
        )
    return [Section("Slides by laboratory", tuple(parts))] if parts else []


def distributions(
    bench: Bench, dataset: str, named: Mapping[str, Sequence[str]]
) -> list[Distributions]:
    """Measure the slides of a dataset.

    Parameters
    ----------
    bench : Bench
    dataset : str
    named : mapping of laboratory to slides
        The splits where none of the dataset's slides is named.
    """
    spec = bench.dataset(dataset)
    ids = [slide for slides in spec.split.values() for slide in slides]
    groups = {lab: [s for s in slides if s in ids] for lab, slides in named.items()}
    if not any(groups.values()):
        groups = {split: list(slides) for split, slides in spec.split.items()}
    of = {slide: lab for lab, slides in groups.items() for slide in slides}
    prepared, raw = prepare(bench, dataset), read_raw_slides(bench, dataset)
    everything = {}
    for split in ("train", "val", "test"):
        slides = prepared.slides(split)
        for slide_id in dict.fromkeys(slides.slide_ids):
            rows = np.flatnonzero(slides.slide_ids == slide_id)
            everything[str(slide_id)] = slides.patches.subset(rows)
    return [
        Distributions(
            slide,
            of[slide],
            channels_of(patches[:]),
            np.asarray((raw[slide].X > 0).sum(axis=1)).ravel(),
        )
        for slide, patches in everything.items()
        if slide in of
    ]


def channels_of(patches: np.ndarray) -> dict[str, np.ndarray]:
    """Return a sample of the values of every channel of patches.

    Parameters
    ----------
    patches : ndarray of uint8, of shape (n, size, size, 3)
    """
    from skimage.color import hed_from_rgb

    pixels = patches.reshape(-1, 3)
    pixels = pixels[:: max(1, len(pixels) // _PIXELS)]
    density = -np.log(np.maximum(pixels / 255, 1e-6))
    stains = density @ hed_from_rgb
    found = [*pixels.T.astype(float), stains[:, 0], stains[:, 1]]
    return dict(zip(_CHANNELS, found, strict=True))


@in_own_style()
def draw_channels(slides: Sequence[Distributions]) -> str:
    """Draw the distribution of each channel, a line per slide, as a ``data:`` URI."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 5.2), layout="constrained")
    for at, channel in enumerate(_CHANNELS, start=1):
        axes = figure.add_subplot(2, 3, at)
        values = [slide.channels[channel] for slide in slides]
        low, high = (0, 255) if at <= 3 else np.percentile(np.concatenate(values), [0.5, 99.5])
        _lines(axes, slides, values, (float(low), float(high)))
        axes.set_title(channel, loc="left", fontsize=10)
    _legend(figure, slides)
    return as_data_uri(figure)


@in_own_style()
def draw_genes(slides: Sequence[Distributions]) -> str:
    """Draw the distribution of genes per spot, a line per slide, as a ``data:`` URI."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.5, 2.9), layout="constrained")
    axes = figure.add_subplot()
    values = [slide.genes_per_spot for slide in slides]
    _lines(axes, slides, values, (0.0, float(np.percentile(np.concatenate(values), 99.5))))
    axes.set_xlabel("genes with a count")
    _legend(figure, slides)
    return as_data_uri(figure)


def _lines(axes, slides, values, limits) -> None:  # type: ignore[no-untyped-def]
    colours = _colours(slides)
    for slide, each in zip(slides, values, strict=True):
        heights, edges = np.histogram(each, bins=_BINS, range=limits)
        middles = (edges[:-1] + edges[1:]) / 2
        axes.plot(middles, heights / max(1, len(each)), color=colours[slide.laboratory], lw=1.2)
    axes.set(yticks=[], xlim=limits)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)


def _colours(slides: Sequence[Distributions]) -> dict[str, str]:
    labs = list(dict.fromkeys(slide.laboratory for slide in slides))
    return {lab: _COLOURS[at % len(_COLOURS)] for at, lab in enumerate(labs)}


def _legend(figure, slides) -> None:  # type: ignore[no-untyped-def]
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=colour, label=plain(lab)) for lab, colour in _colours(slides).items()
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False)
