"""The commands about datasets, as a user types them: list, info, data fetch, verify and prepare."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from spared_bench_plugins.datasets.spared import read_catalogue
from tests import upstream
from tests.cli.test_commands import spared_bench
from tests.servers import serving

PROTOCOL = Path(upstream.__file__).with_name("upstream.yaml")


@pytest.fixture(scope="module")
def mirror():
    """Serves what VLO, VKO and VLMB need; the value of ``--mirror``."""
    catalogue = read_catalogue()
    slides = {
        slide: (entry["organism"], entry["library"])
        for entry in catalogue["datasets"].values()
        for slide in entry["slides"]
        if entry["source"] == "villacampa_2021"
    }
    with serving() as server:
        for url, content in upstream.villacampa(slides, catalogue).items():
            server.serve(f"/{url.removeprefix('https://')}", content)
        yield f"https://={server.url}/"


@pytest.fixture(scope="module")
def fetched(mirror, tmp_path_factory):
    """A workspace into which VKO has been fetched, and what the command said."""
    root = tmp_path_factory.mktemp("cli") / "workspace"
    done = spared_bench("data", "fetch", "VKO", "-w", root, "--mirror", mirror)
    assert done.returncode == 0, done.stderr
    return root, done


def test_fetching_tells_of_files_and_sizes(fetched):
    root, done = fetched
    assert done.stdout == f"vko: {root / 'data' / 'villacampa_2021'}\n"
    assert "vko: 2 files to fetch" in done.stderr
    assert "[2/2] file_downloaded  " in done.stderr
    assert " kB" in done.stderr


def test_what_was_fetched_can_be_prepared_under_any_name(fetched):
    root, _ = fetched
    done = spared_bench(
        "data", "prepare", "villacampa_kidney_organoid", "-w", root, "--protocol", PROTOCOL
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("vko: 84 train, 42 val, 0 test spots x 8 genes")


def test_the_list_says_what_is_on_disk(fetched):
    root, _ = fetched
    listed = json.loads(spared_bench("list", "datasets", "-w", root, "--json").stdout)
    states = {spec["name"]: spec["on_disk"] for spec in listed}
    sharing = {name for name, state in states.items() if state == "complete"}
    assert sharing == {"vko", "vlo", "vlmb"}  # one download serves all three
    assert states["her2st_demo"] == "shipped"
    assert states["planted"] == "generated"
    assert states["vmb"] == ""
    lines = spared_bench("list", "datasets", "-w", root).stdout.splitlines()
    row = next(line for line in lines if line.startswith("vko "))
    for cell in ("human", "kidney organoids", "intra", "C*", "3", "1,355", "complete, "):
        assert cell in row
    assert lines[-1].startswith("* The donors are not verified")


def test_verification_names_a_changed_file_and_ends_with_1(fetched, mirror):
    root, _ = fetched
    good = spared_bench("data", "verify", "vko", "-w", root)
    assert (good.returncode, good.stdout.split(", ")[1]) == (0, "in order\n")
    image = root / "data" / "villacampa_2021" / "images" / "V19D02-085_B1.jpg"
    content = image.read_bytes()
    image.write_bytes(content[:-1] + b"?")
    bad = spared_bench("data", "verify", "vko", "-w", root)
    assert bad.returncode == 1
    assert "  images/V19D02-085_B1.jpg: it has changed" in bad.stdout
    assert "Remove what has changed, then run `spared-bench data fetch vko`." in bad.stdout
    image.unlink()
    assert spared_bench("data", "fetch", "vko", "-w", root, "--mirror", mirror).returncode == 0
    assert image.read_bytes() == content


def test_offline_is_refused_with_what_is_missing(tmp_path):
    done = spared_bench("data", "fetch", "VMB", "-w", tmp_path, "--offline")
    assert done.returncode == 1
    assert "lacks 70 of 70 files" in done.stderr
    assert "and 65 more" in done.stderr


@pytest.mark.parametrize("name", ["VMB", "vmb", "vicari_mouse_brain"])
def test_a_dataset_is_shown_under_all_its_names(name, tmp_path):
    shown = spared_bench("info", name, "-w", tmp_path).stdout
    assert shown.startswith(
        "dataset vmb (VMB, vicari_mouse_brain): SpaRED VMB: brain, Vicari et al.\n"
    )


def test_a_dataset_is_shown_with_all_that_matters(tmp_path):
    shown = spared_bench("info", "MMBR", "-w", tmp_path).stdout
    for line in (
        "  tier                B: tested on other sections of donors that it learns from",
        "  donors              not verified (as its plugin labels them, without saying that they"
        " are known)",
        "  never ranked with   mmbp1, mmbp2",
        "  licence             not stated by the sources read: ask before you redistribute",
        "  test   V11D08-304  V11D08-304_A1 V11D08-304_C1",
        "  In test and in another split: V11D08-304.",
        "  n_genes             128",
        "  https://data.mendeley.com/datasets/4w6krnywhn/1",
        "Published scores (test split; ?: probably not its own)",
        "  HisToGene    0.9281 ?  0.0779 ?",
        "  - val and test come from the same patient key V11D08-304",
    ):
        assert line in shown.splitlines()
    assert "NORMALISED by the source" in spared_bench("info", "PMI", "-w", tmp_path).stdout
    assert "fluorescence, not H&E" in spared_bench("info", "10XGHB", "-w", tmp_path).stdout


def test_datasets_of_the_same_slides_are_warned_of(tmp_path):
    from spared_bench.api import make_bench, select

    bench = make_bench(workspace=tmp_path, device="cpu")
    plan = select(bench, ["MMBR", "mmbp1", "mirzazadeh_mouse_brain_p2"], ["none"], ["gene-mean"])
    assert list(plan.unavailable) == ["mmbr", "mmbp1", "mmbp2"]  # nothing is fetched here
    assert [text.partition(" hold ")[0] for text in plan.warnings] == [
        "Datasets 'mmbp1' and 'mmbr'",
        "Datasets 'mmbp2' and 'mmbr'",
    ]
