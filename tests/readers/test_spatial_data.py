"""SpatialData objects: circles become spots in pixels of the image."""

from __future__ import annotations

import warnings

import anndata as ad
import numpy as np
import pandas as pd
import PIL.Image
import pytest
from scipy import sparse

from spared_bench.data import validate_raw_slide
from spared_bench.errors import ContractError, CoordinateError, MissingFileError
from spared_bench.readers import read_spatialdata
from spared_bench.readers.images import keep_image
from tests import made_slides


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Circles in micrometres, an image of two pixels per micrometre, and a table."""
    spatialdata = pytest.importorskip("spatialdata")
    from shapely.geometry import Polygon
    from spatialdata.models import Image2DModel, ShapesModel, TableModel
    from spatialdata.transformations import Identity, Scale

    _, centres = made_slides.lattice()
    names = [f"spot{i}" for i in range(len(centres))]
    picture = np.moveaxis(np.asarray(made_slides.picture(4)), 2, 0)
    to_um = Scale([0.5, 0.5], axes=("x", "y"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image = Image2DModel.parse(picture, dims=("c", "y", "x"), transformations={"global": to_um})
        circles = ShapesModel.parse(
            centres / 2,
            geometry=0,
            radius=5.5,
            index=pd.Index(names[::-1])[::-1],
            transformations={"global": Identity()},
        )
        cells = ShapesModel.parse(
            __import__("geopandas").GeoDataFrame(
                geometry=[Polygon([(0, 0), (0, 9), (9, 0)])] * len(names), index=names
            )
        )
        table = ad.AnnData(
            sparse.csr_matrix(made_slides.counts(9, 4), dtype=np.float32),
            obs=pd.DataFrame({"region": "spots", "spot": names}, index=names),
            var=pd.DataFrame(index=made_slides.gene_ids(9)),
        )
        table.obs["region"] = table.obs["region"].astype("category")
        table = TableModel.parse(table, region="spots", region_key="region", instance_key="spot")
        sdata = spatialdata.SpatialData(
            images={"he": image}, shapes={"spots": circles, "cells": cells}, tables={"t": table}
        )
        path = tmp_path_factory.mktemp("sdata") / "slide.zarr"
        sdata.write(path)
    return path


def test_circles_in_micrometres_become_spots_in_pixels(written, tmp_path):
    slide = read_spatialdata(written, exports=tmp_path)

    validate_raw_slide(slide, "slide")
    np.testing.assert_allclose(slide.obsm["spatial"], made_slides.lattice()[1])
    np.testing.assert_array_equal(slide.X.toarray(), made_slides.counts(9, 4))
    facts = slide.uns["slide"]
    assert (facts["spot_diameter_px"], facts["image_scale"]) == (22, 1)
    with PIL.Image.open(facts["image_path"]) as image:
        np.testing.assert_array_equal(np.asarray(image), np.asarray(made_slides.picture(4)))


def test_cells_are_no_spots(written, tmp_path):
    with pytest.raises(CoordinateError, match="are Polygon; expected circles"):
        read_spatialdata(written, shapes="cells", exports=tmp_path)


def test_an_element_that_is_not_there_is_named(written, tmp_path):
    with pytest.raises(ContractError, match=r"no image 'hee'\. Did you mean 'he'\? It has: he"):
        read_spatialdata(written, "hee", exports=tmp_path)
    with pytest.raises(MissingFileError, match=r"no SpatialData object .*absent\.zarr"):
        read_spatialdata(tmp_path / "absent.zarr", exports=tmp_path)
    (tmp_path / "empty.zarr").mkdir()
    with pytest.raises(ContractError, match="cannot be read as a SpatialData object"):
        read_spatialdata(tmp_path / "empty.zarr", exports=tmp_path)


def test_a_grey_image_keeps_its_only_channel(tmp_path):
    source = tmp_path / "slide.zarr"
    source.mkdir()
    pixels = np.arange(12, dtype=np.uint8).reshape(3, 4, 1)
    with PIL.Image.open(keep_image(pixels, tmp_path, "he", source)[0]) as image:
        np.testing.assert_array_equal(np.asarray(image), pixels[..., 0])
