"""The built-in datasets. Nothing here reads data: the factories are imported when it is needed."""

from spared_bench import DatasetSpec, RemoteFile, SlideInfo, hookimpl
from spared_bench_plugins.datasets.dlpfc import DLPFC
from spared_bench_plugins.datasets.mob_stahl import MOB_STAHL
from spared_bench_plugins.datasets.spared import spared_datasets
from spared_bench_plugins.datasets.stnet import STNET
from spared_bench_plugins.datasets.visium_breast import VISIUM_BREAST

_HERE = "spared_bench_plugins.datasets"

_HER2ST_PATIENTS = {"A": 6, "B": 6, "C": 6, "D": 6, "E": 3, "F": 3, "G": 3, "H": 3}
_HER2ST_COMMIT = "85df7411b987a7dec3feff9718b869a7a82091ec"
_HER2ST_CITATION = (
    "Andersson et al., Spatial deconvolution of HER2-positive breast cancer delineates"
    " tumor-associated cell type interactions, Nat. Commun. 12, 6012 (2021),"
    " doi:10.1038/s41467-021-26271-2"
)


def _sections(patients: str) -> tuple[str, ...]:
    return tuple(f"{p}{i + 1}" for p in patients for i in range(_HER2ST_PATIENTS[p]))


HER2ST = DatasetSpec(
    name="her2st",
    factory=f"{_HERE}.her2st:read_section",
    summary="HER2+ breast tumours: 36 sections of eight patients",
    citation=_HER2ST_CITATION,
    licence="CC-BY-4.0",
    organism="human",
    tissue="breast cancer",
    technology="spatial transcriptomics (200 um)",
    slides=tuple(SlideInfo(s, patient_id=s[0], section=s[1:]) for s in _sections("ABCDEFGH")),
    # By patient: consecutive sections of one tumour are near copies. The patients with six
    # sections all train; of those with three, the last two by letter are kept for choices and test.
    split={"train": _sections("ABCDEF"), "val": _sections("G"), "test": _sections("H")},
    folds={
        "patient": {p: _sections(p) for p in _HER2ST_PATIENTS},
        "loso": {s: (s,) for s in _sections("ABCDEFGH")},
    },
    files=(
        RemoteFile(
            f"https://github.com/almaan/her2st/archive/{_HER2ST_COMMIT}.zip",
            unpack=True,
        ),
    ),
)

HER2ST_DEMO = DatasetSpec(
    name="her2st_demo",
    factory=f"{_HERE}.her2st:read_section",
    summary="HER2+ breast tumour: three sections of one patient, images at a quarter of the width",
    citation=_HER2ST_CITATION,
    licence="CC-BY-4.0",
    organism="human",
    tissue="breast cancer",
    technology="spatial transcriptomics (200 um)",
    slides=tuple(SlideInfo(s, patient_id="C", section=s[1:]) for s in ("C2", "C3", "C4")),
    split={"train": ("C2", "C3"), "test": ("C4",)},
    allow_shared_donors=True,  # enough for a demonstration, and shown as tier B
    folder=f"{_HERE}.embedded.her2st",
)

MOB_DEMO = DatasetSpec(
    name="mob_demo",
    factory=f"{_HERE}.mob:read_section",
    summary="mouse olfactory bulb: two sections of two mice, 1,000 genes",
    citation=(
        "Bergenstråhle et al., Seamless integration of image and molecular analysis for spatial"
        " transcriptomics workflows, BMC Genomics 21, 482 (2020), doi:10.1186/s12864-020-06832-3"
    ),
    licence="MIT",
    organism="mouse",
    tissue="olfactory bulb",
    technology="spatial transcriptomics (staggered array)",
    slides=(SlideInfo("MOB1", patient_id="mouse1"), SlideInfo("MOB3", patient_id="mouse2")),
    split={"train": ("MOB1",), "test": ("MOB3",)},
    folder=f"{_HERE}.embedded.mob",
)

PLANTED = DatasetSpec(
    name="planted",
    factory=f"{_HERE}.planted:read_slide",
    summary="generated tissue: genes of known, and of no, relation to the image",
    licence="MIT",
    organism="generated",
    tissue="generated",
    technology="generated (hexagonal, 100 um)",
    slides=tuple(SlideInfo(f"P{i}", patient_id=f"donor{i}") for i in (1, 2, 3, 4)),
    split={"train": ("P1", "P2"), "val": ("P3",), "test": ("P4",)},
    synthetic=True,
)


@hookimpl
def spared_bench_datasets() -> list[DatasetSpec]:
    ours = [HER2ST, HER2ST_DEMO, MOB_DEMO, PLANTED, STNET, DLPFC, VISIUM_BREAST, MOB_STAHL]
    return [*ours, *spared_datasets()]
