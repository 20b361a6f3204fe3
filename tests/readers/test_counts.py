"""What is no count, or none that float32 holds, in every format: told by spot and gene."""

from __future__ import annotations

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.io
from scipy import sparse

from spared_bench.data.raw_counts import require_counts, wrong_count
from spared_bench.errors import CountsError
from spared_bench.sources.adding import add_description
from spared_bench.sources.described import read_slide
from tests import made_slides

N_GENES = 12
GENE, SPOT = 4, 9
#: What stands in the place of a count, and what is said of it.
ODD = {
    "nan": "nan {at}; raw counts are finite. Correct it: 0 where nothing was counted",
    "inf": "inf {at}; raw counts are finite",
    "-3": "negative values (-3 {at}), so it is scaled",
    "0.5": "fractions (0.5 {at}), so it is normalised",
    "16777216": "1.677722e+07 {at}. Of so many no spot has molecules, and counts from 16,777,216",
    "1e23": "1e+23 {at}. Of so many",
}
#: Where AnnData is looked through for another layer that holds counts.
LAYERS = {
    "nan": "nan or infinite values ({at} first)",
    "inf": "nan or infinite values ({at} first)",
    "-3": "negative values (down to -3; {at} first)",
    "0.5": "fractions (up to ",
}


def odd(value, dtype=np.float64):
    """Counts of a made-up slide, of which one is another value."""
    values = made_slides.counts(N_GENES, 1).astype(dtype)
    values[SPOT, GENE] = float(value)
    return values


def place(names):
    return f"gene {made_slides.gene_ids(N_GENES)[GENE]!r} of spot {names[SPOT]!r}"


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix, sparse.csc_matrix])
@pytest.mark.parametrize("value", ODD)
def test_the_first_value_that_is_no_count_is_told_with_its_gene_and_spot(form, value):
    spots, genes = [f"s{i}" for i in range(64)], [f"g{i}" for i in range(N_GENES)]
    assert wrong_count(form(odd("16777215")), spots, genes) == ""
    with pytest.raises(CountsError) as refused:
        require_counts(form(odd(value)), spots, genes, "X of slide 'a'")
    told = ODD[value].format(at="for gene 'g4' of spot 's9'")
    assert str(refused.value).startswith(f"X of slide 'a' holds {told}")


@pytest.mark.filterwarnings("error")
def test_counts_that_a_short_type_has_rounded_are_refused():
    names = [f"s{i}" for i in range(64)], [f"g{i}" for i in range(N_GENES)]
    assert wrong_count(odd("2047", np.float16), *names) == ""
    told = "2048 for gene 'g4' of spot 's9', as float16, which leaves whole numbers out from 2,048"
    assert wrong_count(odd("2049", np.float16), *names).startswith(told)  # 2049 has become 2048
    assert wrong_count(odd("2049", np.float32), *names) == ""


def as_h5(folder, values):
    made_slides.space_ranger(folder, N_GENES, 1)
    with h5py.File(folder / "filtered_feature_bc_matrix.h5", "r+") as file:
        columns = sparse.csc_matrix(values.T)
        for name in ("data", "indices", "indptr"):
            del file["matrix"][name]
            file["matrix"][name] = getattr(columns, name)
    return "space_ranger", ""


def as_mtx(folder, values):
    made_slides.space_ranger(folder, N_GENES, 1)
    (folder / "filtered_feature_bc_matrix.h5").unlink()
    part = folder / "filtered_feature_bc_matrix"
    part.mkdir()
    scipy.io.mmwrite(part / "matrix.mtx", sparse.coo_matrix(values.T), precision=9)
    lines = {"barcodes": BARCODES, "features": made_slides.gene_ids(N_GENES)}
    for name, each in lines.items():
        (part / f"{name}.tsv").write_text("\n".join(each) + "\n")
    return "space_ranger", ""


def as_h5ad(folder, values):
    folder.mkdir()
    array, centres = made_slides.lattice()
    anndata.AnnData(
        sparse.csr_matrix(values),
        obs=pd.DataFrame(array, columns=["array_row", "array_col"], index=BARCODES),
        var=pd.DataFrame(index=made_slides.gene_ids(N_GENES)),
        obsm={"spatial": centres},
    ).write_h5ad(folder / "slide.h5ad")
    return "h5ad", "/slide.h5ad"


def as_table(folder, values):
    names = made_slides.st_table(folder / "counts.tsv", N_GENES, 1)
    header = "\t".join(["", *made_slides.gene_ids(N_GENES)])
    rows = [
        "\t".join([name, *map(repr, row)]) for name, row in zip(names, values.tolist(), strict=True)
    ]
    (folder / "counts.tsv").write_text("\n".join([header, *rows]))
    made_slides.picture(0).save(folder / "he.png")
    return "legacy_st", "/counts.tsv, image: slide/he.png"


BARCODES = [f"AAAC{i:04d}-1" for i in range(64)]
FORMATS = {
    "HDF5": (as_h5, BARCODES),
    "Matrix Market": (as_mtx, BARCODES),
    "AnnData": (as_h5ad, BARCODES),
    "legacy ST": (as_table, [f"{x + 2}x{y + 2}" for y in range(8) for x in range(8)]),
}


def added(tmp_path, form, values):
    write, names = FORMATS[form]
    kind, path = write(tmp_path / "slide", values)
    (tmp_path / "mine.yaml").write_text(
        f"{{name: mine, format: {kind}, organism: human, split: {{train: [a]}},"
        f" slides: {{a: {{path: slide{path}}}}}}}"
    )
    add_description(tmp_path / "mine.yaml", tmp_path / "data")
    return names


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("value", [*ODD, "16777217", "1e39"])
def test_every_reader_refuses_what_is_no_count_and_says_where(tmp_path, form, value):
    with pytest.raises(CountsError) as refused:
        added(tmp_path, form, odd(value))
    at = place(FORMATS[form][1])
    if form == "AnnData" and value in LAYERS:
        told = LAYERS[value].format(at=at)
    else:
        # Read as float32, in which this is no number any more.
        known = {"1e39": "1e+39" if form == "AnnData" else "inf", "16777217": "1.677722e+07"}
        told = ODD.get(value, "{value} {at}").format(value=known.get(value), at=f"for {at}")
    assert "Slide 'a' of " in str(refused.value)
    assert f" holds {told}" in str(refused.value)


@pytest.mark.parametrize("form", FORMATS)
def test_the_largest_count_that_is_kept_exactly_is_read(tmp_path, form):
    added(tmp_path, form, odd("16777215"))
    slide = read_slide(tmp_path / "data/mine", "a")
    assert slide.X.max() == 16777215


def test_counts_that_are_too_many_only_once_genes_are_added_up_are_refused(tmp_path):
    values = odd("16777215")
    values[SPOT, GENE + 1] = 1
    as_mtx(tmp_path / "slide", values)
    path = tmp_path / "slide/filtered_feature_bc_matrix/features.tsv"
    genes = made_slides.gene_ids(N_GENES)
    path.write_text(path.read_text().replace(genes[GENE + 1], f"{genes[GENE]}.2"))
    (tmp_path / "mine.yaml").write_text(
        "{name: mine, format: space_ranger, organism: human, split: {train: [a]},"
        " slides: {a: {path: slide}}}"
    )
    told = rf"X of slide 'a' .* holds 1\.677722e.07 for {place(BARCODES)}"
    with pytest.raises(CountsError, match=told):
        add_description(tmp_path / "mine.yaml", tmp_path / "data")
