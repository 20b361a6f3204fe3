"""Files of the model hub: a library's errors become ours, with what to do."""

from pathlib import Path

import pytest

from spared_bench.errors import DownloadError, WeightsUnavailableError
from spared_bench.sources.fetch import fetch
from spared_bench.sources.hub import fetch_from_hub
from spared_bench.specs import DatasetSpec, RemoteFile, SlideInfo

URL = "hf://datasets/MahmoodLab/hest-bench/IDC/adata/TENX95.h5ad"


@pytest.fixture(autouse=True)
def _answering(monkeypatch):
    monkeypatch.setattr("spared_bench.sources.hub._why_silent", lambda: "")


def spec():
    slides = (SlideInfo("a"), SlideInfo("b"))
    file = RemoteFile(URL, "IDC/adata/TENX95.h5ad")
    split = {"train": ("a",), "test": ("b",)}
    return DatasetSpec("d", "a.b:c", slides=slides, split=split, files=(file,))


def test_a_file_of_the_hub_arrives_in_its_place(tmp_path, monkeypatch):
    asked = []

    def download(repo, path, repo_type, local_dir):
        asked.append((repo, path, repo_type))
        file = Path(local_dir) / path
        file.parent.mkdir(parents=True)
        file.write_bytes(b"counts")
        return str(file)

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)

    fetch(spec(), tmp_path)

    assert asked == [("MahmoodLab/hest-bench", "IDC/adata/TENX95.h5ad", "dataset")]
    assert (tmp_path / "IDC/adata/TENX95.h5ad").read_bytes() == b"counts"
    monkeypatch.setattr("huggingface_hub.hf_hub_download", None)
    fetch(spec(), tmp_path)  # it is there


@pytest.mark.parametrize("token", [None, "hf_x"])
def test_a_gated_data_set_says_where_to_ask_and_how_to_do_without(tmp_path, monkeypatch, token):
    from unittest.mock import Mock

    from huggingface_hub.errors import GatedRepoError

    def download(*args, **options):
        raise GatedRepoError("no", response=Mock())

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    monkeypatch.setattr("huggingface_hub.get_token", lambda: token)

    with pytest.raises(DownloadError) as error:
        fetch_from_hub(URL, tmp_path / "file")

    told = str(error.value)
    assert ("there is no token here" in told) == (token is None)
    assert "https://huggingface.co/datasets/MahmoodLab/hest-bench" in told
    assert "--hest FOLDER" in told


def test_a_hub_that_does_not_answer_is_no_file_that_was_moved(tmp_path, monkeypatch):
    from huggingface_hub.errors import LocalEntryNotFoundError

    def download(*args, **options):
        raise LocalEntryNotFoundError("no connection")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    with pytest.raises(DownloadError, match="the hub does not answer"):
        fetch_from_hub(URL, tmp_path / "file")
    monkeypatch.setattr("huggingface_hub.hf_hub_download", None)  # it is not asked
    monkeypatch.setattr("spared_bench.sources.hub._why_silent", lambda: "no network")
    with pytest.raises(DownloadError, match="cannot be fetched: no network"):
        fetch_from_hub(URL, tmp_path / "file")


def test_weights_that_the_hub_does_not_give_for_want_of_a_connection(monkeypatch):
    from huggingface_hub.errors import LocalEntryNotFoundError

    from spared_bench.models import hub
    from spared_bench.specs import EncoderSpec

    def download(*args, **options):
        raise LocalEntryNotFoundError("no connection")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    monkeypatch.setattr(hub, "require_hub", lambda spec: None)
    monkeypatch.setattr(hub, "cached_file", lambda spec: None)
    with pytest.raises(WeightsUnavailableError, match="the hub does not answer"):
        hub.hub_file(EncoderSpec("e", source="hf-hub:a/b", width=1))
