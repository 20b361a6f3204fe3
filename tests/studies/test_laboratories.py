"""Colours and genes of slides by laboratory, against scikit-image and plain counting."""

from __future__ import annotations

import numpy as np
import pytest

from spared_bench.studies import kinds
from spared_bench.studies.laboratories import channels_of, distributions, laboratories
from spared_bench.studies.planning import plan_study
from spared_bench.trials.raw_slides import read_raw_slides
from tests.studies.conftest import STUDY


def test_stains_are_those_of_scikit_image(rng):
    from skimage.color import rgb2hed

    patches = rng.integers(20, 220, (4, 10, 10, 3), dtype=np.uint8)
    found = channels_of(patches)
    hed = rgb2hed(patches.reshape(-1, 1, 3))[:, 0]

    np.testing.assert_array_equal(found["red"], patches[..., 0].ravel())
    # scikit-image counts in units of ln(1e6), and cuts negative amounts off.
    for at, name in enumerate(("haematoxylin", "eosin")):
        factor = np.log(1e6)
        np.testing.assert_allclose(
            np.maximum(found[name], 0), factor * hed[:, at], atol=0.05, rtol=0.05
        )


def test_slides_are_grouped_as_named_and_by_split_where_none_is(toy_bench):
    split = toy_bench.dataset("toy").split
    names = {slide: part for part, slides in split.items() for slide in slides}

    by_split = distributions(toy_bench, "toy", {})
    named = distributions(toy_bench, "toy", {"ours": ["one"], "theirs": ["two"]})

    assert {each.slide: each.laboratory for each in by_split} == names
    assert {each.slide: each.laboratory for each in named} == {"one": "ours", "two": "theirs"}


def test_genes_per_spot_are_counted_over_all_genes_of_the_slide(toy_bench):
    raw = read_raw_slides(toy_bench, "toy")
    for each in distributions(toy_bench, "toy", {}):
        expected = (raw[each.slide].X.toarray() > 0).sum(axis=1)
        np.testing.assert_array_equal(each.genes_per_spot, expected)


def test_a_report_has_the_figures_or_says_why_not(opened, monkeypatch):
    of = opened(STUDY + "colours: true\n")
    plan = plan_study(of.study, of.base)

    (section,) = laboratories(plan, lambda line: None)
    assert [each.source[:10] for each in section.parts[0].pictures] == ["data:image"] * 2

    from spared_bench.errors import ImageError

    def gone(bench, dataset, named):
        raise ImageError("There is no image.")

    monkeypatch.setattr("spared_bench.studies.laboratories.distributions", gone)
    (section,) = laboratories(plan, lambda line: None)
    assert section.parts[0].lines == ("There is no image.",)


@pytest.mark.parametrize("colours", [True, False])
def test_the_page_of_a_study_has_the_figures_where_it_asks_for_them(opened, colours):
    done = kinds.report_only(
        opened(STUDY + f"colours: {str(colours).lower()}\n"), log=lambda line: None
    )

    page = done.page.read_text(encoding="utf-8")
    assert ("Slides by laboratory" in page) == ("data:image" in page) == colours


@pytest.mark.parametrize("wrong", ["levels: [log1p_cp10k, log1p_cp]", "levels: [1, 2]"])
def test_the_command_refuses_a_wrong_study_with_status_two(tmp_path, wrong, monkeypatch):
    import subprocess
    import sys

    from tests.conftest import TOY_PLUGIN, TOY_PROTOCOL

    path = tmp_path / "wrong.yaml"
    text = STUDY.replace("base: toy", f"base: {TOY_PROTOCOL}")
    path.write_text(text.replace("levels: [log1p_cp10k, log1p_cpm, counts]", wrong))
    command = [sys.executable, "-m", "spared_bench", "study", "plan", str(path)]
    command += ["--plugin", str(TOY_PLUGIN), "-w", str(tmp_path / "w")]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "StudyError: study 'toy-study', factor 'target', level" in done.stderr
    assert "Traceback" not in done.stderr
