"""SpatialData objects: circles become spots in pixels of the image."""

from __future__ import annotations

import os
import shutil
import warnings
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import PIL.Image
import pytest
from scipy import sparse

from spared_bench.data import validate_raw_slide
from spared_bench.errors import (
    ContractError,
    CoordinateError,
    CountsError,
    ImageError,
    MissingFileError,
)
from spared_bench.readers import read_spatialdata
from spared_bench.readers.images import keep_image
from spared_bench.readers.stamps import stamp_of
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
    with pytest.raises(
        CoordinateError, match=r"are Polygon; expected circles or equal.*bins_as_squares=False"
    ):
        read_spatialdata(written, shapes="cells", exports=tmp_path)


def with_table(path, out, change):
    """Write an object again, with its table changed."""
    import spatialdata

    sdata = spatialdata.read_zarr(path)
    (name,) = sdata.tables
    change(sdata.tables[name])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sdata.write(out)
    return out


def test_a_column_that_may_tell_of_the_tissue_is_told_and_used_when_named(written, tmp_path):
    def half(table):
        table.obs["is_tissue"] = [False] * 4 + [True] * 60

    path = with_table(written, tmp_path / "a.zarr", half)
    slide = read_spatialdata(path, shapes="spots", exports=tmp_path)
    assert slide.n_obs == 64
    assert "'is_tissue' calls 4 of 64 spots beside" in slide.uns["slide"]["repairs"][0]
    slide = read_spatialdata(path, shapes="spots", tissue="is_tissue", exports=tmp_path)
    assert slide.n_obs == 60


@pytest.mark.parametrize(
    ("column", "chunks"),
    [
        ("obs['layer']", "obs/layer/codes"),
        ("obs['array_row']", "obs/array_row"),
        ("var['gene_ids']", "var/gene_ids"),
        ("", "obs/other"),
        ("", "var/genome/codes"),
    ],
)
def test_a_column_that_was_not_copied_is_told(written, tmp_path, column, chunks):
    def change(table):
        rows, columns = np.divmod(np.arange(table.n_obs), 8)
        table.obs["array_row"], table.obs["array_col"] = rows, 2 * columns + rows % 2
        table.obs["other"] = rows
        table.obs["layer"] = pd.Categorical(np.where(rows < 4, "L2", "L1"))
        table.var["gene_ids"] = made_slides.gene_ids(table.n_vars)
        table.var["genome"] = pd.Categorical(["GRCh38"] * table.n_vars)  # whose codes are all 0

    def read():
        options = {"shapes": "spots", "label": "layer", "exports": tmp_path / "out"}
        return read_spatialdata(path, **options).uns["slide"]["repairs"]

    path = with_table(written, tmp_path / "slide.zarr", change)
    assert not read()
    shutil.rmtree(path / "tables" / "t" / chunks / "c", ignore_errors=True)
    told = [note for note in read() if "chunk of 1 of" in note]
    assert [column in note for note in told] == [True] * bool(column)


def test_a_table_that_anndata_wrote_in_place_is_told_with_what_to_do(written, tmp_path):
    path = shutil.copytree(written, tmp_path / "slide.zarr")
    table = ad.read_zarr(path / "tables" / "t")
    shutil.rmtree(path / "tables" / "t")
    with ad.settings.override(zarr_write_format=3):
        table.write_zarr(path / "tables" / "t")

    with pytest.raises(ContractError, match=r"SpatialData object: \w.*AnnData wrote .*write_elem"):
        read_spatialdata(path, exports=tmp_path)


def test_letters_that_nobody_sees_are_left_out_of_names_in_a_table(written, tmp_path):
    def spoil(table):
        table.obs_names = ["\ufeff" + table.obs_names[0], *table.obs_names[1:]]
        table.var_names = [table.var_names[0] + "\u3164", *table.var_names[1:]]

    path = with_table(written, tmp_path / "a.zarr", spoil)
    slide = read_spatialdata(path, shapes="spots", exports=tmp_path)
    whole = read_spatialdata(written, shapes="spots", exports=tmp_path)
    assert list(slide.obs_names) == list(whole.obs_names)
    assert list(slide.var_names) == list(whole.var_names)
    assert len(slide.uns["slide"]["repairs"]) == len(whole.uns["slide"]["repairs"]) + 2


def test_shapes_that_the_table_does_not_annotate_are_refused(tmp_path):
    import spatialdata

    path = with_shapes(tmp_path / "a.zarr", squares(8, 0))
    sdata = spatialdata.read_zarr(path)
    sdata.shapes["others"] = sdata.shapes["bins"].copy()
    sdata.write_element("others")
    with pytest.raises(CountsError, match="has no row for these shapes: it annotates bins"):
        read_spatialdata(path, shapes="others", exports=tmp_path)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (1e23, r"X of .* holds 1e\+23 for gene '\w+' of spot 'spot0'\. Of so many"),
        (2.0**24, r"X of .* holds 1\.677722e\+07 for gene '\w+' of spot 'spot0'\. Of so many"),
        (np.nan, r"nan or infinite values \(gene '\w+' of spot 'spot0' first\)"),
        (-1.0, r"negative values \(down to -1; gene '\w+' of spot 'spot0' first\)"),
    ],
)
def test_what_is_no_count_is_told_with_its_gene_and_spot(written, tmp_path, value, told):
    import zarr

    path = tmp_path / "slide.zarr"
    shutil.copytree(written, path)
    zarr.open_group(path / "tables/t/X")["data"][0] = value
    with pytest.raises(CountsError, match=told):
        read_spatialdata(path, exports=tmp_path)


def test_an_element_that_is_not_there_is_named(written, tmp_path):
    with pytest.raises(ContractError, match=r"no image 'hee'\. Did you mean 'he'\? It has: he"):
        read_spatialdata(written, "hee", exports=tmp_path)
    with pytest.raises(MissingFileError, match=r"no SpatialData object .*absent\.zarr"):
        read_spatialdata(tmp_path / "absent.zarr", exports=tmp_path)
    (tmp_path / "empty.zarr").mkdir()
    with pytest.raises(ContractError, match="cannot be read as a SpatialData object"):
        read_spatialdata(tmp_path / "empty.zarr", exports=tmp_path)
    with (
        pytest.raises(ContractError, match=r"holds no table.*folder that `sdata\.write` made"),
        pytest.warns(UserWarning, match="not stored in the most current format"),
    ):
        read_spatialdata(written / "images", exports=tmp_path)


def test_a_grey_image_keeps_its_only_channel(tmp_path):
    source = tmp_path / "slide.zarr"
    source.mkdir()
    pixels = 20 * np.arange(12, dtype=np.uint8).reshape(3, 4, 1)
    with PIL.Image.open(keep_image(pixels, tmp_path, "he", source)[0]) as image:
        np.testing.assert_array_equal(np.asarray(image), pixels[..., 0])


@pytest.mark.parametrize(
    ("channels", "order"),
    [
        (["DAPI", "CD45", "PanCK"], []),
        (["488", "561", "640"], []),
        (["B", "g", "RED"], [2, 1, 0]),
        ([2, 1, 0], [2, 1, 0]),
        (["channel_0", "channel_1", "channel_2"], [0, 1, 2]),
    ],
)
def test_channels_are_the_colours_that_they_are_called_or_stains_and_refused(
    written, tmp_path, channels, order
):
    # A stack of three stains was read as if it were red, green and blue.
    import spatialdata
    from spatialdata.models import Image2DModel

    path = tmp_path / "slide.zarr"
    sdata = spatialdata.read_zarr(written)
    picture = np.moveaxis(np.asarray(made_slides.picture(4)), 2, 0)
    del sdata.images["he"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sdata.images["he"] = Image2DModel.parse(picture, ("c", "y", "x"), c_coords=channels)
        sdata.write(path)
    if not order:
        with pytest.raises(ImageError, match=f"are called {', '.join(channels)}; expected red"):
            read_spatialdata(path, exports=tmp_path)
        return
    slide = read_spatialdata(path, exports=tmp_path)
    with PIL.Image.open(slide.uns["slide"]["image_path"]) as image:
        np.testing.assert_array_equal(
            np.asarray(image), np.asarray(made_slides.picture(4))[..., order]
        )


def with_shapes(path, polygons, value=200, n_spots=36):
    """Write an object with these polygons, one for each row of its table."""
    spatialdata = pytest.importorskip("spatialdata")
    from geopandas import GeoDataFrame
    from spatialdata.models import Image2DModel, ShapesModel, TableModel

    names = [f"s{i}" for i in range(n_spots)]
    table = ad.AnnData(
        sparse.csr_matrix(np.random.default_rng(0).poisson(3, (n_spots, 9)).astype(np.float32)),
        obs=pd.DataFrame(
            {"region": pd.Categorical(["bins"] * n_spots), "spot": names}, index=names
        ),
        var=pd.DataFrame(index=made_slides.gene_ids(9)),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        picture = Image2DModel.parse(np.full((3, 200, 200), value, np.uint8), dims=("c", "y", "x"))
        spatialdata.SpatialData(
            images={"he": picture},
            shapes={"bins": ShapesModel.parse(GeoDataFrame(geometry=polygons, index=names))},
            tables={
                "t": TableModel.parse(
                    table, region="bins", region_key="region", instance_key="spot"
                )
            },
        ).write(path)
    return path


CENTRES = np.array([(60 + 12.0 * i, 50 + 12.0 * j) for i in range(6) for j in range(6)])


def squares(width, angle):
    from shapely import affinity, box

    half = width / 2
    return [affinity.rotate(box(x - half, y - half, x + half, y + half), angle) for x, y in CENTRES]


@pytest.mark.parametrize(("width", "angle"), [(8, 0), (12, 0), (8, 3.7), (8, 45)])
def test_equal_squares_are_spots_as_wide_as_their_side(tmp_path, width, angle):
    path = with_shapes(tmp_path / "a.zarr", squares(width, angle))
    slide = read_spatialdata(path, exports=tmp_path / "images")
    validate_raw_slide(slide, "a")
    assert slide.n_obs == 36
    np.testing.assert_allclose(slide.obsm["spatial"], CENTRES)
    assert slide.uns["slide"]["spot_diameter_px"] == pytest.approx(width)


@pytest.mark.parametrize("odd", ["oblong", "rhomb", "larger", "triangle"])
def test_polygons_that_are_no_equal_squares_are_refused(tmp_path, odd):
    from shapely import Polygon, affinity

    shapes = squares(8, 0)
    if odd == "oblong":
        shapes = [affinity.scale(shape, 1.5, 1) for shape in shapes]
    elif odd == "rhomb":
        shapes = [affinity.skew(affinity.scale(shape, 1, 0.9), 25) for shape in shapes]
    elif odd == "larger":
        shapes[7] = affinity.scale(shapes[7], 1.5, 1.5)
    else:
        shapes[7] = Polygon([(0, 0), (0, 9), (9, 0)])
    path = with_shapes(tmp_path / "a.zarr", shapes)
    with pytest.raises(CoordinateError, match="are Polygon; expected circles or equal squares"):
        read_spatialdata(path, exports=tmp_path / "images")


def test_squares_that_overlap_or_contradict_the_size_of_a_pixel_are_refused(tmp_path):
    path = with_shapes(tmp_path / "a.zarr", squares(18, 0))
    with pytest.raises(CoordinateError, match="12 px apart, but 18 px wide: they overlap"):
        read_spatialdata(path, exports=tmp_path / "images")
    path = with_shapes(tmp_path / "b.zarr", squares(8, 0))
    with pytest.raises(ContractError, match="a spot would measure 800 um"):
        read_spatialdata(path, um_per_px=100, exports=tmp_path / "images")


def copy_as_is(source, target):
    shutil.copytree(source, target, dirs_exist_ok=True, copy_function=shutil.copy2)


def copy_anew(source, target):
    shutil.copytree(source, target, dirs_exist_ok=True, copy_function=shutil.copyfile)


def put_in_the_place(source, target):
    shutil.rmtree(target)
    shutil.move(source, target)


@pytest.mark.parametrize("replace", [copy_as_is, copy_anew, put_in_the_place])
def test_an_image_that_was_replaced_inside_the_folder_is_exported_again(tmp_path, replace):
    newer = with_shapes(tmp_path / "b.zarr", squares(8, 0), value=60)
    path = with_shapes(tmp_path / "a.zarr", squares(8, 0), value=200)

    def exported():
        found = read_spatialdata(path, exports=tmp_path / "images").uns["slide"]["image_path"]
        return Path(found), int(np.asarray(PIL.Image.open(found))[100, 100, 0])

    first, before = exported()
    assert (exported(), before) == ((first, 200), 200)  # and left alone while nothing changes
    times = path.stat().st_mtime_ns
    replace(newer / "images/he", path / "images/he")
    os.utime(path, ns=(times, times))
    second, after = exported()
    assert after == 60
    assert list((tmp_path / "images").iterdir()) == [second]  # the older export is gone


def test_a_stamp_changes_with_any_file_and_with_nothing_else(tmp_path):
    folder = tmp_path / "a"
    (folder / "b").mkdir(parents=True)
    (folder / "b/c").write_bytes(b"1234")
    before = stamp_of(folder)
    assert stamp_of(folder) == before
    facts = (folder / "b/c").stat()
    (folder / "b/c").write_bytes(b"4321")  # of one size, at one time
    os.utime(folder / "b/c", ns=(facts.st_atime_ns, facts.st_mtime_ns))
    changed = stamp_of(folder)
    (folder / "b/c").rename(folder / "b/d")
    renamed = stamp_of(folder)
    (folder / "b/e").touch()
    assert len({before, changed, renamed, stamp_of(folder)}) == 4
    assert len({stamp_of(folder / "b/d"), stamp_of(folder / "b/e")}) == 2


def with_labels(path, sizes, names=None):
    """A mask of 6 x 6 labels, 4 px apart, of which each pixel is 3 image pixels, moved by 5."""
    spatialdata = pytest.importorskip("spatialdata")
    from spatialdata.models import Image2DModel, Labels2DModel, TableModel
    from spatialdata.transformations import Affine, Identity

    mask = np.zeros((26, 26), dtype=np.int32)
    corners = [(1 + 4 * i, 1 + 4 * j) for j in range(6) for i in range(6)]
    for number, ((x, y), size) in enumerate(zip(corners, sizes, strict=True), start=1):
        mask[y : y + size, x : x + size] = number
    grow = Affine([[3, 0, 5], [0, 3, 5], [0, 0, 1]], ("x", "y"), ("x", "y"))
    order = np.random.default_rng(3).permutation(36)
    names = order + 1 if names is None else names
    table = ad.AnnData(
        sparse.csr_matrix(np.random.default_rng(0).poisson(3, (36, 20)).astype(np.float32)),
        obs=pd.DataFrame(
            {"region": pd.Categorical(["bins"] * 36), "location_id": names},
            index=[f"s{i}" for i in range(36)],
        ),
        var=pd.DataFrame(index=made_slides.gene_ids(20)),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        spatialdata.SpatialData(
            images={
                "he": Image2DModel.parse(
                    np.full((3, 90, 90), 200, np.uint8),
                    dims=("c", "y", "x"),
                    transformations={"global": Identity()},
                )
            },
            labels={
                "bins": Labels2DModel.parse(mask, dims=("y", "x"), transformations={"global": grow})
            },
            tables={
                "table": TableModel.parse(
                    table, region="bins", region_key="region", instance_key="location_id"
                )
            },
        ).write(path)
    return np.array(corners)[order]


@pytest.mark.parametrize("size", [1, 2, 3])
def test_bins_as_labels_of_a_mask_are_spots_as_wide_as_their_side(tmp_path, size):
    corners = with_labels(tmp_path / "a.zarr", [size] * 36)
    slide = read_spatialdata(tmp_path / "a.zarr", exports=tmp_path)
    np.testing.assert_allclose(slide.obsm["spatial"], (corners + size / 2) * 3 + 5)
    assert slide.uns["slide"]["spot_diameter_px"] == pytest.approx(3 * size)


def test_bins_that_spatialdata_made_labels_of_lie_where_they_lay(tmp_path):
    # The way that it gives its masks leads to the middles of bins: they were half a bin off.
    spatialdata = pytest.importorskip("spatialdata")
    path = with_shapes(tmp_path / "a.zarr", squares(12, 0))
    known = read_spatialdata(path, exports=tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sdata = spatialdata.read_zarr(path)
        table = sdata.tables["t"]
        sdata.shapes["bins"].index = table.obs["spot"] = np.arange(36)
        table.obs["column"], table.obs["row"] = np.divmod(np.arange(36), 6)
        sdata["mask"] = spatialdata.rasterize_bins(
            sdata, "bins", "t", "column", "row", return_region_as_labels=True
        )
        spatialdata.rasterize_bins_link_table_to_labels(sdata, "t", "mask")
        sdata.write(tmp_path / "b.zarr")
    found = read_spatialdata(tmp_path / "b.zarr", exports=tmp_path)
    np.testing.assert_allclose(found.obsm["spatial"], known.obsm["spatial"], atol=1e-6)
    facts = [slide.uns["slide"]["spot_diameter_px"] for slide in (known, found)]
    assert facts[0] == pytest.approx(facts[1])


def test_labels_that_are_no_equal_squares_or_not_there_are_refused(tmp_path):
    with_labels(tmp_path / "cells.zarr", [1, 2] * 18)
    with pytest.raises(
        CoordinateError, match=r"are 1 to 4 px large, .* Bin cells into spots first"
    ):
        read_spatialdata(tmp_path / "cells.zarr", exports=tmp_path)
    with_labels(tmp_path / "gone.zarr", [2] * 36, names=np.arange(36) + 2)
    with pytest.raises(CoordinateError, match=r"1 of 36 spots .* have no shape: 37"):
        read_spatialdata(tmp_path / "gone.zarr", exports=tmp_path)


def with_circles(path, radius=4.0, shapes=None, image=None, names=None, region="bins", **others):
    """Write circles at ``CENTRES`` with these transformations of shapes and image."""
    spatialdata = pytest.importorskip("spatialdata")
    from spatialdata.models import Image2DModel, ShapesModel, TableModel
    from spatialdata.transformations import Identity

    own = [f"s{i}" for i in range(36)]
    name = region if isinstance(region, str) else region[0]
    table = ad.AnnData(
        sparse.csr_matrix(np.random.default_rng(0).poisson(3, (36, 9)).astype(np.float32)),
        obs=pd.DataFrame({"region": pd.Categorical([name] * 36), "spot": own}, index=own),
        var=pd.DataFrame(index=made_slides.gene_ids(9)),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        circles = ShapesModel.parse(
            CENTRES,
            geometry=0,
            radius=radius,
            index=pd.Index(own if names is None else names),
            transformations=shapes or {"global": Identity()},
        )
        spatialdata.SpatialData(
            images={
                "he": Image2DModel.parse(
                    np.full((3, 300, 300), 200, np.uint8),
                    dims=("c", "y", "x"),
                    transformations=image or {"global": Identity()},
                )
            },
            shapes={"bins": circles} | dict.fromkeys(others, circles),
            tables={
                "t": TableModel.parse(
                    table, region=region, region_key="region", instance_key="spot"
                )
            },
        ).write(path)
    return path


def scale(by, down=None):
    from spatialdata.transformations import Scale

    return Scale([by, by if down is None else down], ("x", "y"))


def affine(rows):
    from spatialdata.transformations import Affine

    return Affine([*rows, [0, 0, 1]], ("x", "y"), ("x", "y"))


def test_a_turned_and_a_mirrored_image_have_their_spots_in_place(tmp_path):
    pytest.importorskip("spatialdata")
    turned = affine([[np.cos(0.3), -np.sin(0.3), 40], [np.sin(0.3), np.cos(0.3), -10]])
    path = with_circles(tmp_path / "a.zarr", shapes={"global": turned})
    slide = read_spatialdata(path, exports=tmp_path)
    expected = CENTRES @ np.array(turned.matrix)[:2, :2].T + [40, -10]
    np.testing.assert_allclose(slide.obsm["spatial"], expected)

    mirrored = affine([[-1, 0, 300], [0, 1, 0]])
    path = with_circles(tmp_path / "b.zarr", image={"global": mirrored})
    slide = read_spatialdata(path, exports=tmp_path)
    np.testing.assert_allclose(slide.obsm["spatial"], [300, 0] + CENTRES * [-1, 1])
    assert slide.uns["slide"]["spot_diameter_px"] == pytest.approx(8)


@pytest.mark.parametrize(
    ("hires", "lowres", "other", "told"),
    [
        (0.5, 0.1, "s1_lowres_image", ""),
        (0.1, 0.5, "s1_lowres_image", "Exchange the two factors"),
        (0.3, 0.1, "s1_lowres_image", "A factor is wrong"),
        (0.3, 0.1, "s2_lowres_image", ""),  # of another slide
    ],
)
def test_copies_of_an_image_are_of_one_size_where_the_shapes_lie(
    tmp_path, hires, lowres, other, told
):
    """As spatialdata-io writes Visium: a system for each copy, by its factor."""
    spatialdata = pytest.importorskip("spatialdata")
    from spatialdata.models import Image2DModel
    from spatialdata.transformations import Identity

    ways = {"hires": scale(hires), "lowres": scale(lowres)}
    with_circles(tmp_path / "a.zarr", shapes={"global": Identity(), **ways})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sdata = spatialdata.read_zarr(tmp_path / "a.zarr")
        for name, side, system in (("s1_hires_image", 150, "hires"), (other, 30, "lowres")):
            pixels = np.full((3, side, side), 200, np.uint8)
            sdata.images[name] = Image2DModel.parse(
                pixels, dims=("c", "y", "x"), transformations={system: Identity()}
            )
        del sdata.images["he"]
        sdata.write(tmp_path / "b.zarr")
    if told:
        with pytest.raises(ImageError, match=rf"hires and the lowres image .*{told}"):
            read_spatialdata(tmp_path / "b.zarr", "s1_hires_image", exports=tmp_path)
        return
    slide = read_spatialdata(tmp_path / "b.zarr", "s1_hires_image", exports=tmp_path)
    np.testing.assert_allclose(slide.obsm["spatial"], CENTRES * hires)


def test_several_coordinate_systems_that_agree_are_one(tmp_path):
    # That there are several ways was an error of the library, and a traceback.
    pytest.importorskip("spatialdata")
    path = with_circles(
        tmp_path / "a.zarr",
        shapes={"px": scale(2), "um": scale(1)},
        image={"px": scale(1), "um": scale(0.5)},
    )
    slide = read_spatialdata(path, exports=tmp_path)
    np.testing.assert_allclose(slide.obsm["spatial"], 2 * CENTRES)
    assert slide.uns["slide"]["spot_diameter_px"] == pytest.approx(16)


@pytest.mark.parametrize(
    ("shapes", "image", "told"),
    [
        ({"px": 1, "um": 0.5}, {"px": 1, "um": 1}, "'px' and 'um' of .* contradict each other"),
        ({"a": 1}, {"b": 1}, r"the shapes are in 'a', the image is in 'b'\. Write both in one"),
        ({"px": 1}, {"px": 0}, "A transformation of .* has no inverse"),
        ({"px": (2, 1)}, {"px": 1}, "stretches one direction 2 times as much"),
    ],
)
def test_systems_that_contradict_or_lead_nowhere_are_refused(tmp_path, shapes, image, told):
    pytest.importorskip("spatialdata")

    def made(scales):
        return {name: scale(*np.atleast_1d(by)) for name, by in scales.items()}

    path = with_circles(tmp_path / "a.zarr", shapes=made(shapes), image=made(image))
    with pytest.raises(CoordinateError, match=told):
        read_spatialdata(path, exports=tmp_path)


def test_a_sheared_slide_has_no_spots(tmp_path):
    pytest.importorskip("spatialdata")
    sheared = {"global": affine([[1, 0.5, 0], [0, 1, 0]])}
    path = with_circles(tmp_path / "a.zarr", shapes=sheared)
    with pytest.raises(CoordinateError, match=r"stretches one direction 1\.64 times"):
        read_spatialdata(path, exports=tmp_path)


def test_circles_of_other_sizes_are_cells_and_no_spots(tmp_path):
    # Cells as circles, as of Xenium, were read as spots of the median size.
    path = with_circles(tmp_path / "a.zarr", radius=np.linspace(2, 6, 36))
    with pytest.raises(CoordinateError, match=r"radii from 2 to 6; .* Bin cells into spots first"):
        read_spatialdata(path, exports=tmp_path)
    path = with_circles(tmp_path / "b.zarr", radius=np.r_[40, [4.0] * 35])
    with pytest.raises(CoordinateError, match="radii from 4 to 40"):
        read_spatialdata(path, exports=tmp_path)


def test_a_table_may_tell_its_shapes_in_a_list_and_names_that_differ_are_shown(tmp_path):
    path = with_circles(tmp_path / "a.zarr", region=["bins"], further=True)
    slide = read_spatialdata(path, exports=tmp_path)
    np.testing.assert_allclose(slide.obsm["spatial"], CENTRES)
    numbers = with_circles(tmp_path / "c.zarr", names=range(36))
    with pytest.raises(CoordinateError, match=r"36 of 36 .*'s0', for example\. .* called like 0"):
        read_spatialdata(numbers, exports=tmp_path)


def test_a_spot_with_two_shapes_is_refused(tmp_path):
    names = [f"s{i}" for i in range(36)]
    path = with_circles(tmp_path / "a.zarr")
    import spatialdata

    sdata = spatialdata.read_zarr(path)
    sdata.shapes["bins"].index = pd.Index([*names[:35], "s34"])
    sdata.tables["t"] = sdata.tables["t"][:35].copy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sdata.write(tmp_path / "b.zarr")
    with pytest.raises(CoordinateError, match=r"1 of 35 spots .* have several shapes: 's34'"):
        read_spatialdata(tmp_path / "b.zarr", exports=tmp_path)
