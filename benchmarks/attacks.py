"""How long it takes to refuse every hostile bundle of the tests, and in how much memory.

    python benchmarks/attacks.py

Makes each bundle of ``tests/submissions/attacks.py`` from a sound one of the toy dataset, runs
``spared-bench submit check`` on it in a process of its own, and prints the slowest and the largest.
"""

from __future__ import annotations

import resource
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from spared_bench.api import execute, make_bench, select  # noqa: E402
from spared_bench.submissions.build import build  # noqa: E402
from tests.conftest import TOY_PLUGIN, TOY_PROTOCOL  # noqa: E402
from tests.submissions.attacks import ATTACKS  # noqa: E402


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        here = Path(scratch)
        bench = make_bench(
            str(TOY_PROTOCOL), workspace=here / "w", plugin_files=[TOY_PLUGIN], device="cpu"
        )
        execute(select(bench, predictors=["toy-ridge"]), executor="inline")
        sound = build(bench, "toy-ridge", here).archive
        rows = [(name, *measure(name, sound, here)) for name in ATTACKS]
        rows.append(("nothing: the sound bundle", *checked(sound, here)))
    print(f"{'wall s':>8} {'cpu s':>6} {'MB':>6}  status  attack")
    for name, wall, cpu, megabytes, status in sorted(rows, key=lambda row: -row[2])[:10]:
        print(f"{wall:8.2f} {cpu:6.2f} {megabytes:6.0f}  {status:<6}  {name}")
    print(f"{len(ATTACKS)} attacks; the largest took {max(row[3] for row in rows):.0f} MB")
    print(f"not refused: {[row[0] for row in rows if row[4] != 1]}")


def measure(name: str, sound: Path, here: Path) -> tuple[float, float, float, int]:
    """Make one attack and check it."""
    folder, out = here / "folder", here / "out"
    with zipfile.ZipFile(sound) as packed:
        packed.extractall(folder)
    out.mkdir()
    try:
        return checked(ATTACKS[name][0](folder, out), here)
    finally:
        shutil.rmtree(folder)
        shutil.rmtree(out)


_CHILD = """
import atexit, sys
from pathlib import Path
def tell(path):  # the peak of this process alone; rusage counts its parent before the exec
    status = Path("/proc/self/status").read_text()
    Path(path).write_text(status.split("VmHWM:")[1].split()[0])
atexit.register(tell, sys.argv.pop(1))
from spared_bench.cli import main
main()
"""


def checked(bundle: Path, here: Path) -> tuple[float, float, float, int]:
    """Return wall and CPU seconds, peak MB and exit status of ``submit check``."""
    command = [sys.executable, "-c", _CHILD, str(here / "peak"), "submit", "check", str(bundle)]
    command += ["--protocol", str(TOY_PROTOCOL), "--plugin", str(TOY_PLUGIN), "-w", str(here / "w")]
    begun, before = time.perf_counter(), cpu_of_children()
    done = subprocess.run(command, capture_output=True, check=False)
    seconds = time.perf_counter() - begun
    return (
        seconds,
        cpu_of_children() - before,
        int((here / "peak").read_text()) / 1e3,
        done.returncode,
    )


def cpu_of_children() -> float:
    """Return the CPU seconds of all children that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
