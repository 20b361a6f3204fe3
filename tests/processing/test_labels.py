"""Labels of spots on their way from a raw slide to a method, and where they stop."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import read_h5ad
from scipy.sparse import csr_matrix

from spared_bench.data import Patches, Slides, validate_raw_slide
from spared_bench.errors import ContractError, PluginError, WithheldError
from spared_bench.processing.pipeline import prepare
from spared_bench.protocol import Protocol

SPLIT = {"train": ("s1", "s2"), "val": ("s4",), "test": ("s3",)}
CLASSES = ("tumour", "stroma")


@pytest.fixture
def raw(rng, make_slide):
    genes = [f"g{i}" for i in range(12)]
    slides = {f"s{i}": make_slide(rng.poisson(4, (30, 12)), genes) for i in (3, 1, 2, 4)}
    for name, slide in slides.items():
        labels = np.array(["", *CLASSES], dtype=object)[rng.integers(0, 3, 30)]
        if name != "s2":  # a slide that nobody has labelled
            slide.obs["label"] = labels
    return slides


def prepared(raw, spec):
    settings = {"target": "log1p_cp10k", "n_genes": 5}
    values = {"name": "trial", "version": 1, "processing": settings}
    return prepare(raw, spec, Protocol.model_validate(values))


def slides_of(adata, split):
    part = adata[(adata.obs["split"] == split).to_numpy()]
    return Slides(part, Patches([np.zeros((part.n_obs, 8, 8, 3), np.uint8)]))


def test_every_spot_keeps_its_own_label_through_filters_joins_and_a_file(
    raw, make_dataset, tmp_path
):
    counts = raw["s1"].X.toarray()
    counts[4] = 0  # a spot that the filters drop
    raw["s1"].X = csr_matrix(counts)
    prepared(raw, make_dataset(SPLIT, classes=CLASSES)).write_h5ad(tmp_path / "x.h5ad")
    adata = read_h5ad(tmp_path / "x.h5ad")

    labels = pd.Series(adata.obs["label"].astype(str), index=adata.obs_names)
    assert "s1_4" not in labels.index
    for name in ("s1", "s3", "s4"):
        expected = raw[name].obs["label"].add_prefix(f"{name}_")
        here = labels[labels.index.str.startswith(f"{name}_")]
        assert here.to_dict() == expected[here.index].to_dict()
    assert set(labels[labels.index.str.startswith("s2_")]) == {""}
    assert slides_of(adata, "train").classes == CLASSES


def test_labels_are_seen_in_training_and_hidden_from_those_who_predict(raw, make_dataset):
    adata = prepared(raw, make_dataset(SPLIT, classes=CLASSES))
    for split in ("train", "val", "test"):
        slides = slides_of(adata, split)
        assert set(slides.labels) <= {"", *CLASSES}
        blind = slides.without_expression()
        assert blind.classes == CLASSES
        assert "label" not in blind.adata.obs
        with pytest.raises(WithheldError, match="labels of these spots are not visible"):
            _ = blind.labels


def test_of_a_dataset_without_classes_no_label_is_kept(raw, make_dataset):
    adata = prepared(raw, make_dataset(SPLIT))
    slides = slides_of(adata, "train")
    assert "label" not in adata.obs
    assert slides.classes == ()
    assert set(slides.labels) == {""}
    assert set(slides.without_expression().labels) == {""}


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ("tumor", r"holds 'tumor', which is no class .* Did you mean 'tumour'\?"),
        (np.nan, r"obs\['label'\] of slide 's1' holds nan, a float; expected text"),
    ],
)
def test_an_unknown_class_and_a_missing_value_are_refused_by_name(raw, label, message):
    raw["s1"].obs.iloc[3, raw["s1"].obs.columns.get_loc("label")] = label
    with pytest.raises(ContractError, match=message):
        validate_raw_slide(raw["s1"], "s1", classes=CLASSES)


@pytest.mark.parametrize("classes", [("a", "a"), ("a", ""), "ab", (1,)])
def test_classes_are_texts_each_once(make_dataset, classes):
    with pytest.raises(PluginError, match="classes must be a tuple of texts"):
        make_dataset(SPLIT, classes=classes)
