"""The workflow for pull requests: it can only read, and runs nothing of the request."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
WORKFLOW = ROOT / ".github" / "workflows" / "submission.yml"
SCRIPT = ROOT / "tools" / "check_submissions.sh"


@pytest.fixture(scope="module")
def workflow():
    return yaml.safe_load(WORKFLOW.read_text())


def test_its_token_can_only_read_and_it_has_no_secrets(workflow):
    assert workflow["permissions"] == {"contents": "read"}
    assert all("permissions" not in job for job in workflow["jobs"].values())
    triggers = workflow[True]  # YAML 1.1 reads the key `on` as a boolean
    assert set(triggers) == {"pull_request"}  # not pull_request_target, which has secrets
    assert "secrets." not in WORKFLOW.read_text()


def test_it_checks_out_the_base_and_keeps_no_credentials(workflow):
    (checkout,) = [
        step
        for step in workflow["jobs"]["check"]["steps"]
        if step.get("uses", "").startswith("actions/checkout@")
    ]
    assert checkout["with"]["ref"] == "${{ github.event.pull_request.base.sha }}"
    assert checkout["with"]["persist-credentials"] is False


def test_no_text_of_a_request_is_pasted_into_a_script(workflow):
    scripts = [step["run"] for step in workflow["jobs"]["check"]["steps"] if "run" in step]
    assert scripts
    assert all("${{" not in script for script in scripts)


def test_its_actions_are_commits_which_no_one_can_move(workflow):
    used = [step["uses"] for step in workflow["jobs"]["check"]["steps"] if "uses" in step]
    assert used
    assert all(re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40}", each) for each in used)


@pytest.fixture
def repository(tmp_path):
    """A repository with a base commit checked out."""
    (tmp_path / "repo").mkdir()
    git(tmp_path / "repo", "init", "--quiet", "--initial-branch=main")
    (tmp_path / "repo" / "README").write_text("base")
    commit(tmp_path / "repo", "base")
    return tmp_path / "repo"


def git(folder, *arguments):
    identity = ["-c", "user.name=t", "-c", "user.email=t@t.invalid"]
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def commit(folder, message):
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", message)
    return git(folder, "rev-parse", "HEAD")


def request_of(repository, files):
    """Commit files on a branch, as a request would, and return to the base."""
    git(repository, "checkout", "--quiet", "-b", "request")
    for name, content in files.items():
        path = repository / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, Path):
            path.symlink_to(content)
        else:
            path.write_bytes(content)
    head = commit(repository, "request")
    git(repository, "checkout", "--quiet", "main")
    return head


def check(repository, head, out):
    shims = out.parent / "bin"
    shims.mkdir(exist_ok=True)
    (shims / "spared-bench").write_text(f'#!/bin/sh\nexec {sys.executable} -m spared_bench "$@"\n')
    (shims / "spared-bench").chmod(0o755)
    done = subprocess.run(
        ["bash", str(SCRIPT), head, str(out)],
        cwd=repository,
        env={**os.environ, "PATH": f"{shims}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, (out / "comment.md").read_text()


def test_a_hostile_request_is_refused_and_nothing_of_it_is_checked_out(repository, tmp_path):
    hostile = b"from pathlib import Path\nPath('executed').touch()\n"
    head = request_of(
        repository,
        {
            "submissions/evil.zip": b"no archive",
            "submissions/$(touch executed).zip": b"x",
            "submissions/link.zip": Path("/etc/passwd"),
            "spared_bench/__init__.py": hostile,
            "sitecustomize.py": hostile,
            "tools/check_submissions.sh": b"touch executed",
        },
    )
    status, comment = check(repository, head, tmp_path / "out")
    assert status == 1
    assert comment.count(": refused") == 2
    assert "it is no zip archive" in comment
    assert "is not named like METHOD-VERSION" in comment
    assert "root:" not in comment
    assert {path.name for path in repository.iterdir()} == {".git", "README"}
    assert not list(tmp_path.rglob("executed"))
    assert (tmp_path / "out" / "bundles" / "link.zip").read_text() == "/etc/passwd"


def test_a_request_without_a_bundle_says_so(repository, tmp_path):
    head = request_of(repository, {"README": b"other"})
    status, comment = check(repository, head, tmp_path / "out")
    assert status == 2
    assert "adds no bundle" in comment
