"""Text files as Windows, Excel, R and others leave them are read as meant, by every reader."""

from __future__ import annotations

import csv
import gzip
import io
import json

import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.io
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from spared_bench.encoded import decode
from spared_bench.errors import ContractError, CoordinateError, CountsError
from spared_bench.readers import read_legacy_st, read_space_ranger
from spared_bench.readers.text import bare, fields_of, lines_of
from spared_bench.unseen import is_unseen
from tests import made_slides

N_GENES = 12
BARCODES = [f"AAAC{i:04d}-1" for i in range(made_slides.SIDE**2)]


def quoted(text: str, separator: str) -> bytes:
    """As ``write.table`` and ``write.csv`` of R do by default."""
    rows = [line.split(separator) for line in text.splitlines()]
    out = io.StringIO()
    csv.writer(
        out, delimiter=separator, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n"
    ).writerows([[_number(field) for field in row] for row in rows])
    return out.getvalue().encode()


def _number(field: str) -> str | float | int:
    try:
        return int(field) if field.isdigit() else float(field)
    except ValueError:
        return field


def spaced(text: str, separator: str) -> bytes:
    return text.replace(separator, f"{separator} ").replace("\n", " \n").encode()


VARIANTS = {
    "crlf": lambda text, _: text.replace("\n", "\r\n").encode(),
    "cr": lambda text, _: text.replace("\n", "\r").encode(),
    "bom": lambda text, _: text.encode("utf-8-sig"),
    "bom and crlf": lambda text, _: text.replace("\n", "\r\n").encode("utf-8-sig"),
    "utf-16": lambda text, _: text.encode("utf-16"),
    "utf-16-be with mark": lambda text, _: b"\xfe\xff" + text.encode("utf-16-be"),
    "utf-16-le without mark": lambda text, _: text.encode("utf-16-le"),
    "utf-16-be without mark": lambda text, _: text.encode("utf-16-be"),
    "utf-32": lambda text, _: text.encode("utf-32"),
    "blank lines last": lambda text, _: (text + "\n\n  \n").encode(),
    "packed": lambda text, _: gzip.compress(text.encode()),
}
OF_TABLES = VARIANTS | {
    "quoted": quoted,
    "quoted, bom, crlf": lambda text, separator: (
        b"\xef\xbb\xbf" + quoted(text, separator).replace(b"\n", b"\r\n")
    ),
    "spaced": spaced,
    "rows without a field last": lambda text, separator: (
        text.rstrip("\n") + f"\n{separator * 5}" * 2
    ).encode(),
    "separator told, as by Excel": lambda text, separator: f"sep={separator}\r\n{text}".encode(),
}


@pytest.fixture
def texts():
    """What stands in the three files of a matrix, as Space Ranger writes them."""
    out = io.BytesIO()
    scipy.io.mmwrite(out, sparse.coo_matrix(made_slides.counts(N_GENES, 1).T))
    ids = made_slides.gene_ids(N_GENES)
    features = [f"{gene}\tS{i}\tGene Expression" for i, gene in enumerate(ids)]
    return {
        "matrix.mtx": out.getvalue().decode(),
        "features.tsv": "\n".join(features) + "\n",
        "barcodes.tsv": "\n".join(BARCODES) + "\n",
    }


@pytest.fixture
def folder(tmp_path, texts):
    made_slides.space_ranger(tmp_path, N_GENES, seed=1)
    (tmp_path / "filtered_feature_bc_matrix.h5").unlink()
    (tmp_path / "filtered_feature_bc_matrix").mkdir()
    for name, text in texts.items():
        (tmp_path / "filtered_feature_bc_matrix" / name).write_text(text)
    return tmp_path


def check(slide):
    np.testing.assert_array_equal(slide.X.toarray(), made_slides.counts(N_GENES, 1))
    assert list(slide.obs_names) == BARCODES
    assert list(slide.var_names) == made_slides.gene_ids(N_GENES)
    assert list(slide.var["gene_name"]) == [f"S{i}" for i in range(N_GENES)]
    np.testing.assert_allclose(slide.obsm["spatial"], made_slides.lattice()[1])


@pytest.mark.parametrize("name", ["features.tsv", "barcodes.tsv"])
@pytest.mark.parametrize("variant", OF_TABLES)
@pytest.mark.parametrize("ending", ["", ".gz"])
def test_names_of_spots_and_genes_are_read_as_meant(folder, texts, name, variant, ending):
    path = folder / "filtered_feature_bc_matrix" / name
    path.unlink()
    # Whether it is packed shows in the file, not in its name: browsers unpack and keep the name.
    path.with_name(name + ending).write_bytes(OF_TABLES[variant](texts[name], "\t"))
    check(read_space_ranger(folder))


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_matrix_of_numbers_is_read_as_meant(folder, texts, variant):
    path = folder / "filtered_feature_bc_matrix" / "matrix.mtx"
    path.write_bytes(VARIANTS[variant](texts["matrix.mtx"], " "))
    check(read_space_ranger(folder))


@pytest.mark.parametrize("variant", OF_TABLES)
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_positions_are_read_as_meant(folder, variant, separator):
    path = folder / "spatial" / "tissue_positions.csv"
    text = path.read_text().replace(",", separator)
    path.write_bytes(OF_TABLES[variant](text, separator))
    check(read_space_ranger(folder))
    path.write_bytes(OF_TABLES[variant](text.partition("\n")[2], separator))
    check(read_space_ranger(folder))


def test_positions_with_row_names_or_capital_letters_are_read(folder):
    path = folder / "spatial" / "tissue_positions.csv"
    table = pd.read_csv(path)
    table.to_csv(path)  # numbered, as by R and pandas
    check(read_space_ranger(folder))
    table.rename(columns={"in_tissue": "In_Tissue", "array_row": "ARRAY_ROW"}).to_csv(
        path, index=False
    )
    check(read_space_ranger(folder))
    table.set_index("barcode").rename_axis("").to_csv(path)
    check(read_space_ranger(folder))


def test_barcodes_that_look_like_numbers_stay_text(folder, texts):
    names = [f"{i:04d}" for i in range(len(BARCODES))]
    path = folder / "spatial" / "tissue_positions.csv"
    text = path.read_text()
    for barcode, name in zip(BARCODES, names, strict=True):
        text = text.replace(barcode, name)
    path.write_text(text)
    (folder / "filtered_feature_bc_matrix" / "barcodes.tsv").write_text("\n".join(names))
    assert list(read_space_ranger(folder).obs_names) == names


@pytest.mark.parametrize("variant", VARIANTS)
def test_scale_factors_are_read_as_meant(folder, variant):
    path = folder / "spatial" / "scalefactors_json.json"
    path.write_bytes(VARIANTS[variant](json.dumps(json.loads(path.read_text()), indent=1), ","))
    check(read_space_ranger(folder))


def test_genes_of_one_column_are_called_by_it(folder):
    path = folder / "filtered_feature_bc_matrix" / "features.tsv"
    path.write_text("\n".join(made_slides.gene_ids(N_GENES)))
    slide = read_space_ranger(folder)
    assert list(slide.var_names) == made_slides.gene_ids(N_GENES)
    assert list(slide.var["gene_name"]) == made_slides.gene_ids(N_GENES)


@pytest.mark.parametrize("separator", [",", ";"])
@pytest.mark.parametrize("all_quoted", [True, False])
def test_genes_between_commas_are_as_many_columns(folder, texts, separator, all_quoted):
    mark = '"' if all_quoted else ""
    lines = (line.split("\t") for line in texts["features.tsv"].splitlines())
    text = "".join(separator.join(f"{mark}{each}{mark}" for each in line) + "\n" for line in lines)
    (folder / "filtered_feature_bc_matrix" / "features.tsv").write_text(text)
    check(read_space_ranger(folder))


@pytest.mark.parametrize(
    ("name", "titles"),
    [
        ("barcodes.tsv", "barcode"),
        ("barcodes.tsv", '"x"'),
        ("features.tsv", "gene_id\tgene_name\tfeature_type"),
        ("features.tsv", "V1\tV2\tV3"),
    ],
)
def test_a_line_of_titles_is_no_spot_and_no_gene(folder, texts, name, titles):
    path = folder / "filtered_feature_bc_matrix" / name
    path.write_text(f"{titles}\n{texts[name]}")
    check(read_space_ranger(folder))
    path.write_text(f"ENSG99\tA\tGene Expression\n{texts[name]}")
    with pytest.raises(CountsError, match="cannot be read"):
        read_space_ranger(folder)


def test_genes_of_two_columns_under_the_older_name_are_read(folder, texts):
    path = folder / "filtered_feature_bc_matrix" / "features.tsv"
    path.with_name("genes.tsv").write_text(texts["features.tsv"].replace("\tGene Expression", ""))
    path.unlink()
    check(read_space_ranger(folder))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("features.tsv", "a\tb\nc\n", r"line 2 of features\.tsv has 1 field, \['c'\], .* 2"),
        ("features.tsv", "a\tb\n\nc\td\n", r"line 2 of features\.tsv"),
        ("barcodes.tsv", "a\n\nb\n", r"line 2 of barcodes\.tsv"),
        ("barcodes.tsv", "", r"barcodes\.tsv is empty"),
        ("matrix.mtx", "", "cannot be read"),
        ("matrix.mtx", "%%MatrixMarket matrix coordinate integer general\n1 1 1\n1 1\n", "cannot"),
        ("barcodes.tsv", b"\xb5m\n", r"no text in UTF-8 or UTF-16: .* at byte 0\. Save it again"),
        ("barcodes.tsv", gzip.compress(b"a\nb\n", mtime=0)[:-9], "cannot be read: .*incomplete"),
    ],
)
def test_what_cannot_be_meant_is_told_by_file_and_line(folder, name, text, message):
    raw = text if isinstance(text, bytes) else text.encode()
    (folder / "filtered_feature_bc_matrix" / name).write_bytes(raw)
    with pytest.raises(CountsError, match=message):
        read_space_ranger(folder)


def test_positions_and_factors_in_another_encoding_are_told(folder):
    path = folder / "spatial" / "tissue_positions.csv"
    before = path.read_bytes()
    path.write_bytes(b"barcode \xb5m" + before)
    with pytest.raises(CoordinateError, match=r"at byte 8\. Save it again as UTF-8"):
        read_space_ranger(folder)
    path.write_bytes(before)
    (folder / "spatial" / "scalefactors_json.json").write_bytes(b'{"\xff": 1}')
    with pytest.raises(ContractError, match="Save it again as UTF-8"):
        read_space_ranger(folder)


@pytest.fixture
def legacy(tmp_path):
    """Counts and positions of legacy ST, as text."""
    names = made_slides.st_table(tmp_path / "c.tsv", N_GENES, 1)
    spots = ["x\ty\tnew_x\tnew_y\tpixel_x\tpixel_y\tselected"]
    for name, (px, py) in zip(names, made_slides.st_pixels(names), strict=True):
        spots.append("\t".join([*name.split("x") * 2, str(px), str(py), "1"]))
    made_slides.picture(0).save(tmp_path / "he.png")
    counts = gzip.decompress((tmp_path / "c.tsv").read_bytes()).decode()
    return tmp_path, {"c.tsv": counts, "s.tsv": "\n".join(spots) + "\n"}


@pytest.mark.parametrize("variant", OF_TABLES)
@pytest.mark.parametrize("corner", [True, False])
@pytest.mark.parametrize("changed", ["c.tsv", "s.tsv"])
def test_legacy_tables_are_read_as_meant(legacy, variant, corner, changed):
    folder, texts = legacy
    if not corner:
        texts["c.tsv"] = texts["c.tsv"][1:]
    for name, text in texts.items():
        (folder / name).write_bytes(
            OF_TABLES[variant](text, "\t") if name == changed else text.encode()
        )
    slide = read_legacy_st(folder / "c.tsv", folder / "s.tsv", folder / "he.png")
    np.testing.assert_array_equal(slide.X.toarray(), made_slides.counts(N_GENES, 1))
    assert list(slide.var_names) == made_slides.gene_ids(N_GENES)
    assert slide.obs_names[0] == "2x2"


def test_fields_with_separators_and_quotes_are_one():
    assert fields_of('"a,b", "c ""d""",\'e\', f', ",") == ["a,b", 'c "d"', "e", "f"]
    assert bare("5'-ETS") == "5'-ETS"
    assert bare('"') == '"'


#: Without letters that nobody sees, which are in no name; nor is one of separators alone.
NAMES = st.text(
    st.characters(blacklist_categories=["Cc", "Cf", "Cs", "Zs", "Zl", "Zp"]).filter(
        lambda letter: not is_unseen(letter)
    ),
    min_size=1,
).filter(lambda name: name.strip(",;"))


@given(st.lists(NAMES.filter(lambda name: not set("\"'") & set(name)), min_size=1, max_size=20))
def test_names_come_back_whatever_the_encoding(names):
    for ends in ("\n", "\r\n", "\r"):
        text = ends.join(names)
        for encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-32"):
            if text.startswith("\ufeff"):
                continue
            assert lines_of(decode(text.encode(encoding))) == names
    assert fields_of("\t".join(f'"{name}"' for name in names), "\t") == names


def write_part(folder, name, text):
    (folder / "filtered_feature_bc_matrix" / name).write_text(text)


def test_ids_and_symbols_in_each_others_place_are_exchanged_and_noted(folder, texts):
    rows = [line.split("\t") for line in texts["features.tsv"].splitlines()]
    write_part(folder, "features.tsv", "".join(f"{s}\t{i}\t{kind}\n" for i, s, kind in rows))
    slide = read_space_ranger(folder)
    check(slide)
    assert any("in each other's place" in each for each in slide.uns["slide"]["repairs"])


def test_fields_between_blanks_are_refused(folder, texts):
    write_part(folder, "features.tsv", texts["features.tsv"].replace("\t", "  "))
    with pytest.raises(CountsError, match="fields stand between tabs, not blanks"):
        read_space_ranger(folder)


def test_a_barcode_that_stands_twice_is_refused(folder, texts):
    lines = texts["barcodes.tsv"].splitlines()
    write_part(folder, "barcodes.tsv", "\n".join([*lines[:-1], lines[0]]) + "\n")
    with pytest.raises(CountsError, match=f"1 barcode more than once, '{lines[0]}' first"):
        read_space_ranger(folder)


def numbers(change):
    """Change the first line of numbers."""

    def changed(text):
        lines = text.splitlines()
        first = next(i for i, line in enumerate(lines) if not line.startswith("%")) + 1
        lines[first] = change(lines[first])
        return "\n".join(lines) + "\n"

    return changed


def named(old, new):
    return lambda text: text.replace(old, new, 1)


def later(change):
    """Change a line of numbers in the middle."""

    def changed(text):
        lines = text.splitlines()
        lines[300] = change(lines[300])
        return "\n".join(lines) + "\n"

    return changed


def moved(rows, columns, lacking=()):
    """Count rows and columns from another number than 1; and leave the first gene or spot out."""

    def changed(text):
        title, *lines = (line for line in text.splitlines() if line.strip("%"))
        entries = [list(map(int, line.split())) for line in lines[1:]]
        entries = [each for each in entries if all(each[axis] != 1 for axis in lacking)]
        moved_lines = [f"{r + rows} {c + columns} {value}" for r, c, value in entries]
        return "\n".join([title, f"12 64 {len(entries)}", *moved_lines]) + "\n"

    return changed


FROM_0 = "as the size says. Rows and columns of this format count from 1, .* has counted from 0"
ODD_NUMBERS = {
    "comma": (numbers(lambda line: f"{line},5"), r"could not convert string to float: '\d,5'"),
    "semicolon": (numbers(lambda line: f"{line};"), r"could not convert string to float: '\d;'"),
    "hexadecimal": (numbers(lambda line: f"{line[:-1]}0x10"), "to float: '0x10'"),
    "field too many": (numbers(lambda line: f"{line} 7"), "its first line of numbers is '1 1"),
    "field too many later": (later(lambda line: f"{line} 7"), "Expected 3 fields in line"),
    "field too few later": (later(lambda line: line[:-2]), "could not convert string to float: ''"),
    "fraction": (later(lambda line: f"{line}.5"), "holds fractions"),  # though titled "integer"
    "row 0": (later(lambda line: f"0 {line.split(' ', 1)[1]}"), "it names row 0; expected 1 to 12"),
    "row 13": (
        later(lambda line: f"13 {line.split(' ', 1)[1]}"),
        "it names row 13; expected 1 to 12, as the size says. It is",
    ),
    "from 0": (moved(-1, -1), f"it names row 0; expected 1 to 12, {FROM_0}"),
    "rows from 0": (moved(-1, 0), f"it names row 0; expected 1 to 12, {FROM_0}"),
    "columns from 0": (moved(0, -1), f"it names column 0; expected 1 to 64, {FROM_0}"),
    "from 0 without the first gene": (
        moved(-1, -1, lacking=[0]),
        f"it names column 0; expected 1 to 64, {FROM_0}",
    ),
    "from 0 without the first spot": (
        moved(-1, -1, lacking=[1]),
        f"it names row 0; expected 1 to 12, {FROM_0}",
    ),
    "columns from 2": (moved(0, 1), "it names column 65; expected 1 to 64, as the size says. It"),
    "line too few": (
        lambda text: text.rsplit("\n", 2)[0] + "\n",
        "739 counts, where its size says",
    ),
    "line too many": (lambda text: text + "1 1 5\n", "741 counts, where its size says 740"),
    "pattern": (named("integer", "pattern"), "it is a pattern, which says where"),
    "complex": (named("integer", "complex"), "it is complex and general, which counts"),
    "symmetric": (named("general", "symmetric"), "it is integer and symmetric, which counts"),
    "vector": (named("matrix", "vector"), "it does not begin with '%%MatrixMarket matrix'"),
    "words": (named("integer", "text"), "its first line speaks of 'coordinate' and 'text'"),
    "size": (named("12 64 740", "12 64"), "its size is '12 64'; expected 3 whole numbers"),
}


@pytest.mark.parametrize("move", [moved(-1, -1, [0, 1]), moved(0, -1, [1])])
def test_a_last_spot_that_no_index_names_is_told_since_spots_may_count_from_0(folder, texts, move):
    text = move(texts["matrix.mtx"])  # in which no index is 0
    write_part(folder, "matrix.mtx", text)
    (told,) = read_space_ranger(folder).uns["slide"]["repairs"]
    assert told.startswith("matrix.mtx has no count of its last spot, 'AAAC0063-1'. If the program")
    assert told.endswith("from 0, and not from 1 as the format does, all counts are one spot off.")

    out = io.BytesIO()
    scipy.io.mmwrite(out, scipy.io.mmread(io.StringIO(text)).toarray())  # which names no place
    write_part(folder, "matrix.mtx", out.getvalue().decode())
    assert read_space_ranger(folder).uns["slide"]["repairs"] == []


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("kind", ODD_NUMBERS)
def test_what_is_no_number_in_a_matrix_is_refused_and_not_cut_off(folder, texts, kind, packed):
    change, told = ODD_NUMBERS[kind]
    text = change(texts["matrix.mtx"])
    write_part(folder, "matrix.mtx", text)
    if packed:
        path = folder / "filtered_feature_bc_matrix" / "matrix.mtx"
        path.with_name("matrix.mtx.gz").write_bytes(gzip.compress(text.encode()))
        path.unlink()
    with pytest.raises(CountsError, match=told):
        read_space_ranger(folder)


@pytest.mark.parametrize(
    "change",
    [
        named("integer", "real"),
        named("integer", "unsigned-integer"),
        later(lambda line: f"  {line}.0"),
        later(lambda line: f"{line}e0\n\n"),
        named("%%", "%"),
    ],
)
def test_counts_of_a_matrix_may_be_written_in_other_ways(folder, texts, change):
    write_part(folder, "matrix.mtx", change(texts["matrix.mtx"]))
    check(read_space_ranger(folder))


def test_a_matrix_may_be_dense_or_lie_the_other_way_round(folder, texts):
    whole = scipy.io.mmread(io.BytesIO(texts["matrix.mtx"].encode()))
    for values in (whole.toarray(), whole.T, whole.T.toarray()):
        out = io.BytesIO()
        scipy.io.mmwrite(out, values)
        write_part(folder, "matrix.mtx", out.getvalue().decode())
        slide = read_space_ranger(folder)
        check(slide)
        turned = ["matrix.mtx holds spots as rows and genes as columns: it was turned."]
        assert slide.uns["slide"]["repairs"] == turned * (values.shape[0] == 64)


def test_a_comment_of_a_matrix_may_hold_anything_and_be_long(folder, texts):
    first, _, rest = texts["matrix.mtx"].partition("\n")
    comments = [f'% Größe, "{i}"; it\'s <x>' for i in range(5_000)]
    write_part(folder, "matrix.mtx", "\n".join([first, *comments, rest]))
    check(read_space_ranger(folder))


def test_types_that_are_none_are_told_in_few_words(folder, texts):
    rows = [line.split("\t") for line in texts["features.tsv"].splitlines()]
    text = "".join(f"row {i}\t{gene}\t{s}\n" for i, (gene, s, _) in enumerate(rows))
    write_part(folder, "features.tsv", text)
    with pytest.raises(CountsError, match=r"found S0, S1, S10, .* and 2 more\."):
        read_space_ranger(folder)


@pytest.mark.parametrize("letter", ["\u3164", "\u2800", "\ufe0f", "\u200b"], ids=ascii)
def test_letters_that_nobody_sees_are_in_no_name_of_a_matrix(folder, texts, letter):
    spoilt = [f"{line}{letter}" for line in texts["barcodes.tsv"].splitlines()]
    write_part(folder, "barcodes.tsv", "\n".join(spoilt))
    spoilt = [letter + line for line in texts["features.tsv"].splitlines()]
    write_part(folder, "features.tsv", "\n".join(spoilt))
    check(read_space_ranger(folder))


@pytest.mark.parametrize("letter", ["\u3164", "\u2800", "\ufe0f", "\u200b"], ids=ascii)
def test_letters_that_nobody_sees_are_in_no_name_of_an_hdf5_matrix(tmp_path, letter):
    made_slides.space_ranger(tmp_path, N_GENES, seed=1)
    with h5py.File(tmp_path / "filtered_feature_bc_matrix.h5", "a") as file:
        for name in ("barcodes", "features/id"):
            spoilt = [letter + text for text in file["matrix"][name].asstr()[:]]
            del file["matrix"][name]
            file["matrix"][name] = spoilt
    check(read_space_ranger(tmp_path))
    with h5py.File(tmp_path / "filtered_feature_bc_matrix.h5", "a") as file:
        ids = list(file["matrix/features/id"].asstr()[:])
        del file["matrix/features/id"]
        file["matrix/features/id"] = [ids[0], letter, *ids[2:]]
    with pytest.raises(CountsError, match="its feature 2 has no id"):
        read_space_ranger(tmp_path)


@pytest.mark.parametrize(
    "letter",
    [
        "\u200b",
        "\u200d",
        "\u2060",
        "\ufeff",
        "\u00ad",
        "\u200e",
        "\u3164",
        "\u2800",
        "\ufe0f",
        "\U000e0100",
    ],
    ids=ascii,
)
def test_letters_that_nobody_sees_are_in_no_name(letter):
    assert bare(f"{letter}ERBB2{letter}") == bare(f' "ERBB2{letter}" ') == "ERBB2"
    assert bare(f"{letter} ER{letter}BB2 {letter}") == "ERBB2"
    assert fields_of(f"ENSG1{letter}\tERBB2", "\t") == ["ENSG1", "ERBB2"]


@pytest.mark.parametrize("end", [" 9", " 9 9", "\t9"])
def test_a_second_line_of_too_many_numbers_is_refused_and_not_cut_off(folder, texts, end):
    title, size, first, *lines = texts["matrix.mtx"].replace("%\n", "").splitlines()
    text = "\n".join([title, size, first, lines[0] + end, *lines[1:]]) + "\n"
    write_part(folder, "matrix.mtx", text)
    with pytest.raises(CountsError, match="its second line of numbers has more than 3 fields"):
        read_space_ranger(folder)


@pytest.mark.parametrize("word", ["TRUE", "True", "false"])
def test_a_word_among_the_counts_is_no_count(folder, texts, word):
    change = later(lambda line: f"{line.rpartition(' ')[0]} {word}")
    write_part(folder, "matrix.mtx", change(texts["matrix.mtx"]))
    with pytest.raises(CountsError, match="holds nan for gene"):
        read_space_ranger(folder)


def test_letters_that_are_left_out_of_names_of_a_matrix_are_recorded(tmp_path):
    made_slides.space_ranger(tmp_path, N_GENES, seed=1)
    assert read_space_ranger(tmp_path).uns["slide"]["repairs"] == []
    with h5py.File(tmp_path / "filtered_feature_bc_matrix.h5", "a") as file:
        for name, letter, rows in (
            ("barcodes", "\u200b", [0]),
            ("features/name", "\u3164", [1, 2]),
        ):
            texts = list(file["matrix"][name].asstr()[:])
            for row in rows:
                texts[row] += letter
            del file["matrix"][name]
            file["matrix"][name] = texts
    gene = made_slides.gene_ids(N_GENES)[1]
    told = [
        f"Letters that cannot be seen, left out of the name of 1 spot ({BARCODES[0]!r}, for"
        " example).",
        f"Letters that cannot be seen, left out of the name of 2 genes ({gene!r}, for example).",
    ]
    assert read_space_ranger(tmp_path).uns["slide"]["repairs"] == told


def test_letters_that_are_left_out_of_names_in_text_are_recorded(folder, texts):
    spoilt = texts["barcodes.tsv"].replace("\n", "\u2060\n", 1)
    write_part(folder, "barcodes.tsv", spoilt)
    write_part(folder, "features.tsv", texts["features.tsv"].replace("\tS3", "\t\u00adS3"))
    slide = read_space_ranger(folder)
    check(slide)
    assert [note.split(" (")[0] for note in slide.uns["slide"]["repairs"]] == [
        "Letters that cannot be seen, left out of the name of 1 spot",
        "Letters that cannot be seen, left out of the name of 1 gene",
    ]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (
            b"PK\3\4" + bytes(26) + b"[Content_Types].xml",
            "is a workbook of Excel: save the sheet that",
        ),
        (b"PK\3\4" + bytes(26) + b"counts.tsv", "is packed by zip: unpack it"),
        (b"PAR1" + bytes(40), "is a parquet table: write it as CSV"),
        (b"version https://git-lfs.github.com/spec/v1\nsize 5\n", "is a pointer of Git LFS"),
        (b"<!DOCTYPE html><html>Sign in</html>", "is a web page"),
        (bytes(4_096), "begins with zeros alone"),
    ],
)
def test_what_is_no_text_is_told_with_what_to_do(tmp_path, content, told):
    (tmp_path / "counts.tsv").write_bytes(content)
    with pytest.raises(CountsError, match=f"counts.tsv is no text. It {told}"):
        read_legacy_st(tmp_path / "counts.tsv", None, None)
