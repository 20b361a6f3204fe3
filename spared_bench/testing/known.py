"""The slides that are made on the spot, as sections of one sample of which one is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from spared_bench.data import KNOWN, ORDER, SAMPLE, SECTIONS, SPATIAL_3D, Slides
from spared_bench.data.views import View, checked_views, declared_by
from spared_bench.registry import Registered
from spared_bench.specs import SPLITS
from spared_bench.testing.checks import construct
from spared_bench.testing.slides import TinySlides, tiny_whole
from spared_bench.testing.views import with_views_of_all

_PITCH_UM = 100.0
_KNOWN_SLIDE = "b"


def tiny_sections(declared: Mapping[str, View] | None = None) -> TinySlides:
    """Return the slides of ``tiny_slides`` as four sections, a to d, of one sample.

    Of ``val`` and ``test``, section b is known, which is also learned from. The sections lie on one
    another, turned by nothing; places in the frame are moved a little, so that no two distances are
    equal.

    Parameters
    ----------
    declared : mapping of str to View, optional
        ``views`` of a method.
    """
    whole = _in_one_sample(tiny_whole())
    views = checked_views(declared, "The method")
    whole = with_views_of_all(whole, views) if views else whole
    split = whole.adata.obs["split"].to_numpy()
    parts = {part: whole.subset(split == part) for part in SPLITS}
    known = whole.subset(whole.slide_ids == _KNOWN_SLIDE)
    told = {part: replace(parts[part], known=known) for part in ("val", "test")}
    return TinySlides(**(parts | told))


def sections_for(entry: Registered) -> TinySlides:
    """Return tiny sections with the views that a registered predictor declares."""
    label = f"Predictor {entry.spec.name!r}"
    return tiny_sections(checked_views(declared_by(construct(entry), label), label))


def _in_one_sample(slides: Slides) -> Slides:
    adata = slides.adata.copy()
    names = list(dict.fromkeys(slides.slide_ids.tolist()))
    order = np.array([names.index(each) for each in slides.slide_ids.tolist()])
    steps = np.random.default_rng(17).uniform(-0.1, 0.1, size=(len(slides), 2)) * _PITCH_UM
    depth = 10.0 * order[:, None]
    adata.obs[SAMPLE], adata.obs[ORDER] = "block", order
    adata.obs[KNOWN] = slides.slide_ids == _KNOWN_SLIDE
    adata.obsm[SPATIAL_3D] = np.concatenate([slides.coordinates + steps, depth], axis=1)
    n = len(names)
    adata.uns["spared_bench"][SECTIONS] = {
        "slide_id": names,
        "sample": ["block"] * n,
        "order": list(range(n)),
        "z_um": [10.0 * at for at in range(n)],
        "um_per_px": [1.0] * n,
        "spot_diameter_um": [55.0] * n,
        "pitch_um": [_PITCH_UM] * n,
        "to": ["c"] * n,
        "how": ["rigid"] * n,
        "dice": [0.95] * n,
        "correlation": [0.8] * n,
        "margin": [0.4] * n,
        "good": [True] * n,
        "doubts": [""] * n,
    }
    return replace(slides, adata=adata)


def with_other_known(slides: Slides, seed: int = 5) -> Slides:
    """Return the same spots to which something else is known: noise of the same size."""
    assert slides.known is not None
    rng = np.random.default_rng(seed)
    target = slides.known.target
    noise = rng.normal(target.mean(axis=0), 1 + target.std(axis=0), size=target.shape)
    return replace(slides, known=slides.known.with_target(noise.astype(np.float32)))
