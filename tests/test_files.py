"""Sizes of what lies below a folder."""

from __future__ import annotations

import os

from spared_bench.files import bytes_below


def test_all_files_below_a_folder_count_and_nothing_that_is_none(tmp_path):
    folder = tmp_path / "folder"
    (folder / "a" / "b").mkdir(parents=True)
    (folder / "one").write_bytes(b"1")
    (folder / "a" / ".hidden").write_bytes(b"22")
    (folder / "a" / "b" / "three").write_bytes(b"333")
    (tmp_path / "other").write_bytes(b"4444")
    (folder / "link").symlink_to(tmp_path / "other")
    (folder / "nowhere").symlink_to(tmp_path / "gone")
    os.mkfifo(folder / "pipe")
    assert bytes_below(folder) == 1 + 2 + 3 + 4
    assert bytes_below(tmp_path / "gone") == 0
