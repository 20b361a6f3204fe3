"""What a board says of an encoder: its licence, its pretraining, and what it may have seen."""

from __future__ import annotations

from collections.abc import Iterable

from spared_bench.models.encoder_table import known_encoder
from spared_bench.specs import EncoderSpec


def encoder_facts(name: object, tested: Iterable[str] = ()) -> dict[str, str]:
    """Return what is known of an encoder, for people.

    Parameters
    ----------
    name : object
        What a method's parameter holds.
    tested : iterable of str
        Names of the dataset and of the slides that are tested.

    Returns
    -------
    dict of str to str
        ``name``, ``licence``, ``pretraining``, ``seen``; empty for no name, and the name alone for
        one that no plugin registers.
    """
    if not isinstance(name, str) or not name:
        return {}
    known = known_encoder(name)
    if known is None:
        return {"name": name}
    spec = known.spec
    return {
        "name": spec.name,
        "licence": spec.licence,
        "pretraining": spec.pretraining,
        "seen": may_have_seen(spec, tested),
    }


def may_have_seen(spec: EncoderSpec, tested: Iterable[str]) -> str:
    """Say whether an encoder may have seen the slides that it is tested on.

    Parameters
    ----------
    spec : EncoderSpec
    tested : iterable of str

    Returns
    -------
    str
        ``"unknown"`` where its makers do not say what they trained on; ``"overlap: ..."`` where
        what they name is among the tested names; else ``"declared: ..."`` with what they name.
    """
    if spec.seen_slides is None:
        return "unknown"
    here = {name.casefold() for name in tested if name}
    both = [name for name in spec.seen_slides if name.casefold() in here]
    if both:
        return f"overlap: {', '.join(both)}"
    return f"declared: {', '.join(spec.seen_slides) or 'none'}"
