"""Label propagation: known expression spreads over the graph of the spots of a sample.

Edges within a section to the nearest spots, across sections to those that overlap, filled up with
the nearest ones where fewer do. Begun at the mean of what is known and taken to the end: ten rounds
from zero, as of the ASIGN paper, have not converged, and known rows are told by a mask there is no
doubt about, not by their sum.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from spared_bench import PredictorSpec
from spared_bench.bounds import CountOrZero
from spared_bench.data import ORDER, Slides
from spared_bench.models.known import KnownPredictor
from spared_bench.models.propagation import propagate
from spared_bench.models.section_graphs import SectionGraph, section_graph

SPEC = PredictorSpec(
    "known-propagation",
    f"{__name__}:Propagation",
    summary="Label propagation from the known spots over the graph of the registered sections",
    citation="Zhu and Ghahramani, CMU-CALD-02-107, 2002; Zhu et al., CVPR 2025",
    licence="MIT",
    scope="slide",
    needs_known=True,
)


@dataclass
class Propagation(KnownPredictor):
    """Predict what the labels of known spots become along the edges of a graph.

    Parameters
    ----------
    within, across : int
        Neighbours of a spot in its section and in each neighbouring section.
    rounds : int
        Of means over neighbours; 0: until it has converged.
    """

    name: ClassVar[str] = "known-propagation"
    tiny: ClassVar[dict[str, Any]] = {"within": 4, "across": 4}

    within: CountOrZero = 4
    across: CountOrZero = 12
    rounds: CountOrZero = 0

    def from_known(self, spots: Slides, known: Slides) -> np.ndarray:
        """Return (n_spots, n_genes)."""
        graph = graph_of_sample(spots, known, self.within, self.across)
        labels = np.concatenate([np.zeros((len(spots), spots.n_genes)), known.target])
        is_known = np.arange(len(labels)) >= len(spots)
        return propagate(graph.matrix, labels, is_known, self.rounds)[: len(spots)]


def graph_of_sample(spots: Slides, known: Slides, within: int, across: int) -> SectionGraph:
    """Return the graph of the spots of a sample, unknown ones first, then the known ones."""
    parts = (spots, known)
    sections = known.sections
    diameter = max(
        float(sections[slide]["spot_diameter_um"]) for slide in dict.fromkeys(known.slide_ids)
    )
    return section_graph(
        np.concatenate([each.spatial_3d for each in parts]),
        np.concatenate([each.slide_ids for each in parts]),
        np.concatenate([each.adata.obs[ORDER].to_numpy() for each in parts]),
        diameter,
        within,
        across,
    )
