"""AnnData files: where their counts, coordinates and images are, and what is missing of them."""

from __future__ import annotations

from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import PIL.Image
import pytest
import tifffile
from scipy import sparse

from spared_bench.data import validate_raw_slide
from spared_bench.errors import (
    ContractError,
    CoordinateError,
    CountsError,
    ImageError,
    MissingFileError,
)
from spared_bench.readers import read_anndata
from spared_bench.readers.coordinates import centres_of, x_first
from spared_bench.readers.space_ranger import read_space_ranger
from tests import made_slides

N_GENES = 12


@pytest.fixture
def adata():
    """A slide as squidpy writes it, with an image at half of the full resolution."""
    array, centres = made_slides.lattice()
    counts = made_slides.counts(N_GENES, 3)
    picture = np.asarray(made_slides.picture(3))[::2, ::2] / 255
    return ad.AnnData(
        sparse.csr_matrix(counts, dtype=np.float32),
        obs=pd.DataFrame(
            {"array_row": array[:, 0], "array_col": array[:, 1]},
            index=[f"AAAC{i}-1" for i in range(len(array))],
        ),
        var=pd.DataFrame(
            {"gene_ids": made_slides.gene_ids(N_GENES)}, index=[f"S{i}" for i in range(N_GENES)]
        ),
        obsm={"spatial": centres},
        uns={
            "spatial": {
                "lib": {
                    "images": {"hires": picture.astype(np.float32)},
                    "scalefactors": {"spot_diameter_fullres": 22.0, "tissue_hires_scalef": 0.5},
                }
            }
        },
    )


def written(adata, tmp_path):
    path = tmp_path / "slide.h5ad"
    adata.write_h5ad(path)
    return path


def log_normalised(adata):
    values = adata.X.toarray()
    adata.X = np.log1p(values / values.sum(axis=1, keepdims=True) * 1e4)
    return adata


def test_a_slide_is_read_with_its_image_and_its_ensembl_ids(adata, tmp_path):
    slide = read_anndata(written(adata, tmp_path), exports=tmp_path / "images")

    validate_raw_slide(slide, "slide")
    np.testing.assert_array_equal(slide.X.toarray(), adata.X.toarray())
    assert list(slide.var_names) == list(adata.var["gene_ids"])
    assert list(slide.var["gene_name"]) == list(adata.var_names)
    np.testing.assert_array_equal(slide.obsm["spatial"], adata.obsm["spatial"])
    facts = slide.uns["slide"]
    assert (facts["image_scale"], facts["spot_diameter_px"]) == (0.5, 22)
    assert facts["um_per_px"] == pytest.approx(100 / made_slides.PITCH)
    with PIL.Image.open(facts["image_path"]) as image:
        np.testing.assert_array_equal(
            np.asarray(image), np.asarray(made_slides.picture(3))[::2, ::2]
        )


def test_log_normalised_values_are_refused_with_the_layer_that_holds_the_counts(adata, tmp_path):
    adata.layers["counts"] = adata.X.copy()
    path = written(log_normalised(adata), tmp_path)
    with pytest.raises(CountsError, match=r"X of .* is log-normalised, .*write `layer: counts`"):
        read_anndata(path)
    slide = read_anndata(path, layer="counts")
    np.testing.assert_array_equal(slide.X.toarray(), adata.layers["counts"].toarray())


def test_log_normalised_values_without_any_counts_are_refused(adata, tmp_path):
    adata.layers["scaled"] = adata.X.toarray() - 2.5
    path = written(log_normalised(adata), tmp_path)
    with pytest.raises(CountsError, match=r"log-normalised.*\(nor do scaled\): use the file from"):
        read_anndata(path)
    with pytest.raises(
        CountsError, match=r"no layer 'scale'\. Did you mean 'scaled'\? It has: X, sc"
    ):
        read_anndata(path, layer="scale")
    with pytest.raises(
        CountsError,
        match=r"'scaled' .* negative values \(down to -2\.5; gene '\w+' of spot '[\w-]+' first\)",
    ):
        read_anndata(path, layer="scaled")


@pytest.mark.parametrize("form", [sparse.csr_matrix, sparse.csc_matrix, np.asarray])
@pytest.mark.parametrize("layer", ["", "back"])
def test_counts_that_were_transformed_and_back_are_to_be_rounded(adata, tmp_path, form, layer):
    noisy = np.expm1(np.log1p(adata.X.toarray() * 700))
    assert (noisy != np.rint(noisy)).any()
    adata.layers["back"] = adata.X = form(noisy)
    said = r"holds whole numbers but for rounding \([\d.]+ for gene '\w+' of spot .*Round them with"
    with pytest.raises(CountsError, match=said):
        read_anndata(written(adata, tmp_path), layer=layer)
    adata.layers["back"] = adata.X = np.rint(adata.X)
    assert read_anndata(written(adata, tmp_path), layer=layer).X.sum() == np.rint(noisy).sum()
    adata.layers["back"] = adata.X = form(noisy * 1.0006)
    with pytest.raises(CountsError, match=r"holds fractions \(up to"):
        read_anndata(written(adata, tmp_path), layer=layer)


def test_counts_in_raw_are_found(adata, tmp_path):
    adata.raw = adata
    path = written(log_normalised(adata), tmp_path)
    with pytest.raises(CountsError, match="write `layer: raw`"):
        read_anndata(path)
    assert read_anndata(path, layer="raw").X.sum() == made_slides.counts(N_GENES, 3).sum()


@pytest.mark.parametrize("values", [lambda x: x > 0, lambda x: x.toarray() > 0, lambda x: x * 1j])
def test_what_says_no_number_of_counts_is_refused(adata, tmp_path, values):
    adata.layers["odd"] = values(adata.X)
    path = written(adata, tmp_path)
    with pytest.raises(CountsError, match=r"'odd' of .* holds values of type (bool|complex64)"):
        read_anndata(path, layer="odd")


@pytest.mark.parametrize(
    "change", [lambda x: x * 0, lambda x: (x > 0).astype("f4"), lambda x: x * 2]
)
@pytest.mark.parametrize("name", ["counts", "raw_counts", "raw"])
def test_whole_numbers_beside_other_ones_called_counts_are_asked_about(
    adata, tmp_path, change, name
):
    if name == "raw":
        adata.raw = adata.copy()
    else:
        adata.layers[name] = adata.X.copy()
    adata.layers["spliced"] = adata.X * 3
    same = read_anndata(written(adata, tmp_path))
    adata.X = change(adata.X)
    path = written(adata, tmp_path)
    with pytest.raises(CountsError, match=f"X and '{name}' of .* both hold whole numbers, and oth"):
        read_anndata(path)
    assert read_anndata(path, layer=name).X.sum() == same.X.sum()
    assert read_anndata(path, layer="X").X.sum() == adata.X.sum()


def test_genes_that_raw_alone_has_are_told(adata, tmp_path):
    adata.raw = adata.copy()
    slide = read_anndata(written(adata[:, :5].copy(), tmp_path))
    told = f"X has 5 of the {N_GENES} genes of raw, and X was read: `layer: raw` reads them all."
    assert slide.n_vars == 5
    assert told in slide.uns["slide"]["repairs"]


@pytest.mark.parametrize(
    ("place", "change", "error", "message"),
    [
        ("X", lambda p: p["indices"].__setitem__(5, 999), ContractError, "X of .* indices must be"),
        ("X", lambda p: p["indices"].__setitem__(5, -1), ContractError, "X of .* no sound sparse"),
        ("layers/a", lambda p: p["indices"].__setitem__(5, 999), ContractError, "a of .* must be"),
        ("raw/X", lambda p: p["indptr"].__setitem__(1, 999), ContractError, "raw of .* no sound"),
        ("X", lambda p: p["indices"].__setitem__(1, p["indices"][0]), CountsError, "1 count of a"),
    ],
)
def test_a_sparse_matrix_that_is_not_sound_is_refused_and_ends_nothing(
    adata, tmp_path, place, change, error, message
):
    adata.layers["a"] = adata.X.copy()
    adata.raw = adata.copy()
    path = written(adata, tmp_path)
    with h5py.File(path, "r+") as file:
        change(file[place])
    with pytest.raises(error, match=message):
        read_anndata(path, layer="X")


def test_one_slide_of_several_is_read(adata, tmp_path):
    adata.obs["sample"] = np.where(np.arange(adata.n_obs) < 20, "A", "B")
    path = written(adata, tmp_path)
    slide = read_anndata(path, rows=("sample", "A"))
    assert slide.n_obs == 20
    with pytest.raises(ContractError, match=r"is nowhere 'C'.*It is: A, B"):
        read_anndata(path, rows=("sample", "C"))
    with pytest.raises(ContractError, match=r"no obs column 'samples'\. Did you mean 'sample'"):
        read_anndata(path, rows=("samples", "A"))


@pytest.mark.parametrize("overlap", [64, 40])  # of the 64 places of the array: all, or some
def test_places_that_spots_of_two_slides_share_tell_that_there_are_two(adata, tmp_path, overlap):
    other = adata[-overlap:].copy()
    other.obsm["spatial"] = other.obsm["spatial"] + [1000, 0]
    other.obs_names = [f"{name}-b" for name in other.obs_names]
    both = ad.concat({"x": adata[:overlap], "y": other}, label="cut")
    both.obs["cluster"] = np.arange(both.n_obs) % 3
    both.uns = {"spatial": {"": {"scalefactors": {"spot_diameter_fullres": 22.0}}}}
    path = written(both, tmp_path)

    with pytest.raises(ContractError, match=r"several slides: .*\bx, y\b.*`slide_column: cut`"):
        read_anndata(path)
    slide = read_anndata(path, rows=("cut", "y"))
    np.testing.assert_array_equal(slide.obsm["spatial"], other.obsm["spatial"])


def test_beads_of_which_some_share_rounded_places_are_not_split_by_what_differs(adata, tmp_path):
    columns = adata.obs.columns.get_indexer(["array_row", "array_col"])
    adata.obs.iloc[:4, columns] = adata.obs.iloc[4:8, columns].to_numpy()
    adata.obsm["spatial"][:4] = adata.obsm["spatial"][4:8] + 9
    adata.obs["percent"] = np.arange(adata.n_obs) // 3 / 10
    adata.obs["cluster"] = (np.arange(adata.n_obs) // 4 % 4).astype(str)
    slide = read_anndata(written(adata, tmp_path))

    np.testing.assert_array_equal(slide.obsm["spatial"], adata.obsm["spatial"])


@pytest.mark.parametrize("name", ["IF", "cytassist", "aligned_fiducials", "detected_tissue_image"])
def test_a_larger_image_of_another_kind_is_not_taken_for_the_one_of_the_slide(
    adata, tmp_path, name
):
    library = adata.uns["spatial"]["lib"]
    library["images"][name] = 1 - np.repeat(np.repeat(library["images"]["hires"], 2, 0), 2, 1)
    library["scalefactors"][f"tissue_{name}_scalef"] = 1.0
    slide = read_anndata(written(adata, tmp_path), exports=tmp_path / "images")

    assert slide.uns["slide"]["image_scale"] == 0.5
    assert any(f"The image {name!r}" in told for told in slide.uns["slide"]["repairs"])


def test_array_positions_are_made_where_they_are_missing_and_that_is_recorded(adata, tmp_path):
    del adata.obs["array_row"]
    slide = read_anndata(written(adata, tmp_path))
    assert slide.uns["slide"]["repairs"] == [
        "Array positions were not in the file and were made from pixels."
    ]
    pairs = slide.obs[["array_row", "array_col"]]
    assert not pairs.duplicated().any()


@pytest.mark.parametrize("rows", [1, 2])
def test_array_positions_that_tell_no_places_are_made_from_pixels(adata, tmp_path, rows):
    told = read_anndata(written(adata, tmp_path)).obs[["array_row", "array_col"]]
    adata.obs["array_row"] = np.arange(adata.n_obs) % rows  # left over, or filled in
    adata.obs["array_col"] = 0
    slide = read_anndata(written(adata, tmp_path))
    assert slide.uns["slide"]["repairs"] == [
        "Array positions in the file tell no places and were made from pixels."
    ]
    found = slide.obs[["array_row", "array_col"]]
    np.testing.assert_array_equal(found, told - told.min())


def test_a_size_of_spots_that_the_file_lacks_may_be_given(adata, tmp_path):
    del adata.uns["spatial"]["lib"]["scalefactors"]["spot_diameter_fullres"]
    path = written(adata, tmp_path)
    with pytest.raises(ContractError, match=r"by which patches.*about \d+(\.\d+)? on Visium\.$"):
        read_anndata(path)
    slide = read_anndata(path, spot_diameter_px=30)
    assert slide.uns["slide"]["spot_diameter_px"] == 30


@pytest.mark.filterwarnings("ignore:Observation names are not unique")
def test_slides_that_were_joined_are_told_by_barcodes_that_stand_twice(adata, tmp_path):
    adata.obs_names = [*adata.obs_names[:-2], *adata.obs_names[:2]]
    adata.obs["section"] = ["a"] * (adata.n_obs - 2) + ["b"] * 2
    path = written(adata, tmp_path)
    with pytest.raises(CountsError, match=r"2 spots more than once.*`slide_column: \.\.\.`"):
        read_anndata(path)
    assert read_anndata(path, rows=("section", "b")).n_obs == 2


def test_one_of_several_libraries_must_be_named(adata, tmp_path):
    adata.uns["spatial"]["other"] = {"scalefactors": {"spot_diameter_fullres": 25.0}}
    path = written(adata, tmp_path)
    with pytest.raises(ContractError, match=r"2 libraries .*: lib, other\. Write `library: "):
        read_anndata(path)
    assert read_anndata(path, library="other").uns["slide"]["spot_diameter_px"] == 25
    with pytest.raises(ContractError, match=r"no library 'othr'\. Did you mean 'other'"):
        read_anndata(path, library="othr")


def test_what_is_missing_or_damaged_is_said(adata, tmp_path):
    with pytest.raises(MissingFileError, match=r"no AnnData file at .*absent\.h5ad"):
        read_anndata(tmp_path / "absent.h5ad")
    with pytest.raises(MissingFileError, match=r"is a folder.*`format: spatialdata`.*read_zarr"):
        read_anndata(tmp_path)
    other = made_slides.space_ranger(tmp_path / "outs", 5) / "filtered_feature_bc_matrix.h5"
    with pytest.raises(ContractError, match="it holds matrix; expected X, obs and var"):
        read_anndata(other)
    path = written(adata, tmp_path)
    path.write_bytes(path.read_bytes()[:5_000])
    with pytest.raises(ContractError, match="cannot be read as AnnData"):
        read_anndata(path)
    del adata.obsm["spatial"]
    with pytest.raises(CoordinateError, match=r"obsm\['spatial'\] must be \(n_spots, 2\)"):
        read_anndata(written(adata, tmp_path))


def test_a_codec_that_hdf5_lacks_is_told_and_no_damage(adata, tmp_path):
    adata.X = adata.X.toarray()
    path = written(adata, tmp_path)
    with h5py.File(path, "a") as file:
        shape = file["X"].shape
        del file["X"]
        plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plan.set_chunk(shape)
        plan.set_filter(32015, h5py.h5z.FLAG_OPTIONAL, (3,))  # zstd, of the package hdf5plugin
        space = h5py.h5s.create_simple(shape)
        made = h5py.h5d.create(file.id, b"X", h5py.h5t.NATIVE_FLOAT, space, plan)
        made.write_direct_chunk((0, 0), b"\x28\xb5\x2f\xfd", 0)
        file["X"].attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})
    with pytest.raises(ContractError, match=r'by filter 32015 of HDF5, .* compression="gzip"'):
        read_anndata(path)


def test_what_is_beside_the_tissue_or_no_gene_is_dropped_and_recorded(adata, tmp_path):
    adata.obs["in_tissue"] = [0, 0, *[1] * (adata.n_obs - 2)]
    adata.var["feature_types"] = ["Antibody Capture", *["Gene Expression"] * (N_GENES - 1)]
    slide = read_anndata(written(adata, tmp_path))
    np.testing.assert_array_equal(slide.X.toarray(), made_slides.counts(N_GENES, 3)[2:, 1:])
    np.testing.assert_array_equal(slide.obsm["spatial"], adata.obsm["spatial"][2:])
    assert slide.uns["slide"]["repairs"] == [
        "Spots beside the tissue, dropped: 2.",
        "Features that are no genes, dropped: 1.",
    ]


@pytest.mark.parametrize("nothing", [None, "", "nan", "NA"])
def test_a_gene_without_an_id_keeps_its_name(adata, tmp_path, nothing):
    ids = list(adata.var["gene_ids"])
    adata.var["gene_ids"] = [nothing, nothing, *ids[2:]]
    assert list(read_anndata(written(adata, tmp_path)).var_names) == ["S0", "S1", *ids[2:]]


@pytest.mark.parametrize(
    "name", ["gene_id", "ensembl_id", "ENSEMBL", "Ensembl ID", "feature_id", "ensembl.gene.id"]
)
def test_ids_of_ensembl_are_found_whatever_their_column_is_called(adata, tmp_path, name):
    # A symbol that several genes share, or that has changed since, would lose its gene.
    ids = list(adata.var.pop("gene_ids"))
    adata.var[name] = [f"{ids[0]}.7", *ids[1:]]
    slide = read_anndata(written(adata, tmp_path))
    assert list(slide.var_names) == ids
    assert list(slide.var["gene_name"]) == list(adata.var_names)


@pytest.mark.parametrize("numbers", [range(N_GENES), np.arange(N_GENES, dtype=float)])
def test_numbers_of_genes_do_not_replace_their_names(adata, tmp_path, numbers):
    # NCBI's ids, of which no table here knows: all genes would be unknown.
    adata.var["gene_id"] = list(numbers)
    del adata.var["gene_ids"]
    assert list(read_anndata(written(adata, tmp_path)).var_names) == list(adata.var_names)


def test_ids_of_ensembl_are_preferred_to_other_ids(adata, tmp_path):
    ids = list(adata.var["gene_ids"])
    adata.var["gene_ids"], adata.var["ensembl_id"] = list(adata.var_names), ids
    assert list(read_anndata(written(adata, tmp_path)).var_names) == ids


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda a: a.obsm["spatial"].__setitem__((3, 0), np.nan), "no numbers, for 1 of 64 spots"),
        (lambda a: a.obs.__setitem__("array_row", "r1"), "array_row.* holds r1; expected whole"),
        (lambda a: a.obs.__setitem__("array_row", np.nan), "array_row.* holds nan; expected whole"),
        (lambda a: a.obsm["spatial"].__imul__(0.2), "8 px apart, but 22 px wide"),
    ],
)
def test_impossible_positions_are_refused(adata, tmp_path, spoil, message):
    spoil(adata)
    with pytest.raises(CoordinateError, match=message):
        read_anndata(written(adata, tmp_path))


@pytest.mark.parametrize(
    ("keep", "advice"),
    [
        (lambda a, xy: a.obsm.update(X_spatial=xy), r"= adata\.obsm\['X_spatial'\]`"),
        (lambda a, xy: a.obsm.update(Spatial=xy), r"= adata\.obsm\['Spatial'\]`"),
        (
            lambda a, xy: a.obsm.update(spatial=np.column_stack([xy, xy[:, 0]])),
            r"= adata\.obsm\['spatial'\]\[:, :2\]`",
        ),
        (
            lambda a, xy: a.obs.insert(0, "Y", xy[:, 1]) or a.obs.insert(0, "X", xy[:, 0]),
            r"= adata\.obs\[\['X', 'Y'\]\]\.to_numpy\(\)`",
        ),
        (lambda a, xy: a.obsm.update(umap=xy), r"keys \['umap'\]\.$"),
    ],
)
def test_coordinates_in_another_place_are_named(adata, tmp_path, keep, advice):
    keep(adata, adata.obsm.pop("spatial"))
    with pytest.raises(CoordinateError, match=rf"no spot coordinates in .*{advice}"):
        read_anndata(written(adata, tmp_path))


def test_a_file_without_spots_is_refused(adata, tmp_path):
    with pytest.raises(CountsError, match="holds no spots"):
        read_anndata(written(adata[:0].copy(), tmp_path))


def test_a_library_that_is_none_is_refused(adata, tmp_path):
    adata.uns["spatial"] = {"lib": "hires.png"}
    with pytest.raises(ContractError, match=r"not as squidpy writes it.*found str"):
        read_anndata(written(adata, tmp_path))


def test_what_others_write_beside_a_library_or_leave_out_is_no_second_one(adata, tmp_path):
    facts = adata.uns["spatial"]["lib"]
    for spatial in ({"is_single": True, "lib": facts}, facts):  # CELLxGENE; one without a name
        adata.uns["spatial"] = spatial
        slide = read_anndata(written(adata, tmp_path), exports=tmp_path)
        assert slide.uns["slide"]["spot_diameter_px"] == 22
        assert slide.uns["slide"]["image_scale"] == 0.5


def test_the_image_of_full_resolution_needs_no_factor(adata, tmp_path):
    images = adata.uns["spatial"]["lib"]["images"]
    images["fullres"] = np.asarray(made_slides.picture(3))
    facts = read_anndata(written(adata, tmp_path), exports=tmp_path).uns["slide"]
    assert (facts["image_scale"], facts["repairs"]) == (1, [])
    np.testing.assert_array_equal(tifffile.imread(facts["image_path"]), images["fullres"])
    images["fullres"] = images["fullres"][:300]
    with pytest.raises(ImageError, match=r"fullres and the hires image.*contradict"):
        read_anndata(written(adata, tmp_path), exports=tmp_path)


@pytest.mark.parametrize("name", ["feature_types", "feature_type"])
def test_features_of_another_type_are_left_out_of_a_file(adata, tmp_path, name):
    adata.var[name] = ["Gene Expression"] * 11 + ["Antibody Capture"]
    slide = read_anndata(written(adata, tmp_path))
    assert slide.var_names.tolist() == made_slides.gene_ids(N_GENES)[:11]
    assert slide.uns["slide"]["repairs"] == ["Features that are no genes, dropped: 1."]


MASKS = ["under_tissue", "on_tissue", "is_tissue", "in_tissue_mask", "isInTissue", "tissue",
         "Tissue.mask", "covered by tissue", "in_tissue.1", "inside the tissue"]  # fmt: skip
HALF = {
    "numbers": [0] * 4 + [1] * 60,
    "bool": [False] * 4 + [True] * 60,
    "words": ["out"] * 4 + ["in"] * 60,
    "category": pd.Categorical(["No"] * 4 + ["Yes"] * 60),
}


@pytest.mark.parametrize("name", MASKS)
@pytest.mark.parametrize("kind", HALF)
def test_a_column_that_may_tell_of_the_tissue_is_told_and_used_when_named(
    adata, tmp_path, name, kind
):
    adata.obs[name] = HALF[kind]
    path = written(adata, tmp_path)
    slide = read_anndata(path)
    assert slide.n_obs == 64
    assert slide.uns["slide"]["repairs"][0] == (
        f"Column {name!r} calls 4 of 64 spots beside the tissue, and was not used: if it is right,"
        f" write `tissue_column: {name}` in the description."
    )
    named = read_anndata(path, tissue=name)
    assert list(named.obs_names) == list(adata.obs_names[4:])
    assert named.uns["slide"]["repairs"][0] == "Spots beside the tissue, dropped: 4."


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("tissue", ["brain"] * 64),  # what the tissue is
        ("tissue_type", [0] * 32 + [1] * 32),
        ("n_tissue", [0] * 32 + [1] * 32),
        ("off_tissue", [0] * 60 + [1] * 4),  # turned round
        ("not_in_tissue", [0] * 60 + [1] * 4),
        ("is_tissue", [1] * 64),  # nothing would change
        ("is_tissue", [0] * 64),  # never filled in
        ("is_tissue", [0.3] * 64),
        ("tissue_mask", [0, 1, 2, 3] * 16),
    ],
)
def test_a_column_that_tells_of_something_else_is_passed_over(adata, tmp_path, name, values):
    adata.obs[name] = values
    slide = read_anndata(written(adata, tmp_path))
    assert slide.n_obs == 64
    assert not [told for told in slide.uns["slide"]["repairs"] if "tissue" in told]


def test_another_column_beside_in_tissue_is_told_where_it_calls_fewer_spots(adata, tmp_path):
    adata.obs["in_tissue"] = [0] * 4 + [1] * 60
    adata.obs["is_tissue"] = [0] * 4 + [1] * 60
    slide = read_anndata(written(adata, tmp_path))
    assert slide.uns["slide"]["repairs"] == ["Spots beside the tissue, dropped: 4."]
    adata.obs["is_tissue"] = [0] * 6 + [1] * 58
    slide = read_anndata(written(adata, tmp_path))
    assert slide.n_obs == 60
    assert "'is_tissue' calls 2 of 60 spots" in slide.uns["slide"]["repairs"][1]
    slide = read_anndata(written(adata, tmp_path), tissue="is_tissue")
    assert (slide.n_obs, len(slide.uns["slide"]["repairs"])) == (58, 1)


UNSEEN = [
    "\ufeff",
    "\u200b",
    "\u00a0",
    "\u202e",
    "\u00ad",
    "\u3164",
    "\u2800",
    "\ufe0f",
    "\u2009",
    " ",
]


@pytest.mark.parametrize("letter", UNSEEN, ids=ascii)
@pytest.mark.parametrize("place", ["before", "after"])
def test_letters_that_nobody_sees_are_left_out_of_names_and_recorded(
    adata, tmp_path, letter, place
):
    def put(name):
        return letter + name if place == "before" else name + letter

    spots, symbols = list(adata.obs_names), list(adata.var_names)
    ids = list(adata.var["gene_ids"])
    adata.obs_names = [put(spots[0]), *spots[1:]]
    adata.var_names = [*symbols[:-2], *map(put, symbols[-2:])]
    adata.var["gene_ids"] = [*ids[:-1], put(ids[-1])]
    slide = read_anndata(written(adata, tmp_path))
    assert list(slide.obs_names) == spots
    assert list(slide.var["gene_name"]) == symbols
    assert list(slide.var_names) == ids
    told = "Letters that cannot be seen, or blanks around it, left out of the name of"
    notes = slide.uns["slide"]["repairs"]
    assert f"{told} 1 spot ({spots[0]!r}, for example)." in notes
    assert f"{told} 2 genes ({symbols[-2]!r}, for example)." in notes


def test_letters_within_a_name_and_in_all_ids_are_left_out(adata, tmp_path):
    ids = list(adata.var["gene_ids"])
    adata.var["gene_ids"] = [f"{gene[:3]}\u200b{gene[3:]}" for gene in ids]
    adata.obs["region"] = ["a", "a\u3164"] * 32
    slide = read_anndata(written(adata, tmp_path), label="region")
    assert list(slide.var_names) == ids
    assert set(slide.obs["label"]) == {"a"}


def test_spots_that_differ_in_letters_that_nobody_sees_alone_are_refused(adata, tmp_path):
    adata.obs_names = ["AAAC1-1\u200b", *adata.obs_names[1:]]
    told = r"two spots 'AAAC1-1', but .*: 'AAAC1-1\\u200b' and 'AAAC1-1'\. Give each"
    with pytest.raises(CountsError, match=told):
        read_anndata(written(adata, tmp_path))


@pytest.mark.parametrize(("axis", "what"), [("obs_names", "spot"), ("var_names", "gene")])
@pytest.mark.parametrize("name", ["\u3164", "\u2800\u00a0", " "], ids=ascii)
def test_a_name_of_which_nothing_can_be_seen_is_refused(adata, tmp_path, axis, what, name):
    names = list(getattr(adata, axis))
    setattr(adata, axis, [*names[:2], name, *names[3:]])
    with pytest.raises(CountsError, match=f"Nothing can be seen of the name of {what} 3 of .* it"):
        read_anndata(written(adata, tmp_path))


def test_genes_that_become_one_are_added_up_and_recorded(adata, tmp_path):
    del adata.var["gene_ids"]
    adata.var_names = ["S1\u2800", *adata.var_names[1:]]
    slide = read_anndata(written(adata, tmp_path))
    assert slide.n_vars == N_GENES - 1
    np.testing.assert_array_equal(
        slide[:, "S1"].X.toarray().ravel(), adata.X.toarray()[:, :2].sum(axis=1)
    )
    assert any("left out of the name of 1 gene ('S1'" in n for n in slide.uns["slide"]["repairs"])
    assert any("added to it: 1 ('S1'" in note for note in slide.uns["slide"]["repairs"])


def test_two_columns_of_one_name_must_agree(adata, tmp_path):
    adata.obs["in_tissue"] = adata.obs["In Tissue"] = [0] * 4 + [1] * 60
    assert read_anndata(written(adata, tmp_path)).n_obs == 60
    adata.obs["In Tissue"] = [0] * 5 + [1] * 59
    told = (
        r"obs\['in_tissue'\] and obs\['In Tissue'\] of .* differ for 1 of 64 spots.*tissue_column"
    )
    with pytest.raises(CoordinateError, match=told):
        read_anndata(written(adata, tmp_path))
    assert read_anndata(tmp_path / "slide.h5ad", tissue="In Tissue").n_obs == 59


def test_a_named_column_of_tissue_must_be_there_and_say_yes_or_no(adata, tmp_path):
    adata.obs["is_tissue"] = ["perhaps", *["in"] * 63]
    path = written(adata, tmp_path)
    with pytest.raises(ContractError, match=r"no obs column 'is_tisue', .*mean 'is_tissue'"):
        read_anndata(path, tissue="is_tisue")
    with pytest.raises(CoordinateError, match=r"is_tissue'\] .* 'perhaps' in 1 of 64 rows"):
        read_anndata(path, tissue="is_tissue")


@pytest.mark.parametrize("name", ["In_Tissue", "in tissue", "in.tissue", "inTissue"])
def test_the_column_of_tissue_is_known_however_it_is_written(adata, tmp_path, name):
    adata.obs[name] = [1] * 60 + [0] * 4
    slide = read_anndata(written(adata, tmp_path))
    assert slide.uns["slide"]["repairs"] == ["Spots beside the tissue, dropped: 4."]


def test_several_slides_in_one_file_are_told_apart_by_their_libraries(adata, tmp_path):
    adata.uns["spatial"]["other"] = {"scalefactors": {"spot_diameter_fullres": 25.0}}
    adata.obs["batch"] = pd.Categorical(["lib"] * 20 + ["other"] * 44)
    path = written(adata, tmp_path)
    with pytest.raises(ContractError, match=r"holds several slides.*`slide_column: batch`"):
        read_anndata(path, library="lib")
    sizes = {
        name: read_anndata(path, rows=("batch", name)).uns["slide"]["spot_diameter_px"]
        for name in ("lib", "other")
    }
    assert sizes == {"lib": 22, "other": 25}


def test_a_slide_is_not_shown_by_the_library_of_another_one(adata, tmp_path):
    """Who joins slides may keep the images of the first one only."""
    adata.obs["batch"] = pd.Categorical(["lib"] * 20 + ["other"] * 44)
    path = written(adata, tmp_path)
    facts = read_anndata(path, rows=("batch", "other"), exports=tmp_path).uns["slide"]
    assert facts["image_path"] == ""
    assert any("are called lib, as other slides" in told for told in facts["repairs"])
    for rows, library in ((("batch", "lib"), ""), (("batch", "other"), "lib")):
        facts = read_anndata(path, rows=rows, library=library, exports=tmp_path).uns["slide"]
        assert facts["image_path"]
        assert facts["repairs"] == []


@pytest.mark.parametrize(
    "words",
    [("TRUE", "FALSE"), ("true", "false"), ("Yes", "No"), (True, False), (1.0, 0.0), ("T", "F")],
)
@pytest.mark.parametrize("kind", [object, "category"])
def test_words_say_what_is_under_tissue(adata, tmp_path, words, kind):
    column = pd.Series([words[0]] * 60 + [words[1]] * 4, index=adata.obs_names)
    adata.obs["in_tissue"] = column.astype(kind) if isinstance(words[0], str) else column
    slide = read_anndata(written(adata, tmp_path))
    assert list(slide.obs_names) == list(adata.obs_names[:60])
    assert slide.uns["slide"]["repairs"] == ["Spots beside the tissue, dropped: 4."]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["maybe"] + ["TRUE"] * 63, r"obs\['in_tissue'\] of .* holds 'maybe' in 1 of 64 rows"),
        ([0.7] + [1.0] * 63, r"holds '0\.7' in 1 of 64"),
        ([np.nan] + [1.0] * 63, "holds 'nan' in 1 of 64"),
        ([0] * 64, "No spot of .* is under tissue"),
    ],
)
def test_what_does_not_say_yes_or_no_is_refused(adata, tmp_path, values, message):
    adata.obs["in_tissue"] = values
    with pytest.raises(CoordinateError, match=message):
        read_anndata(written(adata, tmp_path))


@pytest.mark.parametrize("key", ["downscaled_fullres", "hires", "lowres", "fulres", "x"])
def test_an_image_of_any_name_is_read_by_its_factor(adata, tmp_path, key):
    library = adata.uns["spatial"]["lib"]
    pixels = (library["images"].pop("hires") * 255).round().astype(np.uint8)
    library["images"][key] = pixels
    del library["scalefactors"]["tissue_hires_scalef"]
    library["scalefactors"][f"tissue_{key}_scalef"] = 0.5
    slide = read_anndata(written(adata, tmp_path), exports=tmp_path / "images")
    facts = slide.uns["slide"]
    assert (facts["image_scale"], facts["repairs"]) == (0.5, [])
    with PIL.Image.open(facts["image_path"]) as image:
        np.testing.assert_array_equal(np.asarray(image), pixels)


def test_the_largest_image_of_a_file_is_used(adata, tmp_path):
    library = adata.uns["spatial"]["lib"]
    library["images"]["downscaled_fullres"] = np.asarray(made_slides.picture(3))
    library["scalefactors"]["tissue_downscaled_fullres_scalef"] = 1.0
    slide = read_anndata(written(adata, tmp_path), exports=tmp_path / "images")
    assert slide.uns["slide"]["image_scale"] == 1


@pytest.mark.parametrize(
    "key", ["mask", "tissue_mask", "Segmentation", "cell_labels", "dapi", "IF_DAPI_CD45", "nuclei"]
)
def test_a_mask_or_a_stain_is_not_taken_for_the_section_and_that_is_said(adata, tmp_path, key):
    library = adata.uns["spatial"]["lib"]
    library["images"][key] = np.asarray(made_slides.picture(3))  # larger than hires
    library["scalefactors"][f"tissue_{key}_scalef"] = 1.0
    facts = read_anndata(written(adata, tmp_path), exports=tmp_path / "images").uns["slide"]
    assert facts["image_scale"] == 0.5
    (told,) = facts["repairs"]
    assert told.startswith(f"The image {key!r} of the file, ")
    assert "its name says" in told


@pytest.mark.parametrize("factor", [None, 0, "none", np.nan, -1])
def test_an_image_without_a_factor_is_not_used_and_that_is_said(adata, tmp_path, factor):
    factors = adata.uns["spatial"]["lib"]["scalefactors"]
    del factors["tissue_hires_scalef"]
    if factor is not None:
        factors["tissue_hires_scalef"] = factor
    facts = read_anndata(written(adata, tmp_path), exports=tmp_path).uns["slide"]
    assert facts["image_path"] == ""
    (told,) = facts["repairs"]
    assert told.startswith("The image 'hires' of the file, 200 x 200 px, was not used: its scale")


@pytest.mark.parametrize(
    ("place", "told"),
    [
        (("image",), "uns['image']"),
        (("spatial",), "uns['spatial']"),
        (("spatial", "lib", "hires"), "uns['spatial']['lib']['hires']"),
        (("images", "lib", "he"), "uns['images']['lib']['he']"),
        (("images", "he"), "uns['images']['he']"),
    ],
)
def test_an_image_where_nobody_looks_for_it_is_told(adata, tmp_path, place, told):
    # The slide was read as one without an image, and nobody knew why.
    image = adata.uns["spatial"]["lib"].pop("images")["hires"]
    uns = {"umap": {"params": np.zeros((3, 3, 3))}, "spatial": dict(adata.uns["spatial"])}
    found = uns
    for key in place[:-1]:
        found = found.setdefault(key, {})
    found[place[-1]] = image
    adata.uns = uns
    repairs = read_anndata(written(adata, tmp_path), exports=tmp_path).uns["slide"]["repairs"]
    sentences = [sentence for sentence in repairs if "may be an image" in sentence]
    assert len(sentences) == 1
    assert f"{image.shape[1]} x {image.shape[0]} px, in {told}, which was not" in sentences[0]


def test_an_image_whose_channels_come_first_is_refused_as_that(adata, tmp_path):
    images = adata.uns["spatial"]["lib"]["images"]
    images["hires"] = np.moveaxis(images["hires"], 2, 0)
    with pytest.raises(ImageError, match=r"Its channels come first: put them last\."):
        read_anndata(written(adata, tmp_path), exports=tmp_path)


def test_an_image_is_compared_with_those_in_the_file(adata, tmp_path):
    path = written(adata, tmp_path)
    made_slides.picture(1).save(tmp_path / "same.png")
    assert read_anndata(path, tmp_path / "same.png").uns["slide"]["image_scale"] == 1
    made_slides.picture(1).resize((800, 800)).save(tmp_path / "double.png")
    with pytest.raises(ImageError, match=r"800 x 800 .* one of 400 x 400, by its hires image"):
        read_anndata(path, tmp_path / "double.png")


def test_exchanged_factors_in_a_file_are_noticed(adata, tmp_path):
    library = adata.uns["spatial"]["lib"]
    library["images"]["lowres"] = library["images"]["hires"][::4, ::4]
    library["scalefactors"] |= {"tissue_hires_scalef": 0.125, "tissue_lowres_scalef": 0.5}
    with pytest.raises(ImageError, match="Exchange the two factors"):
        read_anndata(written(adata, tmp_path), exports=tmp_path)


@pytest.mark.parametrize(
    ("diameter", "um_per_px", "message"),
    [
        (1.2, 0, "specks"),
        (6, 0, "would measure 15 um"),
        (36, 0, "would measure 90 um"),
        (60, 0, "overlap"),
        (22, 0.25, r"contradicts the coordinates .* measures 2\.5 um"),
    ],
)
def test_sizes_that_contradict_each_other_are_refused(
    adata, tmp_path, diameter, um_per_px, message
):
    with pytest.raises((ContractError, CoordinateError), match=message):
        read_anndata(written(adata, tmp_path), spot_diameter_px=diameter, um_per_px=um_per_px)


def test_a_size_of_spots_that_a_writer_has_made_up_is_replaced_by_the_one_that_is_told(
    adata, tmp_path
):
    adata.obs = adata.obs.drop(columns=["array_row", "array_col"])
    adata.uns["spatial"]["lib"]["scalefactors"]["spot_diameter_fullres"] = 1.0
    path = written(adata, tmp_path)
    with pytest.raises(CoordinateError, match=r"specks.*or `spot_diameter_px`"):
        read_anndata(path, exports=tmp_path)
    slide = read_anndata(path, spot_diameter_px=22.0, exports=tmp_path)
    assert slide.uns["slide"]["spot_diameter_px"] == 22
    assert any("1 px wide, which is a speck" in each for each in slide.uns["slide"]["repairs"])


@pytest.mark.parametrize("given", [16.0, 30.0])
def test_a_size_of_spots_that_the_file_contradicts_is_refused(adata, tmp_path, given):
    adata.obs = adata.obs.drop(columns=["array_row", "array_col"])  # so that no lattice tells it
    path = written(adata, tmp_path)
    told = rf"`spot_diameter_px` \({given:.0f}\) contradicts 'spot_diameter_fullres' of .* \(22\)"
    with pytest.raises(ContractError, match=told):
        read_anndata(path, spot_diameter_px=given)
    assert read_anndata(path, spot_diameter_px=20).uns["slide"]["spot_diameter_px"] == 20


@pytest.mark.parametrize("sign", ['"', "'", "b'"])
@pytest.mark.parametrize("has_ids", [True, False])
def test_quotes_around_all_names_are_left_out_and_told(adata, tmp_path, sign, has_ids):
    spots, genes, ids = list(adata.obs_names), list(adata.var_names), list(adata.var["gene_ids"])
    adata.obs_names = [f"{sign}{name}{sign[-1]}" for name in spots]
    adata.var_names = [f"{sign}{name}{sign[-1]}" for name in genes]
    adata.var["gene_ids"] = [f"{sign}{name}{sign[-1]}" for name in ids]
    if not has_ids:
        del adata.var["gene_ids"]
    slide = read_anndata(written(adata, tmp_path))

    assert list(slide.obs_names) == spots
    assert list(slide.var_names) == (ids if has_ids else genes)
    assert list(slide.var["gene_name"]) == genes
    assert any("Quotes around" in told for told in slide.uns["slide"]["repairs"])


def test_the_size_of_a_pixel_is_that_of_the_lattice_where_none_is_given(adata, tmp_path):
    folder = made_slides.space_ranger(tmp_path / "outs")
    known = read_space_ranger(folder).uns["slide"]["um_per_px"]
    found = read_anndata(written(adata, tmp_path), um_per_px=0.0).uns["slide"]["um_per_px"]
    assert found == pytest.approx(known, rel=1e-6)
    given = read_anndata(written(adata, tmp_path), um_per_px=2.6).uns["slide"]["um_per_px"]
    assert given == 2.6
    adata.obs = adata.obs.drop(columns=["array_row", "array_col"])
    assert read_anndata(written(adata, tmp_path)).uns["slide"]["um_per_px"] == 0


def test_a_size_of_pixels_that_no_spot_fits_is_refused_without_an_array_too(adata, tmp_path):
    del adata.obs["array_row"]
    path = written(adata, tmp_path)
    assert read_anndata(path, um_per_px=0.5).uns["slide"]["um_per_px"] == 0.5
    for um_per_px, found in ((0.01, r"0\.22"), (60, "1,320")):
        with pytest.raises(ContractError, match=rf"a spot would measure {found} um"):
            read_anndata(path, um_per_px=um_per_px)


def bins(adata, um=8, **factors):
    """Make the spots bins of Visium HD, of 0.5 um per pixel."""
    places = np.array([(row, column) for row in range(8) for column in range(8)])
    adata.obs_names = [f"s_{um:03d}um_{row:05d}_{column:05d}-1" for row, column in places]
    adata.obs["array_row"], adata.obs["array_col"] = places.T
    adata.obsm["spatial"] = 20.0 + 2 * um * places[:, ::-1]
    adata.uns["spatial"]["lib"]["scalefactors"] |= {
        "spot_diameter_fullres": 2.0 * um,
        "bin_size_um": float(um),
        "microns_per_pixel": 0.5,
        **factors,
    }


@pytest.mark.parametrize("um", [8, 16])
def test_bins_of_visium_hd_tell_the_size_of_a_pixel(adata, tmp_path, um):
    bins(adata, um)
    found = read_anndata(written(adata, tmp_path)).uns["slide"]["um_per_px"]
    assert found == pytest.approx(0.5)
    with pytest.raises(ContractError, match=r"`um_per_px` 0\.25 contradicts the coordinates"):
        read_anndata(written(adata, tmp_path), um_per_px=0.25)


@pytest.mark.parametrize(
    ("factors", "message"),
    [
        ({"microns_per_pixel": 0.25}, r"'microns_per_pixel' of .* is 0\.25, but .* 0\.5 um"),
        ({"spot_diameter_fullres": 8.0}, "would measure 4 um; expected 8 um"),
    ],
)
def test_sizes_of_bins_that_contradict_each_other_are_refused(adata, tmp_path, factors, message):
    bins(adata, **factors)
    with pytest.raises(ContractError, match=message):
        read_anndata(written(adata, tmp_path))


def test_bins_that_were_pooled_have_the_pixels_that_are_told(adata, tmp_path):
    bins(adata, bin_size_um=2.0)
    adata.obs_names = [f"pool{i}" for i in range(adata.n_obs)]
    assert read_anndata(written(adata, tmp_path)).uns["slide"]["um_per_px"] == 0.5
    with pytest.raises(ContractError, match=r"`um_per_px` \(1\) contradicts 'microns_per_pixel'"):
        read_anndata(written(adata, tmp_path), um_per_px=1)
    adata.uns["spatial"]["lib"]["scalefactors"]["microns_per_pixel"] = "unknown"
    assert read_anndata(written(adata, tmp_path)).uns["slide"]["um_per_px"] == 0


def test_bins_that_touch_each_other_do_not_overlap(adata, tmp_path):
    places = np.array([(row, column) for row in range(8) for column in range(8)])
    adata.obs["array_row"], adata.obs["array_col"] = places.T
    adata.obsm["spatial"] = 20.0 + 30 * places[:, ::-1]
    adata.uns["spatial"]["lib"]["scalefactors"]["spot_diameter_fullres"] = 30.0
    slide = read_anndata(written(adata, tmp_path), um_per_px=0.27)
    assert slide.uns["slide"]["spot_diameter_px"] == 30


def test_genes_of_another_genome_are_left_out_of_a_file(adata, tmp_path):
    adata.var["genome"] = ["GRCh38"] * 10 + ["mm10"] * 2
    slide = read_anndata(written(adata, tmp_path), organism="human")
    assert slide.n_vars == 10
    assert slide.uns["slide"]["repairs"] == [
        "Genes of other genomes than GRCh38, dropped: 2 (mm10)."
    ]


def test_a_file_without_genes_is_refused(adata, tmp_path):
    adata.var["feature_types"] = "Antibody Capture"
    with pytest.raises(CountsError, match=r"No feature of .* is of type 'Gene Expression'"):
        read_anndata(written(adata, tmp_path))


@pytest.mark.parametrize(
    "factor", [np.array([]), np.array([0.5, 0.1]), "half", np.nan, -0.5, np.inf, True]
)
def test_a_factor_that_is_no_single_positive_number_is_none(adata, tmp_path, factor):
    adata.uns["spatial"]["lib"]["scalefactors"]["tissue_hires_scalef"] = factor
    slide = read_anndata(written(adata, tmp_path), exports=tmp_path / "exports")
    assert slide.uns["slide"]["image_path"] == ""
    assert "its scale is unknown" in slide.uns["slide"]["repairs"][-1]


@pytest.mark.parametrize(
    "diameter", [np.array([]), np.array([22.0, 22.0]), "wide", np.nan, 0, True]
)
def test_a_diameter_that_is_no_single_positive_number_is_asked_for(adata, tmp_path, diameter):
    adata.uns["spatial"]["lib"]["scalefactors"]["spot_diameter_fullres"] = diameter
    with pytest.raises(ContractError, match="does not say how large a spot is"):
        read_anndata(written(adata, tmp_path))


def test_without_an_image_the_size_of_a_spot_need_not_be_known(adata, tmp_path):
    # Nothing is cut by it; such a dataset could not be added, prepared or completed.
    adata.uns = {}
    slide = read_anndata(written(adata, tmp_path), exports=tmp_path)
    validate_raw_slide(slide, "slide")
    facts = slide.uns["slide"]
    x, y = adata.obsm["spatial"].T
    apart = np.hypot(x[:, None] - x, y[:, None] - y)
    np.fill_diagonal(apart, np.inf)
    assert facts["image_path"] == ""
    assert facts["spot_diameter_px"] == pytest.approx(0.55 * np.median(apart.min(axis=1)))
    assert facts["repairs"][-1].startswith("The file does not say how large a spot is: ")


STRETCHES = {
    "x": lambda xy: xy * [3, 1],
    "y": lambda xy: xy * [1, 0.4],
    "half of y": lambda xy: xy * [1, 0.5],
    "turned": lambda xy: (xy * [1, 3])[:, ::-1],
    "one place": lambda xy: xy * 0 + 50,
    "pairs": lambda xy: np.repeat(xy[::2], 2, axis=0),
    "rounded": lambda xy: xy // 100 * 100,
}


@pytest.mark.parametrize("change", STRETCHES)
def test_coordinates_that_are_of_no_one_scale_are_refused(adata, tmp_path, change):
    adata.obsm["spatial"] = STRETCHES[change](adata.obsm["spatial"])
    with pytest.raises(CoordinateError, match=r"not in one scale|where another one lies"):
        read_anndata(written(adata, tmp_path))


def test_a_lattice_that_is_turned_is_of_one_scale(adata, tmp_path):
    angle = np.deg2rad(30)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    adata.obsm["spatial"] = adata.obsm["spatial"] @ turn * [1, -1] + 1000
    assert read_anndata(written(adata, tmp_path)).n_obs == adata.n_obs


@pytest.mark.parametrize(
    "columns",
    [
        ["y", "x"],
        ["Y", "X"],
        ["pxl_row_in_fullres", "pxl_col"],
        ["y_px", "x_px"],
        ["pixel_y", "pixel_x"],
        ["y.centroid", "x.centroid"],
        ["yc", "xc"],
        ["posY", "posX"],
        ["imagerow", "imagecol"],
        ["lat", "long"],
        ["latitude", "longitude"],
        ["spatial2", "spatial1"],
    ],
)
def test_coordinates_of_named_columns_are_read_by_their_names(adata, tmp_path, columns):
    centres = adata.obsm["spatial"]
    turned = pd.DataFrame(centres[:, ::-1], index=adata.obs_names, columns=columns)
    adata.obsm["spatial"] = turned
    slide = read_anndata(written(adata, tmp_path), exports=tmp_path / "images")
    np.testing.assert_allclose(slide.obsm["spatial"], centres)
    adata.obsm["spatial"] = pd.DataFrame(centres, index=adata.obs_names, columns=["x", "y"])
    slide = read_anndata(written(adata, tmp_path), exports=tmp_path / "images")
    np.testing.assert_allclose(slide.obsm["spatial"], centres)


@pytest.mark.parametrize("name", ["", "nan"])
def test_genes_without_a_name_are_not_one_gene(adata, tmp_path, name):
    del adata.var["gene_ids"]
    adata.var_names = [*adata.var_names[:-2], name, name]
    told = f"Gene {adata.n_vars - 1} of .* has no name, but '{name}'"
    with pytest.raises(CountsError, match=told):
        read_anndata(written(adata, tmp_path))


@pytest.mark.parametrize("largest", [2_048, 2_050, 30_000])
def test_coordinates_in_floats_of_16_bits_are_read_while_these_tell_pixels(adata, largest):
    """Beyond, neighbours of 100 um lie 32 px from where they were, in an image of 40,000 px."""
    places = np.linspace(0, largest, 2 * adata.n_obs).round().astype(np.float16)
    adata.obsm["spatial"] = places.reshape(-1, 2)
    if largest == 2_048:
        np.testing.assert_array_equal(centres_of(adata, Path("a.h5ad")), adata.obsm["spatial"])
    else:
        with pytest.raises(CoordinateError, match=rf"floats of 16 bits, up to {largest}"):
            centres_of(adata, Path("a.h5ad"))


@pytest.mark.parametrize(
    "columns", [["x_um", "y_um"], ["Centroid X \u00b5m", "Centroid Y \u00b5m"]]
)
def test_coordinates_whose_columns_name_another_unit_than_pixels_are_refused(adata, columns):
    frame = pd.DataFrame(adata.obsm["spatial"], index=adata.obs_names, columns=columns)
    with pytest.raises(CoordinateError, match=r"are in .m; expected pixels of the image"):
        x_first(frame)


def test_array_positions_that_are_no_whole_numbers_are_refused(adata, tmp_path):
    adata.obs["array_row"] = adata.obs["array_row"] + 0.5
    with pytest.raises(CoordinateError, match=r"'array_row'\] .* holds [0-9]*\.5; expected whole"):
        read_anndata(written(adata, tmp_path))


@pytest.mark.parametrize("place", ["X", "layers/more", "raw/X"])
@pytest.mark.parametrize("dense", [False, True])
def test_counts_of_a_file_that_were_never_written_are_not_read_as_0(adata, tmp_path, place, dense):
    counts = adata.X.toarray() if sparse.issparse(adata.X) else np.asarray(adata.X)
    values = counts if dense else sparse.csr_matrix(counts)
    adata.X = adata.layers["more"] = values
    adata.raw = adata
    path = written(adata, tmp_path)
    read_anndata(path)
    with h5py.File(path, "a") as file:
        name = place if dense else f"{place}/data"
        held, facts = file[name][:], dict(file[name].attrs)
        del file[name]
        chunks = tuple(min(9, length) for length in held.shape)
        made = file.create_dataset(name, held.shape, held.dtype, chunks=chunks)
        made.attrs.update(facts)
        made[:9] = held[:9]
    with pytest.raises(ContractError, match=f"parts of {place} were never written"):
        read_anndata(path)


@pytest.mark.parametrize("name", ["obsm/spatial", "uns/spatial/lib/images/hires"])
def test_images_and_coordinates_that_were_never_written_are_not_read_as_0(adata, tmp_path, name):
    pixels = np.full((60, 60, 3), 180, np.uint8)
    factors = {"spot_diameter_fullres": 22.0, "tissue_hires_scalef": 0.125}
    adata.uns["spatial"] = {"lib": {"images": {"hires": pixels}, "scalefactors": factors}}
    path = written(adata, tmp_path)
    read_anndata(path, exports=tmp_path / "images")
    with h5py.File(path, "a") as file:
        held, facts = file[name][:], dict(file[name].attrs)
        del file[name]
        made = file.create_dataset(name, held.shape, held.dtype, chunks=(9, *held.shape[1:]))
        made.attrs.update(facts)
        made[:18] = held[:18]
    with pytest.raises(ContractError, match=f"parts of {name} were never written"):
        read_anndata(path, exports=tmp_path / "images")


def explicit_zeros(counts):
    """The same counts with every zero stored, the genes of each spot in falling order."""
    columns = np.tile(np.arange(counts.shape[1])[::-1], counts.shape[0])
    starts = np.arange(counts.shape[0] + 1) * counts.shape[1]
    return sparse.csr_matrix((counts.toarray()[:, ::-1].ravel(), columns, starts), counts.shape)


@pytest.mark.parametrize(
    "form",
    [
        lambda counts: counts.astype(np.int32),
        lambda counts: counts.astype(np.uint16),
        lambda counts: counts.astype(np.float64),
        lambda counts: counts.toarray(),
        lambda counts: np.asfortranarray(counts.toarray().astype(np.int64)),
        lambda counts: counts.tocsc(),
        explicit_zeros,
    ],
    ids=["int32", "uint16", "float64", "dense", "fortran", "csc", "zeros stored"],
)
@pytest.mark.parametrize("compression", [None, "gzip", "lzf"])
def test_a_slide_is_the_same_however_its_counts_are_stored(adata, tmp_path, form, compression):
    expected = read_anndata(written(adata, tmp_path))
    adata.X = form(adata.X)
    path = tmp_path / "other.h5ad"
    adata.write_h5ad(path, compression=compression)

    found = read_anndata(path)

    assert found.X.dtype == expected.X.dtype
    np.testing.assert_array_equal(found.X.toarray(), expected.X.toarray())
    pd.testing.assert_frame_equal(found.var, expected.var)
    pd.testing.assert_frame_equal(found.obs, expected.obs)
    np.testing.assert_array_equal(found.obsm["spatial"], expected.obsm["spatial"])
