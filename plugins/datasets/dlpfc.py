"""Human dorsolateral prefrontal cortex: Visium, 12 sections of three donors (Maynard et al. 2021).

The files are to be had through the authors' package spatialLIBD. They are read from a folder that
holds one folder per section, named by its number, as Space Ranger writes it::

    <section>/<section>_filtered_feature_bc_matrix.h5      or without the number in front
    <section>/spatial/                                     positions, scale factors, images
    <section>/<section>_full_image.tif                     full resolution; the image in spatial/
                                                           is used where it is missing
    barcode_level_layer_map.tsv                            the authors' layers, L1 to L6 and white
                                                           matter: barcode, section and layer of
                                                           each spot, without a header (folder
                                                           `10X` of LieberInstitute/HumanPilot)

Four sections of one donor are two pairs of neighbours: split by donor.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from spared_bench import DatasetSpec, SlideInfo

if TYPE_CHECKING:
    from anndata import AnnData

_DONORS = {
    "Br5292": ("151507", "151508", "151509", "151510"),
    "Br5595": ("151669", "151670", "151671", "151672"),
    "Br8100": ("151673", "151674", "151675", "151676"),
}

DLPFC = DatasetSpec(
    name="dlpfc",
    factory=f"{__name__}:read_section",
    summary="dorsolateral prefrontal cortex: 12 sections of three donors",
    citation=(
        "Maynard, Collado-Torres et al., Transcriptome-scale spatial gene expression in the human"
        " dorsolateral prefrontal cortex, Nat. Neurosci. 24, 425-436 (2021),"
        " doi:10.1038/s41593-020-00787-0"
    ),
    organism="human",
    tissue="dorsolateral prefrontal cortex",
    technology="visium",
    slides=tuple(
        # Of each donor two pairs of directly adjacent sections of 10 um, the second pair 300 um
        # posterior to the first (Maynard et al. 2021). ASIGN's paper calls all four adjacent.
        SlideInfo(section, donor, order=at, thickness_um=300.0 if at == 2 else 10.0)
        for donor, sections in _DONORS.items()
        for at, section in enumerate(sections, 1)
    ),
    donors_verified=True,
    split={"train": (*_DONORS["Br5292"], *_DONORS["Br5595"]), "test": _DONORS["Br8100"]},
    folds={"donor": _DONORS},
    classes=("L1", "L2", "L3", "L4", "L5", "L6", "WM"),
)


def read_section(folder: Path, slide_id: str) -> AnnData:
    """Read one section, e.g. ``"151507"``, with its layers; errors are ``read_space_ranger``'s."""
    from spared_bench.readers.labels import as_labels, label_table, put_labels
    from spared_bench.readers.space_ranger import read_space_ranger

    image = folder / slide_id / f"{slide_id}_full_image.tif"
    slide = read_space_ranger(folder / slide_id, image if image.is_file() else None)
    layers = folder / "barcode_level_layer_map.tsv"
    if layers.is_file():
        table = label_table(layers, ["barcode", "section", "layer"], header=False)
        here = table[table["section"] == slide_id]
        put_labels(slide, as_labels(here["barcode"], here["layer"], layers), f"The table {layers}")
    return slide
