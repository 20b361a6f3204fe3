"""What a file or folder is that a reader of another format could not read."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from spared_bench.readers.feature_matrix import counts_of_cells

_HDF5 = b"\x89HDF\r\n\x1a\n"
#: Of files that no reader here takes, by what they are called.
_BY_SUFFIX = {
    **dict.fromkeys(
        (".rds", ".rda", ".rdata", ".qs"),
        "It is an object of R: write it as AnnData (`zellkonverter::writeH5AD`), with raw counts in"
        ' `X` and the centres of spots in `obsm["spatial"]`.',
    ),
    **dict.fromkeys(
        (".xlsx", ".xls", ".ods"), "It is a spreadsheet: save its table as text between tabs."
    ),
    ".gem": "It is a GEM of Stereo-seq: write bins of a spot's size as AnnData (stereopy's"
    " `st.io.stereo_to_anndata`).",
    ".cloupe": "It is a file for Loupe: name the folder `outs` that Space Ranger wrote beside it,"
    " as `format: space_ranger`.",
}
#: Of HDF5, by names of groups that it holds.
_BY_GROUPS = {
    ("mod",): "It is MuData: write the AnnData of its genes, `mdata.mod[...].write_h5ad(...)`.",
    ("geneExp",): "It is a GEF of Stereo-seq: write bins of a spot's size as AnnData (stereopy's"
    " `st.io.stereo_to_anndata`).",
    ("row_attrs", "col_attrs"): "It is Loom: write it as AnnData, `anndata.io.read_loom(...)`, with"
    ' the centres of spots in `obsm["spatial"]`.',
    ("assays",): "It is h5Seurat: write it as AnnData, `SeuratDisk::Convert`, with raw"
    ' counts and the centres of spots in `obsm["spatial"]`.',
}
_ANNDATA = ("obs", "var")
_TENX = "matrix"


def what_it_is(path: Path, form: str) -> str:
    """Say what a file or folder is, and in which format it is read; "" where that is not known.

    Parameters
    ----------
    path : Path
        Which may not be there.
    form : str
        The format in which it was read; nothing is said of a file that is of this one.
    """
    if path.is_dir():
        return _folder(path, form)
    if not path.is_file():
        return ""
    if told := _BY_SUFFIX.get(path.suffix.casefold(), ""):
        return told
    with path.open("rb") as file:
        return _hdf5(path, form) if file.read(len(_HDF5)) == _HDF5 else ""


def _folder(path: Path, form: str) -> str:
    is_outs = (path / "spatial").is_dir() or any(path.glob("*feature_bc_matrix*"))
    if is_outs and form != "space_ranger":
        return "It is an output folder of Space Ranger: write `format: space_ranger`."
    is_zarr = any((path / name).exists() for name in (".zgroup", "zarr.json"))
    if is_zarr and (path / "tables").is_dir() and form != "spatialdata":
        return "It is SpatialData: write `format: spatialdata`."
    return counts_of_cells(path) if form != "space_ranger" else ""  # whose reader says so


def _hdf5(path: Path, form: str) -> str:
    import h5py

    groups: set[str] = set()
    with suppress(OSError), h5py.File(path) as file:
        groups = set(file)
    for names, told in _BY_GROUPS.items():
        if groups.issuperset(names):
            return told
    if groups.issuperset(_ANNDATA):
        return "" if form in ("h5ad", "hest") else "It is AnnData: write `format: h5ad`."
    if _TENX in groups:
        return (
            "It is a matrix of counts alone, as Space Ranger writes it: write `format:"
            f" space_ranger`, and as `path` the folder {path.parent}, with `spatial` in it."
        )
    return ""
