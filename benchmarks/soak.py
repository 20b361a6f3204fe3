"""Kill a run again and again at random moments, and see whether the end is that of a quiet one.

    python benchmarks/soak.py [--rounds 10] [--seed 0] [--executor local] [--track] [--makings 0]

Every round, after a random time, kills (SIGKILL) the orchestrator or one of its processes, or flips
a byte of a stored file, or takes a file away. With ``--track`` the runs log to MLflow, and a round
may take its database away and kill who makes it again; ``--makings N`` does so N times more at the
end, when there are results to be logged, at moments from the first migration to the last log.
Where the run has ended, a third of the
results is taken away and the same command starts again. After the last round the store is verified
and repaired, the command runs undisturbed, and its results (and what MLflow holds) are compared
with those of a workspace that was never disturbed. With ``--executor dask`` a scheduler and two
workers run beside, and are killed and started again like the others. Exit status 1 if anything
differs or is left behind.
"""

from __future__ import annotations

import argparse
import collections
import json
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

TESTS = Path(__file__).parents[1] / "tests"
PREDICTORS = ("toy-ridge", "toy-busy", "toy-raises", "toy-nan", "toy-mean")
VOLATILE = ("seconds", "environment", "traceback")


def command(root: Path, protocol: Path, *arguments: str) -> list[str]:
    """Return the run that is disturbed."""
    chosen = [word for name in PREDICTORS for word in ("-p", name)]
    return [
        sys.executable, "-m", "spared_bench", "run", "--suite", str(protocol), "-d", "toy",
        "-c", "none", "-c", "median", "--plugin", str(TESTS / "toy_plugin.py"), "-w", str(root),
        "--device", "cpu", "--no-figures", "--breaker", "0", "--json",
        "--set", "toy-busy.rounds=1500000", *chosen, *arguments,
    ]  # fmt: skip


class Cluster:
    """A scheduler and two workers, which come back when they were killed."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._port = folder, "0"
        self._processes: list[subprocess.Popen] = []

    def start(self) -> str:
        """Start what is not there; return the scheduler's address."""
        if not self._processes or self._processes[0].poll() is not None:
            self.stop()
            scheduler = self._open("scheduler", "--host", "127.0.0.1", "--no-dashboard")
            self._processes = [scheduler]
            for line in scheduler.stderr or ():
                if found := re.search(r"tcp://127\.0\.0\.1:\d+", line):
                    self._address = found[0]
                    break
        living = [process for process in self._processes if process.poll() is None]
        while len(living) < 3:
            living.append(self._open("worker", self._address, "--nthreads", "1", "--no-nanny"))
        self._processes = living
        return self._address

    def _open(self, kind: str, *arguments: str) -> subprocess.Popen:
        return subprocess.Popen(
            [sys.executable, "-m", f"distributed.cli.dask_{kind}", *arguments],
            stderr=subprocess.PIPE if kind == "scheduler" else subprocess.DEVNULL,
            text=True,
            cwd=self._folder,
        )

    @property
    def pids(self) -> list[int]:
        return [process.pid for process in self._processes]

    def stop(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()


def disturb(
    chance: random.Random, run: subprocess.Popen, root: Path, cluster: Cluster | None, track: bool
) -> str:
    """Do one bad thing; return what."""
    bad = ["orchestrator", "orchestrator", "worker", "worker", "flip", "remove"]
    what = chance.choice([*bad, *["database"] * 3 * track])
    if what == "database":
        return _kill_while_database_is_made(chance, run, root)
    if what == "orchestrator":
        run.kill()
    elif what == "worker":
        victims = [child.pid for child in _children(run.pid)] + (cluster.pids if cluster else [])
        if not victims:
            return "nothing (no worker yet)"
        psutil.Process(chance.choice(victims)).kill()
    else:
        files = sorted(path for path in (root / "store").glob("trials/*/*/*") if path.is_file())
        if not files:
            return "nothing (no file yet)"
        _damage(chance.choice(files), what)
    return what


def _kill_while_database_is_made(chance: random.Random, run: subprocess.Popen, root: Path) -> str:
    """Kill the run and take MLflow's database away; kill who makes it again."""
    run.kill()
    run.wait()
    (root / "mlflow.db").unlink(missing_ok=True)
    maker = subprocess.Popen(_sync(root), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 60
    while maker.poll() is None and time.monotonic() < until:
        if any(root.glob("mlflow.db.making.*")) or (root / "mlflow.db").exists():
            time.sleep(chance.uniform(0, 3))
            break
        time.sleep(0.01)
    maker.kill()
    maker.wait()
    return "database" if not (root / "mlflow.db").exists() else "database (it was whole)"


def kill_makers(chance: random.Random, root: Path, times: int) -> collections.Counter[str]:
    """Kill again and again who makes MLflow's database and logs what is there; count the phases.

    Half of the times the database is taken away before, and half of the times it stays as the last
    kill has left it.
    """
    database, phases = root / "mlflow.db", collections.Counter[str]()
    database.unlink(missing_ok=True)
    begun = time.monotonic()
    subprocess.run(_sync(root), check=True, stdout=subprocess.DEVNULL)
    longest = time.monotonic() - begun
    for _ in range(times):
        if chance.random() < 0.5:
            database.unlink(missing_ok=True)
        maker = subprocess.Popen(_sync(root), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until = time.monotonic() + chance.uniform(0.2, 1) * longest
        while maker.poll() is None and time.monotonic() < until:
            time.sleep(0.01)
        making = any(_is_of(maker.pid, path) for path in root.glob("mlflow.db.making.*"))
        ended = maker.poll() is not None
        maker.kill()
        maker.wait()
        if ended:
            phases["ended before"] += 1
        elif making:
            phases["while it is made"] += 1
        else:
            phases["while results are logged" if database.exists() else "before"] += 1
    return phases


def _sync(root: Path) -> list[str]:
    return [sys.executable, "-m", "spared_bench", "track", "sync", "-w", str(root)]


def _is_of(pid: int, path: Path) -> bool:
    return f".{pid}-" in path.name


def _children(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _damage(path: Path, how: str) -> None:
    try:
        content = path.read_bytes()
        path.unlink()
        if how == "flip" and content:
            path.write_bytes(bytes([content[0] ^ 1]) + content[1:])
    except FileNotFoundError:
        pass


def results_of(root: Path, protocol: Path, *arguments: str) -> dict[str, dict]:
    """Run undisturbed; return the results by key, without times."""
    done = subprocess.run(
        command(root, protocol, "--executor", "inline", "--no-track", *arguments),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    results = {result["key"]: result for result in json.loads(done.stdout)["results"]}
    return {
        key: {name: value for name, value in result.items() if name not in VOLATILE}
        for key, result in results.items()
    }


def tracked_of(root: Path) -> list[dict]:
    """Log everything to MLflow and read it back, without times."""
    from spared_bench.results import without_times
    from spared_bench.tracking.tracker import Tracker

    subprocess.run(_sync(root), check=True, stdout=subprocess.DEVNULL)
    return [without_times(result) for result in Tracker(root).results()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--track", action="store_true", help="log to MLflow, and kill that too")
    parser.add_argument("--makings", type=int, default=0, help="more kills while MLflow's is made")
    parser.add_argument("--executor", choices=["local", "dask"], default="local")
    parser.add_argument("--seeds", type=int, default=30, help="ten trials each, and a search")
    parser.add_argument("--longest", type=float, default=15.0, help="seconds before a disturbance")
    chosen = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="spared-bench-soak-"))
    cluster = Cluster(folder) if chosen.executor == "dask" else None
    try:
        ok = soak(folder, chosen, cluster)
    finally:
        if cluster is not None:
            cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)
    sys.exit(0 if ok else 1)


def soak(folder: Path, chosen: argparse.Namespace, cluster: Cluster | None) -> bool:
    protocol = folder / "soak.yaml"
    text = (TESTS / "toy.yaml").read_text()
    protocol.write_text(text + f"seeds: {list(range(chosen.seeds))}\n")
    chance, root = random.Random(chosen.seed), folder / "disturbed"
    done: collections.Counter[str] = collections.Counter()
    seen: dict[int, float] = {}
    run = None
    for number in range(chosen.rounds):
        if run is None or run.poll() is not None:
            _forget_some(chance, root)
            arguments = ["--executor", chosen.executor, "--workers", "2", "--isolate"]
            arguments += [] if chosen.track else ["--no-track"]
            if cluster is not None:
                arguments += ["--cluster", cluster.start()]
            run = subprocess.Popen(
                command(root, protocol, *arguments),
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
        time.sleep(chance.uniform(2.0, chosen.longest))
        seen |= {child.pid: _begun(child) for child in _children(run.pid)}
        what = disturb(chance, run, root, cluster, chosen.track)
        done[what] += 1
        entries = len(list((root / "store").glob("trials/*/*")))
        print(f"{number + 1}: {what}, with {entries} trials there", flush=True)
    if run is not None:
        run.kill()
        run.wait()
    subprocess.run(
        [sys.executable, "-m", "spared_bench", "store", "verify", "--repair", "-w", str(root)],
        check=True,
    )
    disturbed = results_of(root, protocol, "--retry-failed", "--retry-quarantined")
    quiet = results_of(folder / "quiet", protocol)
    if chosen.makings:
        phases = kill_makers(chance, root, chosen.makings)
        cells = len(list((root / "store" / "cells").glob("*.json")))
        print(f"MLflow's database, {cells} cells to be logged: {dict(phases)}", flush=True)
    tracked = not chosen.track or tracked_of(root) == tracked_of(folder / "quiet")
    litter = [str(path) for path in (root / "store" / "tmp").glob("*")]
    litter += [str(path) for path in root.glob("mlflow.db?*")]
    leases = [str(path) for path in (root / "store" / "leases").glob("*.lease")]
    left = [pid for pid, begun in seen.items() if _lives(pid, begun)]
    same = disturbed == quiet
    print(f"{dict(done)}: {len(quiet)} results, {'the same' if same else 'DIFFERENT'};")
    print(f"left behind: {len(litter)} half-written, {len(leases)} leases, {len(left)} processes.")
    if chosen.track:
        print(f"MLflow holds {'the same' if tracked else 'SOMETHING ELSE'}.")
    return same and tracked and not (litter or leases or left)


def _forget_some(chance: random.Random, root: Path) -> None:
    """Take a third of the results away, so that there is work for the next run."""
    folders = sorted((root / "store").glob("trials/*/*"))
    for folder in chance.sample(folders, len(folders) // 3):
        shutil.rmtree(folder)


def _begun(process: psutil.Process) -> float:
    try:
        return process.create_time()
    except psutil.NoSuchProcess:
        return 0.0


def _lives(pid: int, begun: float) -> bool:
    try:
        process = psutil.Process(pid)
        return process.create_time() == begun and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


if __name__ == "__main__":
    main()
