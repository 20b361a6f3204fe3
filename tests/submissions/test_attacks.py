"""Every hostile bundle is refused with a reason, and nothing of it is executed or left behind."""

from __future__ import annotations

import os
import tempfile

import pytest

from tests.submissions.attacks import ATTACKS


@pytest.mark.parametrize("name", ATTACKS)
def test_a_hostile_bundle_is_refused_and_nothing_of_it_is_executed(
    name, folder, checked, tmp_path, monkeypatch
):
    make, refusal = ATTACKS[name]
    (tmp_path / "out").mkdir()
    path = make(folder, tmp_path / "out")
    monkeypatch.chdir(tmp_path / "out")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()

    report = checked(path)

    assert not report.ok
    assert refusal in " ".join(report.problems)
    assert all("\x1b" not in problem for problem in report.problems)
    assert all(len(problem) < 1_500 for problem in report.problems)
    assert not list(tmp_path.rglob("executed"))
    assert not list(tmp_path.rglob("*evil*"))
    assert not list((tmp_path / "scratch").iterdir())


@pytest.mark.parametrize("kind", ["symbolic link", "pipe"])
def test_a_folder_with_links_or_pipes_is_refused(kind, folder, run_bench, tmp_path):
    from spared_bench.submissions.check import check

    (folder / "provenance.json").unlink()
    if kind == "symbolic link":
        (folder / "provenance.json").symlink_to("/etc/passwd")
    else:
        os.mkfifo(folder / "provenance.json")
    report = check(folder, lambda protocol: run_bench, tmp_path / "leaderboards")
    assert "'provenance.json' is a link or a device" in report.problems[0]


def test_folders_deeper_than_those_of_the_format_are_refused(folder, run_bench, tmp_path):
    from spared_bench.submissions.check import check

    (folder / "predictions/a/b/c/d/e").mkdir(parents=True)
    report = check(folder, lambda protocol: run_bench, tmp_path / "leaderboards")

    assert "'predictions/a/b/c/d' is no folder of a bundle" in report.problems[0]
