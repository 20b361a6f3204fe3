"""The page says what its data support, and of the rest why it says nothing."""

from __future__ import annotations

import re
from functools import partial

import pytest

from tests.board_samples import build, trial
from tests.leaderboard.browsing import drawn_maps, ready
from tests.leaderboard.reading import data_of, row_of

N = 27  # methods, of which 25 are drawn
FACTS = {
    "d0": {"organism": "human", "tissue": "breast"},
    "d1": {"organism": "mouse", "tissue": "brain"},
}
OF = {"d0": {"tier": "B", "shared_donors": ["p1"]}, "d1": {"tier": "A"}}
SETTINGS = {"demo@1": {"summary": "Small budgets, for a first <b> run.", "settings": []}}


def name(i: int) -> str:
    return f"method-{i:02}-of-a-name-that-is-rather-long"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Two datasets, on which all methods but one stand in the same order."""
    folder = tmp_path_factory.mktemp("honest")
    made = [
        # The last is the second on d1: ranks among the best 25 are others than among all.
        trial(name(i), dataset=dataset, mse=1 + (1.5 if (i, k) == (N - 1, 1) else i), facts=facts)
        for i in range(N)
        for k, (dataset, facts) in enumerate(OF.items())
    ]
    extras = {"datasets": FACTS, "settings": SETTINGS}
    build(made, folder, "c", "store", extras)
    return folder


def card(page) -> str:
    return page.locator("#answer .answer").inner_text()


def test_the_card_says_that_donors_are_shared_and_where(open_site, site):
    both = card(open_site(site))
    said = "on tissue of donors that it also learnt from (tier B): of new donors it may be worse."
    assert f"It is scored on d0 {said}" in both
    assert f"It is scored {said}" in card(open_site(site, "#table?tissue=breast"))
    assert "donors" not in card(open_site(site, "#table?tissue=brain"))


def test_what_the_protocol_is_for_is_seen_before_anything_is_opened(open_site, site):
    page = open_site(site)
    line = page.get_by_text("Small budgets, for a first <b> run.")
    assert line.is_visible()
    assert line.bounding_box()["y"] < page.locator("#question").bounding_box()["y"]


def test_compare_says_what_it_is_narrowed_to_and_leads_to_all(open_site, site):
    rows = [row_of(site, name(i))["id"] for i in (0, 1)]
    page = open_site(site, f"#compare/{'/'.join(rows)}?tissue=breast&metric=pcc-gene")
    assert page.locator(".narrowed").inner_text().startswith("Only on what was asked for: breast.")
    assert "Of the 1 dataset" in page.locator("#verdict").inner_text()
    page.get_by_role("link", name="On all datasets").click()
    page.locator("#verdict", has_text="Of the 2 datasets").wait_for()
    assert page.locator(".narrowed").count() == 0
    assert "metric=pcc-gene" in page.url and rows[1] in page.url


def test_statistics_say_that_they_do_not_follow_what_was_asked_for(open_site, site):
    page = open_site(site, "#statistics?tissue=breast&budget=cpu")
    ready(page, "statistics")
    said = (
        "Over all datasets and rows of the protocol, not only what was asked for: breast, no GPU."
    )
    assert page.locator(".narrowed").inner_text() == said
    plain = open_site(site, "#statistics")
    ready(plain, "statistics")
    assert plain.locator(".narrowed").count() == 0


def test_where_there_is_no_interval_nothing_is_drawn_like_one(open_site, site):
    page = open_site(site)
    head = page.locator("#board thead th").all_inner_texts()
    at = next(i for i, text in enumerate(head) if text.startswith("95 % interval"))
    for row in page.locator("#board tbody tr").all():
        cell = row.locator("td").nth(at)
        assert cell.inner_text() == "–"
        assert cell.locator(".whisker").count() == 0

    figures = open_site(site, "#figures")
    ready(figures, "figures")
    wins = figures.locator(".plot", has_text="Share of the 2 datasets")
    assert "too few of them for an interval" in wins.inner_text()
    assert wins.locator(".errorbar").count() == 0


def test_a_small_p_of_few_datasets_is_not_left_alone(open_site, site):
    page = open_site(site, "#statistics")
    ready(page, "statistics")
    told = page.locator("#view p", has_text="Friedman:").inner_text()
    assert "That is of 2 datasets: a small p says that they order these rows alike" in told


def test_pairs_that_no_test_can_tell_apart_lie_in_a_fold(open_site, site):
    page = open_site(site, "#statistics")
    ready(page, "statistics")
    matrix = page.locator("table.matrix")
    assert not matrix.is_visible()
    page.get_by_text("The p values all the same").click()
    assert matrix.is_visible()
    effects = open_site(site, "#statistics?test=effect")  # sizes are no p values
    ready(effects, "statistics")
    assert effects.locator("table.matrix").is_visible()


def test_the_diagram_says_that_its_ranks_are_of_the_best_and_cuts_no_name(open_site, site):
    page = open_site(site, "#statistics")
    ready(page, "statistics")
    said = page.locator("#view p", has_text="a bar joins").inner_text()
    (found,) = data_of(site, "p0/statistics-0")["comparisons"]
    again = found["pairwise_ranks"]
    assert any(again[each] != found["ranks"][each] for each in again)
    assert f"Drawn are the 25 best of {N}, ranked again among themselves" in said
    numbers = re.search(r"critical difference, ([\d.]+), is more than .* differ, (\d+)", said)
    assert numbers is not None
    more, can = numbers.groups()
    assert float(more) == pytest.approx(found["critical_difference"], abs=0.006)
    assert int(can) == 24 < float(more)

    page.get_by_text("The diagram all the same").click()
    drawing = page.locator("svg.cd")
    box = drawing.bounding_box()
    for text in drawing.locator("text").all():
        assert "…" not in text.text_content()
        place = text.bounding_box()
        assert place["x"] >= box["x"] and place["x"] + place["width"] <= box["x"] + box["width"] + 1


def test_the_card_speaks_of_no_chart_where_there_is_none_and_says_why_there_are_no_maps(
    open_site, tmp_path
):
    told = {"method": "m", "version": "1", "source": "", "withdrawn": None, "flags": []}
    made = [trial("a", n_parameters=None, facts={"origin": {"trust": "reported", **told}})]
    build(made, tmp_path / "theirs", "c", "store", {})
    page = open_site(tmp_path / "theirs")
    assert page.locator("#answer figure").count() == 0
    assert "Normalised it is 1.000" in card(page)
    assert "No maps: of published scores there are no predictions to draw." in card(page)
    build([trial("a")], tmp_path / "ours", "c", "store", {})
    assert "No maps: the page was built without predictions" in card(open_site(tmp_path / "ours"))


OWN = {
    "summary": "Methods <i>whole</i> on slides of your own.",
    "settings": [["Genes", "128 of them"], ["Target", "log(1 + x)"]],
}


@pytest.mark.parametrize("trust", ["reported", "re-scored"])
def test_what_became_of_gaps_is_not_said_of_published_numbers(open_site, tmp_path, trust):
    told = {"method": "m", "version": "1", "source": "", "withdrawn": None, "flags": []}
    made = trial("a", completer="none", facts={"origin": {"trust": trust, **told}})
    build([made], tmp_path, "c", "store", {})
    assert ("gaps left out" in card(open_site(tmp_path))) is (trust != "reported")


def test_the_command_for_own_slides_says_under_which_rules_it_runs(open_site, tmp_path):
    demo = {"summary": "", "settings": []}
    extras = {"settings": {"demo@1": demo, "own@1": OWN}, "predictors": {"a": {}}}
    build([trial("a")], tmp_path, "c", "store", extras)
    page = open_site(tmp_path)
    assert (
        "Since it names no protocol, it is run under own@1: methods <i>whole</i> on slides of your"
        " own. Genes: 128 of them." in card(page)
    )
    page.get_by_text("What my_slides.yaml holds").click()
    assert "Paths are relative to the folder that it lies in." in card(page)


def test_maps_say_what_their_numbers_are_and_which_genes_there_are(open_site, tmp_path):
    maps = partial(drawn_maps, variance=True)
    extras = {"settings": {"demo@1": OWN}, "maps": maps}
    build([trial("ridge"), trial("b", mse=2)], tmp_path, "c", "store", extras)
    page = open_site(tmp_path, f"#map/{row_of(tmp_path, 'ridge')['id']}/breast?gene=ERBB2")
    ready(page, "map")
    told = page.locator("#view").inner_text()
    assert "Numbers and colours are log(1 + x); the variance is in the square of that." in told
    assert "whether it was measured is not told here" in page.locator("#absent").inner_text()
    page.get_by_text("The 2 genes that there are").click()
    page.locator("#absent").get_by_role("button", name="C", exact=True).click()
    page.get_by_role("heading", name="C on slide s1").wait_for()


def test_the_glossary_has_every_word_once_and_no_mark_of_another_language(open_site, site):
    page = open_site(site, "#about")
    ready(page, "about")
    words = page.locator("#glossary dt").all_inner_texts()
    assert len(words) == len(set(words))
    assert {"Rank", "Completer", "Trust", "95 % interval", "Norm. error"} <= set(words)
    assert not {"metric", "Norm. metric"} & set(words)
    assert "`" not in page.locator("main").inner_text()
    assert page.locator("#glossary dd code", has_text="spared-bench score").count() > 0
    head = open_site(site, "#table?columns=%2Btrust")
    head.locator("#board thead th", has_text="Trust").hover()
    head.get_by_role("tooltip").wait_for()
    assert "`" not in head.get_by_role("tooltip").inner_text()


def test_the_card_says_where_a_control_is_as_good(open_site, tmp_path):
    control = {"control": True}
    made = [
        *(trial("ridge", dataset=name, mse=2.0, pcc=0.3) for name in OF),
        trial("gene-mean", "median", "d0", mse=1.0, pcc=0.0, facts=control),
        trial("gene-mean", "median", "d1", mse=2.5, pcc=0.0, facts=control),
        trial("shuffled", "none", "d0", mse=1.5, pcc=0.1, facts=control),  # lacks a dataset
    ]
    build(made, tmp_path, "c", "store", {"datasets": FACTS, "settings": SETTINGS})
    told = "No better than a control: gene-mean with completer median reaches"
    assert f"{told} 0.875, so that nothing was learned" in card(open_site(tmp_path))
    assert f"{told} 1.000, so that" in card(open_site(tmp_path, "#table?dataset=d0&controls=0"))
    for better in ("?dataset=d1", "?metric=pcc-gene"):
        assert "No better than" not in card(open_site(tmp_path, f"#table{better}"))


def test_the_card_says_nothing_of_controls_where_they_are_behind(open_site, site):
    assert "control" not in card(open_site(site))


def test_the_card_says_on_which_datasets_a_method_is_the_best(open_site, site):
    assert "On all tissues it has the" in card(open_site(site))
    assert "On human breast it has the" in card(
        open_site(site, "#table?organism=human&tissue=breast")
    )
    assert "On 1 chosen dataset it has the" in card(open_site(site, "#table?dataset=d0"))
    assert "On tier B it has the" in card(open_site(site, "#table?tier=B"))
