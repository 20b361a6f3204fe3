"""What the store knows of the checks of slides: read for the record of a trial, never made here."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

from spared_bench.bench import Bench
from spared_bench.errors import SparedBenchError

#: The kind of entry that holds the checks of a slide, and its file.
CHECKS = "checks"
FOUND = "checks.json"


def stored_checks(bench: Bench, dataset: str, slide_id: str) -> list[dict[str, Any]] | None:
    """Return the checks of a slide (``test``, ``passed``, ``message``) if the store has them."""
    try:
        entry = bench.workspace.store.find(CHECKS, bench.slide_check_inputs(dataset, slide_id))
        if entry is None:
            return None
        found = entry.read_json(FOUND)
    except (SparedBenchError, OSError, ValueError):
        return None
    sound = isinstance(found, list) and all(
        isinstance(each, dict) and set(each) == {"test", "passed", "message"} for each in found
    )
    return found if sound else None


#: What each bench found of datasets of which every slide is checked: trials ask again and again.
_facts: WeakKeyDictionary[Bench, dict[str, dict[str, Any]]] = WeakKeyDictionary()


def slide_checks_fact(bench: Bench, dataset: str) -> dict[str, Any]:
    """Return for a trial's record which slides fail which test, and how many were tested.

    Returns
    -------
    dict
        ``slide_checks``: ``tested``, the number of slides that a test had something to say of, and
        ``failed``, slide id to sentences. Empty where the store has no check of the dataset.
    """
    known = _facts.setdefault(bench, {})
    if dataset in known:
        return known[dataset]
    slides = [info.slide_id for info in bench.dataset(dataset).slides]
    found = {slide_id: stored_checks(bench, dataset, slide_id) for slide_id in slides}
    made = {slide_id: checks for slide_id, checks in found.items() if checks is not None}
    if not made:
        return {}
    failed = {slide_id: failures(checks) for slide_id, checks in made.items()}
    fact = {
        "slide_checks": {
            "tested": sum(any(c["passed"] is not None for c in each) for each in made.values()),
            "failed": {slide_id: told for slide_id, told in failed.items() if told},
        }
    }
    if len(made) == len(slides):
        known[dataset] = fact
    return fact


def failures(checks: list[dict[str, Any]]) -> list[str]:
    """Return a sentence for each test that a slide fails."""
    return [f"{each['test']}: {each['message']}" for each in checks if each["passed"] is False]
