"""Archives: what is plain arrives, what is not is refused whole."""

from __future__ import annotations

import io
import tarfile
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spared_bench.errors import DownloadError
from spared_bench.unpack import is_safe, unpack


def tar(path, *members, mode="w:gz"):
    with tarfile.open(path, mode) as archive:
        for name, kind, content in members:
            info = tarfile.TarInfo(name)
            info.type = kind
            if kind == tarfile.REGTYPE:
                info.size = len(content)
            else:
                info.linkname = "target"
            archive.addfile(info, io.BytesIO(content))
    return path


def zip_(path, **members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def test_a_tar_archive_arrives_without_the_folder_around_it(tmp_path):
    folder = ("top", tarfile.DIRTYPE, b"")
    members = ("top/a/b", tarfile.REGTYPE, b"1"), ("top/c", tarfile.REGTYPE, b"2")
    archive = tar(tmp_path / "x.tar.gz", folder, *members)
    assert unpack(archive, tmp_path / "out", tmp_path / "work") == ["a/b", "c"]
    assert (tmp_path / "out" / "a" / "b").read_bytes() == b"1"


def test_several_folders_side_by_side_keep_their_names(tmp_path):
    archive = zip_(tmp_path / "x.zip", **{"a/x": "1", "b/x": "2"})
    assert unpack(archive, tmp_path / "out", tmp_path / "work") == ["a/x", "b/x"]
    assert (tmp_path / "out" / "b" / "x").read_text() == "2"


def test_files_beside_those_of_the_archive_stay(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("kept")
    unpack(zip_(tmp_path / "x.zip", y="1"), tmp_path / "out", tmp_path / "work")
    assert (tmp_path / "out" / "mine").read_text() == "kept"


@pytest.mark.parametrize("name", ["../evil", "/evil", "a/../../evil", "C:\\evil", "..\\evil"])
def test_a_member_outside_the_folder_refuses_the_archive(tmp_path, name):
    good = ("good", tarfile.REGTYPE, b"1")
    archives = [
        tar(tmp_path / "x.tar", good, (name, tarfile.REGTYPE, b"!"), mode="w"),
        zip_(tmp_path / "x.zip", **{"good": "1", name: "!"}),
    ]
    for number, archive in enumerate(archives):
        with pytest.raises(DownloadError, match="leads outside its folder; nothing of it was kept"):
            unpack(archive, tmp_path / "out", tmp_path / f"work{number}")
        assert not (tmp_path / "out").exists()
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE]
)
def test_links_and_devices_in_a_tar_are_refused(tmp_path, kind):
    with pytest.raises(DownloadError, match="'odd', which is a link or a device"):
        unpack(tar(tmp_path / "x.tar.gz", ("odd", kind, b"")), tmp_path, tmp_path / "work")


def test_links_in_a_zip_are_refused(tmp_path):
    link = zipfile.ZipInfo("odd")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(DownloadError, match="is a link or a device"):
        unpack(tmp_path / "x.zip", tmp_path, tmp_path / "work")


def test_an_archive_that_swells_is_stopped(tmp_path):
    archive = zip_(tmp_path / "x.zip", a="0" * 600, b="0" * 600)
    assert unpack(archive, tmp_path / "out", tmp_path / "work", max_bytes=1200) == ["a", "b"]
    with pytest.raises(DownloadError, match="unpacks to more data than is allowed"):
        unpack(archive, tmp_path / "other", tmp_path / "work2", max_bytes=1199)
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("name", ["x.zip", "x.tar.gz"])
def test_damage_and_other_formats_are_one_clear_error(tmp_path, name):
    whole = zip_(tmp_path / "good.zip", a="x" * 9000)
    tar(tmp_path / "good.tar.gz", ("a", tarfile.REGTYPE, bytes(range(256)) * 40))
    whole = tmp_path / f"good.{name.split('.', 1)[1]}"
    for content in (whole.read_bytes()[:-40], b"<html>404</html>", b""):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DownloadError, match=f"{name} cannot be unpacked"):
            unpack(tmp_path / name, tmp_path / "out", tmp_path / "work")
        assert not (tmp_path / "out").exists()


@given(st.text(alphabet="a./\\:C", max_size=8))
def test_a_safe_path_stays_in_its_folder(name):
    import ntpath
    import posixpath

    if is_safe(name):
        for flavour in (posixpath, ntpath):
            joined = flavour.normpath(flavour.join("/base/folder", name))
            assert joined.replace("\\", "/").startswith("/base/folder")
