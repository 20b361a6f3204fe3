"""The generated tissue keeps its promises: what is planted is there, and nothing else is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from spared_bench.data import validate_raw_slide
from spared_bench.processing.patches import cut_patches
from spared_bench.protocol import PatchCutting
from spared_bench_plugins.datasets.planted import PLANTED, painting
from spared_bench_plugins.datasets.planted.expression import (
    STRENGTHS,
    planted_genes,
    read_slide,
    visible_fields,
)

GENES = planted_genes()
KIND = np.array([gene.kind for gene in GENES])
STRENGTH = np.array([gene.strength for gene in GENES])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("planted")


@pytest.fixture(scope="module")
def slides(folder):
    return {slide.slide_id: read_slide(folder, slide.slide_id) for slide in PLANTED.slides}


@pytest.fixture(scope="module")
def colours(slides, folder):
    """Return plain colour features of every spot, by slide: (n_spots, 36)."""
    features = {}
    for slide_id, slide in slides.items():
        cut_patches(slide, PatchCutting(size=36), folder / f"{slide_id}.npy")
        light = np.load(folder / f"{slide_id}.npy").reshape(slide.n_obs, -1, 3) / 255
        density = -np.log(light + 0.02)
        moments = [*(f(a, axis=1) for a in (light, density) for f in (np.mean, np.std))]
        features[slide_id] = np.hstack([*moments, *np.quantile(light, (0.05, 0.5, 0.95), axis=1)])
    return features


def expression(slide):
    counts = slide.X.toarray()
    return np.log1p(counts / counts.sum(axis=1, keepdims=True) * 1e4)


def column_pearson(a, b):
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    return (a * b).sum(axis=0) / np.sqrt((a**2).sum(axis=0) * (b**2).sum(axis=0))


def morans_i(slide, values):
    distance = np.linalg.norm(slide.obsm["spatial"][:, None] - slide.obsm["spatial"], axis=2)
    neighbours = np.argsort(distance, axis=1)[:, 1:7]
    z = values - values.mean(axis=0)
    return (z * z[neighbours].mean(axis=1)).sum(axis=0) / (z**2).sum(axis=0)


def test_every_slide_meets_the_contract_of_raw_slides(slides):
    for slide_id, slide in slides.items():
        validate_raw_slide(slide, slide_id)
        assert 270 < slide.n_obs < 330
        assert list(slide.var_names) == [gene.name for gene in GENES]


def test_every_gene_and_spot_passes_the_published_filters(slides):
    pooled = np.vstack([slide.X.toarray() for slide in slides.values()])
    assert (pooled > 0).mean(axis=0).min() > 0.95
    assert pooled.sum(axis=0).max() < 1_000_000
    assert pooled.sum(axis=1).max() < 1_000_000


def test_log_expression_follows_its_field_as_strongly_as_the_truth_says(slides):
    planted = [gene for gene in GENES if gene.kind == "planted"]
    column = [painting.FIELDS.index(gene.field) for gene in planted]
    correlations = [
        column_pearson(expression(slide)[:, KIND == "planted"], visible_fields(name)[:, column])
        for name, slide in slides.items()
    ]
    expected = [gene.sign * gene.strength for gene in planted]
    np.testing.assert_allclose(np.mean(correlations, axis=0), expected, atol=0.06)


def test_unplanted_genes_are_unrelated_to_every_field(slides):
    for name, slide in slides.items():
        seen = expression(slide)[:, KIND == "unplanted"]
        for field in visible_fields(name).T:
            assert np.abs(column_pearson(seen, field[:, None])).max() < 0.2


def test_smooth_genes_are_the_most_autocorrelated_by_far(slides):
    scores = np.mean([morans_i(slides[s], expression(slides[s])) for s in ("P1", "P2")], axis=0)
    assert scores[KIND != "background"].min() > scores[KIND == "background"].max() + 0.2


def test_colours_predict_what_is_planted_and_nothing_else(slides, colours):
    train = ("P1", "P2")
    model = make_pipeline(StandardScaler(), RidgeCV(np.logspace(-1, 4, 11)))
    model.fit(
        np.vstack([colours[s] for s in train]), np.vstack([expression(slides[s]) for s in train])
    )

    scores = column_pearson(model.predict(colours["P4"]), expression(slides["P4"]))

    for strength in STRENGTHS:
        planted = scores[strength == STRENGTH]
        assert planted.mean() == pytest.approx(strength, abs=0.08)
        assert planted.mean() < strength + 0.03  # no more than there is to be seen
    assert abs(scores[KIND == "unplanted"].mean()) < 0.1
    assert np.abs(scores[KIND == "unplanted"]).max() < 0.25


def test_the_same_slide_is_the_same_again(slides, tmp_path):
    again = read_slide(tmp_path, "P2")
    np.testing.assert_array_equal(again.X.toarray(), slides["P2"].X.toarray())
    (image,) = tmp_path.iterdir()
    first = Path(slides["P2"].uns["slide"]["image_path"])
    assert image.read_bytes() == first.read_bytes()


def test_an_image_that_is_there_is_not_painted_again(slides, tmp_path):
    painted = tmp_path / Path(slides["P1"].uns["slide"]["image_path"]).name
    painted.write_bytes(b"mine")
    again = read_slide(tmp_path, "P1")
    assert again.uns["slide"]["image_path"] == str(painted)
    assert painted.read_bytes() == b"mine"
    np.testing.assert_array_equal(again.X.toarray(), slides["P1"].X.toarray())
