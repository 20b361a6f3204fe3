"""Generated tissue, of which it is known what the image says of each gene."""

from spared_bench import DatasetSpec, SlideInfo

PLANTED = DatasetSpec(
    name="planted",
    factory=f"{__name__}.expression:read_slide",
    summary="generated tissue: genes of known, and of no, relation to the image",
    licence="MIT",
    organism="generated",
    tissue="generated",
    technology="generated (hexagonal, 100 um)",
    slides=tuple(SlideInfo(f"P{i}", patient_id=f"donor{i}") for i in (1, 2, 3, 4)),
    donors_verified=True,
    split={"train": ("P1", "P2"), "val": ("P3",), "test": ("P4",)},
    synthetic=True,
)
