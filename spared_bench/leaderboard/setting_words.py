"""Names and values of a protocol's settings as people read them, where no sentence tells them."""

from __future__ import annotations

from typing import Any

from spared_bench.keys.hashing import digest

#: Of a setting by its path in the file of a protocol.
NAMES = {
    "processing.filtering.spot_min_counts": "A spot is kept with more counts than",
    "processing.filtering.spot_max_counts": "A spot is kept with fewer counts than",
    "processing.filtering.gene_min_counts": "A gene is kept with more counts than",
    "processing.filtering.gene_max_counts": "A gene is kept with fewer counts than",
    "processing.filtering.real_fraction": "Mean share of spots with the genes kept, at least",
    "processing.filtering.min_fraction": "A kept gene is in a larger share of all spots than",
    "processing.filtering.min_slide_fraction": "A kept gene is in a larger share of a slide than",
    "processing.ties": "Order of equally well measured genes",
    "processing.mitochondrial": "Mitochondrial genes",
    "processing.scaling": "Scaling of each gene",
    "processing.ranked_on": "Genes are ranked by their",
    "processing.gene_list": "List of genes",
    "processing.empty_spots": "Spots in which no chosen gene was seen",
    "processing.median_hops": "Windows of the median completer",
    "processing.n_neighbours": "Neighbours of a spot",
    "processing.batch_key": "A batch is",
    "processing.per_dataset": "Settings for one dataset alone",
    "patches.window": "Place of a patch",
    "patches.antialias": "Patches are smoothed when they are shrunk",
    "patches.stain": "Normalisation of the stain",
    "patches.stain_to": "Stain is normalised to",
    "validation.held_out_fraction": "Share held out where no slide is for validation",
    "validation.learned_from": "Methods learn from validation slides too",
    "known.sections": "Known sections of a sample",
    "known.share": "Known share of the spots",
    "known.scored": "Unknown sections that are scored",
    "known.register_by": "Registration of sections",
    "known.require_quality": "Doubtful registrations are left out",
    "known.image_only": "Gain is measured against",
    "training.validate_every": "Steps from one validation to the next",
    "training.augment": "Flips and quarter turns of patches in training",
    "training.precision": "Precision of networks that leave it open",
    "completion.iterations": "Steps of a completer’s training",
    "completion.batch_size": "Spots in a step of it",
    "completion.validate_every": "Steps of it from one validation to the next",
    "search.max_trials": "Trials of a search, at most",
    "scored_genes": "Genes that are scored",
    "ranking.folds": "Folds of a dataset",
    "overrides": "Parameters of single methods",
}
#: Of settings whose value says something else than its number.
_VALUES: dict[str, dict[Any, str]] = {
    "processing.filtering.spot_min_counts": {-1.0: "no bound"},
    "processing.filtering.gene_min_counts": {-1.0: "no bound"},
    "processing.filtering.min_fraction": {-1.0: "no bound"},
    "processing.filtering.min_slide_fraction": {-1.0: "no bound"},
    "processing.ties": {"id": "by their ids", "published": "as in the published code"},
    "processing.batch_key": {"slide_id": "a slide", "patient_id": "a donor"},
    "ranking.folds": {"apart": "each is a dataset", "mean": "their mean is one dataset"},
}
_CHARS = 60
_NONE = "–"
_DIGITS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
_LARGE = 1e9


def name_of(path: str) -> str:
    """Return what people call a setting; its path in words where it has no name.

    >>> name_of("training.some_thing")
    'Training, some thing'
    """
    words = path.replace(".", ", ").replace("_", " ")
    return NAMES.get(path, words[:1].upper() + words[1:])


def value_of(path: str, value: Any) -> str:
    """Return a value as a short text: what is long by how it begins, with a digest of it all.

    >>> value_of("processing.filtering.spot_max_counts", 1e12)
    '10¹²'
    """
    hashable = isinstance(value, str | int | float)
    if hashable and value in _VALUES.get(path, {}):
        return _VALUES[path][value]
    text = value.replace("_", " ") if isinstance(value, str) and value else _text(value)
    return text if len(text) <= _CHARS else f"{text[:_CHARS]}… ({digest(value)[:8]})"


def _text(value: Any) -> str:
    if value in (None, "", [], {}):
        return _NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return _number(value)
    if isinstance(value, dict):
        return "; ".join(f"{name} ({_of_one(inner)})" for name, inner in sorted(value.items()))
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value))
    return str(value)


def _of_one(settings: Any) -> str:
    """Return the settings of one dataset or method."""
    if not isinstance(settings, dict):
        return _text(settings)
    return ", ".join(f"{k.replace('_', ' ')}: {_text(v)}" for k, v in sorted(settings.items()))


def _number(value: float) -> str:
    """Return a number without a point where it is whole, and powers of ten where it is huge."""
    if value != int(value):
        return repr(value)
    digits = str(int(value))
    if value >= _LARGE and digits.rstrip("0") == "1":
        return f"10{str(len(digits) - 1).translate(_DIGITS)}"
    return f"{int(value):,}"
