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
    _, centres = made_slides.lattice()
    counts = made_slides.counts(len(genes), seed)
    rare = counts[:, ::10].copy()
    counts[:, ::10] = 0
    counts[seed, ::20] = rare[seed, ::2]
    return AnnData(
        sparse.csr_matrix(counts, dtype=np.float32),
        obs=pd.DataFrame(index=[f"{seed}-{i}" for i in range(len(centres))]),
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


def test_spots_of_a_small_panel_are_known_by_all_its_genes():
    first = slide(1, IDS[:40])
    assert shares_spots(prints_of(first, "human"), prints_of(first[5:].copy(), "human"))
    few = slide(1, IDS[:10])  # which may agree by chance
    assert not len(prints_of(few, "human"))


def test_it_does_not_matter_how_many_spots_are_hashed_at_once(monkeypatch):
    whole = prints_of(slide(1), "human")
    monkeypatch.setattr(same_spots, "_AT_ONCE", 500)
    assert prints_of(slide(1), "human").tolist() == whole.tolist()
    assert len(whole) > 100


def test_of_large_slides_a_part_of_the_hashes_is_enough(rng):
    def drawn(n):
        return np.unique(rng.integers(0, 1 << 63, n, dtype=np.uint64))

    same = drawn(100_000)
    first = np.union1d(same, drawn(900_000))[:_KEPT]
    small = np.union1d(same[:20_000], drawn(800))
    assert shares_spots(first, np.union1d(same, drawn(100_000))[:_KEPT])
    assert shares_spots(first, small)
    assert not shares_spots(first, drawn(200_000)[:_KEPT])


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
        return np.unique(rng.integers(0, 1 << 63, 2 * _KEPT, dtype=np.uint64))[:_KEPT]

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
