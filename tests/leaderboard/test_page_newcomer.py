"""What somebody needs who sees the page for the first time: words, commands and ways on."""

from __future__ import annotations

import shlex
from functools import partial

import pytest
import typer.main

from spared_bench.cli import app
from spared_bench.leaderboard.differences import file_of
from spared_bench.protocol import Protocol, parse_protocol
from spared_bench.sources.description import read_description
from tests.board_samples import board_rows, build, trial
from tests.leaderboard.browsing import drawn_maps, ready
from tests.leaderboard.reading import row_of

FACTS = {
    "breast": {
        **{"organism": "human", "tissue": "breast cancer", "technology": "Visium"},
        **{"slides": [{"slide_id": "t1", "patient_id": "p"}], "split": {"test": ("t1",)}},
    },
    "planted": {"organism": "made up", "tissue": "nowhere", "technology": "none"},
}
MINE = Protocol(name="mine", version=1, summary="Genes of breast.")
SETTINGS = {
    "mine@1": {"summary": "", "settings": [], "registered": False},
    "demo@1": {"summary": "", "settings": [], "registered": True},
}


def trials(protocol: str, *names: str):
    return [trial(name, protocol=protocol, mse=1 + i / 10) for i, name in enumerate(names)]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Three protocols: one of published numbers, one that is registered, one that is a file."""
    folder = tmp_path_factory.mktemp("newcomer")
    made = [
        *trials("a-paper@1", "st-net"),
        *trials("demo@1", "ridge", "st-net", "bleep"),
        trial("ridge", dataset="planted"),
        *trials("mine@1", "ridge", "st-net"),
    ]
    extras = {
        **{"datasets": FACTS, "settings": SETTINGS, "protocol_files": {"mine@1": file_of(MINE)}},
        "predictors": {name: {"summary": "", "gpu": False} for name in ("ridge", "st-net")},
        "maps": partial(only_on_mine),
    }
    build(made, folder, "c", "store", extras)
    return folder


def only_on_mine(rows, metrics):
    """Maps of genes B and C for the protocol of two rows alone."""
    mine = [each for row in rows.values() for each in row]
    if mine[0].protocol == "a-paper@1":
        return [("maps", {}), ("prepared", {})]
    drawn = list(drawn_maps(rows, metrics))
    if mine[0].protocol == "demo@1":  # where neither of these genes was chosen
        drawn = [(name, value | {"symbols": ["X", "Y"], "ids": ["E8", "E9"]})
                 if name == "truth" else (name, value) for name, value in drawn]  # fmt: skip
        bleep = next(name for name, trials in rows.items() if trials[0].predictor == "bleep")
        drawn = [(name, value | {bleep: next(iter(value.values()))}) if name == "maps"
                 else (name, value) for name, value in drawn]  # fmt: skip
    return drawn


def options_of(command: str) -> None:
    """Check that a command of ours exists with every option that is named."""
    words = shlex.split(command)
    assert words.pop(0) == "spared-bench"
    here = typer.main.get_command(app)
    while words and words[0] in getattr(here, "commands", {}):
        here = here.commands[words.pop(0)]
    known = {name for each in here.params for name in (*each.opts, *each.secondary_opts)}
    assert not getattr(here, "commands", {}), f"{command} names no command"
    assert {word for word in words if word.startswith("-")} <= known, command


def test_who_names_no_protocol_sees_the_one_with_most_rows_that_were_made_here(site, open_site):
    page = open_site(site)

    assert page.get_by_role("combobox", name="Protocol").input_value() == "demo@1"
    board = board_rows([*trials("b@1", "x"), *trials("a@1", "x"), *trials("c@1", "x", "y")])
    assert board.first.protocol == "c@1"
    assert board_rows([*trials("b@1", "x"), *trials("a@1", "x")]).first.protocol == "a@1"
    assert board_rows([]).first is None


def test_cancer_of_an_organ_is_offered_as_the_organ_and_generated_data_not_at_all(site, open_site):
    page = open_site(site)

    def offered(name: str) -> list[str]:
        return page.locator(f"select[name={name.lower()}] option").all_inner_texts()

    assert offered("Tissue") == ["any tissue", "breast"]
    assert offered("Organism") == ["any organism", "human"]
    assert offered("Technology") == ["any technology", "Visium"]
    page.locator("select[name=tissue]").select_option("breast")
    page.locator("#answer").get_by_text("On breast it has the lowest MSE").wait_for()

    earlier = open_site(site, "#table?tissue=breast+cancer")
    assert earlier.locator("select[name=tissue]").input_value() == "breast"


def test_a_single_slide_has_no_interval_and_the_answer_says_so(site, open_site):
    said = open_site(site).locator("#answer .answer").inner_text()

    assert "(no interval: it is scored on a single slide)" in said
    assert "One dataset is too few for an interval over datasets" in said


def test_every_command_of_the_page_is_one_of_ours(site, open_site):
    row = row_of(site, "ridge", protocol=1)["id"]
    found = set()
    for where in ("", "#table?protocol=mine@1", f"#method/{row}", "#dataset/breast"):
        page = open_site(site, where)
        found |= {
            line for each in page.locator("code").all_inner_texts() for line in each.splitlines()
        }
    commands = {each for each in found if each.startswith("spared-bench ")}

    assert {each.split()[1] for each in commands} >= {"run", "data", "predict"}
    for command in commands:
        options_of(command)


def test_the_description_of_own_slides_that_the_page_shows_can_be_read(site, open_site, tmp_path):
    page = open_site(site, f"#method/{row_of(site, 'ridge', protocol=1)['id']}")
    for slide in ("S1", "S2"):
        (tmp_path / slide / "outs").mkdir(parents=True)
        (tmp_path / slide / "full.tif").touch()
        for end in ("_counts.tsv", "_spots.tsv", ".jpg"):
            (tmp_path / f"{slide}{end}").touch()
    file = tmp_path / "my_slides.yaml"

    def described(text: str):
        file.write_text(text, encoding="utf-8")
        return read_description(file)

    found = described(page.locator("pre").text_content())
    assert (found.name, found.format, found.organism) == ("my_slides", "space_ranger", "mouse")
    assert sorted(found.slides) == ["S1", "S2"]
    # On the card it is of what was asked for, whatever the address holds.
    asked = {"organism": "human", "tissue": 'a: "b" # c', "technology": "Spatial Transcriptomics"}
    script = "asked => spared.running.own({predictor: 'ridge'}, new URLSearchParams(asked))[2]"
    text = page.evaluate(f"asked => ({script})(asked).lastChild.textContent", asked)
    found = described(text)
    assert (found.format, found.organism, found.tissue) == ("legacy_st", "human", asked["tissue"])


def test_the_card_says_how_it_is_run_on_slides_of_ones_own(site, open_site):
    page = open_site(site, "#table?organism=human")
    lines = page.locator("#answer .own code").inner_text().splitlines()

    assert lines[0].startswith("spared-bench data add ")
    assert lines[1] == "spared-bench run -d my_slides -c none -p ridge"
    page.locator("#answer").get_by_text("What my_slides.yaml holds").click()
    assert "organism: human" in page.locator("#answer pre").inner_text()


def test_a_protocol_that_is_a_file_is_saved_from_the_page(site, open_site, tmp_path):
    page = open_site(site, "#table?protocol=mine@1")
    assert page.locator("code", has_text="--protocol mine.yaml").count() == 1

    with page.expect_download() as waiting:
        page.get_by_role("button", name="Save mine.yaml").click()

    waiting.value.save_as(tmp_path / "mine.yaml")
    assert waiting.value.suggested_filename == "mine.yaml"
    assert parse_protocol((tmp_path / "mine.yaml").read_text("utf-8"), "mine") == MINE
    assert open_site(site).get_by_role("button", name="Save").count() == 0


def test_under_a_protocol_that_nobody_knows_no_command_pretends_to_run_it(site, open_site):
    page = open_site(site, "#table?protocol=a-paper@1")
    page.locator("#answer").get_by_text("Protocol a-paper@1 was not known").wait_for()
    page.get_by_role("link", name="What it is, and how it predicts an image").click()
    ready(page, "method")

    page.locator("#view").get_by_text("Protocol a-paper@1 was not known").wait_for()
    assert "a-paper" not in " ".join(page.locator("code").all_inner_texts())
    assert page.locator("#view code", has_text="run -d my_slides").count() == 1


def test_the_card_says_that_a_protocol_is_not_comparable_with_published_numbers(
    tmp_path, open_site
):
    facts = {"comparable": False}
    made = [trial("ridge", facts=facts), trial("b", mse=2, facts=facts)]
    build(made, tmp_path, "c", "store", {"settings": SETTINGS})
    term = open_site(tmp_path).locator("#answer .answer").get_by_role("link", name="Not comparable")
    assert "compare rows within its table only" in term.get_attribute("data-tip")

    build([trial("ridge"), trial("b", mse=2)], tmp_path / "other", "c", "store")
    assert "Not comparable" not in open_site(tmp_path / "other").locator("#answer").inner_text()


def test_of_a_method_that_no_plugin_is_called_the_card_says_why_it_has_no_command(
    tmp_path, open_site
):
    build(trials("demo@1", "stranger", "b"), tmp_path, "c", "store", {"settings": SETTINGS})
    card = open_site(tmp_path).locator("#answer .answer")

    card.get_by_text(
        "No plugin that was here when the page was built is called stranger"
    ).wait_for()
    assert card.locator(".command").count() == 0


def test_what_only_another_protocol_has_is_told_with_the_way_there(tmp_path, open_site):
    facts = FACTS | {"brain": {"organism": "mouse", "tissue": "brain", "technology": "Xenium"}}
    made = [
        *trials("demo@1", "ridge", "st-net"),
        *(trial(each, dataset="brain", protocol="whole@1") for each in ("st-net", "bleep")),
    ]
    build(made, tmp_path, "c", "store", {"datasets": facts})
    page = open_site(tmp_path, "#table?protocol=demo@1&budget=cpu")
    note = page.locator("#offered")
    note.get_by_text("Not there?").click()
    assert "whole@1: Xenium, mouse and brain" in note.inner_text()

    note.get_by_role("link", name="whole@1").click()

    page.locator("#offered", has_text="demo@1").wait_for()
    assert page.get_by_role("combobox", name="Protocol").input_value() == "whole@1"
    assert page.get_by_role("combobox", name="Budget").input_value() == "cpu"
    note.get_by_text("Not there?").click()
    assert "demo@1: Visium, human and breast" in note.inner_text()


def test_the_card_says_what_is_best_under_other_protocols_and_which_to_go_by(tmp_path, open_site):
    facts = FACTS | {
        "lung": {"organism": "human", "tissue": "lung", "technology": "Xenium"},
        "udder": {"organism": "mouse", "tissue": "breast", "technology": "Visium"},
    }
    made = [
        *trials("demo@1", "ridge", "st-net"),
        *trials("other@1", "<b>bleep", "ridge"),
        # Best over all of whole@1 is ridge, on breast st-net; lung@1 has no breast.
        *(trial("ridge", dataset=d, protocol="whole@1", mse=m) for d, m in
          (("lung", 0.1), ("breast", 2.0))),
        *(trial("st-net", dataset=d, protocol="whole@1", mse=m) for d, m in
          (("lung", 1.0), ("breast", 1.5))),
        *(trial("ridge", dataset="lung", protocol="lung@1") for _ in range(1)),
        *(trial("ridge", dataset=d, protocol="both@1") for d in ("udder", "lung")),
    ]  # fmt: skip
    build(made, tmp_path, "c", "store", {"datasets": facts})
    page = open_site(tmp_path, "#table?protocol=demo@1&organism=human&tissue=breast")
    page.get_by_text("What 3 other protocols say to this, and which to go by").click()
    table = page.get_by_role("table", name="The same question under other protocols")
    table.wait_for()

    cells = [row.split("\t")[:4] for row in table.locator("tbody tr").all_inner_texts()]
    # both@1 has human lung and breast of mice, and so no dataset of human breast.
    assert cells == [
        ["other@1", "<b>bleep", "MSE 1.000", "1 dataset: Visium"],
        ["whole@1", "st-net", "MSE 1.500", "1 dataset: Visium"],
    ]
    page.get_by_text("Go by the one whose datasets are most like your slides").wait_for()
    table.get_by_role("link", name="whole@1").click()
    page.locator("#answer p.best", has_text="st-net").wait_for()
    assert page.locator("select[name=tissue]").input_value() == "breast"

    # No dataset of both here: the way to those that have it is where it is needed.
    none = open_site(tmp_path, "#table?protocol=both@1&organism=human&tissue=breast")
    none.get_by_text("No dataset here is human breast.").wait_for()
    none.get_by_text("What 3 other protocols say to this").click()
    none.get_by_role("table", name="The same question").get_by_role(
        "link", name="demo@1"
    ).wait_for()


def test_a_map_by_another_method_is_said_to_be_one(site, open_site):
    row = row_of(site, "bleep", protocol=1)["id"]
    page = open_site(site, f"#map/{row}/breast?gene=C")
    ready(page, "map")
    way = page.get_by_role("link", name="A map of it under mine@1, by ridge (bleep has none there)")
    way.wait_for()


def test_a_gene_that_a_protocol_did_not_choose_leads_to_its_map_under_another(site, open_site):
    row = row_of(site, "ridge", protocol=1)["id"]
    page = open_site(site, f"#map/{row}/breast?gene=C")
    ready(page, "map")
    page.get_by_text("C is not among the 2 genes that demo@1 chose").wait_for()

    page.get_by_role("link", name="Its map under mine@1").click()

    page.get_by_role("heading", name="C on slide s1").wait_for()
    assert page.get_by_role("combobox", name="Protocol").input_value() == "mine@1"
