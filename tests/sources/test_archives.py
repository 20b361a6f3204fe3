"""Archives: what is plain arrives, what is not is refused whole."""

from __future__ import annotations

import gzip
import io
import shutil
import struct
import subprocess
import tarfile
import tempfile
import zipfile
import zlib
from contextlib import nullcontext
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spared_bench.errors import DownloadError
from spared_bench.sources.archives import (
    check_zip_directory,
    is_safe,
    sound_zip,
    unpack,
    unpack_nested,
)


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


def test_a_zip_that_is_cut_short_is_told_as_that_alone(tmp_path):
    whole = zip_(tmp_path / "slides.zip", **{"a.bin": bytes(range(256)) * 40}).read_bytes()
    (tmp_path / "cut.zip").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DownloadError, match=r"unpacked: it is a zip whose end is missing") as found:
        unpack(tmp_path / "cut.zip", tmp_path / "there")
    assert "\n" not in str(found.value)


def test_the_folder_around_everything_is_stripped(tmp_path):
    folder = ("top", tarfile.DIRTYPE, b"")
    members = ("top/a/b", tarfile.REGTYPE, b"1"), ("top/c", tarfile.REGTYPE, b"2")
    root, names = unpack(tar(tmp_path / "x.tar.gz", folder, *members), tmp_path / "out")
    assert names == ["a/b", "c"]
    assert [(root / name).read_bytes() for name in names] == [b"1", b"2"]


@pytest.mark.parametrize("names", [["a/x", "b/x"], ["a/x", "y"], ["y"]])
def test_what_no_single_folder_holds_keeps_its_names(tmp_path, names):
    archive = zip_(tmp_path / "x.zip", **{name: name for name in names})
    assert unpack(archive, tmp_path / "out") == (tmp_path / "out", names)
    assert [(tmp_path / "out" / name).read_text() for name in names] == names


@pytest.mark.parametrize(
    "name", ["../evil", "/evil", "a/../../evil", "C:\\evil", "..\\evil", ".", "./."]
)
def test_a_member_outside_the_folder_refuses_the_archive(tmp_path, name):
    good = ("good", tarfile.REGTYPE, b"1")
    archives = [
        tar(tmp_path / "x.tar", good, (name, tarfile.REGTYPE, b"!"), mode="w"),
        zip_(tmp_path / "x.zip", **{"good": "1", name: "!"}),
    ]
    for number, archive in enumerate(archives):
        with pytest.raises(DownloadError, match="leads outside its folder; nothing of it was kept"):
            unpack(archive, tmp_path / "a" / f"out{number}")
    assert not list(tmp_path.rglob("*evil*"))


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE]
)
def test_links_and_devices_in_a_tar_are_refused(tmp_path, kind):
    with pytest.raises(DownloadError, match="'odd', which is a link or a device"):
        unpack(tar(tmp_path / "x.tar.gz", ("odd", kind, b"")), tmp_path / "out")


def test_links_in_a_zip_are_refused(tmp_path):
    link = zipfile.ZipInfo("odd")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(DownloadError, match="is a link or a device"):
        unpack(tmp_path / "x.zip", tmp_path / "out")


def test_an_archive_that_swells_is_stopped(tmp_path):
    archive = zip_(tmp_path / "x.zip", a="0" * 600, b="0" * 600)
    assert unpack(archive, tmp_path / "out", max_bytes=1200)[1] == ["a", "b"]
    with pytest.raises(DownloadError, match="unpacks to more data than is allowed"):
        unpack(archive, tmp_path / "other", max_bytes=1199)


@pytest.mark.parametrize("name", ["x.zip", "x.tar.gz"])
def test_damage_and_other_formats_are_one_clear_error(tmp_path, name):
    zip_(tmp_path / "good.zip", a="x" * 9000)
    tar(tmp_path / "good.tar.gz", ("a", tarfile.REGTYPE, bytes(range(256)) * 40))
    whole = tmp_path / f"good.{name.split('.', 1)[1]}"
    for content in (whole.read_bytes()[:-40], b"<html>404</html>", b""):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DownloadError, match=f"{name} cannot be unpacked"):
            unpack(tmp_path / name, tmp_path / "out")


@given(st.text(alphabet="a./\\:C", max_size=8))
def test_a_safe_path_stays_in_its_folder(name):
    import ntpath
    import posixpath

    if is_safe(name):
        for flavour in (posixpath, ntpath):
            joined = flavour.normpath(flavour.join("/base/folder", name))
            assert joined.replace("\\", "/").startswith("/base/folder")


def test_an_inner_archive_does_not_go_over_what_is_there(tmp_path):
    inner = zip_(tmp_path / "inner.zip", x="1").read_bytes()
    (tmp_path / "root" / "a").mkdir(parents=True)
    (tmp_path / "root" / "a.zip").write_bytes(inner)
    with pytest.raises(DownloadError, match=r"holds both 'a\.zip' and 'a'"):
        unpack_nested(tmp_path / "root", ["a.zip", "a/y"], "*.zip", 100)


def test_a_name_in_another_encoding_than_a_zip_says_is_damage(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as packed:
        packed.writestr("é", b"1")
    data = (tmp_path / "x.zip").read_bytes()
    (tmp_path / "x.zip").write_bytes(data.replace("é".encode(), b"\xff\xff"))
    with pytest.raises(DownloadError, match=r"x\.zip cannot be unpacked: 'utf-8' codec"):
        unpack(tmp_path / "x.zip", tmp_path / "out")


@pytest.mark.parametrize(
    "names",
    [("a", "a"), ("./a", "a"), ("a/b", "a//b"), ("a/./b", "a/b"), ("a", "a/b"), ("a", "a/b/c")],
)
def test_two_members_that_would_be_one_file_refuse_the_archive(tmp_path, names):
    pairs = list(zip(names, (b"1", b"2"), strict=True))
    plain = [(name, tarfile.REGTYPE, content) for name, content in pairs]
    tar(tmp_path / "x.tar", *plain, mode="w")
    warns = pytest.warns(UserWarning, match="Duplicate") if len(set(names)) == 1 else nullcontext()
    with warns, zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        for name, content in pairs:
            archive.writestr(name, content)
    for number, name in enumerate(["x.tar", "x.zip"]):
        told = rf"archive {name} holds '{PurePosixPath(names[1])}' twice.* Nothing of it was kept"
        with pytest.raises(DownloadError, match=told):
            unpack(tmp_path / name, tmp_path / f"out{number}")


def test_names_of_windows_and_of_others_that_meet_refuse_the_archive(tmp_path):
    archive = zip_(tmp_path / "x.zip", **{"a\\b": "1", "a/b": "2"})
    with pytest.raises(DownloadError, match=r"x\.zip holds 'a/b' twice"):
        unpack(archive, tmp_path / "out")


def test_names_that_differ_by_letter_case_are_two_where_the_system_tells_them_apart(tmp_path):
    archive = zip_(tmp_path / "x.zip", **{"a": "1", "A": "2"})
    (tmp_path / "probe").touch()
    if (tmp_path / "PROBE").exists():
        with pytest.raises(DownloadError, match=r"x\.zip holds 'A' twice"):
            unpack(archive, tmp_path / "out")
    else:
        root, names = unpack(archive, tmp_path / "out")
        assert {name: (root / name).read_text() for name in names} == {"a": "1", "A": "2"}


def test_a_folder_may_be_listed_as_often_as_one_likes(tmp_path):
    folder = ("top/a", tarfile.DIRTYPE, b"")
    member = ("top/a/b", tarfile.REGTYPE, b"1")
    archive = tar(tmp_path / "x.tar", folder, folder, member, folder, mode="w")
    assert unpack(archive, tmp_path / "out") == (tmp_path / "out" / "top", ["a/b"])


def test_what_archives_in_an_archive_hold_is_bounded_together(tmp_path):
    names = [f"{number}.gz" for number in range(3)]
    for name in names:
        (tmp_path / name).write_bytes(gzip.compress(bytes(40)))
    with pytest.raises(DownloadError, match=r"archive 2\.gz unpacks to more data than is allowed"):
        unpack_nested(tmp_path, names, "*.gz", 100)


def test_a_packed_file_does_not_go_over_one_of_its_name(tmp_path):
    (tmp_path / "a.csv").write_text("plain")
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"packed"))
    with pytest.raises(DownloadError, match=r"a\.csv\.gz holds 'a\.csv' twice"):
        unpack_nested(tmp_path, ["a.csv", "a.csv.gz"], "*.gz", 100)
    assert (tmp_path / "a.csv").read_text() == "plain"


def test_an_archive_of_too_many_members_is_refused_whatever_they_are(tmp_path):
    folders = [(f"f{i}", tarfile.DIRTYPE, b"") for i in range(30)]
    archives = [
        tar(tmp_path / "x.tar.gz", *folders),
        zip_(tmp_path / "x.zip", **{f"f{i}/": "" for i in range(30)}),
    ]
    for number, archive in enumerate(archives):
        with pytest.raises(DownloadError, match="unpacks to more data than is allowed"):
            unpack(archive, tmp_path / f"out{number}", max_members=29)
        unpack(archive, tmp_path / f"out{number}", max_members=30)


def test_a_list_of_members_too_long_for_their_number_is_refused_before_it_is_read(tmp_path):
    archive = zip_(tmp_path / "x.zip", **{"n" * 60_000: "1"})
    with pytest.raises(DownloadError, match="unpacks to more data than is allowed"):
        check_zip_directory(archive, max_members=10)
    check_zip_directory(archive, max_members=100)


def test_what_is_no_zip_has_no_list_of_members(tmp_path):
    (tmp_path / "x.zip").write_bytes(b"PK no zip")
    with pytest.raises(DownloadError, match="its end is missing"):
        check_zip_directory(tmp_path / "x.zip")


def test_backslashes_of_windows_separate_folders(tmp_path):
    archive = zip_(tmp_path / "x.zip", **{"top\\": "", "top\\a\\b": "1", "top\\c": "2"})
    root, names = unpack(archive, tmp_path / "out")
    assert {name: (root / name).read_text() for name in names} == {"a/b": "1", "c": "2"}


KERNEL = zlib.compress(bytes(2**20), 9)[2:-4]  # raw deflate, as in a zip
KERNEL_BYTES = len(KERNEL)
CRC = zlib.crc32(bytes(2**20))


def local_header(name, compressed=KERNEL_BYTES, size=2**20, method=zipfile.ZIP_DEFLATED):
    facts = struct.pack("<5H3I2H", 20, 0, method, 0, 33, CRC, compressed, size, len(name), 0)
    return b"PK\3\4" + facts + name


def listed(name, offset, compressed=KERNEL_BYTES, size=2**20, method=zipfile.ZIP_DEFLATED):
    facts = struct.pack("<6H3I5H2I", 20, 20, 0, method, 0, 33, CRC, compressed, size, len(name),
                        *[0] * 5, offset)  # fmt: skip
    return b"PK\1\2" + facts + name


def by_hand(path, body, entries):
    """Write a zip of any body and any list of members."""
    size = sum(map(len, entries))
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, len(entries), len(entries), size, len(body), 0)
    path.write_bytes(body + b"".join(entries) + end)
    return path


def all_in_one_place(path):
    body = local_header(b"m000") + KERNEL
    return by_hand(path, body, [listed(b"m%03d" % number, 0) for number in range(200)])


def one_within_another(path):
    """A stored member whose content is another member, header and all."""
    inner = local_header(b"inner") + KERNEL
    outer = local_header(b"outer", len(inner), len(inner), zipfile.ZIP_STORED)
    entries = [
        listed(b"outer", 0, len(inner), len(inner), zipfile.ZIP_STORED),
        listed(b"inner", len(outer)),
    ]
    return by_hand(path, outer + inner, entries)


def headers_quoted(path, count=50):
    """As of Fifield: each member's deflate stream quotes the next header, then shares the rest."""
    body, offsets, stream = b"", [], KERNEL
    for number in reversed(range(count)):
        name = b"m%03d" % number
        header = local_header(name, len(stream))
        offsets.append((name, len(stream), len(header)))
        body = header + stream
        stream = b"\0" + struct.pack("<2H", len(header), len(header) ^ 0xFFFF) + body
    entries, place = [], 0
    for name, compressed, header in reversed(offsets):
        entries.append(listed(name, place, compressed))
        place += header + 5
    return by_hand(path, body, entries)


def into_the_list(path):
    body = local_header(b"m", len(KERNEL) + 40) + KERNEL
    return by_hand(path, body, [listed(b"m", 0, len(KERNEL) + 40)])


def stored_and_larger(path):
    body = local_header(b"m", 10, 2**30, zipfile.ZIP_STORED) + bytes(10)
    return by_hand(path, body, [listed(b"m", 0, 10, 2**30, zipfile.ZIP_STORED)])


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (all_in_one_place, "shares its bytes with"),
        (one_within_another, "shares its bytes with 'outer'"),
        (headers_quoted, "shares its bytes with"),
        (into_the_list, "reaches into the list of members"),
        (stored_and_larger, "claims another size than it takes"),
    ],
)
def test_members_that_take_bytes_of_others_refuse_the_archive(tmp_path, make, what):
    archive = make(tmp_path / "x.zip")
    with zipfile.ZipFile(archive) as packed:  # a zip as far as Python is concerned
        assert sum(info.file_size for info in packed.infolist()) >= 2**20
    with pytest.raises(DownloadError, match=what):
        unpack(archive, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@given(
    contents=st.lists(st.tuples(st.binary(max_size=50), st.booleans()), max_size=6),
    prefix=st.binary(max_size=20),
)
def test_what_an_archiver_writes_is_never_said_to_overlap(contents, prefix):
    """Stored, deflated, empty, streamed (sizes after the data), and behind a prefix."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.zip"
        with path.open("wb") as file:
            file.write(prefix)
        with zipfile.ZipFile(path, "a") as archive:
            for number, (content, deflated) in enumerate(contents):
                kind = zipfile.ZIP_DEFLATED if deflated else zipfile.ZIP_STORED
                archive.writestr(f"{number}", content, kind)
        streamed = Path(folder) / "streamed.zip"
        with (
            streamed.open("wb") as file,
            zipfile.ZipFile(Unseekable(file), "w", zipfile.ZIP_DEFLATED) as archive,
        ):
            for number, (content, _) in enumerate(contents):
                archive.writestr(f"{number}", content)
        for each in (path, streamed):
            with sound_zip(each) as packed:
                assert [packed.read(info) for info in packed.infolist()] == [c for c, _ in contents]


class Unseekable:
    """A file that cannot be gone back in, as standard output is."""

    def __init__(self, file):
        self.write, self.flush = file.write, file.flush


def test_a_folder_that_was_packed_from_within_is_unpacked(tmp_path):
    """``tar -C FOLDER -c .`` writes the folder itself as the member ``.``."""
    members = (
        (".", tarfile.DIRTYPE, b""),
        ("./a", tarfile.REGTYPE, b"1"),
        ("./b/c", tarfile.REGTYPE, b"2"),
    )
    root, names = unpack(tar(tmp_path / "x.tar.gz", *members), tmp_path / "out")
    assert [(root / name).read_bytes() for name in names] == [b"1", b"2"]


def three(path):
    """Return the bytes of a tar of three files, each a header and two blocks."""
    members = [(name, tarfile.REGTYPE, name.encode() * 1000) for name in "abc"]
    return tar(path, *members, mode="w").read_bytes()


def hole(data, start, length):
    return data[:start] + bytes(length) + data[start + length :]


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda data: data[: 1536 + 100], "truncated header at byte 1,536"),
        (lambda data: data[: 3072 + 511], "truncated header at byte 3,072"),
        (lambda data: data[:1540] + b"?" + data[1541:], "bad checksum at byte 1,536"),
        (lambda data: hole(data, 1536, 512), "data stand behind the mark of its end"),
        (lambda data: hole(data, 3072, 1024), "data stand behind the mark of its end"),
    ],
)
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_tar_whose_members_are_lost_is_refused(tmp_path, damage, told, pack):
    """To `tarfile` a header that cannot be read is the end: the files behind it did not come."""
    archive = tmp_path / "a.tar"
    archive.write_bytes(pack(damage(three(archive))))
    with pytest.raises(DownloadError, match=rf"a\.tar cannot be unpacked: {told}"):
        unpack(archive, tmp_path / "out")


@pytest.mark.parametrize("end", [b"", bytes(512), bytes(20_480), b"no gzip"])
def test_a_tar_may_end_as_archivers_let_it(tmp_path, end):
    """Without a mark, after zeros, and, packed, before what unpackers pass over."""
    archive, data = tmp_path / "a.tar", three(tmp_path / "b.tar")
    packed = end.startswith(b"no")
    archive.write_bytes(gzip.compress(data) + end if packed else data[:4608] + end)
    assert unpack(archive, tmp_path / "out")[1] == ["a", "b", "c"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data.replace(b"bbbbb", b"bbXbb", 1),  # in a file
        lambda data: data[:-8] + b"????" + data[-4:],  # of the checksum
        lambda data: data[:-4] + b"????",  # of the length
        lambda data: data[:-3],
    ],
)
def test_a_packed_tar_whose_checksum_is_not_that_of_its_files_is_refused(tmp_path, damage):
    """All members can be read; that they are not what was packed stands behind the last one."""
    archive, data = tmp_path / "a.tar.gz", three(tmp_path / "b.tar")
    archive.write_bytes(damage(gzip.compress(data, compresslevel=0)))
    with pytest.raises(
        DownloadError, match=r"a\.tar\.gz cannot be unpacked: (CRC|Incor|Compressed)"
    ):
        unpack(archive, tmp_path / "out")


@pytest.mark.parametrize(
    ("pack", "name"),
    [(["zstd", "-qc"], "Zstandard"), (["lz4", "-qc"], "LZ4"), (["compress", "-fc"], "compress")],
)
def test_a_way_of_packing_that_is_not_read_is_told_and_is_no_damage(tmp_path, pack, name):
    if shutil.which(pack[0]) is None:
        pytest.skip(f"no {pack[0]} here")
    archive = tmp_path / "a.tar.packed"
    done = subprocess.run(pack, input=three(tmp_path / "b.tar"), capture_output=True, check=True)
    archive.write_bytes(done.stdout)
    with pytest.raises(DownloadError, match=f"is packed with {name}, .* it may be sound"):
        unpack(archive, tmp_path / "out")


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME])
@pytest.mark.parametrize("first", [True, False])
def test_a_header_that_fills_the_memory_is_not_read(tmp_path, kind, first):
    """600 MB of one took 2.4 GB, from an archive of 3 MB."""
    header = tarfile.TarInfo("long")
    header.type, header.size = kind, 2**40
    start = b"" if first else three(tmp_path / "b.tar")[:4608]
    archive = tmp_path / "a.tar.gz"
    archive.write_bytes(gzip.compress(start + header.tobuf(tarfile.GNU_FORMAT) + bytes(2**21)))
    with pytest.raises(DownloadError, match="a member has headers of more than 1,048,576 bytes"):
        unpack(archive, tmp_path / "out")


def test_what_is_refused_in_a_packed_archive_is_not_looked_for_in_its_packed_bytes(tmp_path):
    """Some look like the header of a tar: of these one in three hundred, by the time of packing."""
    header = tarfile.TarInfo("long")
    header.type, header.size = tarfile.XGLTYPE, 2**40
    packed = bytearray(gzip.compress(header.tobuf(tarfile.GNU_FORMAT) + bytes(2**21), mtime=0))
    while 0 not in tarfile.calc_chksums(bytes(packed[:512])):  # what stands there as checksum
        packed[4:8] = (int.from_bytes(packed[4:8], "little") + 1).to_bytes(4, "little")
    archive = tmp_path / "a.tar.gz"
    archive.write_bytes(packed)
    with pytest.raises(DownloadError, match="a member has headers of more than 1,048,576 bytes"):
        unpack(archive, tmp_path / "out")


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE])
def test_headers_of_headers_come_to_an_end(tmp_path, kind):
    header = tarfile.TarInfo("again")
    header.type, header.size = kind, 12
    block = header.tobuf(tarfile.USTAR_FORMAT) + b"12 path=abc\n".ljust(512, b"\0")
    archive = tmp_path / "a.tar"
    archive.write_bytes(block * 3000 + tarfile.TarInfo("a").tobuf() + bytes(1024))
    with pytest.raises(DownloadError, match=r"a member has headers (without end|of more than)"):
        unpack(archive, tmp_path / "out")


def test_long_names_are_unpacked(tmp_path):
    for number, form in enumerate((tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)):
        archive, name = tmp_path / f"{number}.tar", f"{'folder/' * 40}{'name' * 20}"
        with tarfile.open(archive, "w", format=form) as packed:
            info = tarfile.TarInfo(name)
            info.size = 3
            packed.addfile(info, io.BytesIO(b"abc"))
        root, (found,) = unpack(archive, tmp_path / f"out{number}")
        assert (root / found).read_bytes() == b"abc"
