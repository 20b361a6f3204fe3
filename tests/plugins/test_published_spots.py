"""Numbers of spots by which plans are forecast: those of the sources, and those that are read."""

from __future__ import annotations

import numpy as np
import pytest

from spared_bench.registry import discover
from spared_bench_plugins.datasets.planted import painting

# Typed again from the tables that `plugins/datasets/spots.yaml` names.
PUBLISHED = {
    "her2st": 13_620,
    "visium_breast": 16_456 + 7_785 + 2_518,
    "stnet": 30_612,
    "dlpfc": 47_681,
}


@pytest.fixture(scope="module")
def registry():
    return discover()


def test_every_built_in_dataset_has_its_spots_and_so_have_its_folds(registry):
    without = [
        name for name in registry.names("dataset") if not registry.get("dataset", name).spec.n_spots
    ]
    assert without == []
    found = {name: registry.get("dataset", name).spec.n_spots for name in PUBLISHED}
    assert found == PUBLISHED
    folds = registry.expand("visium_breast.loso")
    assert len(folds) == 9
    assert {registry.get("dataset", fold).spec.n_spots for fold in folds} == {26_759}


@pytest.mark.parametrize("name", ["her2st_demo", "mob_demo", "planted"])
def test_the_spots_of_an_embedded_dataset_are_those_that_its_reader_finds(
    registry, name, tmp_path, monkeypatch
):
    from spared_bench.sources.fetch import dataset_folder

    # Spots are drawn before the image of a generated slide, which takes longest and is not read.
    monkeypatch.setattr(painting, "paint", lambda tissue: np.zeros((1, 1, 3), np.uint8))
    entry = registry.get("dataset", name)
    folder = tmp_path if entry.spec.synthetic else dataset_folder(entry.spec, None)
    read = entry.load()
    found = sum(read(folder, slide.slide_id).n_obs for slide in entry.spec.slides)
    assert found == entry.spec.n_spots
