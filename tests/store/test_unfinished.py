from __future__ import annotations

import os
import time

from spared_bench.store.unfinished import abandoned, old_logs

DAY = 86_400


def made(folder, name, ages):
    """Make a folder whose files were written so many days ago."""
    (folder / name / "deep").mkdir(parents=True)
    for number, age in enumerate(ages):
        file = folder / name / "deep" / f"{number}.npy"
        file.write_bytes(b"x" * 100)
        os.utime(file, (time.time() - age * DAY,) * 2)
    for path in (folder / name / "deep", folder / name):
        os.utime(path, (time.time() - max(ages) * DAY,) * 2)
    return folder / name


def test_work_is_abandoned_when_its_newest_file_is_old(tmp_path):
    folder = tmp_path / "training"
    assert abandoned(folder, 7) == []
    old = made(folder, "old", [9, 8])
    made(folder, "goes on", [9, 0.1])
    elsewhere = made(tmp_path, "elsewhere", [30])
    (folder / "linked").symlink_to(elsewhere)
    (folder / "a file").write_text("")

    (found,) = abandoned(folder, 7)
    assert found[0] == old
    assert found[1] >= 200  # the files, and what the system counts of a folder
    assert abandoned(folder, 10) == []


def test_logs_into_which_nobody_writes_any_more_are_old(tmp_path):
    assert old_logs(tmp_path / "logs", 7) == []
    (tmp_path / "logs").mkdir()
    for name, age in (("worker-1-0", 8), ("worker-2-0-forks", 9), ("worker-3-0", 1), ("mine", 90)):
        log = tmp_path / "logs" / f"{name}.log"
        log.write_text("words")
        os.utime(log, (time.time() - age * DAY,) * 2)
    found = [(path.name, size) for path, size in old_logs(tmp_path / "logs", 7)]
    assert found == [("worker-1-0.log", 5), ("worker-2-0-forks.log", 5)]
