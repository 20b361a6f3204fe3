"""A name is its first submitter's."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile

import pytest
import yaml

from spared_bench.errors import SubmissionError, UsageError
from spared_bench.submissions import bundle
from spared_bench.submissions.add import add
from spared_bench.submissions.build import build
from spared_bench.submissions.comment import comment
from spared_bench.submissions.names import (
    check_signature,
    load_key,
    owner_of,
    plain_name,
    public_key,
    sign,
)
from spared_bench.submissions.opening import description_of
from spared_bench.submissions.waiting import waiting
from tests.board_samples import METRICS

CODE = "https://forge.example/Somebody/mine"


@pytest.fixture
def make(run_bench, checked, tmp_path):
    """Build and check a bundle of toy-ridge, said to be of somebody."""
    number = iter(range(100))

    def run(
        version="1", method="toy-ridge", key=None, board=tmp_path / "board", sender="", **details
    ):
        archive = build(
            run_bench,
            "toy-ridge",
            tmp_path / f"{next(number)}.zip",
            method=method,
            version=version,
            details=details,
            key=key,
        ).archive
        return checked(archive, board, sender=sender), archive

    return run


def test_a_signed_name_is_taken_further_by_its_key_alone(make, tmp_path):
    mine, other = (load_key(tmp_path / name) for name in ("mine", "other"))
    report, _ = make(key=mine, code=CODE)
    assert report.ok
    add(report, tmp_path / "board", "re-scored")

    assert make("2", key=mine)[0].problems == []
    for said in ({"key": other}, {"key": other, "code": CODE}, {"code": CODE}, {}):
        for name in ("toy-ridge", "toy_ridge", "toyridge", "toy-ridge+"):
            (problem,) = make("2", method=name, **said)[0].problems
            assert "belongs to whoever submitted toy@1/toy-ridge@1" in problem
            assert "is not signed with that key" in problem
    assert make("1", method="toy-ridge2", key=other)[0].problems == []


def test_a_name_is_taken_as_soon_as_it_is_handed_in(make, tmp_path):
    mine, other = (load_key(tmp_path / name) for name in ("mine", "other"))
    report, archive = make(key=mine)
    there = tmp_path / "submissions" / "toy-ridge-1.toy@1.zip"
    there.parent.mkdir()
    shutil.copy(archive, there)
    (there.parent / "toy-ridge-0.toy@1.zip").write_bytes(b"none")  # which takes no name

    for name in ("toy-ridge", "t0y_ridge"):
        (problem,) = make("2", method=name, key=other)[0].problems
        assert "belongs to whoever submitted submissions/toy-ridge-1.toy@1.zip" in problem
    assert make("2", key=mine)[0].problems == []
    assert make("1", method="another", key=other)[0].problems == []
    assert make("1", key=mine)[0].problems == []  # itself, when it is added
    add(report, tmp_path / "board", "re-scored")
    (problem,) = make("2", key=other)[0].problems
    assert "belongs to whoever submitted toy@1/toy-ridge@1" in problem


def test_a_name_by_repository_is_taken_further_from_its_account_alone(make, tmp_path):
    add(make(code=CODE)[0], tmp_path / "board", "re-scored")
    report, _ = make("2", code=CODE)
    assert report.ok
    (flag,) = [each for each in report.flags if each.kind == "name-by-repository"]
    assert "anybody can name that" in flag.reason
    with pytest.raises(SubmissionError, match=r"is not added: The name .* with `--from ACCOUNT`"):
        add(report, tmp_path / "board", "re-scored")
    (problem,) = make("2", code=CODE, sender="another")[0].problems
    assert f"bound to the repository {CODE}, under which another is not" in problem
    for code in ("https://forge.example/another/mine", ""):
        for sender in ("another", "somebody", ""):
            (problem,) = make("2", code=code, sender=sender)[0].problems
            assert "names another repository" in problem
    # The same account at another host may be anybody's.
    (problem,) = make("2", code=CODE, sender="github.com/somebody")[0].problems
    assert "under which github.com/somebody is not" in problem
    for sender in ("SomeBody", "forge.example/somebody"):
        assert make("2", code=CODE, sender=sender)[0].problems == []
    report, _ = make("2", code=CODE, sender="SomeBody")
    assert not [each for each in report.flags if each.kind == "name-by-repository"]
    add(report, tmp_path / "board", "re-scored")


@pytest.mark.parametrize(
    "code",
    [f"{CODE}/", f"{CODE}.git", CODE.lower(), CODE.replace("forge", "www.forge")],
)
def test_a_repository_that_is_spelt_another_way_is_the_same(make, tmp_path, code):
    add(make(code=CODE)[0], tmp_path / "board", "re-scored")
    assert make("2", code=code, sender="forge.example/somebody")[0].problems == []
    (problem,) = make("2", code=f"{code}x", sender="forge.example/somebody")[0].problems
    assert "names another repository" in problem


def test_a_check_says_from_whom_further_versions_are_taken(make, tmp_path):
    mine = "forge.example/somebody"
    for said, sender, told in (
        ({"key": load_key(tmp_path / "key"), "code": CODE}, "", "are taken with its key alone."),
        ({}, mine, "are taken from nobody"),
        ({"code": "https://example.org/page"}, mine, "are taken from nobody"),
        ({"code": CODE}, "", f"are taken from {mine} alone, the account of its repository."),
        ({"code": CODE}, mine, f"are taken from {mine} alone, the account of its repository."),
        ({"code": CODE}, "github.com/x", f"from {mine} alone, the account of its repository; this"),
    ):
        report = make(sender=sender, **said)[0]
        assert told in report.who_goes_on
        assert report.who_goes_on.count("--key FILE") == (
            "nobody" in told or sender == "github.com/x"
        )
        shown = comment(report, [], ["toy"], [METRICS["mse"]])
        assert "Further versions of 'toy-ridge' are taken" in shown


def test_the_account_of_a_repository_is_the_first_part_of_its_path():
    assert owner_of("https://github.com/Lab/st-net.git") == "lab"
    assert owner_of("https://gitlab.com/group/sub/st-net/") == "group"
    for code in ("https://example.org/mine", "https://example.org", "", "not a url"):
        assert owner_of(code) == ""


def test_a_name_that_nothing_binds_is_taken_further_by_nobody(make, tmp_path):
    add(make()[0], tmp_path / "board", "re-scored")
    (problem,) = make("2")[0].problems
    assert "neither a key nor a repository shows who that is" in problem


def test_a_published_row_without_a_description_keeps_its_name(make, tmp_path):
    folder = tmp_path / "board" / "spared@1" / "Toy-Ridge@2024"
    folder.mkdir(parents=True)
    (folder / "entry.json").write_text("{}")
    assert "belongs to whoever submitted spared@1/Toy-Ridge@2024" in make()[0].problems[0]


@pytest.mark.parametrize("change", ["content", "signature", "none", "key"])
def test_a_signature_is_of_these_files_and_this_key(make, checked, folder, tmp_path, change):
    key = load_key(tmp_path / "key")
    _, archive = make(key=key)
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(tmp_path / "signed")
    signed = tmp_path / "signed"
    if change == "content":
        (signed / "provenance.json").write_text('{"spared_bench": "edited"}')
    elif change == "signature":
        (signed / "signature.txt").write_text("0" * 128)
    elif change == "none":
        (signed / "signature.txt").unlink()
    else:
        said = yaml.safe_load((signed / "submission.yaml").read_text())
        said["key"] = public_key(load_key(tmp_path / "another"))
        (signed / "submission.yaml").write_text(yaml.safe_dump(said))
    report = checked(signed)  # which seals it again
    told = "signature.txt is missing" if change == "none" else "the signature is not one of it"
    assert told in report.problems[0]


def test_signatures_are_those_of_rfc_8032():
    """Test 2 of section 7.1."""
    private = bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
    public = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"
    expected = (
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
    )
    assert public_key(private) == f"ed25519:{public}"
    assert sign(private, b"\x72") == expected
    check_signature(f"ed25519:{public}", b"\x72", expected)


HALF_A_KEY = """
import os, sys
from pathlib import Path
from spared_bench.submissions.names import load_key
os.fdopen = lambda *_: os.kill(os.getpid(), 9)
load_key(Path(sys.argv[1]))
"""


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("folder", "Cannot read the key {}. It is a folder"),
        ("nowhere/key", "The key {} cannot be made. {above} has no 'nowhere'."),
        ("table", "{} holds no key of `submit build --key`: 64 hex digits."),
        ("short", "{} holds no key of `submit build --key`: 64 hex digits."),
    ],
)
def test_what_is_no_key_is_told_as_that(tmp_path, name, told):
    (tmp_path / "folder").mkdir()
    (tmp_path / "table").write_text("x,y\n")
    (tmp_path / "short").write_text("00ff\n")
    with pytest.raises(UsageError) as refused:
        load_key(tmp_path / name)
    assert told.format(tmp_path / name, above=tmp_path) in str(refused.value)


def test_a_killed_command_leaves_no_half_a_key(tmp_path):
    path = tmp_path / "key"
    killed = subprocess.run([sys.executable, "-c", HALF_A_KEY, str(path)], check=False)
    assert killed.returncode == -9
    assert len(load_key(path)) == 32


def test_of_two_commands_that_make_a_key_both_sign_with_the_first(tmp_path, monkeypatch):
    path = tmp_path / "key"
    first = load_key(path)
    monkeypatch.setattr("pathlib.Path.exists", lambda self: False)  # looked at before it was there
    assert load_key(path) == first


def test_a_key_is_made_once_for_its_owner_alone_and_read_again(tmp_path):
    path = tmp_path / "key"
    made = load_key(path)
    assert load_key(path) == made
    assert path.stat().st_mode & 0o077 == 0
    for text in ("", "xyz", "00" * 31, "\u2603"):
        (tmp_path / "odd").write_text(text, encoding="utf-8")
        with pytest.raises(UsageError, match="odd"):
            load_key(tmp_path / "odd")


def test_a_name_that_looks_like_anothers_is_its_owners(make, tmp_path):
    key, other = (load_key(tmp_path / name) for name in ("mine", "other"))
    add(make(method="toy-morris10", key=key)[0], tmp_path / "board", "re-scored")
    for name in ("t0y-morris10", "toy-rnorris1o", "toy-morrisl0", "toy_m0rrl5-lo"):
        (problem,) = make("2", method=name, key=other)[0].problems
        assert "belongs to whoever submitted toy@1/toy-morris10@1" in problem
        assert make("2", method=name, key=key)[0].problems == []
    assert make("2", method="toy-norris10", key=other)[0].problems == []


@pytest.mark.parametrize("name", ["toy-moclel", "toy-moc1el", "toy-mode1", "toy-rnoclel"])
def test_two_letters_that_look_like_one_are_that_one(make, tmp_path, name):
    mine, other = (load_key(tmp_path / each) for each in ("mine", "other"))
    add(make(method="toy-model", key=mine)[0], tmp_path / "board", "re-scored")
    (problem,) = make("2", method=name, key=other)[0].problems
    assert "belongs to whoever submitted toy@1/toy-model@1" in problem
    assert make("2", method="toy-mocel", key=other)[0].problems == []


def test_of_names_that_look_alike_on_an_older_board_each_is_its_own(make, tmp_path):
    mine, theirs = (load_key(tmp_path / name) for name in ("mine", "theirs"))
    reports = [make(method=m, key=k)[0] for m, k in (("model-1", mine), ("model-l", theirs))]
    for report in reports:  # before names were compared by their look
        add(report, tmp_path / "board", "re-scored")
    assert make("2", method="model-l", key=theirs)[0].problems == []
    assert "not signed with that key" in make("2", method="model-l", key=mine)[0].problems[0]


def test_a_copy_of_a_run_here_is_told_under_a_name_that_is_nearly_its_own(make):
    for name, copied in (("toy-ridge+", True), ("toyridge", True), ("toy-ridge", False)):
        kinds = {flag.kind for flag in make(method=name)[0].flags}
        assert ("copy" in kinds) is copied


def test_names_that_read_alike_are_one():
    assert len({plain_name(name) for name in ("ST-Net", "st_net", "stnet", "st.net+")}) == 1
    assert plain_name("st-net2") != plain_name("st-net")
    assert bundle.SIGNATURE == "signature.txt"


@pytest.mark.parametrize("damage", ["another file", "bytes"])
def test_a_damaged_bundle_that_waits_occupies_no_name_and_stops_no_check(archive, tmp_path, damage):
    there = tmp_path / "submissions" / "other-1.toy@1.zip"
    there.parent.mkdir()
    if damage == "another file":
        with zipfile.ZipFile(there, "w") as packed:
            packed.writestr("results.json", "{}")
    else:
        content = bytearray(archive.read_bytes())
        begin = content.index(b"submission.yaml") + len("submission.yaml")
        content[begin : begin + 20] = b"\xff" * 20
        there.write_bytes(content)
    said = description_of(archive).model_copy(update={"version": "9"})
    assert list(waiting(tmp_path / "leaderboards", said)) == []
