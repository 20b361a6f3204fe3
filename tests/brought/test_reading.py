"""Files as scanpy, pandas, numpy and R write them, and hostile ones."""

from __future__ import annotations

import gzip
import pickle
import zipfile

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from spared_bench.brought import npz_file, sparse_parts, text_file
from spared_bench.brought.collecting import collect
from spared_bench.brought.memory import named_table
from spared_bench.brought.names import Names
from spared_bench.brought.reading import open_predictions
from spared_bench.errors import MissingFileError, SubmissionError, UsageError

SPOTS = Names("spots", ("a_s0", "a_s1", "b_s0", "b_s2"), ("s0", "s1", "s0", "s2"), frozenset("t"))
GENES = Names("genes", ("E1", "E2", "E3"), ("ONE", "TWO", "TWO"))
VALUES = np.arange(12, dtype=float).reshape(4, 3) / 8
FRAME = pd.DataFrame(VALUES, index=SPOTS.names, columns=GENES.names)


def shuffled(frame, rng):
    return frame.iloc[rng.permutation(len(frame)), rng.permutation(frame.shape[1])]


def as_csv(frame, path):
    frame.to_csv(path)


def as_named_csv(frame, path):
    frame.to_csv(path, index_label="spot")


def as_tsv(frame, path):
    frame.to_csv(path, sep="\t")


def as_quoted(frame, path):
    import csv

    frame.to_csv(path, quoting=csv.QUOTE_NONNUMERIC)


def as_r(frame, path):
    """Write a header without the corner, as ``write.table`` does."""
    lines = ["\t".join(f'"{name}"' for name in frame.columns)]
    lines += ["\t".join([f'"{n}"', *map(repr, map(float, row))]) for n, row in frame.iterrows()]
    path.write_text("\n".join(lines) + "\n")


def as_r_with_spaces(frame, path):
    """Write as ``write.table`` does where nobody says how."""
    lines = [" ".join(f'"{name}"' for name in frame.columns)]
    lines += [" ".join([f'"{n}"', *map(repr, map(float, row))]) for n, row in frame.iterrows()]
    path.write_text("\n".join(lines) + "\n")


def as_semicolons(frame, path):
    frame.to_csv(path, sep=";")


def as_excel_in_europe(frame, path):
    frame.to_csv(path, sep=";", decimal=",", encoding="utf-8-sig")


def as_numbered_rows(frame, path):
    frame.rename_axis("spot").reset_index().to_csv(path)


def as_windows(frame, path):
    path.write_text(frame.to_csv().replace("\n", "\r\n"), encoding="utf-8-sig", newline="")


def as_utf16(frame, path):
    path.write_text(frame.to_csv(), encoding="utf-16")


def as_parquet(frame, path):
    frame.to_parquet(path)


def as_parquet_with_a_column(frame, path):
    frame.rename_axis("spot").reset_index().to_parquet(path, index=False)


def as_parquet_with_a_category(frame, path):
    table = frame.rename_axis("spot").reset_index()
    table.astype({"spot": "category"}).to_parquet(path, index=False)


def as_many_groups(frame, path):
    frame.to_parquet(path, row_group_size=1)


def as_h5ad(frame, path):
    ad.AnnData(frame).write_h5ad(path)


def as_sparse_h5ad(frame, path):
    adata = ad.AnnData(frame)
    adata.X = sparse.csr_matrix(adata.X)
    adata.write_h5ad(path, compression="gzip")


def as_sparse_by_columns(frame, path):
    adata = ad.AnnData(frame)
    adata.X = sparse.csc_matrix(adata.X)
    adata.raw = adata.copy()
    adata.write_h5ad(path)


def as_layer(frame, path):
    adata = ad.AnnData(frame * 0 - 7, layers={"predicted": frame.to_numpy()})
    adata.obs["batch"] = pd.Categorical(["x"] * len(frame))
    adata.write_h5ad(path)


def as_npz(frame, path):
    np.savez(
        path,
        predictions=frame.to_numpy(np.float32),
        spots=np.array(frame.index, dtype=str),
        genes=np.array(frame.columns, dtype=str),
    )


WRITERS = [
    (as_csv, "p.csv"),
    (as_named_csv, "p.csv"),
    (as_tsv, "p.tsv"),
    (as_quoted, "p.csv"),
    (as_r, "p.txt"),
    (as_r_with_spaces, "p.txt"),
    (as_semicolons, "p.csv"),
    (as_excel_in_europe, "p.csv"),
    (as_numbered_rows, "p.csv"),
    (as_windows, "p.csv"),
    (as_utf16, "p.csv"),
    (as_parquet, "p.parquet"),
    (as_parquet_with_a_column, "p.parquet"),
    (as_parquet_with_a_category, "p.parquet"),
    (as_many_groups, "p.parquet"),
    (as_h5ad, "p.h5ad"),
    (as_sparse_h5ad, "p.h5ad"),
    (as_sparse_by_columns, "p.h5ad"),
    (as_layer, "p.h5ad"),
    (as_npz, "p.npz"),
]
IDS = [write.__name__ for write, _ in WRITERS]


def read(path, **options):
    layer = options.pop("layer", "")
    return collect(open_predictions(path, layer)[0], SPOTS, GENES, **options)


@pytest.mark.parametrize(("write", "name"), WRITERS, ids=IDS)
def test_every_form_gives_the_same_values_in_any_order(write, name, tmp_path, rng):
    write(shuffled(FRAME, rng), tmp_path / name)

    found = read(tmp_path / name)

    np.testing.assert_allclose(found.values, VALUES)
    assert found.spots.all()
    assert found.genes.all()


@pytest.mark.parametrize(("write", "name"), WRITERS[:-1], ids=IDS[:-1])
def test_genes_as_rows_are_seen_by_their_names_and_told(write, name, tmp_path, rng):
    write(shuffled(FRAME, rng).T, tmp_path / name)

    found = read(tmp_path / name)

    np.testing.assert_allclose(found.values, VALUES)
    assert "Rows of the file are genes" in found.notes[-1]


def test_a_packed_table_is_read(tmp_path):
    with gzip.open(tmp_path / "p.csv.gz", "wt") as file:
        file.write(FRAME.to_csv())
    np.testing.assert_allclose(read(tmp_path / "p.csv.gz").values, VALUES)


def test_names_that_came_as_bytes_or_quoted_are_found(tmp_path):
    """As of pandas, which writes the names that h5py reads as ``b'a_s0'``."""
    FRAME.rename(index=str.encode, columns=str.encode).to_csv(tmp_path / "p.csv")
    np.testing.assert_allclose(read(tmp_path / "p.csv").values, VALUES)


def test_names_that_are_clear_may_be_short_and_what_several_share_may_not(tmp_path):
    short = FRAME.rename(index={"a_s1": "s1", "b_s2": "s2"}, columns={"E1": "ONE"})
    short.to_csv(tmp_path / "p.csv")
    np.testing.assert_allclose(read(tmp_path / "p.csv").values, VALUES)

    short.rename(index={"a_s0": "s0"}).to_csv(tmp_path / "p.csv")
    with pytest.raises(SubmissionError, match=r"'s0', which several spots .* as in 'a_s0'"):
        read(tmp_path / "p.csv")
    FRAME.rename(columns={"E2": "TWO"}).to_csv(tmp_path / "p.csv")
    with pytest.raises(SubmissionError, match=r"'TWO', which several genes"):
        read(tmp_path / "p.csv")


def test_what_is_missing_is_nan_and_known_spots_of_other_splits_are_passed_by(tmp_path):
    part = pd.concat([FRAME.iloc[:2, :2], pd.DataFrame([[9.0, 9.0]], ["t"], ["E1", "E2"])])
    part.to_csv(tmp_path / "p.csv")

    found = read(tmp_path / "p.csv")

    assert found.spots.tolist() == [True, True, False, False]
    assert found.genes.tolist() == [True, True, False]
    assert np.isnan(found.values[2:]).all()
    assert found.notes == []


@pytest.mark.parametrize(("write", "name"), WRITERS, ids=IDS)
@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda f: pd.concat([f, f.iloc[:1]]), r"names 'a_s0' more than once among its spots"),
        (lambda f: f.assign(ONE=1.0), r"names 'E1' more than once among its genes"),
        (lambda f: f.rename(columns={"E3": "EE3"}), r"1 gene .*'EE3'.*Did you mean 'E3'"),
        (lambda f: f.rename(index={"b_s2": "b_s9"}), r"1 spot .*'b_s9'.*--ignore-unknown"),
        (lambda f: f.mask(f == f.iloc[1, 1]), r"1 value other than finite .*'a_s1', 'E2'"),
        (lambda f: f.rename(index=str.upper, columns=str.lower), r"no column that is a gene"),
    ],
)
def test_bad_tables_are_refused_with_what_to_do(write, name, change, told, tmp_path):
    write(change(FRAME), tmp_path / name)
    with pytest.raises(SubmissionError, match=told):
        read(tmp_path / name)


def test_unknown_names_are_left_out_where_that_is_asked_for(tmp_path):
    FRAME.rename(columns={"E3": "X"}, index={"b_s2": "Y"}).to_csv(tmp_path / "p.csv")
    found = read(tmp_path / "p.csv", ignore_unknown=True)
    assert found.unknown == {"genes": 1, "spots": 1}
    assert len(found.notes) == 2


def test_a_table_without_names_says_that_it_needs_them(tmp_path):
    FRAME.to_csv(tmp_path / "p.csv", index=False)
    with pytest.raises(
        SubmissionError, match=r"p.csv has no row that is one of the 4 spots.*as the ind"
    ):
        read(tmp_path / "p.csv")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", r"is empty \(0 bytes\)"),
        ("\n\n", "has no rows"),
        ("one\ntwo\n", "one value in a line, 'one'"),
        (",E1,E2\n", "has no rows"),
        (",E1,E2\na_s0,1,2,3,4\n", "a header of 3 names and a first row of 5"),
        (",E1,E2\na_s0,1,2\na_s1,1\n", "line 3: 1 value,|line 3: 2 values"),
        (",E1,E2\na_s0,1,much\n", r"line 2, column 'E2': 'much' is no number\. Predict a"),
        (",E1,E2\na_s0,1,1_5\n", r"line 2, column 'E2': '1_5' is no number\. Predict a"),
    ],
)
def test_broken_text_is_told_by_line(text, told, tmp_path):
    (tmp_path / "p.csv").write_text(text)
    with pytest.raises(SubmissionError, match=told):
        read(tmp_path / "p.csv")


def test_how_a_table_was_understood_is_told(tmp_path):
    as_excel_in_europe(FRAME, tmp_path / "p.csv")
    assert "commas in them were read as decimal points" in read(tmp_path / "p.csv").notes[0]
    as_semicolons(FRAME, tmp_path / "p.csv")
    assert read(tmp_path / "p.csv").notes == []
    as_numbered_rows(FRAME, tmp_path / "p.csv")
    assert "names are those of the second" in read(tmp_path / "p.csv").notes[0]
    FRAME.rename_axis("spot").reset_index().set_axis(range(1, 5)).to_csv(tmp_path / "p.csv")  # of R
    assert "names are those of the second" in read(tmp_path / "p.csv").notes[0]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("packed", [False, True])
def test_text_of_windows_is_read_packed_or_not(encoding, packed, tmp_path):
    raw = FRAME.to_csv().encode(encoding)
    (tmp_path / "p.csv").write_bytes(gzip.compress(raw) if packed else raw)
    np.testing.assert_allclose(read(tmp_path / "p.csv").values, VALUES)


@pytest.mark.parametrize("separator", [";", "\t", "|", " "])
def test_a_comma_that_separates_nothing_is_a_decimal_point(separator, tmp_path):
    # Excel's "Text (tab delimited)" in Europe was refused as no number.
    FRAME.to_csv(tmp_path / "p.txt", sep=separator, decimal=",")
    found = read(tmp_path / "p.txt")
    np.testing.assert_allclose(found.values, VALUES)
    assert "read as decimal points" in found.notes[0]


@pytest.mark.parametrize("told", ["sep=;", '"sep=;"', "SEP=;\r"])
def test_a_line_of_excel_above_the_header_tells_the_separator(told, tmp_path):
    text = FRAME.to_csv(sep=";")
    (tmp_path / "p.csv").write_text(f"{told}\n{text}", newline="")
    np.testing.assert_allclose(read(tmp_path / "p.csv").values, VALUES)
    (tmp_path / "p.csv").write_text(f"{told}\n{text.replace('0.5', 'much')}")
    with pytest.raises(SubmissionError, match=r"line \d, column 'E\d': 'much' is no number"):
        read(tmp_path / "p.csv")


def test_barcodes_that_several_slides_share_are_told_as_such_where_nothing_else_is_there(tmp_path):
    # The message said that no row is a spot, and that spots are called as the rows were.
    FRAME.iloc[[0]].rename(index={"a_s0": "s0"}).to_csv(tmp_path / "p.csv")
    for ignore in (False, True):
        with pytest.raises(SubmissionError, match=r"'s0', which several spots .* as in 'a_s0'"):
            read(tmp_path / "p.csv", ignore_unknown=ignore)


def test_a_table_whose_spots_are_called_by_numbers_is_not_numbered(tmp_path):
    spots = Names("spots", ("0", "1", "2", "3"), ("0", "1", "2", "3"))
    FRAME.set_axis(list(spots.names)).to_csv(tmp_path / "p.csv")
    found = collect(open_predictions(tmp_path / "p.csv")[0], spots, GENES)
    np.testing.assert_allclose(found.values, VALUES)


def test_a_text_that_is_damaged_and_one_in_other_letters_say_so(tmp_path):
    packed = gzip.compress(FRAME.to_csv().encode())
    (tmp_path / "p.csv.gz").write_bytes(packed[: len(packed) // 2])
    with pytest.raises(SubmissionError, match=r"is damaged or incomplete .*Write it again"):
        read(tmp_path / "p.csv.gz")
    (tmp_path / "p.csv").write_text(FRAME.rename(columns={"E1": "Ä"}).to_csv(), "latin-1")
    with pytest.raises(SubmissionError, match=r"no text in UTF-8 .*Save it as UTF-8"):
        read(tmp_path / "p.csv")


@pytest.mark.parametrize("name", ["p.parquet", "p.h5ad", "p.npz"])
def test_a_file_with_a_flipped_byte_is_read_or_is_said_to_be_damaged(tmp_path, name):
    """Libraries have many errors for it, and met most of them where values are read."""
    {"p.parquet": as_parquet, "p.h5ad": as_h5ad, "p.npz": as_npz}[name](FRAME, tmp_path / name)
    whole = (tmp_path / name).read_bytes()
    refused = 0
    for place in range(0, len(whole), max(1, len(whole) // 150)):
        (tmp_path / name).write_bytes(whole[:place] + b"\xff" + whole[place + 1 :])
        try:
            read(tmp_path / name)
        except SubmissionError:
            refused += 1
    assert refused > 10


def test_words_in_a_column_of_numbers_are_told_with_its_name(tmp_path):
    FRAME.astype({"E2": str}).replace({"E2": {"0.5": "n.d."}}).to_parquet(tmp_path / "p.parquet")
    with pytest.raises(SubmissionError, match=r"column 'E2' holds what is no number .*'n\.d\.'"):
        read(tmp_path / "p.parquet")
    FRAME.iloc[:0].to_parquet(tmp_path / "p.parquet")
    with pytest.raises(SubmissionError, match="it has no rows"):
        read(tmp_path / "p.parquet")


def test_an_endless_line_and_a_huge_file_are_refused_before_they_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr(text_file, "_MOST_CHARS_OF_A_LINE", 1_000)
    (tmp_path / "p.csv").write_text("E1," * 10_000)
    with pytest.raises(SubmissionError, match="a line of more than 1,000 characters"):
        read(tmp_path / "p.csv")
    monkeypatch.setattr(text_file, "_MOST_BYTES", 1_000)
    with pytest.raises(SubmissionError, match=r"Write the spots and genes .* an .h5ad or .parquet"):
        read(tmp_path / "p.csv")


def test_a_large_table_takes_no_memory_but_for_what_is_wanted(tmp_path):
    import tracemalloc

    wide = [f"x{i}" for i in range(20_000)]
    line = ",".join(["1.25"] * len(wide))
    with (tmp_path / "p.csv").open("w") as file:  # 25 MB
        file.write(f",E1,{','.join(wide)}\n")
        for i in range(250):
            file.write(f"{SPOTS.names[i] if i < 4 else f'n{i}'},{i},{line}\n")
    tracemalloc.start()
    found = read(tmp_path / "p.csv", ignore_unknown=True)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    np.testing.assert_array_equal(found.values[:, 0], [0, 1, 2, 3])
    assert peak < 12e6


class Bomb:
    def __reduce__(self):
        return (open, ("/tmp/spared-bench-was-here", "w"))


def test_arrays_of_objects_are_never_unpickled(tmp_path):
    np.savez(
        tmp_path / "p.npz",
        predictions=VALUES,
        spots=np.array([Bomb(), *SPOTS.names[1:]], dtype=object),
        genes=np.array(GENES.names),
    )
    with pytest.raises(SubmissionError, match="spots holds Python objects, which are never read"):
        read(tmp_path / "p.npz")


def test_a_pickle_under_another_name_is_no_archive(tmp_path):
    for name in ("p.npz", "p.h5ad", "p.parquet"):
        (tmp_path / name).write_bytes(pickle.dumps(VALUES))
        with pytest.raises(SubmissionError, match=r"no sound .npz|no HDF5|no Parquet"):
            read(tmp_path / name)


def test_an_archive_that_claims_too_much_or_lacks_an_array_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(npz_file, "_MOST_BYTES", 50)
    as_npz(FRAME, tmp_path / "p.npz")
    with pytest.raises(SubmissionError, match="would take more than"):
        read(tmp_path / "p.npz")
    np.savez(tmp_path / "p.npz", predictions=VALUES)
    with pytest.raises(SubmissionError, match=r"no array of spots .*it has predictions.*savez"):
        read(tmp_path / "p.npz")
    with zipfile.ZipFile(tmp_path / "p.npz", "w") as packed:
        for name in ("predictions", "spots", "genes"):
            packed.writestr(f"{name}.npy", b"nothing")
    with pytest.raises(SubmissionError, match="spots is no array"):
        read(tmp_path / "p.npz")


def test_an_archive_that_holds_an_array_twice_is_refused(tmp_path):
    path = tmp_path / "p.npz"
    as_npz(FRAME, path)
    as_npz(FRAME * 2, tmp_path / "other.npz")
    with zipfile.ZipFile(tmp_path / "other.npz") as other:
        again = other.read("predictions.npy")
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(path, "a") as packed:
        packed.writestr("predictions.npy", again)
    with pytest.raises(SubmissionError, match=r"p\.npz .* 'predictions\.npy' 2 times, and which"):
        read(path)


def test_a_member_that_is_no_array_by_its_name_is_not_taken_for_one(tmp_path):
    as_npz(FRAME, tmp_path / "p.npz")
    with zipfile.ZipFile(tmp_path / "p.npz") as packed:
        members = {name: packed.read(name) for name in packed.namelist()}
    with zipfile.ZipFile(tmp_path / "p.npz", "w") as packed:
        for name, content in members.items():
            packed.writestr(name.replace("spots.npy", "spots"), content)
    with pytest.raises(SubmissionError, match=r"no array of spots .* it has genes, predictions"):
        read(tmp_path / "p.npz")


def test_an_archive_whose_shape_is_not_that_of_its_names_is_refused(tmp_path):
    np.savez(
        tmp_path / "p.npz", X=VALUES.T, spots=np.array(SPOTS.names), genes=np.array(GENES.names)
    )
    with pytest.raises(SubmissionError, match=r"\(3, 4\), .* are of \(4, 3\).*save `X\.T`"):
        read(tmp_path / "p.npz")


def test_links_to_other_files_are_not_followed(tmp_path):
    as_h5ad(FRAME, tmp_path / "secret.h5ad")
    as_h5ad(FRAME, tmp_path / "p.h5ad")
    with h5py.File(tmp_path / "p.h5ad", "a") as file:
        del file["X"]
        file["X"] = h5py.ExternalLink("secret.h5ad", "/X")
    with pytest.raises(SubmissionError, match="X is a link to another place"):
        read(tmp_path / "p.h5ad")
    raw = tmp_path / "raw.bin"
    raw.write_bytes(np.zeros(12).tobytes())
    with h5py.File(tmp_path / "p.h5ad", "a") as file:
        del file["X"]
        file.create_dataset("X", (4, 3), "f8", external=[(str(raw), 0, 96)])
    with pytest.raises(SubmissionError, match="X lies in another file"):
        read(tmp_path / "p.h5ad")


def test_a_sparse_matrix_that_points_beyond_itself_is_refused(tmp_path):
    as_sparse_h5ad(FRAME, tmp_path / "p.h5ad")
    with h5py.File(tmp_path / "p.h5ad", "a") as file:
        file["X/indices"][0] = 77
    with pytest.raises(SubmissionError, match="a column is beyond the genes"):
        read(tmp_path / "p.h5ad")
    with h5py.File(tmp_path / "p.h5ad", "a") as file:
        file["X/indptr"][2] = 10**9
    with pytest.raises(SubmissionError, match="row pointers do not rise"):
        read(tmp_path / "p.h5ad")


def test_a_matrix_by_columns_that_points_beyond_itself_or_holds_too_much_is_refused(
    tmp_path, monkeypatch
):
    path = tmp_path / "p.h5ad"
    as_sparse_by_columns(FRAME, path)
    monkeypatch.setattr(sparse_parts, "_MOST_VALUES", 5)
    with pytest.raises(SubmissionError, match=r"more than 5 values .*tocsr\(\)"):
        read(path)
    monkeypatch.undo()
    with h5py.File(path, "a") as file:
        file["X/indices"][0] = 4
    with pytest.raises(SubmissionError, match="a row is beyond the spots"):
        read(path)
    with h5py.File(path, "a") as file:
        file["X/indptr"][1] = 10**9
    with pytest.raises(SubmissionError, match="column pointers do not rise"):
        read(path)
    with h5py.File(path, "a") as file:
        file["X"].attrs["encoding-type"] = "coo_matrix"
    with pytest.raises(SubmissionError, match=r"stored as 'coo_matrix'; dense arrays and sparse"):
        read(path)


def test_a_layer_is_taken_by_name_and_variances_come_with_it(tmp_path):
    adata = ad.AnnData(FRAME, layers={"mine": VALUES + 1, "variance": VALUES + 2})
    adata.write_h5ad(tmp_path / "p.h5ad")

    means, variances = open_predictions(tmp_path / "p.h5ad", "mine")

    np.testing.assert_allclose(collect(means, SPOTS, GENES).values, VALUES + 1)
    np.testing.assert_allclose(collect(variances, SPOTS, GENES).values, VALUES + 2)
    with pytest.raises(SubmissionError, match=r"no layer 'mien'.*Did you mean 'mine'"):
        open_predictions(tmp_path / "p.h5ad", "mien")
    for source in (adata, FRAME):
        found = collect(named_table(source)[0], SPOTS, GENES)
        np.testing.assert_allclose(found.values, VALUES)


def test_other_files_and_things_are_refused(tmp_path):
    with pytest.raises(MissingFileError, match=r"no file of predictions at .* has no 'p\.csv'"):
        open_predictions(tmp_path / "p.csv")
    (tmp_path / "p.pkl").write_bytes(b"x")
    with pytest.raises(UsageError, match=r"known are .h5ad, .parquet, .npz"):
        open_predictions(tmp_path / "p.pkl")
    (tmp_path / "p.csv").write_text("x")
    with pytest.raises(UsageError, match=r"`--layer` is for .h5ad"):
        open_predictions(tmp_path / "p.csv", "X")
    with pytest.raises(UsageError, match="ndarray is no table with names"):
        named_table(VALUES)
    with pytest.raises(UsageError, match="no layer 'no'"):
        named_table(ad.AnnData(FRAME), "no")


def test_masked_entries_in_memory_are_no_values(tmp_path):
    hidden = np.ma.masked_array(VALUES.copy(), mask=np.zeros(VALUES.shape, dtype=bool))
    adata = ad.AnnData(FRAME, layers={"predicted": hidden})
    np.testing.assert_allclose(collect(named_table(adata)[0], SPOTS, GENES).values, VALUES)
    hidden[0, 0] = np.ma.masked
    adata = ad.AnnData(FRAME, layers={"predicted": hidden})
    with pytest.raises(SubmissionError, match="1 value other than finite"):
        collect(named_table(adata)[0], SPOTS, GENES)


@pytest.mark.parametrize(
    "change",
    [
        lambda frame: frame + 1j,
        lambda frame: frame.astype(object).map(lambda value: value + 1j),
        lambda frame: frame.apply(lambda column: pd.to_datetime(column, unit="s")),
        lambda frame: frame.apply(lambda column: pd.to_timedelta(column, unit="s")),
        lambda frame: frame.map(lambda value: "1_5"),
        lambda frame: frame.map(lambda value: "high"),
    ],
)
def test_what_is_no_number_in_memory_is_refused_and_not_cast(change):
    with pytest.raises(UsageError, match=r"The table holds .* expected numbers"):
        collect(named_table(change(FRAME))[0], SPOTS, GENES)


def test_what_parquet_says_of_pandas_counts_only_if_it_can_be_read(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pandas(FRAME)
    pq.write_table(table.replace_schema_metadata({"pandas": "[" * 100_000}), tmp_path / "p.parquet")
    read = collect(open_predictions(tmp_path / "p.parquet")[0], SPOTS, GENES).values
    np.testing.assert_allclose(read, VALUES)


@pytest.mark.parametrize(
    "change",
    [
        lambda column: pd.to_datetime(column, unit="s"),
        lambda column: pd.to_timedelta(column, unit="s"),
        lambda column: column.map(lambda value: "1_5"),
        lambda column: column.map(lambda value: "1_5").astype("category"),
        lambda column: column.map(lambda value: b"15"),
        lambda column: column.map(lambda value: [value]),
    ],
)
def test_what_is_no_number_in_parquet_is_refused_and_not_cast(tmp_path, change):
    frame = FRAME.copy()
    frame.astype(str).to_parquet(tmp_path / "p.parquet")  # texts of numbers are numbers
    read = collect(open_predictions(tmp_path / "p.parquet")[0], SPOTS, GENES).values
    np.testing.assert_allclose(read, VALUES)
    frame[frame.columns[0]] = change(frame[frame.columns[0]])
    frame.to_parquet(tmp_path / "p.parquet")
    with pytest.raises(SubmissionError, match=f"column '{frame.columns[0]}' holds .* no number"):
        collect(open_predictions(tmp_path / "p.parquet")[0], SPOTS, GENES)
