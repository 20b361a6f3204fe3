"""Slides of which spots stand under another name, in one dataset of one's own or in two."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy import sparse
from typer.testing import CliRunner

from spared_bench.api import make_bench, select
from spared_bench.cli import app
from spared_bench.errors import CountsError
from spared_bench.processing.annotation import gene_table
from spared_bench.sources import same_spots
from spared_bench.sources.adding import add_description
from spared_bench.sources.same_spots import _KEPT, keep_prints, prints_of, shares_spots, sharing
from tests import made_slides
from tests.conftest import TOY_PLUGIN, TOY_PROTOCOL

N_GENES = 600
IDS = made_slides.gene_ids(N_GENES)


def slide(seed, genes=IDS):
    """A slide on which every tenth gene is rare: in one spot, or in none."""
    array, centres = made_slides.lattice()
    places = {"array_row": array[:, 0], "array_col": array[:, 1]}
    counts = made_slides.counts(len(genes), seed)
    rare = counts[:, ::10].copy()
    counts[:, ::10] = 0
    counts[seed, ::20] = rare[seed, ::2]
    return AnnData(
        sparse.csr_matrix(counts, dtype=np.float32),
        obs=pd.DataFrame(places, index=[f"{seed}-{i}" for i in range(len(centres))]),
        var=pd.DataFrame(index=genes),
        obsm={"spatial": centres},
    )


def with_symbols(adata):
    found = adata.copy()
    found.var_names = gene_table("human").loc[IDS, "gene_name"].tolist()
    return found


def renamed(adata):
    found = adata.copy()
    found.obs_names = [f"x{i}" for i in range(adata.n_obs)]
    return found[::-1].copy()


ANOTHER_FORM = {
    "cropped": lambda a: a[:20].copy(),
    "of other order and names": renamed,
    "without some genes": lambda a: a[:, 13:].copy(),
    "without genes of one spot": lambda a: a[:, (a.X.toarray() > 0).sum(axis=0) > 1].copy(),
    "by symbols": with_symbols,
    "cropped, by symbols, in another order": lambda a: with_symbols(a)[:30:-1, ::-1].copy(),
}


@pytest.mark.parametrize("name", ANOTHER_FORM)
def test_spots_are_known_in_another_form(name):
    first = slide(1)
    second = ANOTHER_FORM[name](first)
    assert shares_spots(prints_of(first, "human"), prints_of(second, "human"))
    assert not shares_spots(prints_of(slide(2), "human"), prints_of(second, "human"))


def most_variable(adata, n_genes):
    """As many genes as people choose of thousands, and the spots with enough counts in them."""
    counts = adata.X.toarray()
    chosen = np.argsort(-counts.var(axis=0))[:n_genes]
    return adata[counts.sum(axis=1) > np.quantile(counts.sum(axis=1), 0.1), np.sort(chosen)].copy()


@pytest.mark.parametrize("change", ["none", "names", "pixels", "array"])
def test_a_choice_of_genes_is_known_by_counts_at_places(change):
    first, second = slide(1), most_variable(slide(1), 60)
    if change == "names":
        second = renamed(second)
    if change == "pixels":  # of the hires image
        second.obsm["spatial"] = second.obsm["spatial"] * 0.17
    if change == "array":  # made from pixels, where the file does not tell it
        second.obs["array_row"] -= 1
    assert shares_spots(prints_of(first, "human"), prints_of(second, "human"))
    other = most_variable(slide(2), 60)
    assert not shares_spots(prints_of(first, "human"), prints_of(other, "human"))


def bins(side_um, seed, genes=IDS[:30]):
    """Bins of one section, of which some lie beside the tissue and are left out."""
    counted = np.random.default_rng(seed).poisson(0.6, size=(96, 96, len(genes)))
    step = side_um // 8
    blocks = counted.reshape(96 // step, step, 96 // step, step, len(genes)).sum(axis=(1, 3))
    row, column = np.divmod(np.arange(blocks.shape[0] ** 2), blocks.shape[0])
    names = [f"s_{side_um:03d}um_{r:05d}_{c:05d}-1" for r, c in zip(row, column, strict=True)]
    kept = (row - 48 / step) ** 2 + (column - 48 / step) ** 2 < (44 / step) ** 2
    return AnnData(
        sparse.csr_matrix(blocks.reshape(len(names), -1)[kept], dtype=np.float32),
        obs=pd.DataFrame({"array_row": row, "array_col": column}, index=names)[kept],
        var=pd.DataFrame(index=genes),
        obsm={"spatial": np.column_stack([column, row])[kept] * side_um * 3.65 + 100},
    )


@pytest.mark.parametrize("side_um", [16, 24])
def test_bins_of_two_sizes_are_known_as_one_section(side_um):
    fine, coarse = bins(8, 1), bins(side_um, 1)
    assert shares_spots(prints_of(fine, "human"), prints_of(coarse, "human"))
    chosen = most_variable(fine, 15) if side_um == 16 else fine[:, ::2].copy()
    assert shares_spots(prints_of(chosen, "human"), prints_of(coarse, "human"))
    assert not shares_spots(prints_of(fine, "human"), prints_of(bins(side_um, 2), "human"))


def test_spots_of_a_small_panel_are_known_by_all_its_genes():
    first = slide(1, IDS[:40])
    assert shares_spots(prints_of(first, "human"), prints_of(first[5:].copy(), "human"))
    few = slide(1, IDS[:10])  # of which whole spots may agree by chance
    assert not len(prints_of(few, "human")["spots"])
    assert shares_spots(prints_of(few, "human"), prints_of(few[9:].copy(), "human"))
    assert not shares_spots(prints_of(slide(2, IDS[:10]), "human"), prints_of(few, "human"))


def test_it_does_not_matter_how_many_spots_are_hashed_at_once(monkeypatch):
    whole = prints_of(slide(1), "human")
    monkeypatch.setattr(same_spots, "_AT_ONCE", 500)
    again = prints_of(slide(1), "human")
    assert {kind: found.tolist() for kind, found in again.items()} == {
        kind: found.tolist() for kind, found in whole.items()
    }
    assert all(len(found) > 100 for found in whole.values())


def test_of_large_slides_a_part_of_the_hashes_is_enough(rng):
    def drawn(n):
        return np.unique(rng.integers(0, 1 << 63, n, dtype=np.uint64))

    same = drawn(100_000)
    first = np.union1d(same, drawn(900_000))[:_KEPT]
    small = np.union1d(same[:20_000], drawn(800))
    assert shares_spots({"spots": first}, {"spots": np.union1d(same, drawn(100_000))[:_KEPT]})
    assert shares_spots({"spots": first}, {"spots": small})
    assert not shares_spots({"spots": first}, {"spots": drawn(200_000)[:_KEPT]})


def described(folder, name, **slides):
    entries = []
    for slide_id, adata in slides.items():
        adata.write_h5ad(folder / f"{name}_{slide_id}.h5ad")
        entries.append(f"{slide_id}: {{path: {name}_{slide_id}.h5ad, patient: {slide_id}}}")
    train, *test = slides
    path = folder / f"{name}.yaml"
    path.write_text(
        f"{{name: {name}, format: h5ad, organism: human, slides: {{{', '.join(entries)}}},"
        f" split: {{train: [{train}], test: [{', '.join(test)}]}}}}"
    )
    return path


@pytest.mark.parametrize("n_copies", [2, 3, 5])
def test_of_many_datasets_those_are_found_that_share_a_slide(tmp_path, rng, n_copies):
    def drawn():
        hashes = np.unique(rng.integers(0, 1 << 63, 2 * _KEPT, dtype=np.uint64))[:_KEPT]
        return {"spots": hashes, "places": hashes + np.uint64(1)}

    same = drawn()
    for number in range(8):
        slides = {name: drawn() for name in "abc"}
        keep_prints(tmp_path / f"d{number}", slides | ({"x": same} if number < n_copies else {}))
    copies = {f"d{number}" for number in range(n_copies)}
    assert sharing(sorted(tmp_path.iterdir())) == {
        name: tuple(sorted(copies - {name})) for name in copies
    }


def test_a_part_of_a_slide_under_another_name_is_refused(tmp_path):
    path = described(tmp_path, "own", A=slide(1), B=slide(2), C=slide(2)[:40].copy())
    with pytest.raises(CountsError, match=r"Slide 'C' of .*counts of spots of slide 'B'"):
        add_description(path, tmp_path / "data")


def test_a_choice_of_genes_under_another_name_is_refused(tmp_path):
    chosen = most_variable(slide(2), 60)
    path = described(tmp_path, "own", A=slide(1), B=slide(2), C=chosen)
    with pytest.raises(CountsError, match=r"Slide 'C' of .*all genes and a choice of them"):
        add_description(path, tmp_path / "data")


@pytest.mark.parametrize("kept", ["nothing", "of an earlier version"])
def test_a_dataset_that_was_added_before_slides_were_compared_is_told_of(tmp_path, kept):
    data, runner = tmp_path / "w/data", CliRunner()
    add_description(described(tmp_path, "one", A=slide(1), B=slide(2)), data)
    prints = data / "one/spots.npz"
    prints.unlink()
    if kept != "nothing":
        np.savez(prints, *[prints_of(slide(number), "human")["spots"] for number in (1, 2)])

    path = described(tmp_path, "two", A=slide(1), B=slide(3))
    added = runner.invoke(app, ["data", "add", str(path), "-w", str(tmp_path / "w")])
    bench = make_bench(
        str(TOY_PROTOCOL), workspace=tmp_path / "w", plugin_files=[TOY_PLUGIN], device="cpu"
    )
    planned = select(bench, ["one", "two"], ["none"], ["gene-mean"]).warnings
    for told in (added.stderr, "\n".join(planned)):
        assert told.count("was added by an earlier version") == 1
        assert f"`spared-bench data add '{data / 'one/dataset.yaml'}'` asks it." in told
        assert ("hold the same slides" in told) == (kept != "nothing")
    again = runner.invoke(
        app, ["data", "add", str(data / "one/dataset.yaml"), "-w", str(tmp_path / "w")]
    )
    assert again.exit_code == 0
    assert "earlier version" not in again.stderr
    assert "hold the same slides" in again.stderr


def test_datasets_that_have_slides_of_one_another_are_told_of_and_not_ranked_together(tmp_path):
    data = tmp_path / "w/data"
    add_description(described(tmp_path, "one", A=slide(1), B=slide(2)), data)
    add_description(described(tmp_path, "two", A=slide(3), X=renamed(slide(2))), data)
    add_description(described(tmp_path, "three", A=slide(4), B=slide(5)), data)

    def conflicts():
        bench = make_bench(
            str(TOY_PROTOCOL), workspace=tmp_path / "w", plugin_files=[TOY_PLUGIN], device="cpu"
        )
        return bench, {n: bench.dataset(n).conflicts_with for n in ("one", "two", "three")}

    bench, found = conflicts()
    assert found == {"one": ("two",), "two": ("one",), "three": ()}
    (warning,) = [
        line
        for line in select(bench, ["one", "two", "three"], ["none"], ["gene-mean"]).warnings
        if "not ranked together" in line
    ]
    assert warning.startswith("Datasets 'one' and 'two' hold the same slides, all or some")
    (data / "two/spots.npz").write_bytes(b"PK no more")
    assert set(conflicts()[1].values()) == {()}


def test_data_add_says_which_dataset_has_the_same_slides(tmp_path):
    described(tmp_path, "one", A=slide(1), B=slide(2))
    described(tmp_path, "two", A=slide(1), B=slide(3))
    told = {}
    for name in ("one", "two"):
        arguments = ["data", "add", str(tmp_path / f"{name}.yaml"), "-w", str(tmp_path / "w")]
        added = CliRunner().invoke(app, arguments)
        assert added.exit_code == 0, added.output
        told[name] = "hold the same slides" in added.stderr
    assert told == {"one": False, "two": True}
