"""What a protocol does, setting by setting in words, so that a page can say how two differ."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from spared_bench.data.targets import TARGETS
from spared_bench.leaderboard.setting_words import name_of, value_of
from spared_bench.protocol import PatchCutting, Processing, Protocol
from spared_bench.protocol.known import Known
from spared_bench.specs import MetricSpec
from spared_bench.words import counted

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
    budget = f"{counted(training.iterations, 'step')} of {counted(training.batch_size, 'spot')}"
    if training.delta:
        budget += ", of the difference from the training mean"
    grids = ", ".join(
        f"{name} of {counted(len(grid), 'value')}" for name, grid in search.grids.items()
    )
    return [
        ("Comparable with published numbers", "yes" if protocol.comparable else "no"),
        ("Datasets", _count(len(protocol.datasets), "dataset")),
        ("Which slides choose genes", _FITTED[processing.fit_on]),
        ("Target", _target(processing.target)),
        ("Genes", _genes(protocol)),
        ("Batch correction", processing.batch_correction.replace("_", ", as ")),
        ("Zeros", f"{processing.zeros}"),
        ("Smoothing", processing.smoothing.replace("_", " ")),
        ("Patches", f"{protocol.patches.size} px, {_width(protocol.patches)} wide"),
        ("Other windows of a slide", protocol.views.replace("-", " ")),
        ("Datasets without test slides", _without_test(protocol)),
        ("Training", budget),
        ("Configuration of the methods", protocol.configuration),
        ("Search", f"{search.strategy}, on {search.completer}{f': {grids}' if grids else ''}"),
        ("Seeds", str(len(protocol.seeds))),
        ("Pooling", _POOLING[protocol.pooling]),
        ("Rule for undefined scores", protocol.mean_rule),
        ("Ranked by", f"{protocol.ranking.metric}, completer {protocol.ranking.completer}"),
        *_others(protocol),
    ]


def _others(protocol: Protocol) -> list[tuple[str, str]]:
    """Return every setting that has no sentence above, by its name and value in words."""
    told = protocol.model_dump(mode="json")
    told["known"] = told["known"] or dict.fromkeys(Known.model_fields)
    leaves = dict(_leaves(told))
    return [(name_of(path), value_of(path, leaves[path])) for path in leaves if path not in _TOLD]


def _leaves(values: dict[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, dict) and f"{above}{name}" in _SECTIONS:
            yield from _leaves(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value


#: Settings that hold settings.
_SECTIONS = {
    *("processing", "processing.filtering", "patches", "validation", "known", "training"),
    *("completion", "search", "ranking"),
}
#: Settings that have words, and those that move no score.
_TOLD = {
    *("name", "version", "summary", "metrics", "further_metrics", "comparable", "datasets"),
    *("completers", "processing.fit_on", "processing.target", "processing.n_genes"),
    *("processing.genes", "processing.further_genes", "processing.ranking"),
    *("processing.from_dataset", "views"),
    *("processing.batch_correction", "processing.zeros", "processing.smoothing"),
    *("patches.size", "patches.scale", "patches.um", "validation.without_test"),
    *("training.iterations", "training.batch_size", "training.delta", "configuration"),
    *("search.strategy", "search.completer", "search.grids", "seeds", "pooling", "mean_rule"),
    *("ranking.metric", "ranking.completer"),
}


def _target(name: str) -> str:
    if name not in TARGETS:
        return name.replace("_", " ")
    scale = TARGETS[name]
    per = "" if scale.depth == "none" else f" per {scale.per:,.0f}"
    what = "TPM" if scale.depth == "length" else f"counts{per}"
    if not scale.base:
        return what
    return f"log2(1 + {what})" if scale.base == 2 else f"log(1 + {what})"


def _width(patches: PatchCutting) -> str:
    return (
        f"{patches.um:g} µm"
        if patches.um
        else f"{patches.scale:g} spot diameter{'s' * (patches.scale != 1)}"
    )


_POOLING = {
    "slide": "each slide is scored on its own, then averaged",
    "split": "all spots of a split are scored together",
}


def _genes(protocol: Protocol) -> str:
    processing = protocol.processing
    named = processing.further_genes
    besides = f", and {', '.join(named[:3])}{' …' * (len(named) > 3)}" if named else ""
    if processing.genes:
        return _count(len(processing.genes), "gene") + f" named by the protocol{besides}"
    chosen = {"moran": "highest Moran's I", "variable": "most variable", "mean": "highest mean"}
    own = ", unless the dataset says otherwise" if processing.from_dataset else ""
    told = f"{processing.n_genes} of {chosen[processing.ranking]}{besides}{own}"
    return told + _elsewhere(processing)


def _elsewhere(processing: Processing) -> str:
    """Say on which datasets the protocol takes other genes."""
    told = ""
    for name, settings in processing.per_dataset.items():
        if further := settings.get("further_genes"):
            told += f"; on {name} with {', '.join(further)}"
        elif {"n_genes", "genes", "gene_list"} & set(settings):
            told += f"; otherwise on {name}"
    return told


def _without_test(protocol: Protocol) -> str:
    kept = protocol.validation.without_test
    return _WITHOUT_TEST.get(kept, kept.replace("_", " "))


def _count(n: int, word: str) -> str:
    return counted(n, word) if n else f"any {word}"


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


def file_of(protocol: Protocol) -> str:
    """Return a protocol as YAML that reads back as the same one."""
    import yaml

    class Quoting(yaml.SafeDumper):
        """Quotes texts with a digit: a gene `1e3` is no number, though PyYAML alone reads it so."""

    def text(dumper: yaml.SafeDumper, value: str) -> yaml.Node:
        style = '"' if any(map(str.isdigit, value)) else None
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)

    Quoting.add_representer(str, text)
    values = protocol.model_dump(mode="json", exclude_unset=True)
    made: str = yaml.dump(values, Dumper=Quoting, sort_keys=False, allow_unicode=True)
    return made
