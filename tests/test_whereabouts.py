"""A path at which nothing is: the message says which part is not there, and what is like it."""

from __future__ import annotations

import os
import unicodedata

import pytest

from spared_bench.errors import MissingFileError
from spared_bench.inference.new_slide import require_image
from spared_bench.whereabouts import no_file, whereabouts


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("data/t1.h5ad", "data has no 't1.h5ad'. Did you mean 'T1.h5ad'?"),
        ("dat/T1.h5ad", "has no 'dat'. Did you mean 'data'?"),
        ("data/T1.h5ad ", "Did you mean 'T1.h5ad'?"),
        ("data/outs/x", "data has no 'outs'."),
        ("data/T1.h5ad/x", "T1.h5ad is a file, and no folder."),
        ("data\\T1.h5ad", "Folders are parted by `/` here"),
        ("C:\\data\\T1.h5ad", "Folders are parted by `/` here"),
        ("data/T*.h5ad", "Paths are no patterns (*)"),
        ("$DATA/T1.h5ad", "Nothing is put in the place of $DATA"),
        ("%DATA%/T1.h5ad", "Nothing is put in the place of %DATA%"),
        ("https://example.org/T1.h5ad", "What is on a server (https) is not fetched"),
        ("data/T1.h5ad", ""),
        ("data", ""),
    ],
)
def test_what_is_wrong_with_a_path_is_told(tmp_path, given, told):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "T1.h5ad").touch()
    found = whereabouts(tmp_path / given)
    assert told in found if told else not found


@pytest.mark.parametrize("forms", [("NFC", "NFD"), ("NFD", "NFC")])
def test_letters_that_are_put_together_otherwise_are_told_apart(tmp_path, forms):
    there, asked = (unicodedata.normalize(form, "Prägung") for form in forms)
    (tmp_path / there).mkdir()
    found = whereabouts(tmp_path / asked / "outs")
    assert f"has a {'Prägung'!r} whose letters are put together otherwise ({there!a}, " in found
    assert "rename it, or copy its name." in found


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_no_file_and_nobody_waits_for_it(tmp_path):
    os.mkfifo(tmp_path / "slide.tif")
    assert no_file(tmp_path / "slide.tif").startswith("It is a pipe, a socket or a device:")
    with pytest.raises(MissingFileError, match="It is a pipe"):
        require_image(tmp_path / "slide.tif")
