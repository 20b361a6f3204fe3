"""Which spots of partially measured samples are known, as the protocol says."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import numpy as np

from spared_bench.data import KNOWN, ORDER, SAMPLE

if TYPE_CHECKING:
    from anndata import AnnData

    from spared_bench.protocol import Known
    from spared_bench.specs import DatasetSpec


def put_known(adata: AnnData, spec: DatasetSpec, known: Known, held_out_fraction: float) -> None:
    """Say of every spot to which sample it belongs, where that lies, and whether it is known.

    With a share of spots, those of the reported samples are dealt out here: the known ones to
    learn from, a part of them to choose on where no sample is for choices, the others to report.

    Parameters
    ----------
    adata : AnnData
        All spots, with ``slide_id`` and ``split``; before any is dropped for its counts, so that
        these decide nothing.
    spec : DatasetSpec
        Divided by the protocol.
    known : Known
    held_out_fraction : float
        Of the known spots, to choose on.
    """
    slide_ids = adata.obs["slide_id"].to_numpy(dtype=str)
    labels = adata.obs["split"].to_numpy(dtype="<U5").copy()
    samples, sections = known.samples(spec), known.parts_known(spec)
    place = {info.slide_id: (name, info.order) for name, infos in samples.items() for info in infos}
    adata.obs[SAMPLE] = [place[slide][0] for slide in slide_ids]
    adata.obs[ORDER] = [-1 if place[slide][1] is None else place[slide][1] for slide in slide_ids]
    of_known = {slide for each in sections.values() for slide in each}
    is_known = np.isin(slide_ids, sorted(of_known))
    if known.share:
        reported = "test" if spec.split.get("test") else "val"
        chosen_on = set(spec.split.get("val", ())) if reported == "test" else set()
        for slide in sorted(of_known):
            here = np.flatnonzero(slide_ids == slide)
            rng = np.random.default_rng(zlib.crc32(f"{spec.fold_of or spec.name}/{slide}".encode()))
            drawn = rng.permutation(here)[: max(2, round(known.share * len(here)))]
            is_known[here] = np.isin(here, drawn)
            labels[here] = "val" if slide in chosen_on else reported
            labels[drawn] = "train"
            if not spec.split.get("val"):
                labels[drawn[: max(1, round(held_out_fraction * len(drawn)))]] = "val"
    adata.obs[KNOWN] = is_known
    adata.obs["split"] = labels
