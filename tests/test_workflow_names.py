"""What the workflows, Docker and conda name is there: files, extras, tools, datasets, methods."""

from __future__ import annotations

import itertools
import re
import shlex
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from spared_bench.errors import SparedBenchError
from spared_bench.registry import discover

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
#: Commands of packages that a step before has to install.
TOOLS = ("mkdocs", "mike")


def parsed(path: Path):
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def scripts(path: Path) -> list[str]:
    jobs = parsed(path)["jobs"].values()
    return [step["run"] for job in jobs for step in job["steps"] if "run" in step]


def commands(text: str) -> list[list[str]]:
    lines = text.replace("\\\n", " ").splitlines()
    return [
        shlex.split(line, comments=True) for line in lines if "<<" not in line and _closed(line)
    ]


def _closed(line: str) -> bool:
    try:
        shlex.split(line, comments=True)
    except ValueError:
        return False
    return True


def installs() -> list[tuple[str, list[str]]]:
    """Yield where packages are installed, and what."""
    found = [
        (path.name, words[words.index("install") + 1 :])
        for path in WORKFLOWS
        for script in scripts(path)
        for words in commands(script)
        if "install" in words and any(word.endswith("pip") for word in words)
    ]
    (conda,) = [each["pip"] for each in parsed(ROOT / "environment.yml")["dependencies"]
                if isinstance(each, dict)]  # fmt: skip
    docker = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    for call in re.findall(r"pip install ([^;&\n]*)", docker):
        found.append(
            ("Dockerfile", call.replace("/src/constraints.txt", "constraints.txt").split())
        )
    return [*found, ("environment.yml", [word for line in conda for word in line.split()])]


def test_all_workflows_were_read_and_install_something():
    assert {path.stem for path in WORKFLOWS} >= {"leaderboard", "release", "submission"}
    assert {where for where, _ in installs()} >= {
        *("leaderboard.yml", "release.yml", "submission.yml"),
        *("Dockerfile", "environment.yml"),
    }


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_every_action_is_pinned_to_a_commit_beside_its_version(path):
    used = re.findall(r"uses: *(\S+)(.*)", path.read_text(encoding="utf-8"))

    assert used
    for action, beside in used:
        assert re.fullmatch(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}", action), action
        assert re.search(r"# v\d+\.\d+\.\d+", beside), f"{action} names no version"


@pytest.mark.parametrize(("where", "words"), installs())
def test_what_is_installed_has_its_constraints_and_extras(where, words):
    assert "-c" in words, f"{where} installs without constraints: {words}"
    assert (ROOT / words[words.index("-c") + 1]).is_file()
    pinned = {canonicalize_name(each) for each in _pins()}
    for word in words:
        if extras := re.fullmatch(r"\.\[([\w,-]+)\]", word):
            assert set(extras[1].split(",")) <= set(PROJECT["optional-dependencies"]), word
        elif re.fullmatch(r"[a-z][\w-]*", word) and word not in ("constraints", "install"):
            assert canonicalize_name(word) in pinned, f"{where}: {word} has no constraint"


def _pins() -> set[str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return {line.split("==")[0].strip() for line in lines if "==" in line and line[0] != "#"}


def test_every_dependency_is_pinned_in_the_constraints():
    pinned = {canonicalize_name(each) for each in _pins()}
    named = [*PROJECT["dependencies"]]
    for extra in ("docs", "test"):
        named += PROJECT["optional-dependencies"][extra]

    missing = {canonicalize_name(Requirement(each).name) for each in named} - pinned
    assert missing == {"setuptools"}  # comes with the environment, which pip builds in


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_folders_that_a_workflow_watches_exist(path):
    triggers = parsed(path)[True]  # YAML 1.1 takes `on` for a truth value
    watched = [
        pattern
        for each in triggers.values()
        if isinstance(each, dict)
        for pattern in each.get("paths", ())
    ]
    for pattern in watched:
        top = pattern.split("/")[0]
        # Where people hand in is made by the first who does.
        assert (ROOT / top).exists() or top == "submissions", pattern
        assert not fnmatch(".github/workflows/x.yml", pattern)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_tools_are_installed_before_they_are_called(path):
    known = {
        canonicalize_name(Requirement(e).name) for e in PROJECT["optional-dependencies"]["docs"]
    }
    for job in parsed(path)["jobs"].values():
        said = "\n".join(step.get("run", "") for step in job["steps"])
        for tool in TOOLS:
            called = re.search(rf"^\s*{tool} ", said, re.MULTILINE)
            if called:
                assert tool in known
                assert 0 <= said.find(".[docs]") < called.start()
        if "python -m build" in said:
            assert said.find("pip install -c constraints.txt build") < said.find("python -m build")


def test_datasets_methods_and_protocols_that_are_named_are_registered():
    kinds = {"-d": "dataset", "-c": "completer", "-p": "predictor", "--suite": "protocol"}
    registry = discover([])
    found = 0
    texts = [script for path in WORKFLOWS for script in scripts(path)]
    texts += re.findall(r"^#   (docker run .*)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    for words in (words for text in texts for words in commands(text) if "run" in words):
        if not any(word.endswith(("spared-bench", "spared-bench-cuda")) for word in words):
            continue
        for option, name in itertools.pairwise(words):
            if option in kinds and name != "my_tumours":
                found += 1
                try:
                    registry.get(kinds[option], name)
                except SparedBenchError as error:
                    pytest.fail(f"{' '.join(words)}: {error}")
    assert found >= 3
