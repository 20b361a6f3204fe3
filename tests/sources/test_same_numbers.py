"""One number written in two ways is not two classes, nor two donors."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy import sparse

from spared_bench.errors import UsageError
from spared_bench.sources.adding import add_description
from spared_bench.sources.same_numbers import are_measured, refuse_same_numbers
from tests import made_slides


def description(folder, first, second, more="", patients=("p", "q")):
    """Two AnnData files with a column of labels, and their description."""
    array, centres = made_slides.lattice()
    places = {"array_row": array[:, 0], "array_col": array[:, 1]}
    for seed, labels in enumerate((first, second)):
        AnnData(
            sparse.csr_matrix(made_slides.counts(20, seed), dtype=np.float32),
            obs=pd.DataFrame(places | {"layer": labels}, index=[f"s{i}" for i in range(64)]),
            var=pd.DataFrame(index=made_slides.gene_ids(20)),
            obsm={"spatial": centres},
        ).write_h5ad(folder / f"{seed}.h5ad")
    path = folder / "mine.yaml"
    path.write_text(
        "{name: mine, format: h5ad, organism: human, label_column: layer, split: {train: [T1],"
        f" test: [T2]}}, slides: {{T1: {{path: 0.h5ad, patient: {patients[0]}}}, T2: {{path:"
        f" 1.h5ad, patient: {patients[1]}}}}}{more}}}"
    )
    return path


def test_a_column_that_lacks_a_value_has_no_other_classes_than_one_that_does_not(tmp_path):
    whole = np.arange(64) % 3
    lacking = np.where(np.arange(64) < 5, np.nan, whole)
    path = description(tmp_path, whole, lacking)
    with pytest.raises(UsageError, match=r"labels '0' and '0.0' differ only in how a number is"):
        add_description(path, tmp_path / "data")


def test_columns_alike_have_their_classes(tmp_path):
    lacking = np.where(np.arange(64) < 5, np.nan, np.arange(64) % 3)
    described, _ = add_description(description(tmp_path, lacking, lacking), tmp_path / "data")
    assert described.classes == ("0.0", "1.0", "2.0")


def test_measured_values_are_no_classes(tmp_path, rng):
    path = description(tmp_path, rng.normal(size=64), rng.normal(size=64))
    with pytest.raises(UsageError, match=r"column 'layer' holds 128 different values .*measured"):
        add_description(path, tmp_path / "data")
    assert not are_measured([f"{n}.0" for n in range(50)])
    assert not are_measured(["0.25", "0.5", "0.75"])


@pytest.mark.parametrize("patients", [("1", "1.0"), ("1", "01"), ("P1", "P01"), ("a 7", "a 007")])
def test_one_donor_whose_number_is_written_in_two_ways_is_not_two(tmp_path, patients):
    path = description(tmp_path, np.arange(64) % 3, np.arange(64) % 3, patients=patients)
    with pytest.raises(UsageError, match=r"donors .* differ only in how a number is written"):
        add_description(path, tmp_path / "data")


def test_names_of_other_numbers_are_told_apart():
    names = ("1", "10", "100", "1.5", "1.05", "0", "P1", "P10", "2020-1", "2020-11", "1,5", "1.10")
    refuse_same_numbers([*names, *names], "donors")
