"""AnnData files: where their counts, coordinates and images are, and what is missing of them."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import PIL.Image
import pytest
from scipy import sparse

from spared_bench.data import validate_raw_slide
from spared_bench.errors import ContractError, CoordinateError, CountsError, MissingFileError
from spared_bench.readers import read_anndata
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
    assert (facts["image_scale"], facts["spot_diameter_px"], facts["um_per_px"]) == (0.5, 22, 0)
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
    with pytest.raises(CountsError, match=r"'scaled' .* negative values \(down to -2\.5\)"):
        read_anndata(path, layer="scaled")


def test_counts_in_raw_are_found(adata, tmp_path):
    adata.raw = adata
    path = written(log_normalised(adata), tmp_path)
    with pytest.raises(CountsError, match="write `layer: raw`"):
        read_anndata(path)
    assert read_anndata(path, layer="raw").X.sum() == made_slides.counts(N_GENES, 3).sum()


def test_one_slide_of_several_is_read(adata, tmp_path):
    adata.obs["sample"] = np.where(np.arange(adata.n_obs) < 20, "A", "B")
    path = written(adata, tmp_path)
    slide = read_anndata(path, rows=("sample", "A"))
    assert slide.n_obs == 20
    with pytest.raises(ContractError, match=r"is nowhere 'C'.*It is: A, B"):
        read_anndata(path, rows=("sample", "C"))
    with pytest.raises(ContractError, match=r"no obs column 'samples'\. Did you mean 'sample'"):
        read_anndata(path, rows=("samples", "A"))


def test_array_positions_are_made_where_they_are_missing_and_that_is_recorded(adata, tmp_path):
    del adata.obs["array_row"]
    slide = read_anndata(written(adata, tmp_path))
    assert slide.uns["slide"]["repairs"] == [
        "Array positions were not in the file and were made from pixels."
    ]
    pairs = slide.obs[["array_row", "array_col"]]
    assert not pairs.duplicated().any()


def test_a_size_of_spots_that_the_file_lacks_may_be_given(adata, tmp_path):
    del adata.uns["spatial"]
    path = written(adata, tmp_path)
    with pytest.raises(ContractError, match=r"how large a spot is .*`spot_diameter_px: \.\.\.`"):
        read_anndata(path)
    slide = read_anndata(path, spot_diameter_px=30)
    assert slide.uns["slide"]["image_path"] == ""
    assert slide.uns["slide"]["spot_diameter_px"] == 30


def test_one_of_several_libraries_must_be_named(adata, tmp_path):
    adata.uns["spatial"]["other"] = {"scalefactors": {"spot_diameter_fullres": 9.0}}
    path = written(adata, tmp_path)
    with pytest.raises(ContractError, match=r"2 libraries .*: lib, other\. Write `library: "):
        read_anndata(path)
    assert read_anndata(path, library="other").uns["slide"]["spot_diameter_px"] == 9
    with pytest.raises(ContractError, match=r"no library 'othr'\. Did you mean 'other'"):
        read_anndata(path, library="othr")


def test_what_is_missing_or_damaged_is_said(adata, tmp_path):
    with pytest.raises(MissingFileError, match=r"no AnnData file at .*absent\.h5ad"):
        read_anndata(tmp_path / "absent.h5ad")
    path = written(adata, tmp_path)
    path.write_bytes(path.read_bytes()[:5_000])
    with pytest.raises(ContractError, match="cannot be read as AnnData"):
        read_anndata(path)
    del adata.obsm["spatial"]
    with pytest.raises(CoordinateError, match=r"obsm\['spatial'\] must be \(n_spots, 2\)"):
        read_anndata(written(adata, tmp_path))


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


def test_a_gene_without_an_id_keeps_its_name(adata, tmp_path):
    ids = list(adata.var["gene_ids"])
    adata.var["gene_ids"] = [None, None, *ids[2:]]
    assert list(read_anndata(written(adata, tmp_path)).var_names) == ["S0", "S1", *ids[2:]]


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


def test_a_file_without_spots_is_refused(adata, tmp_path):
    with pytest.raises(CountsError, match="holds no spots"):
        read_anndata(written(adata[:0].copy(), tmp_path))


def test_a_library_that_is_none_is_refused(adata, tmp_path):
    adata.uns["spatial"] = {"lib": "hires.png"}
    with pytest.raises(ContractError, match=r"not as squidpy writes it.*found str"):
        read_anndata(written(adata, tmp_path))


def test_several_slides_in_one_file_are_told_apart_by_their_libraries(adata, tmp_path):
    adata.uns["spatial"]["other"] = {"scalefactors": {"spot_diameter_fullres": 9.0}}
    adata.obs["batch"] = pd.Categorical(["lib"] * 20 + ["other"] * 44)
    path = written(adata, tmp_path)
    with pytest.raises(ContractError, match=r"holds several slides.*`slide_column: batch`"):
        read_anndata(path, library="lib")
    sizes = {
        name: read_anndata(path, rows=("batch", name)).uns["slide"]["spot_diameter_px"]
        for name in ("lib", "other")
    }
    assert sizes == {"lib": 22, "other": 9}
