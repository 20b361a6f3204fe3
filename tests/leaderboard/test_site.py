"""The site: complete, self-contained, and safe whatever it is made from."""

from __future__ import annotations

import html.parser
import json
import math
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import UserDict, UserList
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest

from spared_bench.errors import WorkspaceError
from spared_bench.leaderboard.model import DatasetScores
from spared_bench.leaderboard.publish import completions
from spared_bench.leaderboard.site import SCRIPTS, as_data
from spared_bench.leaderboard.site_data import plain
from spared_bench.store.processes import is_running, stamp, started_at
from spared_bench.workspace import Workspace
from tests.board_samples import METRICS, build, demo_trials, failed, trial
from tests.leaderboard.reading import data_of, folder_of, row_of
from tests.processes import wait_for

COMMAND = "spared-bench leaderboard build"
HOSTILE = [
    "</script><!-- <img src=x onerror=alert(1)>",
    "\"><svg onload='alert(1)'>",
    "a\u202egnp.exe\u2066",
    "{{ 7 * 7 }}{% raw %}",
    "../../index",
    "x" * 10_000,
]


class Page(html.parser.HTMLParser):
    """Elements, attributes and texts, as a browser would see them."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.attributes: list[tuple[str, str | None]] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.attributes += attrs

    def handle_data(self, data):
        self.texts.append(data)


def built(trials, folder: Path, **extras) -> Path:
    return build(trials, folder, COMMAND, "store", extras).parent


def test_a_method_tells_once_for_all_trials_alike_where_and_by_what_they_were_run(tmp_path):
    here = {
        "device": "cpu",
        "machine": "x86-64 avx2",
        "git": "abc",
        "packages": {"torch": "2.14.1", "numpy": "2.4.6"},
    }
    there = {**here, "device": "cuda:0", "accelerator": "H100", "host": "secret-name"}
    there["machine"] = "H100"
    trials = [
        trial(dataset="breast", seed=seed, environment=environment)
        for seed, environment in enumerate([here, here, there, here])
    ]
    site = built([replace(each, facts={**each.facts, "precision": "bfloat16"}) for each in trials],
                 tmp_path / "board")  # fmt: skip

    (row,) = data_of(site, "p0/board")["rows"]
    told = data_of(site, f"p0/method-{row['id']}")["provenance"]
    assert [(kind["device"], kind["trials"]) for kind in told] == [("cpu", 3), ("cuda:0 H100", 1)]
    assert [kind["machine"] for kind in told] == ["x86-64 avx2", "H100"]
    assert row["cells"]["machine"] == ["H100, x86-64 avx2", "H100, x86-64 avx2"]
    assert told[0]["packages"] == "numpy 2.4.6, torch 2.14.1"
    assert told[0]["precision"] == "bfloat16"
    assert (
        "secret-name" not in (folder_of(site, "data") / "p0" / f"method-{row['id']}.js").read_text()
    )


def test_the_data_hold_every_row_its_failures_and_what_it_was_made_from(tmp_path):
    site = built(demo_trials(), tmp_path / "board")

    board = data_of(site, "p0/board")
    assert data_of(site, "index")["protocols"] == ["demo@1"]
    assert len(board["rows"]) == 10  # five predictors, two completers
    assert "Pretrained weights cannot be fetched." in board["failures"][0]
    assert [c["name"] for c in board["datasets"] if not c["counts"]] == ["planted"]
    page = Page((site / "index.html").read_text(encoding="utf-8"))
    assert COMMAND in page.texts
    row = row_of(site, "ridge")
    more = data_of(site, f"p0/method-{row['id']}")
    assert {t["seed"] for t in more["trials"]} == {0, 1}
    assert more["trials"][0]["parameters"]["backbone"] == "resnet18"


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_stays_inside_its_string_and_its_folder(name, tmp_path):
    facts = {"scope": name, "weights": name, "tier": name}
    site = built([trial(name, name, name, facts=facts), failed(name, predictor="f")], tmp_path)

    for path in folder_of(site, "data").rglob("*.js"):
        text = path.read_text(encoding="utf-8")
        assert not re.search("[<>&\u2028\u2029\u202a-\u202e\u2066-\u2069]", text)
        assert not re.search("[\u202a-\u202e\u2066-\u2069]", json.dumps(text, ensure_ascii=False))
        data_of(site, path.relative_to(folder_of(site, "data")).as_posix().removesuffix(".js"))
        assert re.fullmatch(r"[\w-]+\.js", path.name)
    assert (site / "index.html").read_text(encoding="utf-8").count("<script") == len(SCRIPTS) + 1
    assert {path.name for path in tmp_path.iterdir()} == {
        *(
            "feed.json",
            "index.html",
            folder_of(site, "assets").name,
            folder_of(site, "data").name,
            "leaderboard.csv",
            "leaderboard.json",
            "leaderboard.md",
        )
    }


def test_a_value_cannot_leave_the_call_that_hands_it_over():
    text = as_data("a", ["</script><!-- <script> & \u2028", '");alert(1)//'])

    assert not set("<>&\u2028") & set(text)
    assert (
        json.loads(text.removeprefix('spared.put("a",').removesuffix(");\n"))[1] == '");alert(1)//'
    )


def test_half_a_letter_is_handed_over_as_any_other_text():
    text = as_data("a", {"half": "\ud800", "whole": "\u00e9"})

    handed = json.loads(text.removeprefix('spared.put("a",').removesuffix(");\n"))
    assert handed == {"half": "\ud800", "whole": "\u00e9"}
    text.encode()  # as it is written


def test_numbers_keep_six_digits_and_undefined_ones_are_null():
    assert plain([1 / 3, math.nan, math.inf, 7, None, True]) == [
        0.333333,
        None,
        None,
        7,
        None,
        True,
    ]


def test_what_is_like_a_number_a_mapping_or_a_list_is_written_as_one():
    values = {
        "number": np.float64(0.1234567),
        "mapping": MappingProxyType({1: UserDict({"a\u202e": (True, None)})}),
        "list": [UserList(["x" * 600]), np.nan, Path("b")],
    }
    assert plain(values) == {
        "number": 0.123457,
        "mapping": {"1": {"a\ufffd": [True, None]}},
        "list": [["x" * 499 + "…"], None, "b"],
    }


def test_nothing_is_made_for_a_score_that_is_undefined():
    row = DatasetScores()
    assert row.score(METRICS["mse"]) is row.score(METRICS["mse"])


def test_where_nothing_was_completed_no_table_of_completion_is_asked(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "spared_bench.completion.tables", None)
    assert completions(Workspace.at(tmp_path), "", "store", []) == {}
    (tmp_path / "completion").mkdir()
    with pytest.raises(ImportError):
        completions(Workspace.at(tmp_path), "", "store", [])


def test_the_page_asks_the_network_for_nothing_and_allows_no_script_of_its_own(tmp_path):
    site = built(demo_trials(), tmp_path)
    page = Page((site / "index.html").read_text(encoding="utf-8"))

    addresses = [v for k, v in page.attributes if k in {"src", "href", "srcset", "action"}]
    assert all(v.startswith(("#", "assets-", "data-", "leaderboard.", "feed.")) for v in addresses)
    assert all((site / v).is_file() for v in addresses if not v.startswith("#"))
    policy = next(v for _, v in page.attributes if v and v.startswith("default-src"))
    assert policy.startswith("default-src 'none';")
    script = next(part for part in policy.split(";") if "script-src" in part)
    assert script.split() == ["script-src", "'self'", "file:"]
    assert not [k for k, _ in page.attributes if k.startswith("on")]


def test_the_libraries_come_with_their_licences(tmp_path):
    site = built(demo_trials(), tmp_path)

    licences = (folder_of(site, "assets") / "LICENCES.txt").read_text(encoding="utf-8")
    assert licences.count("MIT License") >= 1
    assert "plotly" in licences
    assert "Licensed under the MIT license" in (
        folder_of(site, "assets") / "plotly.min.js"
    ).read_text("utf8")


def test_a_build_replaces_the_old_data_and_leaves_other_files(tmp_path):
    out = tmp_path / "site" / "board"
    first = folder_of(built([trial(), trial(protocol="old@1")], out), "data")
    for name in ("data", "data-0123456789abcdef"):  # of an earlier version, and of a killed build
        shutil.copytree(first, out / name)
    (out / "CNAME").write_text("mine")
    second = folder_of(built([trial()], out), "data")

    assert data_of(out, "index")["protocols"] == ["demo@1"]
    assert (out / "CNAME").read_text() == "mine"
    assert [path.name for path in out.parent.iterdir()] == ["board"]
    # What the page before reads stays for who has it open, until the next build.
    assert sorted(out.glob("data*")) == sorted([first, second])
    built([trial(), trial(dataset="x")], out)
    assert sorted(out.glob("data*")) == sorted([second, folder_of(out, "data")])
    assert len(list(out.glob("assets-*"))) == 1


def test_a_page_of_another_is_not_replaced(tmp_path):
    (tmp_path / "index.html").write_text("mine")

    with pytest.raises(WorkspaceError, match=r"was not written by .*--out"):
        built([trial()], tmp_path)

    assert [path.name for path in tmp_path.rglob("*")] == ["index.html"]
    assert (tmp_path / "index.html").read_text() == "mine"


def cut(page):
    page.write_bytes(page.read_bytes()[:20])


def zero(page):
    page.write_bytes(bytes(page.stat().st_size))


def empty(page):
    page.write_bytes(b"")


def folder(page):
    page.unlink()
    (page / "deep").mkdir(parents=True)


def pipe(page):
    page.unlink()
    os.mkfifo(page)


def circle(page):
    page.unlink()
    page.symlink_to(page)


@pytest.mark.parametrize("damage", [cut, zero, empty, folder, pipe, circle])
def test_a_damaged_page_of_ours_is_built_again_and_kept_beside(tmp_path, damage):
    built([trial()], tmp_path)
    whole = (tmp_path / "index.html").read_bytes()
    for _ in range(2):
        damage(tmp_path / "index.html")
        built([trial()], tmp_path)
        assert (tmp_path / "index.html").read_bytes() == whole
    kept = tmp_path / "index.html.damaged"
    assert (kept.exists() or kept.is_symlink()) == (damage is not empty)


def test_an_empty_page_is_nobodys(tmp_path):
    (tmp_path / "index.html").write_bytes(b"")
    built([trial()], tmp_path)
    assert [path.name for path in tmp_path.glob("index.html*")] == ["index.html"]


@pytest.mark.parametrize(
    "name", ["data/counts.csv", "data/index.js", "assets/core.js", "data-0123456789abcdef/index.js"]
)
def test_folders_of_others_stay(name, tmp_path):
    (tmp_path / name).parent.mkdir()
    (tmp_path / name).write_text("mine")

    for number in range(2):
        built([trial(seed=number)], tmp_path)

    assert (tmp_path / name).read_text() == "mine"


def test_files_that_were_damaged_are_made_again_by_the_same_build(tmp_path):
    site = built([trial()], tmp_path)
    index = folder_of(site, "data") / "index.js"
    index.write_text("")
    built([trial()], tmp_path)
    assert data_of(site, "index")["protocols"] == ["demo@1"]


BUILDER = """
import os, signal, sys
from pathlib import Path
from tests.board_samples import build, trial

BOARDS = {
    "a": [trial(protocol="a@1", mse=0.25)],
    "b": [trial(protocol="b@1", mse=0.5), trial(protocol="b@2", mse=0.5)],
}


def dying(function, after):
    def called(*arguments, **options):
        after[0] -= 1
        if after[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments, **options)

    return called


build(BOARDS["b"], Path(sys.argv[1]).with_name("before"), "cmd", "store")  # with its imports
for line in sys.stdin:  # "a 5": build board a and be killed at the fifth change of the folder
    board, steps = line.split()
    child = os.fork()
    if child == 0:
        after = [int(steps)]
        for name in ("rename", "replace", "unlink", "rmdir"):
            setattr(os, name, dying(getattr(os, name), after))
        while True:
            build(BOARDS[board], Path(sys.argv[1]), "cmd", "store")
            if after[0] > 0:
                os._exit(0)
            board = "ab"[board == "a"]  # on and on, until killed from outside
    print(child, flush=True)
    if int(steps):
        _, status = os.waitpid(child, 0)
        print(os.WIFSIGNALED(status), flush=True)
"""


@pytest.fixture
def builder(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", BUILDER, str(tmp_path / "board")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    yield process
    process.kill()
    process.wait()


def order(builder, what):
    builder.stdin.write(what + "\n")
    builder.stdin.flush()
    return int(builder.stdout.readline())


def assert_whole(site):
    """All that a page names is there, and the data of all its views belong together."""
    page = Page((site / "index.html").read_text(encoding="utf-8"))
    files = [value for name, value in page.attributes if name in ("src", "href")]
    for file in files:
        assert file.startswith("#") or (site / file).stat().st_size > 0
    protocols = data_of(site, "index")["protocols"]
    assert protocols in (["a@1"], ["b@1", "b@2"])
    for number, name in enumerate(protocols):
        board = data_of(site, f"p{number}/board")
        assert board["protocol"] == name
        (row,) = board["rows"]
        assert data_of(site, f"p{number}/method-{row['id']}")["trials"]
    return protocols


def test_a_build_that_is_killed_at_any_step_leaves_a_page_with_its_data(tmp_path, builder):
    site = built([trial(protocol="a@1", mse=0.25)], tmp_path / "board")
    seen, killed, step = set(), True, 0
    while killed:
        step += 1
        order(builder, f"{'ba'[step % 2]} {step}")
        killed = builder.stdout.readline() == "True\n"
        seen.add(assert_whole(site)[0])
    assert step > 8  # folders, tables, page and what is swept
    assert seen == {"a@1", "b@1"}
    built([trial(protocol="a@1", mse=0.25)], site)
    built([trial(protocol="b@1", mse=0.25)], site)
    assert list(site.glob(".building.*")) == []
    assert len(list(site.glob("data*"))) == 2


def test_builds_that_are_killed_at_random_moments_leave_a_page_with_its_data(tmp_path, builder):
    site = built([trial(protocol="a@1", mse=0.25)], tmp_path / "board")
    chance = random.Random(1)
    for _ in range(12):
        child = order(builder, "b 0")
        time.sleep(chance.uniform(0, 0.5))
        os.kill(child, signal.SIGKILL)
        wait_for(lambda pid=child: not is_running(pid, started_at(pid)))
        assert_whole(site)


def test_a_folder_of_another_file_system_is_written(tmp_path):
    memory = Path("/dev/shm")
    if not memory.is_dir() or memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("this machine has one file system")
    with tempfile.TemporaryDirectory(dir=memory) as elsewhere:
        (tmp_path / "board").symlink_to(elsewhere)

        assert data_of(built([trial()], tmp_path / "board"), "index")["protocols"] == ["demo@1"]


def test_a_build_that_fails_leaves_the_old_page_whole(tmp_path, monkeypatch):
    site = built(demo_trials(), tmp_path / "board")
    before = {p: p.read_bytes() for p in site.rglob("*") if p.is_file()}

    def full(self, *_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(WorkspaceError, match=r"cannot be written to .*No space left.*--out"):
        build([trial()], tmp_path / "board", COMMAND, "store")

    assert {p: p.read_bytes() for p in site.rglob("*") if p.is_file()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["board"]


def test_what_a_killed_build_has_left_is_removed_by_the_next(tmp_path):
    ended = subprocess.run(
        [sys.executable, "-c", "from spared_bench.store.entries import stamp; print(stamp())"],
        capture_output=True,
        text=True,
        check=True,
    )
    left, alive = (tmp_path / f".building.{each}" for each in (ended.stdout.strip(), stamp()))
    for path in (left, alive):
        path.mkdir()

    built([trial()], tmp_path)

    assert alive.is_dir()
    assert not left.exists()


def test_a_file_in_the_way_is_explained(tmp_path):
    (tmp_path / "board").write_text("mine")

    with pytest.raises(WorkspaceError, match=r"cannot be written to .*board: File exists"):
        build([trial()], tmp_path / "board", COMMAND, "store")


def test_a_board_without_results_has_no_protocols(tmp_path):
    assert data_of(built([], tmp_path), "index")["protocols"] == []
