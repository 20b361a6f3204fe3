"""The files of a dataset from a server of our own: what is whole and right appears."""

from __future__ import annotations

import errno
import gzip
import hashlib
import io
import os
import signal
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from random import Random

import pytest

from spared_bench.errors import DownloadError, MissingFileError, WorkspaceError
from spared_bench.sources.fetch import Options, Silent, dataset_folder, fetch
from spared_bench.sources.fetched import missing_files, on_disk, read_record, verify
from spared_bench.sources.folder_lock import locked
from spared_bench.sources.patience import Policy
from spared_bench.specs import DatasetSpec, RemoteFile, SlideInfo
from spared_bench.store.processes import is_stopped
from tests.servers import serving

CONTENT = Random(1).randbytes(50_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
QUICK = Options(policy=Policy(attempts=2, backoff_s=0.001, timeout_s=5))
OFFLINE = Options(offline=True)


@pytest.fixture
def server():
    with serving() as server:
        yield server


def spec_of(*files, **settings):
    slides = {"slides": (SlideInfo("a"),), "split": {"train": ("a",)}}
    return DatasetSpec(**{"name": "toy", "factory": "toy:read", "files": files} | slides | settings)


def zipped(**members):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "/"), content)
    return packed.getvalue()


def tarred(**members):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name.replace("__", "/"))
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return packed.getvalue()


def visible(folder):
    """What a reader would see."""
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def test_a_good_file_arrives_under_its_path(server, tmp_path):
    url = server.serve("/slide%20a.bin", CONTENT)
    files = RemoteFile(url, sha256=SHA256, size=len(CONTENT)), RemoteFile(url, path="raw/b.bin")
    assert fetch(spec_of(*files[:1]), tmp_path) == tmp_path
    fetch(spec_of(files[1]), tmp_path / "other")
    assert (tmp_path / "slide a.bin").read_bytes() == CONTENT
    assert (tmp_path / "other" / "raw" / "b.bin").read_bytes() == CONTENT
    assert not (tmp_path / ".fetch").exists()


def test_a_record_that_a_killed_fetch_had_begun_goes_with_a_later_one(server, tmp_path):
    left = tmp_path / ".12-0123abcd..fetched.json"
    left.touch()
    os.utime(left, (1, 1))
    fetch(spec_of(RemoteFile(server.serve("/a.bin", CONTENT))), tmp_path)
    assert not left.exists()


def test_what_is_there_is_not_asked_for_again(server, tmp_path):
    files = (
        RemoteFile(server.serve("/a.bin", CONTENT), sha256=SHA256),
        RemoteFile(server.serve("/b.zip", zipped(top__x="1")), unpack=True),
    )
    fetch(spec_of(*files), tmp_path)
    fetch(spec_of(*files), tmp_path)
    fetch(spec_of(*files), tmp_path, OFFLINE)
    assert sorted(server.paths()) == ["/a.bin", "/b.zip"]


def test_a_damaged_file_is_fetched_again(server, tmp_path):
    spec = spec_of(RemoteFile(server.serve("/a.bin", CONTENT), sha256=SHA256))
    (tmp_path / "a.bin").write_bytes(CONTENT[:-1] + b"?")
    fetch(spec, tmp_path)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


def test_a_file_of_another_hash_never_appears(server, tmp_path):
    spec = spec_of(RemoteFile(server.serve("/a.bin", CONTENT, "wrong"), sha256=SHA256))
    with pytest.raises(DownloadError, match=r"Cannot fetch a\.bin.*its SHA-256 is not the one"):
        fetch(spec, tmp_path, QUICK)
    assert visible(tmp_path) == []
    assert not (tmp_path / ".fetch").exists()


def test_the_hash_of_the_first_download_holds_from_then_on(server, tmp_path):
    spec = spec_of(RemoteFile(server.serve("/a.bin", CONTENT)))
    fetch(spec, tmp_path)
    (entry,) = read_record(tmp_path).values()
    assert (entry["sha256"], entry["size"], entry["path"]) == (SHA256, len(CONTENT), "a.bin")
    (tmp_path / "a.bin").unlink()
    server.files["/a.bin"] = Random(2).randbytes(50_000)
    with pytest.raises(DownloadError, match="recorded when it was first fetched"):
        fetch(spec, tmp_path, QUICK)
    server.files["/a.bin"] = CONTENT
    fetch(spec, tmp_path, QUICK)
    assert verify(spec, tmp_path) == (1, [])


def test_a_dropped_connection_is_continued_by_the_next_command(server, tmp_path):
    spec = spec_of(RemoteFile(server.serve("/a.bin", CONTENT, "drop", "404", "")))
    with pytest.raises(DownloadError, match="404"):
        fetch(spec, tmp_path, QUICK)
    assert visible(tmp_path) == []
    fetch(spec, tmp_path, QUICK)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    assert server.asked[-1] == ("/a.bin", "bytes=25000-")


def test_a_failure_of_several_files_keeps_the_good_ones(server, tmp_path):
    good = RemoteFile(server.serve("/good.bin", CONTENT))
    bad = [RemoteFile(f"{server.url}/{name}.bin") for name in ("gone", "lost")]
    with pytest.raises(DownloadError, match="2 of 3 files could not be fetched"):
        fetch(spec_of(bad[0], good, bad[1]), tmp_path, QUICK)
    assert visible(tmp_path) == ["good.bin"]


def test_files_come_at_the_same_time(server, tmp_path):
    files = [RemoteFile(server.serve(f"/{name}", CONTENT, "wait")) for name in "abc"]
    done = threading.Thread(target=fetch, args=(spec_of(*files), tmp_path, QUICK))
    done.start()
    wait_until(lambda: len(server.asked) == 3)  # none of them is finished yet
    server.go_on.set()
    done.join()
    assert visible(tmp_path) == ["a", "b", "c"]


def test_a_mirror_is_asked_instead(server, tmp_path):
    server.serve("/copies/data/a.bin", CONTENT)
    spec = spec_of(RemoteFile("https://example.invalid/data/a.bin", sha256=SHA256))
    fetch(spec, tmp_path, Options(mirrors=(("https://example.invalid", f"{server.url}/copies"),)))
    assert server.paths() == ["/copies/data/a.bin"]
    assert list(read_record(tmp_path)) == ["https://example.invalid/data/a.bin"]


def test_offline_names_what_is_missing_and_what_to_do(server, tmp_path):
    files = RemoteFile(f"{server.url}/a.bin"), RemoteFile(f"{server.url}/b.bin")
    (tmp_path / "a.bin").write_bytes(CONTENT)
    with pytest.raises(
        DownloadError, match=r"lacks 1 of 2 files .*\(b\.bin\).*without `--offline`"
    ):
        fetch(spec_of(*files), tmp_path, OFFLINE)
    assert server.asked == []


def test_an_archive_is_unpacked_without_the_folder_around_it(server, tmp_path):
    packed = zipped(**{"repo-1__data__x.txt": "x", "repo-1__y.txt": "y"})
    fetch(spec_of(RemoteFile(server.serve("/commit.zip", packed), unpack=True)), tmp_path)
    assert (tmp_path / "data" / "x.txt").read_text() == "x"
    assert (tmp_path / "y.txt").read_text() == "y"
    assert visible(tmp_path) == ["data", "y.txt"]


def test_archives_in_an_archive_become_folders_and_files(server, tmp_path):
    inner = tarred(colon__s1__counts=b"1", colon__s2__counts=b"2")
    packed = zipped(**{"top__raw__colon.tar.gz": inner, "top__a.tsv.gz": gzip.compress(b"3")})
    url = server.serve("/a.zip", packed)
    for pattern in ("raw/*.tar.gz", "*.tsv.gz"):
        folder = tmp_path / pattern[:3]
        spec = spec_of(RemoteFile(url, unpack=True, nested=pattern))
        fetch(spec, folder)
        assert verify(spec, folder)[1] == []
    assert (tmp_path / "raw" / "raw" / "colon" / "s2" / "counts").read_bytes() == b"2"
    assert not (tmp_path / "raw" / "raw" / "colon.tar.gz").exists()
    assert (tmp_path / "*.t" / "a.tsv").read_bytes() == b"3"


def test_an_archive_is_fetched_again_when_a_file_of_it_is_gone(server, tmp_path):
    url = server.serve("/a.zip", zipped(x="1", y="2"))
    spec = spec_of(RemoteFile(url, path="inner", unpack=True))
    fetch(spec, tmp_path)
    (tmp_path / "inner" / "x").unlink()
    assert on_disk(spec, tmp_path)[0] == "incomplete"
    fetch(spec, tmp_path)
    assert (tmp_path / "inner" / "x").read_text() == "1"


def test_an_archive_that_was_killed_between_two_files_is_completed(server, tmp_path, monkeypatch):
    spec = spec_of(RemoteFile(server.serve("/a.zip", zipped(x="1", y="2")), unpack=True))

    def killed(source, target):
        if source.name == "y":
            raise KeyboardInterrupt
        return replace(source, target)

    replace = type(tmp_path).replace
    with monkeypatch.context() as patched:
        patched.setattr(type(tmp_path), "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            fetch(spec, tmp_path)
    assert not (tmp_path / "y").exists()
    fetch(spec, tmp_path)
    assert (tmp_path / "y").read_text() == "2"
    assert server.paths() == ["/a.zip"]  # the archive itself had arrived


@pytest.mark.parametrize(
    ("packed", "complaint"),
    [
        (zipped(x="1", y="2")[:-30], r"a\.zip cannot be unpacked"),
        (zipped(bomb=bytes(70 * 2**20)), "unpacks to more data than is allowed"),
        (zipped(**{"..__evil": "1"}), "leads outside its folder; nothing of it was kept"),
        (zipped(**{"in.gz": gzip.compress(bytes(70 * 2**20))}), "unpacks to more data"),
        (zipped(), r"a\.zip holds no files"),
        (zipped(**{".fetched.json": "{}", "x": "1"}), "a name that is kept for notes"),
    ],
    ids=["truncated", "bomb", "traversal", "nested bomb", "empty", "over our notes"],
)
def test_a_bad_archive_leaves_nothing_behind(server, tmp_path, packed, complaint):
    folder = tmp_path / "data" / "toy"
    spec = spec_of(RemoteFile(server.serve("/a.zip", packed), unpack=True, nested="*.gz"))
    with pytest.raises(DownloadError, match=complaint):
        fetch(spec, folder)
    assert visible(folder) == []
    assert not (folder / ".fetch").exists()
    assert not list(tmp_path.rglob("*evil*"))


def test_a_full_disk_keeps_the_archive(server, tmp_path, monkeypatch):
    spec = spec_of(RemoteFile(server.serve("/a.zip", zipped(x="1")), unpack=True))

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("spared_bench.sources.archives._copy", full)
        with pytest.raises(WorkspaceError, match=r"disk became full while a\.zip was unpacked"):
            fetch(spec, tmp_path)
    fetch(spec, tmp_path)
    assert (tmp_path / "x").read_text() == "1"
    assert server.paths() == ["/a.zip"]


def test_a_folder_filled_by_hand_is_taken_as_it_is(server, tmp_path):
    (tmp_path / "data").mkdir()
    spec = spec_of(RemoteFile(f"{server.url}/commit.zip", unpack=True))
    assert fetch(spec, tmp_path, OFFLINE) == tmp_path
    assert on_disk(spec, tmp_path) == ("by hand", 0)
    assert server.asked == []


def test_a_single_file_of_ours_does_not_pass_for_a_folder_filled_by_hand(server, tmp_path):
    (tmp_path / "a.bin").write_bytes(CONTENT)
    (tmp_path / ".fetch" / "of-a-killed-run").mkdir(parents=True)
    archive = RemoteFile(server.serve("/b.zip", zipped(x="1")), unpack=True)
    fetch(spec_of(RemoteFile(f"{server.url}/a.bin"), archive), tmp_path)
    assert (tmp_path / "x").read_text() == "1"


@pytest.mark.parametrize("path", ["../a.bin", "/etc/a.bin", "x/../../a.bin", "C:/a.bin"])
def test_a_path_outside_the_folder_is_refused(server, tmp_path, path):
    with pytest.raises(DownloadError, match="outside the dataset's folder"):
        fetch(spec_of(RemoteFile(f"{server.url}/a.bin", path=path)), tmp_path)
    assert server.asked == []


def test_a_folder_that_cannot_be_written_is_named(server, tmp_path):
    (tmp_path / "file").write_text("in the way")
    spec = spec_of(RemoteFile(server.serve("/a.bin", CONTENT)))
    with pytest.raises(DownloadError, match=r"Cannot write into .*file/toy.*--data-dir"):
        fetch(spec, tmp_path / "file" / "toy")


def test_a_watcher_is_told_of_every_file_and_byte(server, tmp_path):
    class Watching(Silent):
        def __init__(self):
            self.told, self.bytes = [], 0

        def planned(self, dataset, names):
            self.told.append((dataset, names))

        def advance(self, number):
            self.bytes += number

        def finished(self, name, size):
            self.told.append((name, size))

    watching = Watching()
    fetch(spec_of(RemoteFile(server.serve("/a.bin", CONTENT))), tmp_path, watcher=watching)
    assert watching.told == [("toy", ["a.bin"]), ("a.bin", len(CONTENT))]
    assert watching.bytes == len(CONTENT)


def test_verification_finds_what_is_gone_or_has_changed_or_is_unknown(server, tmp_path):
    archive = RemoteFile(server.serve("/a.zip", zipped(x="1", y="2", z="3")), unpack=True)
    spec = spec_of(archive)
    fetch(spec, tmp_path)
    assert verify(spec, tmp_path) == (3, [])
    (tmp_path / "x").unlink()
    (tmp_path / "y").write_text("?")  # as long as before
    checked, problems = verify(spec_of(archive, RemoteFile(f"{server.url}/b.bin")), tmp_path)
    assert checked == 3
    assert [problem.partition(": ")[0] for problem in problems] == ["b.bin", "x", "y"]
    assert "no hash is known" in problems[0]
    assert "it is gone" in problems[1]
    assert "it has changed" in problems[2]


def test_the_state_on_disk_is_told(server, tmp_path):
    spec = spec_of(RemoteFile(server.serve("/a.bin", CONTENT)))
    folder = tmp_path / "toy"
    assert on_disk(spec, folder) == ("", 0)
    fetch(spec, folder)
    assert on_disk(spec, folder) == ("complete", len(CONTENT))
    (folder / "a.bin").write_bytes(b"short")
    assert on_disk(spec, folder)[0] == "incomplete"
    assert [file.url for file in missing_files(spec, folder)] == [f"{server.url}/a.bin"]
    assert on_disk(spec_of(folder="json"), folder) == ("shipped", 0)
    assert on_disk(spec_of(synthetic=True), folder) == ("generated", 0)


PROCESS = """
import sys
from pathlib import Path
from spared_bench.sources.patience import Policy
from spared_bench.sources.fetch import Options, Silent, fetch
from spared_bench.specs import DatasetSpec, RemoteFile, SlideInfo

class Watching(Silent):
    def say(self, text):
        print(text, flush=True)

file = RemoteFile(sys.argv[1], unpack=sys.argv[1].endswith(".zip"))
spec = DatasetSpec("toy", "toy:read", files=(file,), slides=(SlideInfo("a"),),
                   split={"train": ("a",)})
fetch(spec, Path(sys.argv[2]), Options(policy=Policy(backoff_s=0.001)), Watching())
print("done")
"""


def start(url, folder):
    command = [sys.executable, "-c", PROCESS, url, str(folder)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def wait_until(true, seconds=30.0):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never became true"
        time.sleep(0.01)


def test_two_processes_fetch_once(server, tmp_path):
    url = server.serve("/a.zip", zipped(x="1"), "wait")
    first = start(url, tmp_path)
    wait_until(lambda: server.asked)
    second = start(url, tmp_path)
    assert "Another process is fetching" in second.stdout.readline()
    server.go_on.set()
    assert [first.wait(30), second.wait(30)] == [0, 0]
    assert server.paths() == ["/a.zip"]
    assert (tmp_path / "x").read_text() == "1"


def test_a_killed_process_is_taken_up_by_the_next(server, tmp_path):
    content = Random(3).randbytes(4_000_000)
    url = server.serve("/a.bin", content, "wait", "")
    killed = start(url, tmp_path)
    wait_until(lambda: sum(p.stat().st_size for p in tmp_path.rglob("*.part")) > 1_000_000)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    assert visible(tmp_path) == []
    assert start(url, tmp_path).wait(30) == 0
    assert (tmp_path / "a.bin").read_bytes() == content
    assert int(server.asked[1][1].removeprefix("bytes=").removesuffix("-")) > 1_000_000


def test_shipped_and_generated_data_need_no_download(tmp_path):
    for spec in (spec_of(folder="json"), spec_of(synthetic=True)):
        assert fetch(spec, tmp_path / "new", OFFLINE) == tmp_path / "new"
    assert not (tmp_path / "new").exists()


def test_data_that_can_only_be_linked_says_where(tmp_path):
    with pytest.raises(DownloadError, match=r"nothing to download and is not at .*toy"):
        fetch(spec_of(), tmp_path / "toy")
    assert fetch(spec_of(), tmp_path) == tmp_path


def test_the_folder_of_a_dataset_is_its_package_or_its_name(tmp_path):
    assert (dataset_folder(spec_of(folder="json"), None) / "decoder.py").is_file()
    assert dataset_folder(spec_of(), tmp_path) == tmp_path / "toy"
    assert dataset_folder(spec_of(storage="shared"), tmp_path) == tmp_path / "shared"


def test_a_package_that_is_not_installed_is_named():
    for package in ("no_such_package.data", "json.no_such_data"):
        with pytest.raises(MissingFileError, match=f"package '{package}', which is not installed"):
            dataset_folder(spec_of(folder=package), None)


def test_without_any_folder_the_error_asks_for_one():
    with pytest.raises(MissingFileError, match="say in which folder datasets are kept"):
        dataset_folder(spec_of(), None)


def test_fetching_needs_no_package_that_is_slow_to_import():
    code = "import sys, spared_bench.sources.fetch; print(*sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "scanpy", "numpy", "pandas", "requests"} & set(out.stdout.split())


def test_who_waits_for_a_suspended_process_is_told_so_again_and_again(
    server, tmp_path, monkeypatch
):
    url = server.serve("/a.zip", zipped(x="1"), "wait")
    first = start(url, tmp_path)
    wait_until(lambda: server.asked)
    first.send_signal(signal.SIGSTOP)
    wait_until(lambda: is_stopped(first.pid))
    monkeypatch.setattr("spared_bench.sources.folder_lock._SECONDS_BETWEEN_REMINDERS", 0.1)
    told = []

    class Enough(Exception):
        pass

    def say(text):
        told.append(text)
        if len(told) == 3:
            raise Enough

    try:
        with pytest.raises(Enough), locked(tmp_path, say):
            pass
    finally:
        first.kill()
    assert all(f"(process {first.pid} on " in text for text in told)
    assert all("(suspended: resume or end it)); waiting" in text for text in told)
    first.wait()
    with locked(tmp_path, told.append):
        assert len(told) == 3
    assert not (tmp_path / ".fetch.owner").exists()
