"""An image of several frames is refused, as a TIFF of several pages is."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from spared_bench.errors import ImageError
from spared_bench.processing.images import open_image

FIRST = np.random.default_rng(0).integers(0, 255, (40, 30, 3), dtype=np.uint8)


@pytest.mark.parametrize("suffix", ["webp", "gif"])
def test_frames_are_refused_and_one_is_read(tmp_path, suffix):
    frames = [Image.fromarray(each) for each in (FIRST, 255 - FIRST)]
    frames[0].save(tmp_path / f"two.{suffix}", save_all=True, append_images=frames[1:])
    frames[0].save(tmp_path / f"one.{suffix}")

    with pytest.raises(ImageError, match="2 frames and does not say which is the image"):
        open_image(tmp_path / f"two.{suffix}")
    assert open_image(tmp_path / f"one.{suffix}").window(0, 0, 30, 40).shape == (40, 30, 3)
