"""An interpreter that is forked for a test is the one that would be begun."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import psutil
import pytest

from tests import warm
from tests.processes import alive, wait_for

pytestmark = pytest.mark.skipif(not warm.can_be(), reason="this system forks none")


@pytest.fixture
def forks(warm_server, monkeypatch):
    """Let this process fork its interpreters, also where few tests run."""
    monkeypatch.setattr(subprocess, "Popen", warm.popen_of(warm_server))
    forked, fork = [], warm_server.fork

    def noted(*told, **more):
        forked.append(fork(*told, **more))
        return forked[-1]

    monkeypatch.setattr(warm_server, "fork", noted)
    return forked


def ended(popen, *words, **options):
    process = popen(
        [sys.executable, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )
    told = process.communicate(timeout=120)
    return process.returncode, *told


@pytest.mark.parametrize(
    "words",
    [
        ["-m", "spared_bench", "--version"],
        ["-P", "-m", "spared_bench", "list", "metrics", "--json"],
        ["-m", "spared_bench", "list", "nothing"],
        ["-m", "spared_bench", "status", "--workspace", "nowhere"],
        ["-m", "spared_bench.words"],
        ["-m", "spared_bench.executors.worker"],
    ],
)
def test_it_says_and_ends_with_the_same(words, forks, tmp_path):
    options = {"cwd": tmp_path, "stdin": subprocess.DEVNULL}
    assert ended(subprocess.Popen, *words, **options) == ended(warm.POPEN, *words, **options)
    assert len(forks) == 1


def test_it_is_a_child_of_this_process_in_a_session_of_its_own(forks, tmp_path):
    words = [sys.executable, "-m", "spared_bench.executors.worker"]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, cwd=tmp_path, start_new_session=True)
    assert forks == [process.pid]
    assert psutil.Process(process.pid).ppid() == os.getpid()
    wait_for(lambda: os.getsid(process.pid) == process.pid)
    below = psutil.Process(process.pid).children()  # its own server
    process.kill()
    assert process.wait() == -signal.SIGKILL
    process.stdin.close()
    wait_for(lambda: not any(alive(each.pid) for each in below))


def test_it_does_not_wait_for_threads_of_blas_that_it_lacks(monkeypatch, tmp_path):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "2")
    server = warm.begin_server()
    popen = warm.popen_of(server)
    words = ["-m", "spared_bench", "list", "metrics", "--json"]
    try:
        assert ended(popen, *words, cwd=tmp_path) == ended(warm.POPEN, *words, cwd=tmp_path)
    finally:
        server.end()


def test_it_has_the_variables_and_files_that_it_is_given(forks, tmp_path):
    env = os.environ | {"SPARED_BENCH_WORKSPACE": str(tmp_path / "of a variable")}
    words = ["-m", "spared_bench", "status"]
    code, out, err = ended(subprocess.Popen, *words, env=env, cwd=tmp_path)
    assert (code, "of a variable" in out + err) == (0, True)
    with (tmp_path / "out").open("w") as out, (tmp_path / "in").open("w+") as nothing:
        streams = {"stdin": nothing, "stdout": out, "stderr": out}
        subprocess.run([sys.executable, *words], **streams, cwd=tmp_path, check=True)
    assert "workspace" in (tmp_path / "out").read_text()
    assert len(forks) == 2


@pytest.mark.parametrize(
    ("words", "variables"),
    [
        ([sys.executable, "-c", "pass"], {}),
        ([sys.executable, "-I", "-m", "spared_bench"], {}),
        ([sys.executable, "-m", "pip"], {}),
        (["bash", "-m", "spared_bench"], {}),
        ([sys.executable, "-m", "spared_bench"], {"PYTHONPATH": "here"}),
        ([sys.executable, "-m", "spared_bench"], {"HOME": "/nowhere"}),
    ],
)
def test_what_would_not_be_the_same_is_not_forked(words, variables, warm_server):
    asked = warm.asked_by(words)
    assert asked is None or not warm_server.can_fork({**os.environ, **variables})


def test_a_program_may_be_begun_in_the_environment_that_none_stands_for(warm_server, monkeypatch):
    begun = []
    monkeypatch.setattr(warm, "_spawn", lambda *told, **options: begun.append(told) or 7)
    for owner, name in ((os, "posix_spawn"), (subprocess, "Popen")):
        monkeypatch.setattr(owner, name, getattr(owner, name))  # and back again
    warm.install(warm_server)
    assert os.posix_spawn("/bin/true", ["true"], None) == 7  # as Python 3.13 calls it
    assert begun == [("/bin/true", ["true"], None)]
