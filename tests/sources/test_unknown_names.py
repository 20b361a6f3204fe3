"""Slides whose genes have no name that is known are told of when they are added."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from spared_bench.cli import app
from spared_bench.processing.annotation import gene_table
from spared_bench.sources.unknown_names import dated_names, dotted_names, unknown_names
from tests import made_slides


def symbols(organism):
    table = gene_table(organism)
    return list(table[table["gene_type"] == "protein_coding"]["gene_name"][:100])


@pytest.mark.parametrize(
    ("organism", "change", "told"),
    [
        ("human", str.lower, "100 of its 100 genes are called like genes of human but for their"),
        ("mouse", str.lower, "100 of its 100 genes are called like genes of mouse but for their"),
        ("human", lambda name: f"{name}.1", "called like none of human ('OR4F5.1', for example)"),
        ("human", lambda name: f"{name}|ENSG00000186092", "called like none of human"),
        ("human", str, ""),
        ("mouse", str, ""),
        ("fly", str.lower, ""),
    ],
)
def test_names_that_no_gene_has_are_told(organism, change, told):
    names = [change(name) for name in symbols("human" if organism == "fly" else organism)]
    found = unknown_names(names, organism)
    assert told in found[0] if told else not found


@pytest.mark.parametrize(("n_wrong", "is_told"), [(9, False), (10, True)])
def test_a_part_in_other_capitals_is_told_and_a_few_old_names_are_not(n_wrong, is_told):
    names = symbols("human")
    lower = [name.lower() for name in names[:n_wrong]]

    assert bool(unknown_names([*lower, *names[n_wrong:]], "human")) == is_told
    assert not unknown_names([f"RP11-{n}.1" for n in range(n_wrong)] + names[n_wrong:], "human")


def test_no_symbol_is_taken_for_a_date():
    for organism in ("human", "mouse"):
        assert not dated_names(list(gene_table(organism)["gene_name"]))
        assert not dotted_names(list(gene_table(organism)["gene_name"]), organism)
    assert not dated_names([str(40_000 + n) for n in range(50)])  # ids of Entrez


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            lambda n, name: f"{name}.1",
            "in them than a name, as 'OR4F5' in 'OR4F5.1'. They are read as",
        ),
        (lambda n, name: f"{name}|ENSG00000186092", "as 'OR4F5' in 'OR4F5|ENSG00000186092'. They"),
        (lambda n, name: f"ENSG00000186092_{name}", "as 'ENSG00000186092' in 'ENSG0000018609"),
        (lambda n, name: str(n), "('0', for example). They are numbers, of rows or of Entrez"),
        (lambda n, name: f"P{n:05d}", "like none of human ('P00000', for example). They are"),
    ],
)
def test_what_unknown_names_are_is_told(change, told):
    names = [change(n, name) for n, name in enumerate(symbols("human"))]
    assert told in unknown_names(names, "human")[0]


@pytest.mark.parametrize(("organism", "first"), [("human", "HLA"), ("mouse", "H2")])
def test_dots_that_r_wrote_for_dashes_are_told(organism, first):
    known = sorted(name for name in gene_table(organism)["gene_name"] if name.startswith(first))
    dashed = [name for name in known if "-" in name and "." not in name][:6]
    dotted = [name.replace("-", ".") for name in dashed]

    (told,) = dotted_names([*dotted, *symbols(organism)], organism)
    assert told.startswith(f"6 genes called like genes of {organism} but for dots ({dotted[0]!r},")
    assert not dotted_names([*dashed, *symbols(organism)], organism)
    assert not dotted_names([*dotted[:4], *symbols(organism)], organism)
    assert not dotted_names(dotted, "fly")


@pytest.mark.parametrize(
    "name",
    [
        *("1-Mar", "2-Sep", "10-MAR", "1-Dec", "Mar-01", "Sept-2", "1-Mar-01"),
        *("2001-03-01 00:00:00", "2001/3/1", "01.03.2001", "3/1/2001", "03-01-2001", "44256"),
        *("01. Mrz", "1-Mär", "01. Dez", "Mrz 01", "1-mars", "01-déc", "sept-02", "1-dic", "1-set"),
    ],
)
def test_names_that_a_spreadsheet_has_made_dates_of_are_told(name):
    (told,) = dated_names(["TP53", name, "MARCHF1", "H1-0", "HLA-A"])
    assert told.startswith(f"1 gene called as a date ({name!r})")


def added(folder):
    """Add a slide of 20 genes, called as ``made_slides`` calls them."""
    made_slides.space_ranger(folder / "T1", n_genes=20)
    described = folder / "mine.yaml"
    described.write_text(
        "{name: mine, format: space_ranger, organism: human, split: {train: [T1]},"
        " slides: {T1: {path: T1}}}"
    )
    return CliRunner().invoke(app, ["data", "add", str(described), "-w", str(folder / "w")])


def test_the_command_tells_of_dates_among_genes(tmp_path, monkeypatch):
    ids = made_slides.gene_ids(20)
    monkeypatch.setattr(made_slides, "gene_ids", lambda n: ["1-Mar", "2-Sep", *ids[2:n]])
    done = added(tmp_path)
    assert "2 genes called as a date ('1-Mar', '2-Sep')" in done.stderr


def test_the_command_tells_of_dots(tmp_path, monkeypatch):
    ids = made_slides.gene_ids(20)
    dotted = ["HLA.A", "HLA.B", "HLA.C", "HLA.E", "HLA.F"]
    monkeypatch.setattr(made_slides, "gene_ids", lambda n: [*dotted, *ids[5:n]])
    assert "5 genes called like genes of human but for dots ('HLA.A'" in added(tmp_path).stderr


def test_the_command_tells_of_them(tmp_path, monkeypatch):
    ids = made_slides.gene_ids(20)
    monkeypatch.setattr(made_slides, "gene_ids", lambda n: [gene.lower() for gene in ids[:n]])
    done = added(tmp_path)

    assert done.exit_code == 0, done.output
    assert "Slide 'T1': 20 of its 20 genes are called like genes of human" in done.stderr
