"""Downloads from a server of our own: what is whole and right appears, nothing else does."""

from __future__ import annotations

import hashlib
import http.server
import io
import os
import threading
import zipfile

import pytest

from spared_bench.errors import DownloadError, MissingFileError
from spared_bench.fetch import dataset_folder, fetch
from spared_bench.specs import DatasetSpec, RemoteFile, SlideInfo

CONTENT = os.urandom(50_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves ``server.files``; a path that begins with /dropped ends half-way."""

    def do_GET(self):
        self.server.asked.append(self.path)
        content = self.server.files.get(self.path)
        if content is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if "/dropped" in self.path else content)

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.files, server.asked = {}, []
    server.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def spec_of(*files, **settings):
    slides = {"slides": (SlideInfo("a"),), "split": {"train": ("a",)}}
    return DatasetSpec(name="toy", factory="toy:read", files=files, **slides, **settings)


def zipped(**members):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "/"), content)
    return packed.getvalue()


def test_a_good_file_arrives_under_its_path(server, tmp_path):
    server.files["/slide%20a.bin"] = CONTENT
    url = f"{server.url}/slide%20a.bin"
    files = RemoteFile(url, sha256=SHA256, size=len(CONTENT)), RemoteFile(url, path="raw/b.bin")
    assert fetch(spec_of(*files), tmp_path) == tmp_path
    assert (tmp_path / "slide a.bin").read_bytes() == CONTENT
    assert (tmp_path / "raw" / "b.bin").read_bytes() == CONTENT
    assert sorted(path.name for path in tmp_path.iterdir()) == ["raw", "slide a.bin"]


def test_what_is_there_is_not_asked_for_again(server, tmp_path):
    server.files |= {"/a.bin": CONTENT, "/b.zip": zipped(top__x="1")}
    files = (
        RemoteFile(f"{server.url}/a.bin", sha256=SHA256),
        RemoteFile(f"{server.url}/b.zip", unpack=True),
    )
    fetch(spec_of(*files), tmp_path)
    fetch(spec_of(*files), tmp_path)
    fetch(spec_of(*files), tmp_path, offline=True)
    assert server.asked == ["/a.bin", "/b.zip"]


def test_a_damaged_file_is_fetched_again(server, tmp_path):
    server.files["/a.bin"] = CONTENT
    spec = spec_of(RemoteFile(f"{server.url}/a.bin", sha256=SHA256))
    (tmp_path / "a.bin").write_bytes(CONTENT[:-1] + b"?")
    fetch(spec, tmp_path)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


def test_a_file_of_another_hash_never_appears(server, tmp_path):
    server.files["/a.bin"] = CONTENT + b"more"
    with pytest.raises(DownloadError, match=r"Cannot fetch a\.bin.*its SHA-256 is not the one"):
        fetch(spec_of(RemoteFile(f"{server.url}/a.bin", sha256=SHA256)), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_another_size_never_appears(server, tmp_path):
    server.files["/a.bin"] = CONTENT
    with pytest.raises(DownloadError, match="has 50,000 bytes instead of 50,001"):
        fetch(spec_of(RemoteFile(f"{server.url}/a.bin", size=50_001)), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_connection_that_drops_leaves_nothing_behind(server, tmp_path):
    server.files["/dropped.bin"] = CONTENT
    with pytest.raises(DownloadError, match=r"Cannot fetch dropped\.bin.*25000 bytes read"):
        fetch(spec_of(RemoteFile(f"{server.url}/dropped.bin")), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_mirrors_are_asked_in_order_until_one_is_good(server, tmp_path):
    server.files |= {"/dropped/a.bin": CONTENT, "/good/a.bin": CONTENT, "/last/a.bin": CONTENT}
    mirrors = tuple(f"{server.url}/{place}/a.bin" for place in ("dropped", "good", "last"))
    fetch(spec_of(RemoteFile(f"{server.url}/gone/a.bin", mirrors=mirrors)), tmp_path)
    assert server.asked == ["/gone/a.bin", "/dropped/a.bin", "/good/a.bin"]
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


def test_a_failure_names_every_place_and_what_it_said(server, tmp_path):
    mirror = f"{server.url}/also-gone.bin"
    with pytest.raises(DownloadError, match=r"gone\.bin: 404.*also-gone\.bin: 404.*put it in"):
        fetch(spec_of(RemoteFile(f"{server.url}/gone.bin", mirrors=(mirror,))), tmp_path)


def test_offline_names_what_is_missing_and_what_to_do(server, tmp_path):
    files = RemoteFile(f"{server.url}/a.bin"), RemoteFile(f"{server.url}/b.bin")
    (tmp_path / "a.bin").write_bytes(CONTENT)
    with pytest.raises(
        DownloadError, match=r"lacks 1 of 2 files .*\(b\.bin\).*without `--offline`"
    ):
        fetch(spec_of(*files), tmp_path, offline=True)
    assert server.asked == []


def test_an_archive_is_unpacked_without_the_folder_around_it(server, tmp_path):
    server.files["/commit.zip"] = zipped(**{"repo-1__data__x.txt": "x", "repo-1__y.txt": "y"})
    fetch(spec_of(RemoteFile(f"{server.url}/commit.zip", unpack=True)), tmp_path)
    assert (tmp_path / "data" / "x.txt").read_text() == "x"
    assert (tmp_path / "y.txt").read_text() == "y"
    assert sorted(path.name for path in tmp_path.iterdir()) == [".fetched.json", "data", "y.txt"]


def test_an_archive_is_fetched_again_when_a_file_of_it_is_gone(server, tmp_path):
    server.files["/a.zip"] = zipped(x="1", y="2")
    spec = spec_of(RemoteFile(f"{server.url}/a.zip", path="inner", unpack=True))
    fetch(spec, tmp_path)
    (tmp_path / "inner" / "x").unlink()
    fetch(spec, tmp_path)
    assert (tmp_path / "inner" / "x").read_text() == "1"


def test_an_archive_that_was_killed_between_two_files_is_fetched_again(
    server, tmp_path, monkeypatch
):
    server.files["/a.zip"] = zipped(x="1", y="2")
    spec = spec_of(RemoteFile(f"{server.url}/a.zip", unpack=True))

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


def test_a_folder_filled_by_hand_is_taken_as_it_is(server, tmp_path):
    (tmp_path / "data").mkdir()
    spec = spec_of(RemoteFile(f"{server.url}/commit.zip", unpack=True))
    assert fetch(spec, tmp_path, offline=True) == tmp_path
    assert server.asked == []


def test_a_single_file_of_ours_does_not_pass_for_a_folder_filled_by_hand(server, tmp_path):
    server.files |= {"/a.bin": CONTENT, "/b.zip": zipped(x="1")}
    (tmp_path / "a.bin").write_bytes(CONTENT)
    (tmp_path / ".download-of-a-killed-run").mkdir()
    archive = RemoteFile(f"{server.url}/b.zip", unpack=True)
    fetch(spec_of(RemoteFile(f"{server.url}/a.bin"), archive), tmp_path)
    assert (tmp_path / "x").read_text() == "1"


def test_a_bad_archive_leaves_nothing_behind(server, tmp_path):
    server.files["/a.zip"] = zipped(x="1", y="2")[:-30]
    with pytest.raises(DownloadError, match=r"a\.zip cannot be unpacked"):
        fetch(spec_of(RemoteFile(f"{server.url}/a.zip", unpack=True)), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", ["../a.bin", "/etc/a.bin", "x/../../a.bin", "C:/a.bin"])
def test_a_path_outside_the_folder_is_refused(server, tmp_path, path):
    with pytest.raises(DownloadError, match="outside the dataset's folder"):
        fetch(spec_of(RemoteFile(f"{server.url}/a.bin", path=path)), tmp_path)
    assert server.asked == []


def test_progress_sees_the_bytes_of_every_file(server, tmp_path):
    class Bar:
        total = done = 0

        def update(self, n):
            self.done += n

        def reset(self):
            self.done = 0

        def close(self):
            pass

    bars = {}
    server.files["/a.bin"] = CONTENT
    spec = spec_of(RemoteFile(f"{server.url}/a.bin"))
    fetch(spec, tmp_path, progress=lambda name: bars.setdefault(name, Bar()))
    assert [(name, bar.done) for name, bar in bars.items()] == [("a.bin", len(CONTENT))]


def test_shipped_and_generated_data_need_no_download(tmp_path):
    for spec in (spec_of(folder="json"), spec_of(synthetic=True)):
        assert fetch(spec, tmp_path / "new", offline=True) == tmp_path / "new"


def test_data_that_can_only_be_linked_says_where(tmp_path):
    with pytest.raises(DownloadError, match=r"nothing to download and is not at .*toy"):
        fetch(spec_of(), tmp_path / "toy")
    assert fetch(spec_of(), tmp_path) == tmp_path


def test_the_folder_of_a_dataset_is_its_package_or_its_name(tmp_path):
    assert (dataset_folder(spec_of(folder="json"), None) / "decoder.py").is_file()
    assert dataset_folder(spec_of(), tmp_path) == tmp_path / "toy"


def test_a_package_that_is_not_installed_is_named():
    for package in ("no_such_package.data", "json.no_such_data"):
        with pytest.raises(MissingFileError, match=f"package '{package}', which is not installed"):
            dataset_folder(spec_of(folder=package), None)


def test_without_any_folder_the_error_asks_for_one():
    with pytest.raises(MissingFileError, match="say in which folder datasets are kept"):
        dataset_folder(spec_of(), None)
