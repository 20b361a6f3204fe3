"""Breast cancer on Visium: the nine samples of Jiang et al. 2023 (bioRxiv 2023.09.20.558624).

Six samples are from the laboratory of Swarbrick (Wu et al. 2021), three from 10x Genomics. The
split asks how a method generalises to another laboratory: four and two samples of the first to
train and to choose, the three of the second to test. Jiang et al. name doi:10.48610/4fb74a9 for the
data. Read from a folder that holds one folder per sample, as Space Ranger writes it::

    <sample>/filtered_feature_bc_matrix.h5, or the folder filtered_feature_bc_matrix/
    <sample>/spatial/          positions, scale factors, images
    <sample>/image.tif         full resolution; the image in spatial/ is used where it is missing

``block1`` and ``block2`` are two sections of one tumour.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from spared_bench import DatasetSpec, SlideInfo

if TYPE_CHECKING:
    from anndata import AnnData

_SPLIT = {
    "train": ("1142243F", "CID4465", "CID44971", "CID4535"),
    "val": ("1160920F", "CID4290"),
    "test": ("block1", "block2", "FFPE"),
}
_PATIENTS = {"block1": "block", "block2": "block"}
_SAMPLES = tuple(sample for samples in _SPLIT.values() for sample in samples)

VISIUM_BREAST = DatasetSpec(
    name="visium_breast",
    factory=f"{__name__}:read_sample",
    summary="breast cancer: nine samples, tested on those of another laboratory",
    citation=(
        "Jiang et al., Generalization of deep learning models for predicting spatial gene"
        " expression profiles using histology images: a breast cancer case study, bioRxiv"
        " 2023.09.20.558624; data of Wu et al. 2021 and of 10x Genomics"
    ),
    organism="human",
    tissue="breast cancer",
    technology="visium",
    slides=tuple(SlideInfo(s, patient_id=_PATIENTS.get(s, s)) for s in _SAMPLES),
    donors_verified=True,
    split=_SPLIT,
    folds={"loso": {sample: (sample,) for sample in _SAMPLES}},
)


def read_sample(folder: Path, slide_id: str) -> AnnData:
    """Read one sample, e.g. ``"CID4465"``; see ``read_space_ranger`` for the errors."""
    from spared_bench.readers.space_ranger import read_space_ranger

    image = folder / slide_id / "image.tif"
    return read_space_ranger(folder / slide_id, image if image.is_file() else None)
