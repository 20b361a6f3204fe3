"""`submit` as a user types it: what it prints, and how it ends."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from spared_bench.cli import app
from spared_bench.cli.common import write_named
from spared_bench.errors import SparedBenchError
from tests.conftest import TOY_PLUGIN, TOY_PROTOCOL
from tests.submissions.conftest import archive, run_bench, run_workspace  # noqa: F401


@pytest.fixture
def submit(run_workspace, tmp_path, monkeypatch):  # noqa: F811
    """Run a command of `submit` in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    common = ["--protocol", str(TOY_PROTOCOL), "--plugin", str(TOY_PLUGIN)]
    common += ["-w", str(run_workspace)]

    def run(*arguments, options=common):
        return CliRunner().invoke(app, ["submit", *map(str, arguments), *options])

    return run


def error_of(result):
    assert isinstance(result.exception, SparedBenchError), result.output
    return str(result.exception)


def test_from_build_to_withdraw(submit, tmp_path):
    built = submit("build", "toy-ridge", "--author", "A. Author", "--code", "https://example.org/x")
    assert "toy-ridge-1.toy@1.zip: 1 results" in built.output
    checked = submit("check", "toy-ridge-1.toy@1.zip", "--comment", "out/comment.md")
    assert checked.exit_code == 0
    assert "toy-ridge@1: accepted, re-scored from its predictions; 1 results.\n" in checked.output
    assert "accepted as re-scored" in (tmp_path / "out" / "comment.md").read_text()
    added = json.loads(submit("add", "toy-ridge-1.toy@1.zip", "--reproduced", "--json").stdout)
    entry = json.loads((tmp_path / added["entry"]).read_text())
    assert entry["trust"] == "reproduced"
    assert entry["source"] == "https://example.org/x; A. Author"
    named = ["--protocol", "toy@1"]
    withdrawn = submit("withdraw", "toy-ridge@1", "--reason", "an error", options=named)
    assert "Withdrawn: leaderboards/toy@1/toy-ridge@1/entry.json" in withdrawn.output
    again = submit("withdraw", "toy-ridge@1", "--reason", "an error", options=named)
    assert "is withdrawn already: an error" in error_of(again)


def test_a_refused_bundle_ends_with_status_1_and_its_problems(submit, tmp_path):
    (tmp_path / "evil.zip").write_bytes(b"no archive")
    (tmp_path / "comment.md").write_text("mine")
    os.link(tmp_path / "comment.md", tmp_path / "before.md")
    checked = submit("check", "evil.zip", "--comment", "comment.md")
    assert checked.exit_code == 1
    assert "problem: evil.zip is refused: it is no zip archive" in checked.output
    assert "evil.zip: refused; 0 results.\n" in checked.output.replace("not re-scored; ", "")
    assert ": refused" in (tmp_path / "comment.md").read_text()
    assert (tmp_path / "before.md").read_text() == "mine"  # it was replaced, and not written into
    report = json.loads(submit("check", "evil.zip", "--json").stdout)
    assert report["ok"] is False
    assert "evil.zip is refused" in error_of(submit("add", "evil.zip"))


def test_entries_to_compare_with_have_to_be_there(submit, archive, tmp_path):  # noqa: F811
    (tmp_path / "table").touch()
    for named, told in (("bords", "has no 'bords'. Did you mean 'boards'?"), ("table", "a file.")):
        (tmp_path / "boards").mkdir(exist_ok=True)
        refused = submit("check", archive, "--leaderboards", named)
        assert f"There is no folder {named} (`--leaderboards`). " in error_of(refused)
        assert error_of(refused).endswith(told)
    assert "so it is not asked whether the name is taken" in submit("check", archive).stderr
    found = submit("check", archive, "--leaderboards", "boards")
    assert (found.exit_code, "taken, and" in found.stderr) == (0, False)


def test_without_data_nothing_is_prepared_and_the_entry_is_reported(submit, archive, tmp_path):  # noqa: F811
    added = submit("add", archive, "--without-data", "--json")
    report = json.loads(added.stdout)
    assert report["rescored"] is False
    assert json.loads((tmp_path / report["entry"]).read_text())["trust"] == "reported"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["check", "nothing.zip"],
            "has no 'nothing.zip'. `spared-bench submit build PREDICTOR` makes one.",
        ),
        (["add", "nothing.zip"], "There is no bundle nothing.zip"),
        (["build", "toy-slow"], "No finished predictor is named 'toy-slow'."),
        (["build", "toy-rigde"], "No predictor is named 'toy-rigde'. Did you mean 'toy-ridge'?"),
        (["build", "toy-ridge", "--method", "../x"], "method: expected text of the form"),
        (["build", "toy-ridge", "--title", "<script>"], "title: holds markup"),
        (["build", "toy-ridge", "--code", "http://x"], "code: expected text of the form"),
        (["build", "toy-ridge", "--pretrained-on", "toi"], "No dataset is named 'toi'"),
        (["build", "toy-ridge", "--conformance", "none.json"], "has no 'none.json'"),
        (["build", "toy-ridge", "--absent", "toy"], "--absent must read DATASET=REASON"),
        (
            ["build", "toy-ridge", "--absent", "toy=x"],
            "'toy', which is not absent. Absent are: none",
        ),
        (["add", "x.zip", "--reproduced", "--without-data"], "--reproduced needs the data"),
    ],
)
def test_a_mistake_is_told(arguments, message, submit):
    assert message in error_of(submit(*arguments))


def test_a_file_that_cannot_be_written_is_told(submit, tmp_path):
    submit("build", "toy-ridge", "--out", "x.zip")
    (tmp_path / "file").write_text("mine")

    for arguments in (
        ["build", "toy-ridge", "--out", "file/y.zip"],
        ["check", "x.zip", "--comment", "file/c.md"],
        ["add", "x.zip", "--leaderboards", "file"],
    ):
        assert "Name files and folders that can be" in error_of(submit(*arguments))


def test_what_a_user_names_is_written_whole_or_stays(tmp_path, monkeypatch):
    comment, link = tmp_path / "comment.md", tmp_path / "link.md"
    comment.write_text("mine")
    link.symlink_to(comment)
    monkeypatch.setattr(Path, "replace", lambda *_: cut_short())
    with pytest.raises(OSError, match=r"No space left on device: '.*/link\.md'"):
        write_named(link, "new")
    assert comment.read_text() == "mine"
    monkeypatch.undo()
    write_named(link, "new")
    assert (link.is_symlink(), comment.read_text()) == (True, "new")
    assert {path.name for path in tmp_path.iterdir()} == {"comment.md", "link.md"}
    for named in (tmp_path / "none" / "x", comment / "x"):
        with pytest.raises(OSError, match=r"x'$"):
            write_named(named, "new")
    assert not (tmp_path / "none").exists()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_that_a_user_names_gets_what_is_written(tmp_path):
    os.mkfifo(pipe := tmp_path / "pipe")
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_named(pipe, "new")
    assert os.read(reader, 10) == b"new"
    os.close(reader)


def test_a_file_that_a_user_names_keeps_its_rights(tmp_path):
    (script := tmp_path / "script.sh").touch(mode=0o750)
    write_named(script, "new")
    assert (script.stat().st_mode & 0o777, script.read_text()) == (0o750, "new")


@pytest.mark.parametrize("number", [errno.EBUSY, errno.EACCES])
def test_a_file_that_cannot_be_replaced_is_written_into(tmp_path, monkeypatch, number):
    def mounted(*_):
        raise OSError(number, os.strerror(number))

    (named := tmp_path / "comment.md").write_text("before")
    monkeypatch.setattr(Path, "replace", mounted)
    write_named(named, "new")
    assert [path.name for path in tmp_path.iterdir()] == ["comment.md"]
    assert named.read_text() == "new"


def test_a_file_that_a_command_prints_into_gets_all(tmp_path, capfd):
    print("before")
    write_named(Path("/dev/stdout"), "\xe9\n")
    print("after")
    assert capfd.readouterr().out == "before\n\xe9\nafter\n"


def cut_short():
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("name", ["slide.png", "mine.key", "new"])
def test_a_bundle_is_written_over_no_file_of_another_kind(submit, tmp_path, name):
    (tmp_path / "slide.png").write_text("mine")
    told = error_of(submit("build", "toy-ridge", "--out", name))
    assert f"{name} is no name for a bundle: end it in .zip" in told
    assert (tmp_path / "slide.png").read_text() == "mine"
    assert not (tmp_path / "new").exists()


def test_the_report_of_the_kit_goes_into_the_bundle(submit, tmp_path):
    import zipfile

    report = {"failed": 0, "checks": []}
    # As `> report.json` writes it in PowerShell.
    (tmp_path / "report.json").write_text(json.dumps(report), encoding="utf-16")
    submit("build", "toy-ridge", "--conformance", "report.json", "--out", "x.zip")
    with zipfile.ZipFile(tmp_path / "x.zip") as packed:
        assert json.loads(packed.read("conformance.json")) == report
    assert submit("check", "x.zip").exit_code == 0
    (tmp_path / "list.json").write_text("[]")
    wrong = submit("build", "toy-ridge", "--conformance", "list.json")
    assert "is no report of `spared-bench plugins check" in error_of(wrong)
    (tmp_path / "deep.json").write_text("[" * 100_000)
    wrong = submit("build", "toy-ridge", "--conformance", "deep.json")
    assert "is no conformance report (it is nested too deeply)" in error_of(wrong)
