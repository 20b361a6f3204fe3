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


@pytest.fixture(scope="module")
def workflow():
    return yaml.safe_load(WORKFLOW.read_text())


def test_its_token_can_only_read_and_it_has_no_secrets(workflow):
    assert workflow["permissions"] == {"contents": "read"}
    assert all("permissions" not in job for job in workflow["jobs"].values())
    triggers = workflow[True]  # YAML 1.1 reads the key `on` as a boolean
    assert set(triggers) == {"pull_request_target"}  # of pull_request, the request brings the file
    assert triggers["pull_request_target"]["branches"] == ["main"]
    # GitHub looks at the first 300 changed files for `paths`, and would not start it at all.
    assert not {"paths", "paths-ignore"} & set(triggers["pull_request_target"])
    assert "secrets." not in WORKFLOW.read_text()


def test_a_request_that_is_turned_to_this_branch_later_is_checked_then(workflow):
    types = workflow[True]["pull_request_target"]["types"]
    assert {"opened", "synchronize", "reopened", "edited"} == set(types)
    # Where a job is skipped, GitHub shows a check that passed: an edit of the title would end the
    # check of a request in that way.
    assert all("if" not in job for job in workflow["jobs"].values())


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


HOSTILE = b"from pathlib import Path\nPath('executed').touch()\n"
ENTRY = "leaderboards/toy@1/best@1/entry.json"


@pytest.fixture
def repository(tmp_path):
    """What a forge keeps: a branch with one bundle of long ago, checked out by nobody."""
    path = tmp_path / "origin"
    path.mkdir()
    git(path, "init", "--quiet", "--initial-branch=main")
    write(path, {"README": b"base", "submissions/old-1.toy@1.zip": b"old", ENTRY: b"{}"})
    commit(path, "base")
    return path


def git(folder, *arguments):
    identity = ["-c", "user.name=t", "-c", "user.email=t@t.invalid"]
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def write(folder, files):
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            path.unlink()
        elif isinstance(content, Path):
            path.symlink_to(content)
        else:
            path.write_bytes(content)


def commit(folder, message):
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", message)
    return git(folder, "rev-parse", "HEAD")


def request_of(repository, files, after=()):
    """Commit files on a branch, as pull request 7; then, perhaps, more files on the target."""
    git(repository, "checkout", "--quiet", "-b", "request")
    write(repository, files)
    head = commit(repository, "request")
    git(repository, "update-ref", "refs/pull/7/head", head)
    git(repository, "checkout", "--quiet", "main")
    git(repository, "branch", "--quiet", "-D", "request")
    if after:
        write(repository, dict(after))
        commit(repository, "later")
    return head


def run_workflow(workflow, repository, head, folder):
    """Do what a runner does: the checkout that is asked for, then the very scripts of the steps."""
    # Not --local, which takes all objects there are, those of the request among them.
    git(folder, "clone", "--quiet", "--no-local", "--branch", "main", str(repository), "checkout")
    checkout = folder / "checkout"
    shims = folder / "bin"
    shims.mkdir()
    (shims / "spared-bench").write_text(f'#!/bin/sh\nexec {sys.executable} -m spared_bench "$@"\n')
    (shims / "spared-bench").chmod(0o755)
    told = {
        "${{ github.event.pull_request.number }}": "7",
        "${{ github.event.pull_request.base.sha }}": git(repository, "rev-parse", "main"),
        "${{ github.event.pull_request.head.sha }}": head,
        "${{ github.event.pull_request.head.repo.owner.login }}": "somebody",
        "${{ vars.SPARED_BENCH_DATA }}": "",
    }
    env = {**os.environ, "PATH": f"{shims}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    summary = folder / "summary"
    env |= {"GITHUB_STEP_SUMMARY": str(summary), "HOME": str(folder)}
    env |= {"SPARED_BENCH_WORKSPACE": str(folder / "w"), "PYTHONSAFEPATH": "1"}
    outputs = folder / "outputs"
    env |= {"GITHUB_OUTPUT": str(outputs)}
    for step in workflow["jobs"]["check"]["steps"]:
        if "run" not in step or step["name"] == "Install the checker":
            continue
        if "if" in step:
            assert step["if"] == "steps.request.outputs.touched == 'yes'"
            if outputs.read_text() != "touched=yes\n":
                continue
        mine = {name: told[value] for name, value in step.get("env", {}).items()}
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
            cwd=checkout,
            env={**env, **mine},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            break
    return done, summary.read_text() if summary.exists() else "", checkout


def test_a_request_that_edits_entry_workflow_and_tools_is_refused_by_the_targets_own_script(
    workflow, repository, tmp_path
):
    odd = {
        ENTRY: b'{"trust": "reproduced"}',
        "leaderboards/toy@1/new@1/entry.json": b"{}",
        ".github/workflows/submission.yml": b"on: push\n",
        "tools/check_submissions.sh": b"touch executed",
        "spared_bench/__init__.py": HOSTILE,
        "spared_bench/submissions/request.py": HOSTILE,
        "sitecustomize.py": HOSTILE,
        "pyproject.toml": b"[build-system]\nbuild-backend = 'evil'\n",
        ".gitattributes": b"*.zip filter=evil merge=evil\n",
        ".gitmodules": b'[submodule "x"]\n\tpath = x\n\turl = ext::sh -c touch% executed\n',
        "submissions/notes.txt": b"x",
        "submissions/deeper/a-1.toy@1.zip": b"x",
        "submissions/UPPER-1.toy@1.zip": b"x",
        "submissions/$(touch executed).zip": b"x",
        "submissions/a\n# b.zip": b"x",
        "submissions/link.zip": Path("/etc/passwd"),
        "submissions/old-1.toy@1.zip": b"another",
        "README": None,
    }
    head = request_of(repository, {**odd, "submissions/evil-1.toy@1.zip": b"no archive"})

    done, summary, checkout = run_workflow(workflow, repository, head, tmp_path)

    assert done.returncode == 1, done.stderr
    lines = summary.split("### Submission")[0].splitlines()
    assert sum(line.startswith("- ") for line in lines) == len(odd)
    assert summary.count("never come with a request") == 2
    assert summary.count("no link, no submodule, not executable") == 1
    assert summary.count("is never changed; hand in another version") == 1
    assert "it is no zip archive" in summary
    assert "root:" not in summary
    assert {path.name for path in checkout.iterdir()} == {
        *(".git", "README", "leaderboards", "submissions", "checked"),
    }
    assert (checkout / ENTRY).read_text() == "{}"
    assert not list(tmp_path.rglob("executed"))


def test_what_the_target_got_since_is_not_the_requests_doing(workflow, repository, tmp_path):
    later = {"README": b"later", "leaderboards/toy@1/other@1/entry.json": b"{}"}
    head = request_of(repository, {"submissions/a-1.toy@1.zip": b"x"}, later.items())
    done, summary, _ = run_workflow(workflow, repository, head, tmp_path)
    assert done.returncode == 1
    assert "The request is refused" not in summary
    assert "it is no zip archive" in summary


@pytest.mark.parametrize(
    ("files", "after", "said"),
    [
        ({"Submissions/x.md": b"x"}, {}, "adds no bundle below submissions/"),
        ({"LEADERBOARDS": Path("docs")}, {}, "adds no bundle below submissions/"),
        ({"submissions/old-1.toy@1.zip": None}, {}, "is never removed"),
        (
            {"README": b"a", "submissions/a-1.toy@1.zip": b"x"},
            {"README": b"b"},
            "It cannot be merged",
        ),
        ({f"submissions/a{i}.zip": b"x" for i in range(6)}, {}, "adds 6 bundles; at most 5"),
    ],
)
def test_a_request_that_is_no_submission_says_why(
    workflow, repository, tmp_path, files, after, said
):
    head = request_of(repository, files, after.items())
    done, summary, _ = run_workflow(workflow, repository, head, tmp_path)
    assert done.returncode == 1
    assert said in summary


@pytest.mark.parametrize("name", ["docs/x.md", "a-1.toy@1.zip"])
def test_a_request_about_something_else_is_not_a_submission(workflow, repository, tmp_path, name):
    head = request_of(repository, {name: b"x"}, {ENTRY: b"later"}.items())
    done, summary, checkout = run_workflow(workflow, repository, head, tmp_path)
    assert done.returncode == 0, done.stderr
    assert summary.startswith("It touches neither submissions/ nor leaderboards/, and nothing")
    assert summary.endswith("Bundles belong right below submissions/.\n")
    assert not (checkout / "checked").exists()


def test_a_conflict_elsewhere_hides_no_entry_that_is_taken_away(
    workflow, repository, tmp_path, monkeypatch
):
    """Target and request have two last commits in common; since one of them, nothing is removed."""
    new, conflict = ENTRY.replace("best", "new"), {"README": b"request"}
    git(repository, "checkout", "--quiet", "-b", "side")
    write(repository, {"docs/x.md": b"x"})
    monkeypatch.setenv("GIT_COMMITTER_DATE", "2090-01-01T00:00:00Z")  # git looks at the later one
    side = commit(repository, "side")
    monkeypatch.delenv("GIT_COMMITTER_DATE")
    git(repository, "checkout", "--quiet", "main")
    write(repository, {new: b"{}"})
    entry = commit(repository, "entry")
    git(repository, "merge", "--quiet", "--no-edit", side)
    git(repository, "checkout", "--quiet", side)
    git(repository, "merge", "--quiet", "--no-edit", entry)
    head = request_of(repository, {new: None, **conflict}, {"README": b"later"}.items())
    done, summary, _ = run_workflow(workflow, repository, head, tmp_path)
    assert done.returncode == 1
    assert "It cannot be merged" in summary


@pytest.mark.parametrize("status", [1, 0])
def test_of_a_conflict_it_counts_whether_the_folders_are_touched(
    workflow, repository, tmp_path, status
):
    files, after = {"README": b"a"}, {"README": b"b"}
    if status:  # removed here, changed there
        files, after = files | {ENTRY: None}, after | {ENTRY: b'{"withdrawn": "x"}'}
    head = request_of(repository, files, after.items())
    done, summary, _ = run_workflow(workflow, repository, head, tmp_path)
    assert done.returncode == status
    assert ("It cannot be merged" in summary) == bool(status)


def test_an_entry_behind_thousands_of_other_files_is_refused(workflow, repository, tmp_path):
    many = {f"a/{number}": b"x" for number in range(3000)}
    head = request_of(repository, {**many, ENTRY: b'{"trust": "reproduced"}'})
    done, summary, _ = run_workflow(workflow, repository, head, tmp_path)
    assert done.returncode == 1
    assert "never come with a request" in summary.splitlines()[2]  # before all others
    assert "- and 2952 more" in summary


@pytest.mark.parametrize(
    "names", [["leaderboards/x"], ["a", "a"], ["..", "b"], [".git", "b"], ["a", "submissions/b"]]
)
def test_a_request_whose_folders_no_git_would_write_is_not_taken(
    workflow, repository, tmp_path, names
):
    base = git(repository, "rev-parse", "main")
    blob = git(repository, "rev-parse", f"{base}:README")
    tree = b"".join(f"100644 {name}\0".encode() + bytes.fromhex(blob) for name in names)
    made = subprocess.run(
        ["git", "hash-object", "-t", "tree", "-w", "--literally", "--stdin"],
        cwd=repository, input=tree, capture_output=True, check=True,
    )  # fmt: skip
    head = git(repository, "commit-tree", made.stdout.decode().strip(), "-p", base, "-m", "odd")
    git(repository, "update-ref", "refs/pull/7/head", head)
    done, summary, _ = run_workflow(workflow, repository, head, tmp_path)
    assert done.returncode == 128
    assert "fsck error" in done.stderr
    assert summary == ""


def test_a_sound_bundle_is_accepted_once_and_a_submodule_or_program_is_not(
    repository, archive, run_bench, tmp_path
):
    from spared_bench.submissions.check import check
    from spared_bench.submissions.request import review

    def check_one(path):
        return check(path, lambda protocol: run_bench, tmp_path / "leaderboards"), "said"

    base = git(repository, "rev-parse", "main")
    content = archive.read_bytes()
    head = request_of(repository, {"submissions/toy-ridge-1.toy@1.zip": content})
    found = review(repository, base, head, tmp_path / "out", check_one)
    assert found.ok
    assert found.comment == "said"

    twice = request_of(
        repository, {"submissions/toy-ridge-1.toy@1.zip": content, "submissions/b.zip": content}
    )
    found = review(repository, base, twice, tmp_path / "out", check_one)
    assert not found.ok
    (problem,) = found.problems
    assert problem.startswith("submissions/b.zip: a bundle is named after what it holds")
    assert "method toy-ridge, version 1, protocol toy@1." in problem

    git(repository, "checkout", "--quiet", "-b", "odd")
    write(repository, {"submissions/run.zip": content})
    (repository / "submissions" / "run.zip").chmod(0o755)
    git(repository, "add", "--all")
    git(repository, "update-index", "--add", "--cacheinfo", f"160000,{base},submissions/sub.zip")
    git(repository, "commit", "--quiet", "--message", "odd")
    odd = git(repository, "rev-parse", "HEAD")
    found = review(repository, base, odd, tmp_path / "out", check_one)
    assert [each.split(":")[0] for each in found.problems[:2]] == [
        "submissions/run.zip",
        "submissions/sub.zip",
    ]


@pytest.mark.parametrize("kind", ["of nothing", "of a folder"])
def test_a_bundle_without_content_is_a_problem_and_the_others_are_looked_at(
    repository, tmp_path, kind
):
    from spared_bench.submissions.report import Report
    from spared_bench.submissions.request import review

    base = git(repository, "rev-parse", "main")
    content = "2" * 40 if kind == "of nothing" else git(repository, "rev-parse", f"{base}^{{tree}}")
    blob = git(repository, "rev-parse", f"{base}:README")
    tree = f"100644 blob {content}\ta-1.zip\n100644 blob {blob}\tb-1.zip\n"
    made = subprocess.run(
        ["git", "mktree", "--missing"],
        cwd=repository, input=tree, capture_output=True, text=True, check=kind == "of nothing",
    )  # fmt: skip
    if made.returncode:  # git itself makes no such tree
        raw = b"".join(
            f"100644 {name}\0".encode() + bytes.fromhex(found)
            for name, found in (("a-1.zip", content), ("b-1.zip", blob))
        )
        made = subprocess.run(
            ["git", "hash-object", "-t", "tree", "-w", "--literally", "--stdin"],
            cwd=repository, input=raw, capture_output=True, check=True,
        )  # fmt: skip
    folder = made.stdout if isinstance(made.stdout, str) else made.stdout.decode()
    git(repository, "read-tree", base)
    git(repository, "rm", "--quiet", "--cached", "-r", "submissions")
    git(repository, "read-tree", "--prefix=submissions/", folder.strip())
    whole = git(repository, "write-tree", "--missing-ok")
    head = git(repository, "commit-tree", whole, "-p", base, "-m", "odd")
    found = review(repository, base, head, tmp_path / "out", lambda path: (Report(path.name), ""))
    assert "submissions/a-1.zip: its content is not among what was fetched." in found.problems
    assert [report.name for report in found.reports] == ["b-1.zip"]


@pytest.mark.parametrize("name", ["HEAD", "--output=x", "0" * 40, "", "main; touch executed"])
def test_a_commit_that_is_none_is_told(repository, tmp_path, name):
    from spared_bench.errors import UsageError
    from spared_bench.submissions.request import review

    base = git(repository, "rev-parse", "main")
    with pytest.raises(UsageError, match="commit"):
        review(repository, base, name, tmp_path / "out", lambda path: None)


def described(method, version, protocol):
    """Stand in for a check that accepts whatever there is, as what is said here."""
    from spared_bench.submissions.report import Report
    from spared_bench.submissions.schema import Description

    def check_one(path):
        said = Description(method=method, version=version, protocol=protocol)
        return Report(path.name, said), "said"

    return check_one


def test_a_method_may_be_handed_in_under_two_protocols_at_once(repository, tmp_path):
    from spared_bench.submissions.request import review

    names = ("submissions/a-1.one@1.zip", "submissions/a-1.two@1.zip")
    head = request_of(repository, {name: name.encode() for name in names})

    def check_one(path):
        protocol = path.name.removeprefix("a-1.").removesuffix(".zip")
        return described("a", "1", protocol)(path)

    found = review(repository, git(repository, "rev-parse", "main"), head, tmp_path, check_one)
    assert found.ok, found.problems


def test_the_longest_names_that_a_bundle_can_have_are_taken(repository, tmp_path):
    from spared_bench.submissions.request import review

    said = "a" * 64, "1" * 64, f"{'p' * 64}@123456"
    head = request_of(repository, {f"submissions/{said[0]}-{said[1]}.{said[2]}.zip": b"x"})
    base = git(repository, "rev-parse", "main")
    found = review(repository, base, head, tmp_path, described(*said))
    assert found.ok, found.problems


@pytest.mark.parametrize("name", ["Submissions/a-1.toy@1.zip", "submissions/A-1.toy@1.ZIP"])
def test_a_bundle_whose_name_is_not_taken_is_told_what_is(repository, tmp_path, name):
    from spared_bench.submissions.request import review

    head = request_of(repository, {name: b"x"})
    base = git(repository, "rev-parse", "main")
    found = review(repository, base, head, tmp_path, described("a", "1", "toy@1"))
    assert "a name of a-z, 0-9 and _ + . @ - alone, right below that folder" in found.problems[0]
