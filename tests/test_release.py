"""What a release is made of: workflows, citation, Docker, conda, and what the README says."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from typer.main import get_command

import spared_bench
from spared_bench.cli import app

ROOT = Path(__file__).parents[1]
WORKFLOWS = ("release", "leaderboard")


def workflow(name):
    return yaml.safe_load((ROOT / ".github" / "workflows" / f"{name}.yml").read_text())


def steps(name):
    return [step for job in workflow(name)["jobs"].values() for step in job["steps"]]


def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_workflow_uses_actions_by_their_commit_and_no_secret(name):
    used = [step["uses"] for step in steps(name) if "uses" in step]
    assert used
    assert all(re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40}", each) for each in used)
    text = (ROOT / ".github" / "workflows" / f"{name}.yml").read_text()
    assert "secrets." not in text
    assert workflow(name)["permissions"] == {"contents": "read"}


@pytest.mark.parametrize("name", WORKFLOWS)
def test_the_scripts_of_a_workflow_are_bash_and_paste_nothing_in(name):
    for script in (step["run"] for step in steps(name) if "run" in step):
        assert "${{" not in script
        checked = subprocess.run(["bash", "-n"], input=script, text=True, check=False)
        assert checked.returncode == 0, script


def called(text):
    """The words of every call of the command in a text of shell lines."""
    for line in text.replace("\\\n", " ").splitlines():
        if not re.search(r"spared-bench[\" ]", line):
            continue
        words = shlex.split(line, comments=True)
        at = [i for i, word in enumerate(words) if word.endswith("spared-bench")]
        for first in at[:1]:
            if words[first + 1 : first + 2] and words[first + 1][0].isalpha():
                yield words[first + 1 :]


def known(words):
    """Whether these are a command and options that it has."""
    command = get_command(app)
    rest = list(words)
    while rest and rest[0] in getattr(command, "commands", {}):
        command = command.commands[rest.pop(0)]
    options = {opt for each in command.params for opt in [*each.opts, *each.secondary_opts]}
    return not hasattr(command, "commands") and all(
        word in options for word in rest if word.startswith("-") and word != "--help"
    )


def test_every_call_in_a_workflow_is_of_a_command_that_exists():
    calls = [c for name in WORKFLOWS for s in steps(name) for c in called(s.get("run", ""))]
    assert len(calls) >= 3
    assert [words for words in calls if not known(words)] == []


def test_every_call_in_the_readme_is_of_a_command_that_exists():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    calls = [words for block in blocks for words in called(block)]
    assert len(calls) >= 5
    assert [words for words in calls if not known(words)] == []


def test_the_readme_has_the_picture_and_an_example_for_each_of_the_four():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) < 130
    head = text.partition("\n## ")[0]
    assert "![" in head
    assert head.index("<!-- ci: run -->") < head.index("<!-- ci: test -->")
    assert "pip install -q" not in text  # ten silent minutes
    for who in ("have slides", "write a method", "compare methods", "hand in predictions"):
        part = text.partition(f"## You {who}")[2].partition("\n## ")[0]
        assert "```" in part, who


def test_the_leaderboard_is_published_as_the_workflow_says(tmp_path, monkeypatch):
    """Its last script, in a clone of a repository without and then with the branch."""
    (script,) = [step["run"] for step in steps("leaderboard") if step.get("name") == "Publish"]
    origin, clone = tmp_path / "origin.git", tmp_path / "clone"

    def git(*words, cwd=None):
        done = subprocess.run(
            ["git", *map(str, words)], cwd=cwd, capture_output=True, text=True, check=True
        )
        return done.stdout

    for name in ("GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"):
        monkeypatch.setenv(name, "a")
    for name in ("GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"):
        monkeypatch.setenv(name, "a@example.org")
    monkeypatch.setenv("GITHUB_SHA", "0" * 40)
    git("init", "--quiet", "--bare", origin)
    git("clone", "--quiet", origin, clone)
    (clone / "code.py").write_text("")
    git("add", ".", cwd=clone)
    git("commit", "--quiet", "-m", "first", cwd=clone)
    git("push", "--quiet", "origin", "HEAD:main", cwd=clone)

    for page in ("first", "second"):
        shutil.rmtree(clone / "board", ignore_errors=True)
        shutil.rmtree(clone / "pages", ignore_errors=True)
        git("worktree", "prune", cwd=clone)
        git("branch", "-D", "gh-pages", cwd=clone) if git(
            "branch", "--list", "gh-pages", cwd=clone
        ) else None
        (clone / "board").mkdir()
        (clone / "board" / "index.html").write_text(page)
        done = subprocess.run(
            ["bash", "-e", "-c", script], cwd=clone, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert git("show", "gh-pages:leaderboard/index.html", cwd=origin) == page
        assert git("ls-tree", "--name-only", "gh-pages", cwd=origin).split() == [
            ".nojekyll", "leaderboard",
        ]  # fmt: skip
    assert git("rev-list", "--count", "gh-pages", cwd=origin).strip() == "2"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({}, ""),
        ({"st-net": 0.61}, ""),  # by another machine
        ({"st-net": 0.62}, "st-net"),
        ({"linear-probe": 0.476}, "linear-probe"),
        ({"st-net": None}, "st-net"),  # not run
    ],
)
def test_ci_compares_every_published_number_of_the_demo(tmp_path, change, told):
    script = (ROOT / ".ci" / "run").read_text().split("-c '\n")[1].split("\n'\n")[0]
    board = tmp_path / "leaderboards" / "demo@1"
    board.mkdir(parents=True)
    published = {"st-net": 0.467, "linear-probe": 0.47, "gene-mean": 0.0}
    rows = [("her2st_demo", name, "", value) for name, value in published.items()]
    rows += [("mob_demo", "linear-probe", "", 0.45), ("mob_demo", "probe", "of others", 0.9)]
    lines = [f"{d},median,{p},{method},reproduced,{value}" for d, p, method, value in rows]
    head = "dataset,completer,predictor,method,trust,pcc_gene"
    (board / "leaderboard.csv").write_text("\n".join([head, *lines]) + "\n")
    results = [
        {
            "dataset": dataset,
            "completer": "median",
            "predictor": predictor,
            "status": "ok",
            "scores": {"test": {"pcc-gene": change.get(predictor, value)}},
        }
        for dataset, predictor, method, value in rows
        if not method and change.get(predictor, value) is not None
    ]
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        input=json.dumps({"new_trials": 0, "results": results}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode == 1) is bool(told)
    assert told in done.stderr.splitlines()[-1] if told else not done.stderr


def test_the_version_is_the_same_wherever_it_stands():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    bibtex = (ROOT / "docs" / "cite.md").read_text()
    assert project()["version"] == spared_bench.__version__ == citation["version"]
    assert f"version = {{{spared_bench.__version__}}}" in bibtex
    assert citation["title"] in bibtex
    assert citation["license"] == project()["license"]


def test_the_citation_has_what_the_format_asks_for():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["cff-version"] == "1.2.0"
    for each in [citation, *citation["references"]]:
        assert each["title"]
        assert each["authors"]
    assert {each["type"] for each in citation["references"]} <= {"article", "conference-paper"}


def test_conda_and_docker_use_a_python_that_the_package_allows():
    wanted = Requirement(f"python{project()['requires-python']}").specifier
    conda = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    (python,) = [each for each in conda if str(each).startswith("python=")]
    (image,) = re.findall(r"^FROM python:([\d.]+)-slim$", DOCKERFILE.read_text(), re.MULTILINE)
    assert wanted.contains(python.partition("=")[2] + ".0")
    assert wanted.contains(image + ".0")
    (pip,) = [each["pip"] for each in conda if isinstance(each, dict)]
    assert pip == ["-c constraints.txt", "."]


DOCKERFILE = ROOT / "Dockerfile"


def test_docker_gets_what_it_copies_and_the_documented_commands_build_it():
    text = DOCKERFILE.read_text()
    copied = [
        word for line in re.findall(r"^COPY (.*) \S+$", text, re.MULTILINE) for word in line.split()
    ]
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert copied
    for name in copied:
        assert (ROOT / name).exists()
        assert f"!{name}" in ignored
    documented = (ROOT / "docs" / "install.md").read_text()
    assert "docker build -t spared-bench ." in documented
    assert "docker build --build-arg DEVICE=cuda" in documented
    assert re.search(r"^ARG DEVICE=cpu$", text, re.MULTILINE)


def docker_answers():
    if shutil.which("docker") is None:
        return False
    return subprocess.run(["docker", "info"], capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not docker_answers(), reason="there is no Docker here")
def test_the_image_is_built_and_runs_work_in_it(tmp_path):
    def docker(*words):
        done = subprocess.run(
            ["docker", *map(str, words)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    docker("build", "--quiet", "-t", "spared-bench:test", ROOT)
    assert '"ok": true' in docker(
        "run", "--rm", "spared-bench:test", "doctor", "--offline", "--json"
    )
    docker(
        "run", "--rm", "-v", f"{tmp_path}:/workspace", "spared-bench:test",
        "run", "--suite", "demo",
        "-d", "her2st_demo", "-c", "none", "-p", "linear-probe",
    )  # fmt: skip
    assert (tmp_path / "spared-bench-workspace" / "leaderboard" / "index.html").is_file()
