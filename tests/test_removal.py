"""A folder goes whatever was left in it, and nothing but that."""

from __future__ import annotations

import os

from spared_bench.removal import remove_folder


def test_a_folder_goes_however_deep_it_is_and_whatever_rights_were_taken_away(tmp_path):
    folder, kept = tmp_path / "folder", tmp_path / "kept"
    kept.mkdir()
    (kept / "file").write_text("stays")
    folder.mkdir()
    (folder / "away").symlink_to(kept)
    below = os.open(folder, os.O_RDONLY)
    for number in range(1500):
        os.mkdir("deeper", dir_fd=below)
        os.close(os.open("file", os.O_CREAT, 0o000, dir_fd=below))
        os.symlink(kept, "linked", dir_fd=below)
        inner = os.open("deeper", os.O_RDONLY, dir_fd=below)
        if number % 100 == 0:
            os.fchmod(below, 0o000)
        os.close(below)
        below = inner
    os.close(below)

    remove_folder(folder)
    assert list(tmp_path.iterdir()) == [kept]
    assert (kept / "file").read_text() == "stays"


def test_a_link_or_nothing_is_left_as_it_is(tmp_path):
    kept = tmp_path / "kept"
    kept.mkdir()
    (tmp_path / "link").symlink_to(kept)
    remove_folder(tmp_path / "link")
    remove_folder(tmp_path / "nothing")
    assert (tmp_path / "link").is_symlink()
    assert kept.is_dir()
