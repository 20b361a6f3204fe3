"""What people write for one path or one name: the home folder, and several names at once."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from spared_bench.cli import app
from spared_bench.cli.home_folder import in_home
from spared_bench.errors import UnknownNameError


@pytest.fixture
def home(tmp_path, monkeypatch):
    (tmp_path / "home").mkdir()
    (tmp_path / "work").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "home"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["data", "add", "~/own.yaml"], "{home}/own.yaml"),
        (["plugins", "why", "x", "--plugin=~/x.py"], "{home}/x.py"),
        (["plugins", "why", "x", "--plugin", "x~/x.py"], "work/x~/x.py"),
        (["predict", "x", "--image=~/x.tif", "--grid-um=100"], "--um-per-px"),
    ],
)
def test_a_wave_before_a_path_is_the_home_folder(home, arguments, told):
    done = CliRunner().invoke(app, arguments)
    assert told.format(home=home) in f"{done.exception} {done.output}"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("--out=~/board", "--out=/h/board"),
        ("~", "/h"),
        ("--out=~", "--out=/h"),
        ("vit-b.weights=~", "vit-b.weights=~"),
        ("--set=vit-b.weights=~", "--set=vit-b.weights=~"),
        ("vit-b.weights=~/uni.pth", "vit-b.weights=/h/uni.pth"),
        ("--set=vit-b.weights=~/uni.pth", "--set=vit-b.weights=/h/uni.pth"),
        ("a~/b", "a~/b"),
        ("~other/b", "~other/b"),
    ],
)
def test_a_wave_is_the_home_folder_where_a_path_begins(given, expected):
    assert in_home(given, "/h") == expected


@pytest.mark.parametrize("given", ["her2st_demo,mob_demo", "her2st_demo MOB_demo", "planted; x"])
def test_several_names_for_one_are_told_apart(home, given):
    done = CliRunner().invoke(app, ["run", "--suite", "demo", "-d", given, "--dry-run"])
    assert isinstance(done.exception, UnknownNameError)
    first, second = given.replace(",", " ").replace(";", " ").split()
    assert f"Give each name by itself: {first!r}, {second!r}." in str(done.exception)


def test_a_name_with_a_comma_is_one_where_no_part_is_known():
    assert "by itself" not in str(UnknownNameError("dataset", "a, b", ["mine", "yours"]))


@pytest.mark.parametrize("given", ["lost.yaml", "lost.YAML", "far/lost.yaml", "folder.yaml"])
@pytest.mark.parametrize(
    "arguments",
    [
        "study plan {}",
        "run -d her2st_demo -p gene-mean --protocol {} --dry-run",
        "run -d her2st_demo -p gene-mean --executor dask --cluster {} --dry-run",
        "data add {}",
        "data align her2st_demo --suite demo --transforms {}",
        "submit build gene-mean --suite demo --conformance {}",
        "score {} -d her2st_demo --suite demo",
        "store import {}",
        "complete her2st_demo -c graph-mae --suite demo --weights {}",
    ],
)
def test_a_file_that_is_not_there_is_told_as_that(tmp_path, monkeypatch, arguments, given):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "lost.yml").touch()
    done = CliRunner().invoke(app, [*arguments.format(given).split(), "-w", "results"])
    told = {
        "far/lost.yaml": f"{tmp_path} has no 'far'.",
        "folder.yaml": "It is a folder: name the file in it that is meant.",
    }
    expected = told.get(given, f"{tmp_path} has no {given!r}. Did you mean 'lost.yml'?")
    assert expected in f"{done.exception}"
    assert "Errno" not in f"{done.exception}"


@pytest.mark.parametrize("given", ["./mine", "mine.json", "C:\\mine"])
def test_a_path_in_the_place_of_a_name_is_told_how_files_are_called(given):
    for arguments in (["study", "plan", given], ["run", "-p", "gene-mean", "--suite", given]):
        done = CliRunner().invoke(app, arguments)
        assert "Of a file, whose name ends in `.yaml`, a " in f"{done.exception}"
    for name in ("dem", "demo@1.2"):
        done = CliRunner().invoke(app, ["run", "-p", "gene-mean", "--suite", name])
        assert "ends in `.yaml`" not in f"{done.exception}"
