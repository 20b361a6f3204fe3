"""What somebody needs to train without this package: slides, split, genes, transform, patches."""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

from spared_bench.bench import Bench
from spared_bench.data import COUNTS, EXPRESSION, LABEL, MASK, SPATIAL, TARGET
from spared_bench.data.targets import IN_WORDS
from spared_bench.errors import UsageError
from spared_bench.files import write_text
from spared_bench.removal import remove_folder
from spared_bench.scverse.images import spatial_of
from spared_bench.store.processes import is_orphan, stamp
from spared_bench.trials.products import Prepared, prepare
from spared_bench.trials.raw_slides import read_raw_slides, without_image

if TYPE_CHECKING:
    from anndata import AnnData


#: What is being moved into its place, so that a move that was not ended can be undone.
_PARTS = ".parts"


@dataclass(frozen=True)
class Exported:
    """What was written.

    Parameters
    ----------
    folder : Path
    slides : dict of split to list of str
    n_genes : int
    without_image : list of str
        Slides of which no patches were cut; where there is one, none are.
    """

    folder: Path
    slides: dict[str, list[str]]
    n_genes: int
    without_image: list[str]


def export_split(
    bench: Bench, dataset: str, folder: Path, *, patches: bool = True, images: bool = True
) -> Exported:
    """Write a prepared dataset for people who train elsewhere; test slides come without truth.

    It is whole once it is in its folder: one that was killed leaves nothing that looks so.

    Parameters
    ----------
    bench : Bench
        The protocol and the workspace.
    dataset : str
        Registered, or one fold of a scheme.
    folder : Path
        New or empty.
    patches : bool
        Write the patch of every spot, ``patches/<slide>.npy``.
    images : bool
        Put overview images into the slides, for scanpy and squidpy.

    Raises
    ------
    UsageError
        If the folder holds something, or the dataset is a scheme of folds.
    """
    folds = bench.registry.expand(dataset)
    if len(folds) != 1:
        raise UsageError(f"{dataset!r} stands for {len(folds)} folds; name one, as {folds[0]!r}.")
    name = bench.registry.canonical("dataset", folds[0])
    for left in filter(is_orphan, folder.glob(".export.*")):  # of one that was killed
        _take_away(left)
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise UsageError(f"{folder} holds something already. Name a new or an empty folder.")
    bench.workspace.make_writable()
    beside = folder / f".export.{stamp()}"
    try:
        made = _write(bench, name, beside, patches=patches, images=images)
        parts = sorted(path.name for path in beside.iterdir())
        write_text(beside / _PARTS, "\n".join(parts), sync=False)
        for name in parts:
            (beside / name).rename(folder / name)
    except BaseException:
        _take_away(beside)
        raise
    remove_folder(beside)
    return replace(made, folder=folder)


def _take_away(beside: Path) -> None:
    """Remove an export that was not ended, and what of it was in its place already."""
    with suppress(OSError, ValueError):  # it had moved nothing yet
        for name in (beside / _PARTS).read_text(encoding="utf-8").splitlines():
            moved = beside.parent / Path(name).name
            if moved.parent == beside.parent and not (beside / moved.name).exists():
                shutil.rmtree(moved) if moved.is_dir() else moved.unlink(missing_ok=True)
    remove_folder(beside)


def _write(bench: Bench, name: str, folder: Path, *, patches: bool, images: bool) -> Exported:
    prepared = prepare(bench, name)
    adata = prepared.adata
    raw = read_raw_slides(bench, name)
    without = without_image(raw)
    slide_ids = adata.obs["slide_id"].to_numpy(dtype=str)
    order = list(dict.fromkeys(slide_ids.tolist()))
    splits = adata.obs["split"].to_numpy(dtype=str)
    slides: dict[str, list[str]] = {}
    evaluated = bench.dataset(name).evaluation_split
    for slide in order:
        for split in dict.fromkeys(splits[slide_ids == slide].tolist()):
            rows = (slide_ids == slide) & (splits == split)
            part = _slide(adata[rows], bench, truth=split != evaluated or split == "val")
            if images:
                part.uns[SPATIAL] = spatial_of(raw, [slide])
            path = folder / split / f"{slide}.h5ad"
            path.parent.mkdir(parents=True, exist_ok=True)
            part.write_h5ad(path, compression="gzip")
            slides.setdefault(split, []).append(slide)
    if patches and not without:
        _write_patches(folder / "patches", prepared, slide_ids, order)
    _write_tables(folder, bench, name, adata)
    text = _readme(bench, name, slides, adata.n_vars, patches and not without)
    write_text(folder / "README.md", text, sync=False)
    return Exported(folder, slides, adata.n_vars, without)


def _slide(part: AnnData, bench: Bench, *, truth: bool) -> AnnData:
    from anndata import AnnData

    kept = ["slide_id", "patient_id", "split", "array_row", "array_col"]
    labels = [LABEL] if truth and LABEL in part.obs else []
    made = AnnData(
        obs=part.obs[[*kept, *labels]].copy(),
        var=part.var[["gene_name"]].copy(),
        obsm={SPATIAL: np.array(part.obsm[SPATIAL])},
        uns={"spared_bench": {"protocol": bench.protocol.id, "truth": truth}},
    )
    if truth:
        made.X = np.array(part.layers[TARGET], dtype=np.float32)
        made.layers[COUNTS] = part.layers[COUNTS].copy()
        made.layers[EXPRESSION] = np.array(part.layers[EXPRESSION], dtype=np.float32)
        made.layers[MASK] = np.array(part.layers[MASK], dtype=bool)
    return made


def _write_patches(
    folder: Path, prepared: Prepared, slide_ids: np.ndarray, order: list[str]
) -> None:
    """Write (n_spots, size, size, 3) of each slide, rows in the order of ``spots.csv``."""
    folder.mkdir(parents=True, exist_ok=True)
    for slide in order:
        rows = np.flatnonzero(slide_ids == slide)
        shape = (len(rows), *prepared.patches.shape[1:])
        out = np.lib.format.open_memmap(
            folder / f"{slide}.npy", mode="w+", dtype=np.uint8, shape=shape
        )
        for start in range(0, len(rows), 1_024):
            out[start : start + 1_024] = prepared.patches[rows[start : start + 1_024]]
        out.flush()


def _write_tables(folder: Path, bench: Bench, name: str, adata: AnnData) -> None:
    spots = adata.obs[["slide_id", "patient_id", "split", "array_row", "array_col"]].copy()
    spots[["x_px", "y_px"]] = np.asarray(adata.obsm[SPATIAL], dtype=np.float64)
    spots.to_csv(folder / "spots.csv", index_label="spot")
    adata.var[["gene_name"]].to_csv(folder / "genes.csv", index_label="gene")
    settings = bench.protocol.model_dump(mode="json")
    text = yaml.safe_dump(settings, sort_keys=False, allow_unicode=True)
    write_text(folder / "protocol.yaml", text, sync=False)
    told: dict[str, Any] = {
        "dataset": name,
        "protocol": bench.protocol.id,
        "protocol_hash": bench.protocol.hash,
        "evaluation_split": bench.dataset(name).evaluation_split,
        "target": bench.protocol.processing.target,
        "target_in_words": IN_WORDS[bench.protocol.processing.target],
        "patches": bench.protocol.patches.model_dump(mode="json"),
        "metrics": list(bench.protocol.metrics),
        "seeds": list(bench.protocol.seeds),
    }
    write_text(folder / "split.json", json.dumps(told, indent=1), sync=False)


def _readme(
    bench: Bench, name: str, slides: dict[str, list[str]], n_genes: int, patches: bool
) -> str:
    evaluated = bench.dataset(name).evaluation_split
    target = bench.protocol.processing.target
    told = "\n".join(f"- `{split}/`: {', '.join(ids)}" for split, ids in slides.items())
    withheld = (
        "They are the slides that are scored, and are given whole, because this dataset has no"
        " test slides: learn from them and the score says nothing."
        if evaluated == "val"
        else "Their expression is left out."
    )
    cut = (
        "- `patches/<slide>.npy`: uint8 (n_spots, size, size, 3), the image around every spot, rows"
        " as the spots of that slide stand in `spots.csv`\n"
        if patches
        else ""
    )
    registered = bench.protocol.name in bench.registry.names("protocol")
    suite = bench.protocol.name if registered else "protocol.yaml"
    return f"""# {name}, as protocol {bench.protocol.id} prepares it

To train on without spared-bench. What is scored are the spots of `{evaluated}`. {withheld}

{told}

Each `.h5ad` is one slide: `X` is the target ({target}: {IN_WORDS[target]};
after the protocol's batch correction, where it has one), 0 where nothing was measured;
`layers["mask"]` is True where it was, and only these entries are scored; `layers["counts"]` are raw
counts, `layers["expression"]` is the target before batch correction; `obsm["spatial"]` are spot
centres in pixels of the full-resolution image.

- `spots.csv`: every spot, its slide, donor, split and place
- `genes.csv`: the {n_genes} genes, ids and symbols
{cut}- `split.json`, `protocol.yaml`: split, target, patches and metrics for programs; all settings

## What to return

A table of predictions in the unit of the target, with a row for every spot of `{evaluated}` in
`spots.csv` and a column for every gene, both by name, in any order: `.h5ad`, `.parquet`, `.csv`,
or an `.npz` with `predictions`, `spots` and `genes`.

```python
import pandas as pd
pd.DataFrame(predictions, index=spots, columns=genes).to_csv("my-method.csv")
```

```sh
spared-bench score my-method.csv -d {name} --suite {suite} --method my-method
```
"""
