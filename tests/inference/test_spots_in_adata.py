"""Of an AnnData that is given to `predict`, the spots are taken that its readers take."""

from __future__ import annotations

import warnings

import anndata as ad
import numpy as np
import pytest
from PIL import Image

import spared_bench
from spared_bench.errors import CoordinateError
from tests.inference.trained_toy import train

KEY = "toy/none/linear-probe"
CENTRES = np.array([[60.0, 80.0], [100.0, 64.0], [72.0, 120.0], [4.0, 4.0]])


@pytest.fixture(scope="module")
def trained_workspace(prepared_workspace, tmp_path_factory):
    """A workspace in which the linear probe is trained."""
    folder = tmp_path_factory.mktemp("trained")
    return train(prepared_workspace, folder, ["linear-probe"], **{"linear-probe": {"alpha": 1.0}})


@pytest.fixture
def adata(trained_workspace):
    (image,) = trained_workspace.glob("data/toy/three.png")
    made = ad.AnnData(np.zeros((4, 1), np.float32), obsm={"spatial": CENTRES})
    pixels = np.asarray(Image.open(image).convert("RGB"))
    factors = {"tissue_hires_scalef": 1.0, "spot_diameter_fullres": 16.0}
    made.uns["spatial"] = {"a": {"images": {"hires": pixels}, "scalefactors": factors}}
    return made


@pytest.mark.parametrize("column", ["in_tissue", "In Tissue"])
@pytest.mark.parametrize("flags", [[1, 1, 1, 0], ["yes", "yes", "yes", "no"], [True] * 3 + [False]])
def test_spots_beside_the_tissue_are_left_out(trained_workspace, adata, column, flags):
    bare = spared_bench.predict(KEY, adata[:3].copy(), workspace=trained_workspace)
    adata.obs[column] = flags
    with pytest.warns(UserWarning, match="Spots beside the tissue, dropped: 1"):
        made = spared_bench.predict(KEY, adata, workspace=trained_workspace)
    assert made.obs_names.tolist() == ["0", "1", "2"]
    np.testing.assert_array_equal(made.X, bare.X)


def test_a_file_whose_spots_are_all_under_tissue_is_taken_whole(trained_workspace, adata):
    adata.obs["in_tissue"] = 1
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="Spots beside")
        assert spared_bench.predict(KEY, adata, workspace=trained_workspace).n_obs == 4
    adata.obs["in_tissue"] = 0
    with pytest.raises(CoordinateError, match="No spot of the AnnData is under tissue"):
        spared_bench.predict(KEY, adata, workspace=trained_workspace)
