"""Domains of slides of more spots than can be clustered in a time that anybody waits."""

from __future__ import annotations

import numpy as np
import pytest

from spared_bench.metrics import domains
from spared_bench.metrics.domains import domains_ari, labels_ari
from spared_bench.metrics.tissue import Tissue

N_SPOTS = 300


@pytest.fixture
def slide(rng):
    domain = np.arange(N_SPOTS) // 100
    truth = rng.normal(0, 4, size=(3, 8))[domain] + rng.normal(0, 0.3, size=(N_SPOTS, 8))
    prediction = truth + rng.normal(0, 1.5, size=truth.shape)
    places = np.column_stack([np.arange(N_SPOTS) // 20, np.arange(N_SPOTS) % 20]).astype(float)
    labels = np.array(["a", "b", "c"])[domain]
    tissue = Tissue(np.repeat("s", N_SPOTS), places, places, tuple("ABCDEFGH"), labels)
    return truth, prediction, np.ones(truth.shape, bool), tissue


@pytest.mark.parametrize("score", [domains_ari, labels_ari])
def test_of_many_spots_as_many_as_can_be_clustered_are_looked_at(slide, score, monkeypatch):
    monkeypatch.setattr(domains, "_MOST_SPOTS", 90)
    clustered = []

    def watched(values, resolution):
        clustered.append(len(values))
        return domains._Graph(values).domains(resolution)

    monkeypatch.setattr(domains, "domains_of", watched)
    truth, prediction, mask, tissue = slide
    found = score(truth, prediction, mask, tissue)
    assert set(clustered) == {90}
    assert 0.1 < found <= 1
    assert score(truth, truth, mask, tissue) == pytest.approx(1)


def test_which_spots_are_looked_at_depends_on_places_alone(slide, rng, monkeypatch):
    monkeypatch.setattr(domains, "_MOST_SPOTS", 90)
    truth, prediction, mask, tissue = slide
    order = rng.permutation(N_SPOTS)
    again = domains_ari(truth[order], prediction[order], mask[order], tissue.rows(order))
    assert again == domains_ari(truth, prediction, mask, tissue)
    whole, moved = (domains._looked_at(mask[o], tissue.places[o]) for o in (np.arange(300), order))
    assert set(np.flatnonzero(whole)) == set(order[moved])
    assert [whole[part].sum() > 20 for part in np.split(np.arange(300), 3)] == [True] * 3
