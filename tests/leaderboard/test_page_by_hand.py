"""What was set by hand, and other versions of the code, as readers of the page meet it."""

from __future__ import annotations

from tests.board_samples import build, trial

SETTINGS = {"demo@1": {"summary": "For tests.", "settings": [], "registered": True}}
PREDICTORS = {"ridge": {"summary": "", "encoder": ""}, "lasso": {"summary": "", "encoder": ""}}


def test_the_first_screen_and_the_method_say_that_a_command_makes_another_result(
    tmp_path, open_site
):
    by_hand = {"by_hand": {"ridge.lr": "<b>0.5</b>"}}
    codes = [{"plugins": {"predictor": f"mine 1 code {code}"}} for code in ("aa", "bb")]
    made = [
        trial("ridge", dataset="breast", mse=0.5, facts=by_hand, environment=codes[0]),
        trial("ridge", dataset="brain", mse=0.5, environment=codes[1]),
        trial("lasso", dataset="breast", mse=0.9, environment=codes[0]),
        trial("lasso", dataset="brain", mse=0.9, environment=codes[0]),
    ]
    build(made, tmp_path, "c", "store", {"settings": SETTINGS, "predictors": PREDICTORS})
    page = open_site(tmp_path)
    answer = page.inner_text(".answer")
    said = "ridge.lr=<b>0.5</b> (breast)"
    assert f"Set by hand for these scores: {said}. They are of 2 versions of its code." in answer
    assert f"without what was set by hand for the result of this board ({said}):" in answer
    assert "To make the result of this board again:" not in answer

    page.click(".answer .best a")
    page.wait_for_selector("h3:text-is('What it is')")
    told = page.inner_text("main")
    assert said in told
    assert "Versions of code" in told


def test_where_nothing_was_set_by_hand_the_page_says_nothing_of_it(tmp_path, open_site):
    build(
        [trial(), trial("lasso", mse=2.0)],
        tmp_path,
        "c",
        "store",
        {
            "settings": SETTINGS,
            "predictors": PREDICTORS,
        },
    )
    page = open_site(tmp_path)
    answer = page.inner_text(".answer")
    assert "by hand" not in answer
    assert "To make the result of this board again:" in answer


def test_the_command_asks_for_the_threads_that_a_result_was_made_on(tmp_path, open_site):
    made = [
        trial("ridge", dataset="breast", mse=0.5, environment={"threads": 4}),
        trial("ridge", dataset="brain", mse=0.5, environment={"threads": 4}),
        trial("lasso", dataset="breast", mse=0.9, environment={"threads": 1}),
        trial("lasso", dataset="brain", mse=0.9, environment={"threads": 2}),
        trial("svr", dataset="breast", mse=0.95, environment={"threads": 1}),
        trial("svr", dataset="brain", mse=0.95, environment={"threads": 1}),
    ]
    predictors = PREDICTORS | {"svr": {"summary": "", "encoder": ""}}
    build(made, tmp_path, "c", "store", {"settings": SETTINGS, "predictors": predictors})
    page = open_site(tmp_path)
    said = {}
    for name in ("ridge", "lasso", "svr"):
        page.goto(f"{page.url.partition('#')[0]}#/demo@1/table")
        page.click(f"#board td.name a:text-is('{name}')")
        page.wait_for_selector(f"main:has(h3:text-is('What it is')) h2 bdi:text-is('{name}')")
        said[name] = page.locator(".again code").last.inner_text(), page.inner_text("main")
    assert said["ridge"][0].endswith("-p ridge --threads 4")
    assert said["lasso"][0].endswith("-p lasso")
    assert "Its trials ran on 1, 2 threads (--threads)" in said["lasso"][1]
    assert said["svr"][0].endswith("-p svr")
    assert "Its trials ran on" not in said["svr"][1] + said["ridge"][1]
