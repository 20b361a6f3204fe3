"""Workers that are forked from a server, which is killed, let go, or asked too late."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from functools import partial
from importlib import import_module
from pathlib import Path

import pytest

from spared_bench.api import execute, make_bench, select
from spared_bench.bench import Limits
from spared_bench.executors import worker_process
from spared_bench.executors.worker import OF_KEYS
from spared_bench.executors.worker_process import start_worker
from spared_bench.store.processes import is_stopped
from tests.conftest import TOY_PLUGIN, TOY_PROTOCOL
from tests.processes import alive, wait_for


@pytest.fixture
def start(tmp_path, bench, monkeypatch):
    """Start workers, the first begun by itself; they are ended when the test ends."""
    monkeypatch.setattr(worker_process, "_seen", set())
    monkeypatch.setattr(worker_process, "_servers", servers := [])
    monkeypatch.setattr(worker_process, "KEPT", 1)
    started = []

    def one(env=None, threads=1):
        with (tmp_path / f"{len(started)}.log").open("wb") as log:
            worker = start_worker(dict(os.environ if env is None else env), threads, log)
        worker.stdin.write(json.dumps(bench.settings.as_dict()) + "\n")
        worker.stdin.flush()
        started.append(worker)
        return worker

    yield one
    for worker in started:
        worker.end()
    for _, server in servers:
        server.end()


def is_forked(worker):
    return isinstance(worker, worker_process._Forked)


def heard(worker):
    """Return the first message of a worker; ``None`` if there is none."""
    lines = (line for line in worker.stdout if line.strip())
    line = next(lines, None)
    return None if line is None else json.loads(line)["type"]


def server_of():
    return worker_process._servers[-1][1]._process


def test_workers_after_the_first_are_forked_and_each_is_a_process_of_its_own(start):
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # which all of them inherit
    try:
        workers = [start() for _ in range(4)]
    finally:
        signal.signal(signal.SIGCHLD, before)
    assert [is_forked(worker) for worker in workers] == [False, True, True, True]
    assert [heard(worker) for worker in workers] == ["ready"] * 4
    assert len({worker.pid for worker in workers}) == 4
    for worker in workers:
        assert os.getsid(worker.pid) == worker.pid  # Ctrl-C does not reach it, and it has a group
    workers[1].end()
    assert workers[1].returncode == -signal.SIGKILL
    os.kill(workers[2].pid, signal.SIGSEGV)
    workers[2].wait()
    assert workers[2].returncode == -signal.SIGSEGV
    assert (
        b"Segmentation fault"
        in Path(f"/proc/{workers[3].pid}/fd/2").readlink().with_name("2.log").read_bytes()
    )
    workers[3].stdin.close()  # as when its parent is gone
    workers[3].wait()
    assert not alive(workers[3].pid)


@pytest.mark.parametrize("changed", ["env", "threads", "modules", "code", "umask", "limit"])
def test_what_imports_depend_on_or_workers_inherit_asks_for_another_server(
    start, changed, monkeypatch, tmp_path, request
):
    start()
    first = start()
    if changed == "modules":
        monkeypatch.chdir(tmp_path)
        monkeypatch.syspath_prepend(tmp_path)
    if changed == "code":
        monkeypatch.setattr(worker_process, "_code", lambda: (1,))
    if changed == "umask":
        request.addfinalizer(partial(os.umask, os.umask(0o027)))
    if changed == "limit":
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        request.addfinalizer(partial(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard)))
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft - 1, hard))
    options = {"env": {"env": os.environ | {"MKL_CBWR": "AVX2"}}, "threads": {"threads": 2}}
    further = [start(**options.get(changed, {})) for _ in range(2)]
    assert [is_forked(worker) for worker in (first, *further)] == [True, False, True]
    assert [heard(worker) for worker in (first, *further)] == ["ready"] * 3
    before = worker_process._servers[0][1]
    first.end()
    wait_for(lambda: not before.alive)  # which was let go, and has no worker any more


def test_a_server_serves_every_folder_from_which_no_module_is_taken(start, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p not in ("", str(Path.cwd()))])
    workers = [start()]
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        workers.append(start())
    assert [is_forked(worker) for worker in workers] == [False, True, True]
    assert [heard(worker) for worker in workers] == ["ready"] * 3
    folders = [Path(f"/proc/{worker.pid}/cwd").readlink() for worker in workers[1:]]
    assert folders == [tmp_path / "a", tmp_path / "b"]
    assert len(worker_process._servers) == 1


def test_as_many_servers_are_kept_as_is_said_and_come_back_to(start, monkeypatch):
    monkeypatch.setattr(worker_process, "KEPT", 2)
    kinds = [os.environ | {"OF_A_TEST": str(number)} for number in range(3)]
    for number in (0, 0, 1, 1):
        start(kinds[number])
    first, second = (server for _, server in worker_process._servers)
    assert is_forked(start(kinds[0]))
    assert len(worker_process._servers) == 2
    for _ in range(2):
        start(kinds[2])
    assert not first.is_asked
    assert second.is_asked
    assert [heard(start(kinds[number])) for number in (0, 1, 2)] == ["ready"] * 3
    assert not second.is_asked  # the first kind is known, and got another


def test_a_forked_worker_has_the_gpu_that_it_is_given(workspace, tmp_path, monkeypatch):
    monkeypatch.setattr(worker_process, "_seen", set())
    monkeypatch.setattr(worker_process, "_servers", servers := [])
    seen = []
    for gpu in ("3", "5", "7"):
        shutil.copytree(workspace, tmp_path / gpu)
        bench = make_bench(str(TOY_PROTOCOL), workspace=tmp_path / gpu, plugin_files=[TOY_PLUGIN])
        plan = select(bench, ["toy"], ["none"], ["toy-reports"])
        limits = Limits(gpus=(gpu,))
        (result,) = execute(plan, workers=1, limits=limits, track=False, figures=False).results
        seen.append(result.curves["gpu"][0][1])
    assert seen == [3.0, 5.0, 7.0]
    assert servers, "none was forked"
    servers[-1][1].end()


def test_a_server_imports_nothing_that_reads_what_may_differ_between_its_workers():
    code = (
        "import sys, threading; from spared_bench.executors.fork_server import get_ready;"
        "get_ready(); import torch; print('mlflow' in sys.modules, threading.active_count())"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.split() == ["False", "1"]


def test_what_is_read_ahead_is_all_that_a_trial_asks_for_beside_its_methods(workspace, monkeypatch):
    asked = []
    for name in ("inputs", "view_inputs", "raw_inputs"):
        module = import_module(f"spared_bench.bench.{name}")
        hashed = module.code_hash
        monkeypatch.setattr(
            module, "code_hash", lambda of, hashed=hashed: asked.append(of) or hashed(of)
        )
    bench = make_bench(str(TOY_PROTOCOL), workspace=workspace, plugin_files=[TOY_PLUGIN])
    execute(select(bench, ["toy"], ["none"], ["toy-mean"]), executor="inline", track=False)
    assert set(asked) == set(OF_KEYS)


TELLS_ITS_VARIABLES = """
import json, os
from pathlib import Path
import numpy as np
from spared_bench import PredictorSpec, hookimpl

class Tells:
    def fit(self, train, val, context):
        found = {name: value for name, value in os.environ.items() if name.startswith("MLFLOW_OF_")}
        Path(os.environ["TOY_SIGN"]).write_text(json.dumps(found))
        self.n_genes_ = train.target.shape[1]

    def predict(self, slides):
        return np.zeros((len(slides), self.n_genes_))

@hookimpl
def spared_bench_predictors():
    return [PredictorSpec("tells", f"{__name__}:Tells")]
"""


def test_a_forked_worker_has_the_variables_with_which_it_was_asked_for(
    workspace, tmp_path, monkeypatch
):
    monkeypatch.setattr(worker_process, "_seen", set())
    monkeypatch.setattr(worker_process, "_servers", servers := [])
    plugin = tmp_path / "tells.py"
    plugin.write_text(TELLS_ITS_VARIABLES)
    given = [{"FIRST": "1"}, {"FIRST": "2"}, {}, {"FIRST": "3", "OTHER": "4"}]
    for number, each in enumerate(given):
        place = shutil.copytree(workspace, tmp_path / str(number))
        with monkeypatch.context() as patch:
            patch.setenv("TOY_SIGN", str(tmp_path / f"{number}.json"))
            for name, value in each.items():
                patch.setenv(f"MLFLOW_OF_{name}", value)
            files = [TOY_PLUGIN, plugin]
            bench = make_bench(str(TOY_PROTOCOL), workspace=place, plugin_files=files)
            plan = select(bench, ["toy"], ["none"], ["tells"])
            (result,) = execute(plan, workers=1, track=False, figures=False).results
        assert result.ok, result.message
    seen = [json.loads((tmp_path / f"{number}.json").read_text()) for number in range(4)]
    assert seen == [{f"MLFLOW_OF_{name}": value for name, value in of.items()} for of in given]
    assert len(servers) == 1, "another was begun for variables that imports do not read"
    servers[-1][1].end()


def stop(process):
    """Stop a process, which on another core goes on for a moment."""
    os.kill(process.pid, signal.SIGSTOP)
    wait_for(lambda: is_stopped(process.pid))


def test_a_worker_whose_server_is_killed_goes_on_and_the_next_one_begins(start):
    start()
    worker = start()
    assert heard(worker) == "ready"
    server_of().kill()
    server_of().wait()
    assert not worker.has_ended()
    following = start()
    assert not worker.has_ended()
    assert heard(following) == "ready"
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait()
    assert worker.returncode is None  # nobody is left who could know


def test_a_server_that_is_stopped_is_ended_and_the_next_worker_begins(start):
    for _ in range(2):
        worker = start()
        assert heard(worker) == "ready"
    stopped = server_of()
    stop(stopped)
    later = start()
    assert stopped.poll() is not None
    assert heard(later) == "ready"
    assert not worker.has_ended()  # what it had forked goes on
    worker.end()


def test_nobody_waits_for_a_server_that_is_stopped_once_it_was_asked(start, monkeypatch):
    monkeypatch.setattr(worker_process, "_LOOK_SECONDS", 0.05)
    for _ in range(2):
        assert heard(start()) == "ready"
    stopped = server_of()
    stop(stopped)
    with monkeypatch.context() as unseen:
        unseen.setattr(worker_process._Server, "is_stopped", False)
        asked = start()
    wait_for(asked.has_ended)
    assert heard(asked) is None
    assert stopped.poll() is not None


def test_a_server_that_is_stopped_for_a_moment_goes_on(start, monkeypatch):
    monkeypatch.setattr(worker_process, "_LOOK_SECONDS", 0.05)
    for _ in range(2):
        assert heard(start()) == "ready"
    server, looks = server_of(), []

    def stopped_once(_):
        looks.append(len(looks))
        if len(looks) == 2:
            os.kill(server.pid, signal.SIGCONT)
        return len(looks) == 1

    stop(server)
    monkeypatch.setattr(worker_process._Server, "is_stopped", False)
    asked = start()
    monkeypatch.setattr(worker_process._Server, "is_stopped", property(stopped_once))
    assert heard(asked) == "ready"
    assert server.poll() is None


def test_the_end_of_a_worker_is_seen_whose_server_is_stopped(start, monkeypatch):
    monkeypatch.setattr(worker_process, "_LOOK_SECONDS", 0.05)
    for _ in range(2):
        worker = start()
        assert heard(worker) == "ready"
    stop(server_of())
    os.kill(worker.pid, signal.SIGKILL)
    wait_for(worker.has_ended)


def test_where_a_process_cannot_be_watched_each_worker_is_begun_by_itself(start, monkeypatch):
    def lacking(_):
        raise OSError(errno.ENOSYS, "Function not implemented")  # Linux before 5.3

    monkeypatch.setattr(os, "pidfd_open", lacking)
    assert not any(is_forked(start()) for _ in range(3))


def test_a_worker_of_which_nobody_could_tell_the_end_is_ended(start, monkeypatch):
    start()
    monkeypatch.setattr(worker_process, "_can_fork", lambda: True)
    monkeypatch.setattr(os, "pidfd_open", too_many_files)
    worker = start()
    assert heard(worker) == "ready"
    server_of().kill()
    worker.wait()
    wait_for(lambda: not alive(worker.pid))


def too_many_files(_):
    raise OSError(errno.EMFILE, "Too many open files")


def test_the_end_is_seen_of_a_worker_whose_file_has_a_large_number(start, monkeypatch):
    """As in a process with a thousand open files."""
    opened = os.pidfd_open

    def large(pid):
        file = opened(pid)
        number = fcntl.fcntl(file, fcntl.F_DUPFD_CLOEXEC, 1030)
        os.close(file)
        return number

    start()
    monkeypatch.setattr(os, "pidfd_open", large)
    worker = start()
    assert heard(worker) == "ready"
    server_of().kill()
    server_of().wait()
    os.kill(worker.pid, signal.SIGKILL)
    wait_for(worker.has_ended)


def test_a_worker_is_ended_before_it_was_forked(start):
    start()
    worker = start()
    worker.end()
    assert worker.has_ended()
    assert not (worker.pid and alive(worker.pid))
    assert heard(start()) == "ready"


def test_a_server_that_cannot_import_is_told_in_the_log_and_no_worker_hangs(start, tmp_path):
    env = os.environ | {"PYTHONPATH": str(tmp_path)}
    assert heard(start(env)) == "ready"
    (tmp_path / "anndata.py").write_text("raise ImportError('there is no anndata')\n")
    broken = start(env)
    assert is_forked(broken)
    broken.wait()
    assert "there is no anndata" in (tmp_path / "1.log").read_text()


def test_servers_and_workers_end_with_their_parent(tmp_path):
    code = f"""
import os, sys, time
from spared_bench.executors.worker import OF_KEYS
from spared_bench.executors.worker_process import start_worker
workers = []
for number in range(3):
    with open({str(tmp_path)!r} + f"/{{number}}.log", "wb") as log:
        workers.append(start_worker(dict(os.environ), 1, log))
while not all(worker.pid for worker in workers):
    time.sleep(0.05)
from spared_bench.executors import worker_process
print(worker_process._servers[-1][1]._process.pid, *(worker.pid for worker in workers), flush=True)
time.sleep(600)
"""
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    try:
        numbers = [int(number) for number in parent.stdout.readline().split()]
        assert len(numbers) == 4
        assert all(alive(number) for number in numbers)
    finally:
        parent.kill()
        parent.wait()
    wait_for(lambda: not any(alive(number) for number in numbers))
