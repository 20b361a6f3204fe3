"""libvips' threads do not survive a fork: a child is told so, and never waits for them."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from spared_bench.apart import FailedError, do_apart
from spared_bench.fresh import do_fresh
from spared_bench.processing.images import image_size, open_image
from spared_bench.processing.wholeness import _warning

PIXELS = np.random.default_rng(3).integers(0, 255, (300, 200, 3), dtype=np.uint8)


def total(path: str) -> int:
    return int(open_image(path).window(0, 0, 200, 300).astype(np.int64).sum())


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp"])
def test_a_fork_of_what_read_an_image_is_told_and_a_fresh_interpreter_reads(tmp_path, suffix):
    path = str(tmp_path / f"a.{suffix}")
    Image.fromarray(PIXELS).save(path)
    here = total(path)  # libvips has threads now

    with pytest.raises(FailedError, match=r"forked from one in which libvips had run.*spawn"):
        do_apart(lambda: total(path), 60)
    with pytest.raises(FailedError, match="forked from one"):  # the child's child, too
        do_apart(lambda: do_apart(lambda: total(path), 60), 60)
    assert do_apart(lambda: image_size(path), 60) == [200, 300]
    assert do_fresh(f"{__name__}:total", {"path": path}, 60) == here


def test_another_users_threads_count_and_a_second_look_at_a_jpeg_too(tmp_path):
    import pyvips

    path = tmp_path / "a.jpg"
    Image.fromarray(PIXELS).save(path)
    pyvips.Image.new_from_file(str(path)).avg()  # as a plugin's reader would
    with pytest.raises(FailedError, match="forked from one"):
        do_apart(lambda: _warning(path), 60)
