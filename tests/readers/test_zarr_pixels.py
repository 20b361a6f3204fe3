"""Images of SpatialData: chunks that are damaged or not there, and objects without one."""

from __future__ import annotations

import warnings
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from spared_bench.data import validate_raw_slide
from spared_bench.errors import CountsError, ImageError
from spared_bench.readers import read_spatialdata
from spared_bench.readers.zarr_pixels import refuse_unstored
from tests import made_slides


@pytest.fixture
def write(tmp_path):
    """Return what writes circles in pixels, with or without an image, and returns the folder."""
    spatialdata = pytest.importorskip("spatialdata")
    from spatialdata.models import Image2DModel, ShapesModel, TableModel

    _, centres = made_slides.lattice()
    names = [f"spot{i}" for i in range(len(centres))]

    def write(with_image: bool) -> Path:
        pixels = np.moveaxis(np.asarray(made_slides.picture(4)), 2, 0)
        table = ad.AnnData(
            sparse.csr_matrix(made_slides.counts(9, 4), dtype=np.float32),
            obs=pd.DataFrame({"region": "spots", "spot": names}, index=names),
            var=pd.DataFrame(index=made_slides.gene_ids(9)),
        )
        table.obs["region"] = table.obs["region"].astype("category")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = Image2DModel.parse(pixels, dims=("c", "y", "x"), chunks=(3, 100, 100))
            circles = ShapesModel.parse(centres, geometry=0, radius=11.0, index=pd.Index(names))
            table = TableModel.parse(
                table, region="spots", region_key="region", instance_key="spot"
            )
            images = {"he": image} if with_image else {}
            found = spatialdata.SpatialData(
                images=images, shapes={"spots": circles}, tables={"t": table}
            )
            found.write(tmp_path / "slide.zarr")
        return tmp_path / "slide.zarr"

    return write


def a_chunk_of(path: Path) -> Path:
    """The chunk of the image whose pixels are 100 to 200 in both directions."""
    (found,) = [
        each for each in (path / "images").rglob("1") if each.is_file() and each.parent.name == "1"
    ]
    return found


@pytest.mark.parametrize("content", [b"", b"junk", None], ids=["empty", "junk", "half"])
def test_a_chunk_that_cannot_be_decoded_is_an_error(write, tmp_path, content):
    path = write(with_image=True)
    chunk = a_chunk_of(path)
    whole = chunk.read_bytes()
    chunk.write_bytes(whole[: len(whole) // 2] if content is None else content)
    with pytest.raises(ImageError, match="cannot be decoded"):
        read_spatialdata(path, exports=tmp_path)


def test_a_chunk_that_was_not_copied_is_not_read_as_black(write, tmp_path):
    path = write(with_image=True)
    centres = made_slides.lattice()[1]
    under = ((centres + 11 >= 100) & (centres - 11 < 200)).all(axis=1).sum()
    read_spatialdata(path, exports=tmp_path)
    a_chunk_of(path).unlink()
    with pytest.raises(ImageError, match=f"slide.zarr: {under} spots on .* not copied"):
        read_spatialdata(path, exports=tmp_path)


def test_one_colour_of_a_chunk_counts_and_chunks_without_spots_do_not():
    pixels = np.full((20, 30, 4), 200, np.uint8)
    pixels[:10, :15] = 0  # no spot
    pixels[..., 3] = 0  # an opacity
    chunks, centres = ((10, 10), (15, 15)), np.array([[14.9, 10.0], [29.9, 9.9], [99.0, 0.0]])
    refuse_unstored(pixels, chunks, centres, 0.0, Path("a"))
    pixels[10:, :15, 1] = 0
    with pytest.raises(ImageError, match=r"^a: 1 spot on chunks"):
        refuse_unstored(pixels, chunks, centres, 0.0, Path("a"))


def test_an_object_without_an_image_is_read_without_one(write, tmp_path):
    slide = read_spatialdata(write(with_image=False), exports=tmp_path)

    validate_raw_slide(slide, "slide")
    np.testing.assert_allclose(slide.obsm["spatial"], made_slides.lattice()[1])
    facts = slide.uns["slide"]
    assert (facts["image_path"], facts["spot_diameter_px"]) == ("", 22)


@pytest.mark.parametrize("kind", ["sparse", "dense", "layer", "shards"])
def test_counts_of_which_chunks_were_not_copied_are_not_read_as_0(write, tmp_path, kind):
    import zarr

    path, layer = write(with_image=False), "raw_counts" if kind == "layer" else ""
    root = zarr.open_group(str(path / "tables" / "t"), mode="r+")
    counts = made_slides.counts(9, 4).astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        values = counts if kind == "dense" else sparse.csr_matrix(counts)
        place = "layers/raw_counts" if layer else "X"
        options = {"chunks": (32, 9)} if kind == "dense" else {"chunks": 50}
        # Three chunks a file, of which the last file is not full.
        options |= {"chunks": (20,), "shards": (60,)} if kind == "shards" else {}
        ad.io.write_elem(root, place, values, dataset_kwargs=options)
        zarr.consolidate_metadata(str(path / "tables" / "t"))
        zarr.consolidate_metadata(str(path))
    slide = read_spatialdata(path, layer=layer, exports=tmp_path)
    np.testing.assert_array_equal(slide.X.toarray(), counts)
    assert slide.uns["slide"]["repairs"] == before_of(slide)

    folder = path / "tables" / "t" / place / ("" if kind == "dense" else "data")
    chunks = sorted(each for each in folder.rglob("*") if each.is_file() and each.name.isdigit())
    chunks[1].unlink()
    if kind == "dense":
        told = read_spatialdata(path, exports=tmp_path).uns["slide"]["repairs"]
        assert any(
            note.startswith("1 chunk of 2 of the counts (X) are not stored") for note in told
        )
        return
    with pytest.raises(CountsError, match=rf"1 chunk of \d+ of the counts \({place}\) of .* copy"):
        read_spatialdata(path, layer=layer, exports=tmp_path)


def before_of(slide):
    """What is recorded of a slide that lacks nothing."""
    return ["Array positions were not in the file and were made from pixels."]


def test_a_chunk_that_a_spot_lies_on_with_its_edge_counts():
    pixels = np.full((20, 30, 3), 200, np.uint8)
    pixels[:10, :15] = 0
    chunks, centres = ((10, 10), (15, 15)), np.array([[16.0, 5.0], [7.0, 12.0], [20.0, 15.0]])
    refuse_unstored(pixels, chunks, centres, 2.0, Path("a"))
    for diameter, told in ((2.5, 1), (5.0, 2)):
        with pytest.raises(ImageError, match=rf"^a: {told} spots? on chunks"):
            refuse_unstored(pixels, chunks, centres, diameter, Path("a"))
