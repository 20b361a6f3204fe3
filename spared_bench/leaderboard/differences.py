"""What a protocol does, setting by setting in words, so that a page can say how two differ."""

from __future__ import annotations

from typing import Any

from spared_bench.protocol import Protocol
from spared_bench.specs import MetricSpec

_TARGETS = {"log2_tpm": "log2 of TPM", "log1p_cp10k": "log(1 + counts per 10,000)"}
_FITTED = {
    "train": "the training slides choose genes and filters",
    "all": "all slides choose genes and filters, the test slides too",
}
_WITHOUT_TEST = {
    "hold_out": "validation slides are reported, and strips of the training slides choose",
    "report_val": "validation slides choose and are reported",
}


def in_words(protocol: Protocol) -> list[tuple[str, str]]:
    """Return (what, how it is here) of each setting that a reader of two boards should know.

    Two protocols differ, to a reader, in the pairs that are not equal; the names of the settings
    are the same for all.
    """
    processing, training, search = protocol.processing, protocol.training, protocol.search
    budget = f"{training.iterations:,} steps of {training.batch_size} spots"
    if training.delta:
        budget += ", of the difference from the training mean"
    grids = ", ".join(f"{name} of {len(grid)} values" for name, grid in search.grids.items())
    return [
        ("Comparable with published numbers", "yes" if protocol.comparable else "no"),
        ("Datasets", _count(len(protocol.datasets), "dataset")),
        ("Which slides choose genes", _FITTED[processing.fit_on]),
        ("Target", _TARGETS[processing.target]),
        ("Genes", _genes(protocol)),
        ("Batch correction", processing.batch_correction.replace("_", ", as ")),
        ("Zeros", f"{processing.zeros}"),
        ("Smoothing", processing.smoothing.replace("_", " ")),
        ("Patches", f"{protocol.patches.size} px, {protocol.patches.scale:g} spot diameters wide"),
        ("Other windows of a slide", protocol.views.replace("-", " ")),
        ("Datasets without test slides", _without_test(protocol)),
        ("Training", budget),
        ("Configuration of the methods", protocol.configuration),
        ("Search", f"{search.strategy}, on {search.completer}{f': {grids}' if grids else ''}"),
        ("Seeds", str(len(protocol.seeds))),
        ("Pooling", _POOLING[protocol.pooling]),
        ("Rule for undefined scores", protocol.mean_rule),
        ("Ranked by", f"{protocol.ranking.metric}, completer {protocol.ranking.completer}"),
    ]


_POOLING = {
    "slide": "each slide is scored on its own, then averaged",
    "split": "all spots of a split are scored together",
}


def _genes(protocol: Protocol) -> str:
    processing = protocol.processing
    if processing.genes:
        return _count(len(processing.genes), "gene") + " named by the protocol"
    chosen = {"moran": "highest Moran's I", "variable": "most variable", "mean": "highest mean"}
    own = ", unless the dataset says otherwise" if processing.from_dataset else ""
    return f"{processing.n_genes} of {chosen[processing.ranking]}{own}"


def _without_test(protocol: Protocol) -> str:
    kept = protocol.validation.without_test
    return _WITHOUT_TEST.get(kept, kept.replace("_", " "))


def _count(n: int, word: str) -> str:
    return f"{n} {word}{'s' * (n != 1)}" if n else f"any {word}"


def settings_of(
    protocols: dict[str, Protocol], metrics: dict[str, MetricSpec] | None = None
) -> dict[str, Any]:
    """Return what each protocol does, by its id, with its summary."""
    titles = {name: spec.title for name, spec in (metrics or {}).items()}
    found = {}
    for name, protocol in protocols.items():
        pairs = in_words(protocol)
        ranked = protocol.ranking.metric
        shown = [(what, how.replace(ranked, titles.get(ranked, ranked))) for what, how in pairs]
        found[name] = {"summary": protocol.summary, "settings": shown}
    return found
