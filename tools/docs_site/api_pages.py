"""The pages of the Python reference: which modules are public, and on which page each stands."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Page:
    """A page of the reference."""

    title: str
    about: str
    modules: tuple[str, ...]


_MODELS = (
    "torch_predictor", "trainer", "units", "features", "feature_windows", "windows", "window_units",
    "window_cutting", "viewed", "neighbour_units", "encoders", "backbones", "attention",
    "geometric", "graphs", "local_graphs", "exemplars", "losses", "arrays", "augment",
    "augmentation", "augmentation.augmenter", "augmentation.symmetries", "device_patches",
    "precision", "seeded", "freezing", "known", "section_graphs", "propagation", "ridge", "hub",
    "weights", "offered",
)  # fmt: skip

PAGES = {
    "index": Page(
        "Python",
        "`spared_bench` itself is quick to import: torch, scanpy and the like are imported by what"
        " needs them. What a name starts with an underscore is no part of this reference.",
        ("spared_bench",),
    ),
    "running": Page(
        "Running and results",
        "What the command line does, for notebooks and scripts.",
        (
            "spared_bench.api", "spared_bench.results", "spared_bench.trials.products",
            "spared_bench.trials.raw_slides",
            "spared_bench.registry", "spared_bench.workspace", "spared_bench.protocol",
            "spared_bench.inference.trained", "spared_bench.inference.new_slide",
            "spared_bench.inference.tissue", "spared_bench.inference.figures",
            "spared_bench.reports.expression_map", "spared_bench.reports.drawing",
            "spared_bench.reports.calibration", "spared_bench.reports.slide_figures",
        ),
    ),
    "plugins": Page(
        "Plugins",
        "What a plugin says of itself (specs), what the objects behind it do (interfaces), and the"
        " hooks that it implements.",
        (
            "spared_bench.specs", "spared_bench.interfaces", "spared_bench.hookspecs",
            "spared_bench.bounds", "spared_bench.shipped",
        ),
    ),
    "data": Page(
        "Data",
        "What a slide and a prepared dataset hold.",
        (
            "spared_bench.data", "spared_bench.data.views", "spared_bench.data.viewed",
            "spared_bench.data.transform", "spared_bench.prediction", "spared_bench.annotations",
            "spared_bench.geometry", "spared_bench.files", "spared_bench.processing.median",
        ),
    ),
    "readers": Page(
        "Readers",
        "From files that people have to raw slides, and what such readers are made of.",
        (
            "spared_bench.readers", "spared_bench.readers.space_ranger",
            "spared_bench.readers.legacy_st", "spared_bench.readers.positions",
            "spared_bench.readers.labels", "spared_bench.readers.scale",
            "spared_bench.readers.tables", "spared_bench.readers.hest",
        ),
    ),
    "models": Page(
        "Models",
        "Bases of networks, the trainer, and the parts that networks are made of. They need torch.",
        ("spared_bench.models", *(f"spared_bench.models.{name}" for name in _MODELS)),
    ),
    "completion": Page(
        "Completion",
        "What completers are made of, and how they are measured.",
        (
            "spared_bench.completion.torch_completer", "spared_bench.completion.spots",
            "spared_bench.completion.transformer", "spared_bench.completion.masking",
            "spared_bench.completion.neighbourhoods", "spared_bench.completion.scoring",
        ),
    ),
    "metrics": Page(
        "Metrics",
        "From arrays to numbers.",
        ("spared_bench.metrics", *(
            f"spared_bench.metrics.{name}"
            for name in ("mse", "pearson", "r2", "uncertainty", "classes", "summary")
        )),
    ),
    "statistics": Page(
        "Statistics",
        "Tests, intervals and effect sizes; [what they cannot say](../statistics.md).",
        ("spared_bench.statistics", *(
            f"spared_bench.statistics.{name}"
            for name in (
                "blocks", "effects", "intervals", "omnibus", "paired", "pairwise", "summaries",
            )
        )),
    ),
    "testing": Page(
        "The conformance kit", "Checks that anyone can run.", ("spared_bench.testing",)
    ),
    "errors": Page(
        "Errors",
        "A user's mistake raises one of these; each says what is wrong and what to do next.",
        ("spared_bench.errors",),
    ),
}  # fmt: skip


def pages() -> dict[str, str]:
    """Return the Markdown of every page, by its address in the site."""
    return {f"reference/{name}.md": _markdown(page) for name, page in PAGES.items()}


def _markdown(page: Page) -> str:
    return "\n\n".join([f"# {page.title}", page.about, *(f"::: {name}" for name in page.modules)])
