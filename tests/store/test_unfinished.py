from __future__ import annotations

import os
import time

from spared_bench.store.unfinished import abandoned

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
