"""The first screen: the method that it names, what supports it, ties, whiskers and the front."""

from __future__ import annotations

import re
import shlex

import numpy as np
import pytest
import scipy.stats

from tests.board_samples import build, trial
from tests.leaderboard.browsing import ready
from tests.leaderboard.reading import data_of, row_of

TISSUES = ["breast", "breast cancer", "brain", "brain", "brain", "skin", "skin", "kidney"]
DATASETS = [f"d{i}" for i in range(len(TISSUES))]
FACTS = {
    name: {
        **{"organism": "human" if i < 5 else "mouse", "tissue": tissue},
        **{"technology": "Visium (100 um)" if i % 2 else "spatial transcriptomics"},
        "slides": [{"slide_id": "t1", "patient_id": "p"}],
        "split": {"test": ("t1",)},
    }
    for i, (name, tissue) in enumerate(zip(DATASETS, TISSUES, strict=True))
}
#: Errors: near is like best but for noise, far is far off, specialist is best on breast alone.
FACTORS = {"best": 1.0, "near": 1.01, "far": 1.6, "slow": 0.995}


def trials_of_all():
    rng = np.random.default_rng(3)
    base = rng.uniform(0.6, 1.4, len(DATASETS))
    noise = {name: rng.normal(0, 0.02, len(DATASETS)) for name in FACTORS}
    noise["slow"] -= 0.02
    made = []
    for name, factor in FACTORS.items():
        for i, dataset in enumerate(DATASETS):
            mse = float(base[i] * (factor + noise[name][i]))
            machine = "NVIDIA H100" if name == "slow" else "x86-64 avx2"
            seconds = {"best": 50.0, "near": 5.0, "far": 0.5, "slow": 900.0}[name]
            made.append(
                trial(
                    name,
                    dataset=dataset,
                    mse=mse,
                    seconds={"fit": seconds},
                    environment={"python": "3.11", "machine": machine},
                )
            )
    for i, dataset in enumerate(DATASETS):
        factor = 0.5 if "breast" in TISSUES[i] else 1.4
        made.append(
            trial(
                "specialist",
                dataset=dataset,
                mse=float(base[i] * factor),
                environment={"python": "3.11", "machine": "x86-64 avx2"},
            )
        )
    return made


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("first")
    extras = {
        "datasets": FACTS,
        "predictors": {
            name: {"gpu": name in ("best", "slow")} for name in (*FACTORS, "specialist")
        },
    }
    build(trials_of_all(), folder, "c", "store", extras)
    return folder


def answer(page) -> str:
    return page.locator("#answer .answer").inner_text()


def test_the_first_screen_names_the_row_that_is_ranked_first_and_what_supports_it(open_site, site):
    page = open_site(site)
    first = data_of(site, "p0/board")["rows"][0]
    mean, (low, high) = np.nanmean(first["scores"][0]["normalised"]), first["scores"][0]["interval"]
    text = answer(page)

    page.get_by_role("heading", name="Which method should I use?").wait_for()
    assert page.locator("#answer p.best").inner_text() == first["predictor"]
    assert f"{mean:.3f} (95 % interval {low:.3f} to {high:.3f})" in text
    assert "Supported by 8 datasets" in text
    assert "scored on 8 slides, 1 seed" in text


def test_a_choice_in_words_is_followed_by_sentence_ranking_and_address(open_site, site):
    page = open_site(site)
    page.get_by_label("Organism").select_option("human")
    page.get_by_label("Tissue").select_option("breast")  # and breast cancer

    assert page.locator("#answer p.best").inner_text() == "specialist"
    text = answer(page)
    assert "On human breast it has the lowest mean normalised MSE: 1.000" in text
    assert "Supported by 2 datasets (d0, d1)" in text
    assert "too few for an interval" in text
    assert "Over all 8 datasets of the protocol its mean normalised MSE is" in text
    assert page.locator("#board tbody tr td.name").first.inner_text().startswith("specialist")
    assert {"organism=human", "tissue=breast"} <= set(page.url.split("?")[1].split("&"))
    command = page.locator("#answer .again code").inner_text()
    assert command == "spared-bench run --suite demo -d d0 -d d1 -c none -p specialist"

    page.get_by_label("Tissue").select_option("breast cancer")
    mse = row_of(site, "specialist")["scores"][0]["mean"][1]
    assert f"On human breast cancer it has the lowest MSE: {mse:.3f}" in answer(page)


def facts_of(page) -> dict[str, str]:
    names = page.locator("#view dl.facts").first.locator("dt").all_inner_texts()
    values = page.locator("#view dl.facts").first.locator("dd").all_inner_texts()
    return dict(zip(names, values, strict=True))


def test_the_page_of_a_method_answers_what_was_asked_and_says_what_holds_over_all(open_site, site):
    row = row_of(site, "specialist")
    page = open_site(site, "#table?organism=human&tissue=breast&budget=cpu")
    page.locator("#answer p.best").get_by_role("link").click()
    ready(page, "method")
    found = facts_of(page)
    rows = [r["scores"][0]["normalised"] for r in data_of(site, "p0/board")["rows"]]
    place = 1 + sum(np.mean(r) < np.mean(row["scores"][0]["normalised"]) for r in rows)

    assert found["Asked for"] == "human breast, no GPU. Its ranking"
    assert found["Rank"] == "1 of 4"  # slow ran on a GPU
    assert found["Mean normalised MSE"] == "1.000, over 2 of 2 datasets"
    assert place > 1 and found["Over all of the board"].startswith(f"rank {place} of 5")
    table = page.get_by_role("table", name="Scores per dataset; first the 2 that were asked for")
    assert [r.split()[0] for r in table.locator("tbody tr").all_inner_texts()[:2]] == ["d0", "d1"]
    page.get_by_role("link", name="Its ranking").click()
    ready(page, "table")
    assert page.get_by_label("Budget").input_value() == "cpu"

    plain = facts_of(open_site(site, f"#method/{row['id']}"))
    assert "Asked for" not in plain and plain["Rank"].startswith(f"{place} of 5")


def test_raw_and_normalised_errors_are_told_apart_wherever_both_stand(open_site, tmp_path):
    settings = {"demo@1": {"summary": "", "settings": [["Target", "log <b>"]]}}
    extras = {"datasets": FACTS, "settings": settings}
    build(trials_of_all(), tmp_path, "c", "store", extras)
    page = open_site(tmp_path, "#table?tissue=breast+cancer")
    units = page.locator("#units")
    told = "an error over the record on its dataset; 1 is the record"
    assert f"Normalised, as in the chart, it is 1.000: {told}." in answer(page)
    mse = page.locator("#answer .answer").get_by_role("link", name="MSE", exact=True)
    assert "per" in mse.get_attribute("data-tip")
    assert told.split(";", maxsplit=1)[0] in page.locator("#answer figure .note").inner_text()
    assert units.inner_text() == (
        f"Norm. MSE: the mean, over datasets, of {told}. Below the names of datasets: the MSE"
        " itself, of log <b>."
    )
    head = page.locator("#board thead th").filter(has_text="d1")
    assert head.get_attribute("data-tip").startswith("MSE on d1")

    other = open_site(tmp_path, "#table?cells=normalised")
    assert f"Normalised is {told}." in answer(other)
    assert "the normalised MSE of each." in other.locator("#units").inner_text()
    correlation = open_site(tmp_path, "#table?metric=pcc-gene").locator("#units").inner_text()
    assert correlation.endswith("the PCC-Gene itself.")  # which has no unit
    # Of a correlation it is an error too: the lowest is best, though the highest PCC is.
    assert correlation.startswith("Norm. error by PCC-Gene: the mean")
    by_pcc = answer(open_site(tmp_path, "#table?metric=pcc-gene"))
    assert "it has the lowest mean normalised error by PCC-Gene: 1." in by_pcc
    assert "highest mean normalised" not in by_pcc
    mse.click()
    ready(page, "about")
    page.locator("#term-metric-mse").wait_for()


def test_a_budget_says_what_it_knows_of_the_method_and_who_says_it(open_site, tmp_path):
    def made(name, mse, machine):
        environment = {"python": "3.11", "machine": machine}
        return trial(name, mse=mse, environment=environment, facts={"scope": "patch"})

    trials = [made("small", 1.0, "x86-64 avx2"), made("light", 2.0, "NVIDIA H100")]
    extras = {"predictors": {"small": {"gpu": True}, "light": {"gpu": False}}}
    build([*trials, made("odd", 0.5, "NVIDIA H100")], tmp_path, "c", "store", extras)
    said = "No GPU: here it was trained and run without one, on a processor (x86-64 avx2)"
    page = open_site(tmp_path, "#table?budget=cpu")
    assert said in answer(page)
    assert "its published size without one is hopeless" in answer(page)
    row = row_of(tmp_path, "light")["id"]
    light = open_site(tmp_path, f"#method/{row}")
    light.get_by_text(
        "Here it ran on NVIDIA H100. Its plugin here says that its published"
    ).wait_for()
    odd = open_site(tmp_path, f"#method/{row_of(tmp_path, 'odd')['id']}")
    odd.get_by_text("No plugin here says whether it needs one").wait_for()
    assert "No GPU" not in answer(open_site(tmp_path))


def test_the_headline_is_the_method_and_the_completer_is_explained(open_site, tmp_path):
    made = [trial("ridge", completer="median"), trial("b", completer="none", mse=2)]
    extras = {"completers": {"median": "Median of <b> neighbours"}}
    build(made, tmp_path, "c", "store", extras)
    page = open_site(tmp_path)
    assert page.locator("#answer p.best").inner_text() == "ridge"
    assert (
        "Trained on measurements whose gaps were filled before (completer median: median of <b>"
        " neighbours). Scores are of measured entries only." in answer(page)
    )
    page.get_by_role("link", name="completer median", exact=True).click()
    ready(page, "about")
    page.locator("#term-completer").wait_for()
    none = answer(open_site(tmp_path, "#table?completer=none"))
    assert "Trained on the measurements as they are, gaps left out (completer none)." in none


def test_technology_is_chosen_by_its_name_without_its_size(open_site, site):
    page = open_site(site, "#table?technology=Visium")

    assert "Supported by 4 datasets (d1, d3, d5, d7)" in answer(page)


def test_st_is_written_in_full_and_who_looks_for_visium_is_told_what_comes_nearest(
    open_site, tmp_path
):
    kinds = ["spatial transcriptomics (200 um)", "visium", "Visium (100 um)", "Xenium, pooled"]
    facts = {f"d{i}": {"organism": "human", "technology": kind} for i, kind in enumerate(kinds)}

    def of(protocol, *datasets):
        return [trial(n, dataset=d, protocol=protocol) for n in "ab" for d in datasets]

    made = [*of("st@1", "d0"), *of("all@1", "d0", "d1", "d2", "d3")]
    build(made, tmp_path, "c", "store", {"datasets": facts})
    page = open_site(tmp_path, "#table?protocol=all@1&technology=Visium")
    select = page.locator("select[name=technology]")
    full = "Spatial Transcriptomics (ST)"
    assert select.locator("option").all_inner_texts() == [
        *("any technology", full, "Visium", "Xenium")
    ]
    assert "Supported by 2 datasets (d1, d2)" in answer(page)  # however it is written
    assert "None is of Visium" not in page.locator("#offered").inner_text()
    # An address of before, and the whole of the word in sight.
    earlier = open_site(tmp_path, "#table?protocol=all@1&technology=spatial+transcriptomics")
    assert f"On {full} it has the lowest MSE" in answer(earlier)
    chosen = earlier.locator("select[name=technology]")
    assert chosen.input_value() == "ST"
    room = """each => {
        const pen = document.createElement("canvas").getContext("2d");
        pen.font = getComputedStyle(each).font;
        return each.clientWidth - pen.measureText(each.selectedOptions[0].text).width;
    }"""
    assert chosen.evaluate(room) > 30  # its arrow
    alone = open_site(tmp_path, "#table?protocol=st@1").locator("#offered").inner_text()
    assert "None is of Visium; ST came before it, with larger spots." in alone
    assert "Not there? Other protocols have Visium and Xenium" in alone


def test_a_budget_leaves_out_what_needs_a_gpu_or_long(open_site, site):
    page = open_site(site, "#table?budget=cpu")
    assert {name.split()[0] for name in page.locator("#board td.name").all_inner_texts()} == {
        *("best", "near", "far", "specialist")  # best ran here on a processor, whatever is said
    }
    quick = open_site(site, "#table?budget=quick")
    assert quick.locator("#board tbody tr").count() == 4

    none = open_site(site, "#table?organism=mouse&tissue=breast")
    assert "No dataset here is mouse breast." in answer(none)


def test_rows_whose_difference_from_the_first_may_be_none_are_tied(open_site, site):
    page = open_site(site)
    rows = data_of(site, "p0/board")["rows"]
    values = {row["predictor"]: np.array(row["scores"][0]["normalised"]) for row in rows}
    first = rows[0]["predictor"]
    others = [name for name in values if name != first]
    differences = np.column_stack([values[name] - values[first] for name in others])
    bounds = np.column_stack(scipy.stats.ttest_1samp(differences, 0).confidence_interval(0.95))
    expected = {name for name, (low, high) in zip(others, bounds, strict=True) if low <= 0 <= high}
    assert expected and expected != set(others)

    marked = page.locator("#board tbody tr").filter(has_text="tied with 1")
    names = {text.split()[0] for text in marked.locator("td.name").all_inner_texts()}
    assert names == expected
    assert all(name in answer(page).split("Tied with it:")[1] for name in expected)


def test_a_whisker_is_drawn_where_its_interval_lies(open_site, site):
    page = open_site(site)
    places = page.evaluate(
        """() => [...document.querySelectorAll('#board tbody tr')].map(tr => {
            const part = tr.querySelector('.whisker'), of = s => part.querySelector(s).style;
            return [tr.querySelector('td.name a').textContent, parseFloat(of('.line').left),
                    parseFloat(of('.line').left) + parseFloat(of('.line').width),
                    parseFloat(of('.dot').left)];
        })"""
    )
    rows = {row["predictor"]: row["scores"][0] for row in data_of(site, "p0/board")["rows"]}
    found, wanted = [], []
    for name, *ends in places:
        found += ends
        wanted += [*rows[name]["interval"], float(np.mean(rows[name]["normalised"]))]
    shown = np.array(found) < 99.5  # what lies beyond is clipped to the edge
    fit = np.polyfit(np.array(wanted)[shown], np.array(found)[shown], 1)
    assert shown.sum() >= 9
    np.testing.assert_allclose(
        np.polyval(fit, np.array(wanted)[shown]), np.array(found)[shown], atol=0.6
    )


@pytest.mark.parametrize("seed", range(5))
def test_the_front_is_what_no_other_point_beats_in_both(open_site, site, seed):
    page = open_site(site)
    rng = np.random.default_rng(seed)
    points = rng.integers(0, 12, size=(60, 2)).tolist()  # with equal ones

    def beaten(p) -> bool:
        return any(q[0] <= p[0] and q[1] <= p[1] and q != p for q in points)

    brute = sorted(i for i, p in enumerate(points) if not beaten(p))
    assert sorted(page.evaluate("p => spared.cost.front(p)", points)) == brute


@pytest.mark.parametrize(("wins", "n"), [(0, 5), (3, 5), (7, 25), (25, 25)])
def test_the_interval_of_a_share_of_wins_is_wilsons(open_site, site, wins, n):
    page = open_site(site)
    expected = scipy.stats.binomtest(wins, n).proportion_ci(0.95, method="wilson")

    found = page.evaluate("([w, n]) => spared.wilson(w, n)", [wins, n])
    assert found == pytest.approx([expected.low, expected.high], abs=1e-9)


def test_every_heading_is_explained_on_hover_and_on_focus(open_site, site):
    page = open_site(site)
    tip = page.get_by_role("tooltip")
    for heading in ("Norm. MSE", "Completer", "d0"):
        head = page.locator("#board thead th:visible").filter(has_text=re.compile(f"^{heading}"))
        head.hover()
        tip.wait_for()
        hovered = tip.inner_text()
        page.mouse.move(0, 0)
        page.keyboard.press("Escape")
        assert not tip.is_visible()
        button = head.locator("[tabindex='0'], button").first
        button.focus()
        assert tip.inner_text() == hovered
        assert button.get_attribute("aria-describedby") == "tip"
    assert page.locator("#board thead th:not([data-tip])").count() == 0


def test_a_command_is_copied_by_a_click(open_site, site):
    page = open_site(site)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy the command").first.click()
    page.get_by_text("Copied").wait_for()


def test_names_cannot_break_out_of_a_command(open_site, tmp_path):
    hostile = "x'; rm -rf / #"
    extras = {"predictors": {hostile: {}}}
    build([trial(hostile, completer="$(a)"), trial("b", mse=2)], tmp_path, "c", "store", extras)
    page = open_site(tmp_path)

    for part in (".again", ".own"):
        words = shlex.split(page.locator(f"#answer {part} code").inner_text())
        assert words[-1] == hostile
        assert "$(a)" in words


def test_the_glossary_is_one_click_away_and_has_every_word(open_site, site):
    page = open_site(site)
    page.get_by_role("navigation").get_by_role("link", name="Glossary").click()
    ready(page, "about")
    text = page.locator("#view-about").inner_text()

    for word in ("Tier", "val", "Completer", "Norm. MSE", "95 % interval", "Control", "Pareto"):
        assert word in text
    term = open_site(site, "#about/tier")
    ready(term, "about")
    term.locator("#term-tier.meant").wait_for()
    assert term.locator(".meant").count() == 1
    other = open_site(site, "#about/val")
    ready(other, "about")
    assert other.locator(".meant").get_attribute("id") == "term-val"


def test_figures_draw_no_empty_cards_no_pie_and_violins_only_of_five_points(open_site, site):
    page = open_site(site, "#figures")
    ready(page, "figures")
    for card in page.locator(".grid .plot").all():
        assert card.locator("svg").count() > 0
    assert page.locator(".pielayer *").count() == 0
    assert page.locator(".violinlayer .violins").count() == 5

    few = open_site(site, "#figures?tissue=brain")
    ready(few, "figures")
    assert few.locator(".violinlayer .violins").count() == 0
    assert few.locator(".plot", has_text="by tissue").count() == 0  # one group says nothing


def test_on_a_phone_filters_lie_in_a_drawer_names_stay_and_pcc_is_seen(open_site, site):
    page = open_site(site, viewport={"width": 390, "height": 844})
    drawer = page.locator("#drawer")

    assert drawer.get_attribute("open") is None
    assert not page.get_by_label("Search").is_visible()
    page.get_by_text("Filters and columns").click()
    page.get_by_label("Search").wait_for()
    box = page.locator("#view-table .scroll").first.bounding_box()
    pcc = page.locator("#board thead th:visible").filter(has_text="PCC-Gene").bounding_box()
    assert pcc["x"] + pcc["width"] <= box["x"] + box["width"] + 1
    first = page.locator("#board tbody tr").first.locator("td:visible").first
    assert "name" in first.get_attribute("class")
    page.evaluate("document.querySelector('#view-table .scroll').scrollLeft = 200")
    assert first.bounding_box()["x"] == pytest.approx(box["x"], abs=2)
    assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_another_protocol_keeps_view_filters_and_place_and_says_what_differs(open_site, tmp_path):
    def of(protocol, names):
        return [
            trial(name, dataset=d, protocol=protocol, mse=1 + k + i / 10, facts={"tier": "A"})
            for k, name in enumerate(names)
            for i, d in enumerate(["d0", "d1"])
        ]

    demo, spared = (
        [["Seeds", "1"], ["Target", "<b>cp10k"]],
        [["Seeds", "1"], ["Target", "TPM"]],
    )
    settings = {
        "demo@1": {"summary": "Small.", "settings": demo, "registered": False},
        "spared@1": {"summary": "Whole.", "settings": spared, "registered": True},
    }
    trials = [*of("demo@1", ["a", "b"]), *of("spared@1", ["a", "c"])]
    extras = {"settings": settings, "datasets": FACTS, "predictors": {"a": {}}}
    build(trials, tmp_path, "c", "store", extras)
    row = row_of(tmp_path, "a")["id"]
    page = open_site(tmp_path, f"#method/{row}?organism=human")
    assert page.locator("code", has_text="--protocol demo.yaml").count() == 1
    page.get_by_role("combobox", name="Protocol").select_option("spared@1")
    ready(page, "method")
    page.locator("code", has_text="--suite spared").wait_for()  # one of them, or it would raise
    assert page.get_by_role("heading", level=2, name="a with completer none").count() == 1
    assert f"#method/{row}" in page.url and "organism=human" in page.url
    page.get_by_text("What spared@1 does, and how the other protocol differs").click()
    table = page.get_by_role("table", name="spared@1 and demo@1")
    assert table.locator("tbody tr").all_inner_texts() == ["Target\tTPM\t<b>cp10k"]

    page.get_by_text("Every setting of spared@1").click()
    mine = page.get_by_role("table", name="Settings of spared@1")
    assert mine.locator("tbody tr").all_inner_texts() == ["Seeds\t1", "Target\tTPM"]

    other = row_of(tmp_path, "b")["id"]
    page = open_site(tmp_path, f"#method/{other}")
    page.get_by_role("combobox", name="Protocol").select_option("spared@1")
    page.get_by_text("There is no such row under spared@1.").wait_for()
