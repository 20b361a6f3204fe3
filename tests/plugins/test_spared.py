"""The catalogue of the 26 datasets adds up to the paper's table, and becomes sound specs."""

from __future__ import annotations

from collections import Counter

import pytest

from spared_bench.specs import SPLITS, conflicts
from spared_bench_plugins.datasets.spared import read_catalogue, spared_datasets

# Mejia et al. 2024, supplementary Table 1: slides, patients, spots and percent missing after
# processing, typed again from the table.
TABLE_1 = {
    "VMB": (14, 4, 43804, 28),
    "MMBR": (8, 2, 34583, 20),
    "MHPC": (4, 2, 15684, 21),
    "PMI": (2, 2, 6234, 7),
    "VLMB": (5, 2, 12202, 29),
    "MHSI": (4, 2, 10474, 21),
    "MHCP2": (2, 2, 7101, 24),
    "EHPCP2": (10, 1, 24465, 37),
    "EHPCP1": (7, 1, 20987, 34),
    "VHS": (4, 1, 19033, 30),
    "MMBP2": (4, 1, 17353, 25),
    "MMBP1": (4, 1, 17243, 11),
    "AHSCC": (4, 1, 10374, 27),
    "10XGHB": (2, 1, 9882, 23),
    "FMBC": (2, 1, 9132, 24),
    "10XGHBC": (2, 1, 7785, 12),
    "MMBO": (4, 1, 7184, 17),
    "10XGMBSP": (2, 1, 6644, 21),
    "MHPBTP1": (4, 1, 5937, 21),
    "10XGMBC": (2, 1, 5709, 18),
    "10XGMBSA": (2, 1, 5520, 15),
    "MHPBTP2": (2, 1, 3163, 30),
    "FMOB": (2, 1, 2938, 10),
    "MHCP1": (2, 1, 2225, 16),
    "VLO": (4, 1, 1832, 26),
    "VKO": (3, 1, 1355, 33),
}
CATALOGUE = read_catalogue()["datasets"]
SPECS = {spec.aliases[0]: spec for spec in spared_datasets()}


def test_every_dataset_agrees_with_the_paper():
    found = {
        name: (
            len(entry["slides"]),
            entry["published"]["patients"],
            entry["published"]["spots"],
            entry["published"]["missing_pct"],
        )
        for name, entry in CATALOGUE.items()
    }
    assert found == TABLE_1


def test_the_totals_are_those_of_the_paper():
    specs = list(SPECS.values())
    assert len(specs) == 26
    assert sum(len(spec.slides) for spec in specs) == 105
    assert sum(spec.n_spots for spec in specs) == 308_843
    assert sum(entry["published"]["patients"] for entry in CATALOGUE.values()) == 35
    assert len({slide.slide_id for spec in specs for slide in spec.slides}) == 97
    assert sum(bool(spec.split.get("test")) for spec in specs) == 11
    assert Counter(spec.parameters["n_genes"] for spec in specs) == {128: 20, 32: 6}
    assert Counter(spec.organism for spec in specs) == {"human": 14, "mouse": 12}
    assert Counter(spec.task for spec in specs) == {"inter_patient": 7, "intra_patient": 19}


def test_tissues_are_the_nine_types_of_the_paper_and_table_1_says_more():
    types = Counter(spec.tissue for spec in SPECS.values())
    assert types == {
        "brain": 14, "prostate gland": 3, "colon": 3, "small intestine": 1, "skin": 1, "breast": 1,
        "bone marrow": 1, "lung": 1, "kidney": 1,
    }  # fmt: skip
    assert "brain sagittal posterior" in SPECS["10XGMBSP"].summary


@pytest.mark.parametrize("name", SPECS)
def test_a_dataset_is_consistent(name):
    spec, entry = SPECS[name], CATALOGUE[name]
    assert spec.name == name.lower()
    assert sum(entry["published"]["spots_per_split"].values()) == spec.n_spots
    assert set(entry["published"]["spots_per_split"]) == set(spec.split)
    assert sum(len(spec.split.get(split, ())) for split in SPLITS) == len(spec.slides)
    assert len({slide.patient_id for slide in spec.slides}) == entry["published"]["patients"]
    assert spec.parameters["batch_key"] == (
        "patient_id" if spec.task == "inter_patient" else "slide_id"
    )
    assert spec.files
    assert all(file.url.startswith("https://") for file in spec.files)
    assert len({(file.url, file.path) for file in spec.files}) == len(spec.files)
    assert set(spec.published) == {"mse", "pcc-gene"}
    assert set(spec.suspect) <= set(spec.published["mse"])


def test_the_names_are_unique_in_every_form():
    names = [name.casefold() for spec in SPECS.values() for name in spec.aliases]
    assert len(set(names)) == len(names) == 52


def test_the_exceptions_are_those_that_are_known():
    assert [n for n, spec in SPECS.items() if spec.image == "fluorescence"] == ["10XGHB", "10XGMBC"]
    assert [n for n, spec in SPECS.items() if not spec.raw_counts] == ["PMI"]
    thresholds = {
        n: s.parameters["spot_min_counts"] for n, s in SPECS.items() if len(s.parameters) > 2
    }
    assert thresholds == {"MHSI": 800}
    suspect = {name: spec.suspect for name, spec in SPECS.items() if spec.suspect}
    assert suspect == {"MMBR": ("HisToGene",), "MMBO": ("HisToGene",), "10XGMBSP": ("EGGN",)}
    assert all(SPECS[n].published["mse"]["HisToGene"] == 0.9281 for n in ("MMBR", "MMBO"))
    assert SPECS["10XGMBSP"].published["mse"]["EGGN"] == SPECS["MMBO"].published["mse"]["EGGN"]


def test_serial_numbers_of_slides_are_not_taken_for_donors():
    verified = {name for name, spec in SPECS.items() if spec.donors_verified}
    assert verified == {"PMI", "EHPCP1", "EHPCP2", "FMBC", "FMOB"} | {
        name for name in SPECS if name.startswith("10X")
    }
    assert any("serial number" in note for note in SPECS["VMB"].notes)


def test_a_donor_in_train_and_test_lowers_the_tier_by_name():
    assert (SPECS["EHPCP1"].tier, SPECS["EHPCP1"].shared_donors) == ("B", ("P1",))
    assert (SPECS["MMBR"].tier, SPECS["MMBR"].shared_donors) == ("B", ("V11D08-304",))
    assert {name for name, spec in SPECS.items() if spec.tier == "A"} == {"VMB", "VLMB", "MHSI"}
    assert sum(spec.tier == "C" for spec in SPECS.values()) == 15


def test_datasets_of_the_same_slides_are_reported_together():
    told = conflicts(SPECS.values())
    assert len(told) == 2
    assert "'mmbp1' and 'mmbr' hold the same slides, all or some" in told[0]
    assert conflicts([SPECS["MMBP1"], SPECS["MMBP2"]]) == []
    for spec in SPECS.values():  # what shares a slide and differs in its role is declared
        for other in SPECS.values():
            shared = {s.slide_id for s in spec.slides} & {s.slide_id for s in other.slides}
            assert bool(shared - {None}) == (spec is other or other.name in spec.conflicts_with)
