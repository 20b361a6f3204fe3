"""Windows of images are what Pillow decodes, whoever reads them; damage is an error."""

from __future__ import annotations

import sys

import numpy as np
import PIL.Image
import pytest
import tifffile

from spared_bench.errors import ImageError
from spared_bench.processing.images import image_size, open_image, read_reduced
from spared_bench.processing.pillow_image import PillowImage
from spared_bench.processing.vips_image import VipsImage


@pytest.fixture(params=["vips", "pillow"])
def reader(request, monkeypatch):
    """Read with libvips, and as where it does not load."""
    if request.param == "pillow":
        monkeypatch.setitem(sys.modules, "pyvips", None)
    return request.param


@pytest.fixture
def pixels(rng):
    # Smooth enough that JPEG decoders agree, and different in every channel.
    y, x = np.mgrid[:90, :120]
    bands = [x * 2, y * 2, (x + y) + rng.integers(0, 3, size=x.shape)]
    return np.stack(bands, axis=-1).astype(np.uint8)


def test_the_fallback_is_used_where_libvips_does_not_load(reader, tmp_path, pixels):
    PIL.Image.fromarray(pixels).save(tmp_path / "a.png")
    expected = VipsImage if reader == "vips" else PillowImage
    assert isinstance(open_image(tmp_path / "a.png"), expected)


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.jpg"])
def test_a_window_is_the_crop_of_the_decoded_image(reader, tmp_path, pixels, name):
    PIL.Image.fromarray(pixels).save(tmp_path / name, **({"quality": 95} if "jpg" in name else {}))
    decoded = np.asarray(PIL.Image.open(tmp_path / name))

    window = open_image(tmp_path / name).window(30, 20, 50, 40)

    np.testing.assert_allclose(window.astype(int), decoded[20:60, 30:80].astype(int), atol=1)
    assert image_size(tmp_path / name) == (120, 90)


def test_a_grey_image_is_repeated_over_the_channels(reader, tmp_path, pixels):
    PIL.Image.fromarray(pixels[..., 0]).save(tmp_path / "a.png")
    window = open_image(tmp_path / "a.png").window(0, 0, 120, 90)
    np.testing.assert_array_equal(window, np.repeat(pixels[..., :1], 3, axis=2))


def test_a_transparent_image_is_laid_on_white(reader, tmp_path, pixels):
    opacity = np.zeros((90, 120, 1), dtype=np.uint8)
    opacity[:, 60:] = 255
    PIL.Image.fromarray(np.concatenate([pixels, opacity], axis=2)).save(tmp_path / "a.png")
    window = open_image(tmp_path / "a.png").window(0, 0, 120, 90)
    assert (window[:, :60] == 255).all()
    np.testing.assert_array_equal(window[:, 60:], pixels[:, 60:])


def test_a_palette_image_has_its_colours(reader, tmp_path, pixels):
    picture = PIL.Image.fromarray(pixels).quantize(16)
    picture.save(tmp_path / "a.png")
    window = open_image(tmp_path / "a.png").window(0, 0, 120, 90)
    np.testing.assert_array_equal(window, np.asarray(picture.convert("RGB")))


def test_sixteen_bits_are_scaled_and_truncated(reader, tmp_path, rng):
    deep = rng.integers(0, 65536, size=(40, 50), dtype=np.uint16)
    deep[0, :3] = 0, 65534, 65535
    PIL.Image.fromarray(deep).save(tmp_path / "a.png")
    window = open_image(tmp_path / "a.png").window(0, 0, 50, 40)
    np.testing.assert_array_equal(window[..., 0], np.floor(deep / 65535 * 255))
    assert window[0, :3, 0].tolist() == [0, 254, 255]


def test_sixteen_bit_colour_keeps_its_channels(tmp_path, rng):
    deep = rng.integers(0, 65536, size=(40, 50, 3), dtype=np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", deep, photometric="rgb")
    window = open_image(tmp_path / "a.tif").window(5, 5, 20, 20)
    np.testing.assert_array_equal(window, np.floor(deep[5:25, 5:25] / 65535 * 255))


@pytest.mark.parametrize("kind", ["png", "ppm", "jp2"])
def test_a_dark_image_of_sixteen_bits_is_refused_whoever_reads_it(reader, tmp_path, rng, kind):
    """Pillow keeps the upper eight bits of colours, in which ten bits in sixteen are black."""
    import imagecodecs

    def write(values):
        path = tmp_path / f"a.{kind}"
        if kind == "ppm":
            head = f"P6 # by hand\n{values.shape[1]} {values.shape[0]}\n65535\n".encode()
            path.write_bytes(head + values.astype(">u2").tobytes())
        elif kind == "png":
            path.write_bytes(imagecodecs.png_encode(values))
        else:
            path.write_bytes(imagecodecs.jpeg2k_encode(values, level=0))
        return open_image(path)

    deep = rng.integers(0, 1024, size=(40, 50, 3), dtype=np.uint16)
    with pytest.raises(ImageError, match="lowest quarter"):
        write(deep).window(0, 0, 50, 40)
    bright = write(deep * 64).window(0, 0, 50, 40)
    assert bright.mean() == pytest.approx(deep.mean() * 64 / 257, abs=2)


@pytest.mark.parametrize("form", ["jp2", "j2k"])
@pytest.mark.parametrize("bands", [1, 3, 4])
@pytest.mark.parametrize("bits", [10, 12, 16])
def test_jpeg_2000_of_more_than_8_bits_is_scaled_and_its_white_is_white(
    reader, tmp_path, rng, form, bands, bits
):
    """Pillow rounds the upper eight bits, so that 255.5 and more of 256 went to 0."""
    import imagecodecs

    top = 2**bits - 1
    deep = rng.integers(0, top, size=(40, 50, bands), dtype=np.uint16, endpoint=True)
    deep[:10] = top - (np.arange(50, dtype=np.uint16)[:, None] % 3)
    deep[..., 3:] = top
    coded = imagecodecs.jpeg2k_encode(
        deep.squeeze(), bitspersample=bits, reversible=True, codecformat=form
    )
    (tmp_path / "a.jp2").write_bytes(coded)

    window = open_image(tmp_path / "a.jp2").window(0, 0, 50, 40)

    expected = np.floor(deep[..., :3].astype(float) / top * 255)
    np.testing.assert_array_equal(window, np.broadcast_to(expected, window.shape))
    dark = imagecodecs.jpeg2k_encode(
        deep.squeeze() // 4, bitspersample=bits, reversible=True, codecformat=form
    )
    (tmp_path / "dark.jp2").write_bytes(dark)
    with pytest.raises(ImageError, match=f"lowest quarter of its {bits} bits"):
        open_image(tmp_path / "dark.jp2").window(0, 0, 50, 40)
    (tmp_path / "cut.jp2").write_bytes(coded[:-100])
    with pytest.raises(ImageError, match="cannot be decoded"):
        open_image(tmp_path / "cut.jp2")


@pytest.mark.parametrize("bands", [1, 3])
@pytest.mark.parametrize("bits", [1, 4, 6])
def test_jpeg_2000_of_fewer_than_8_bits_has_its_white(reader, tmp_path, rng, bands, bits):
    import imagecodecs

    top = 2**bits - 1
    values = rng.integers(0, top, size=(40, 50, bands), dtype=np.uint8, endpoint=True)
    coded = imagecodecs.jpeg2k_encode(values.squeeze(), bitspersample=bits, reversible=True)
    (tmp_path / "a.jp2").write_bytes(coded)
    window = open_image(tmp_path / "a.jp2").window(0, 0, 50, 40)
    expected = np.floor(values.astype(float) / top * 255)
    np.testing.assert_array_equal(window, np.broadcast_to(expected, window.shape))


def test_jpeg_2000_whose_bands_have_unlike_depths_is_refused(tmp_path, pixels):
    """Pillow showed an opacity of one bit as half."""
    import imagecodecs

    coded = bytearray(imagecodecs.jpeg2k_encode(np.dstack([pixels, pixels[..., :1]])))
    sizes = coded.find(b"\xff\x4f\xff\x51") + 42
    coded[sizes + 9] = 0  # the fourth band, of one bit
    (tmp_path / "a.jp2").write_bytes(coded)
    with pytest.raises(ImageError, match="bands of 8 bits, or of unlike ones"):
        open_image(tmp_path / "a.jp2")


def test_a_deep_jpeg_2000_that_says_it_is_huge_is_refused_before_it_is_decoded(
    tmp_path, rng, monkeypatch
):
    import imagecodecs

    values = rng.integers(0, 4096, (64, 64, 3), np.uint16)
    coded = bytearray(imagecodecs.jpeg2k_encode(values, bitspersample=12, reversible=True))
    sizes = coded.find(b"\xff\x4f\xff\x51")
    for place in (8, 12, 24, 28):  # right and lower edge, of the image and of its one tile
        coded[sizes + place : sizes + place + 4] = (60_000).to_bytes(4, "big")
    (tmp_path / "a.jp2").write_bytes(coded)
    monkeypatch.setattr(imagecodecs, "jpeg2k_decode", None)
    with pytest.raises(ImageError, match=r"60,000 x 60,000 pixels.* 178,956,970 pixels at most"):
        open_image(tmp_path / "a.jp2")


@pytest.mark.parametrize(("kind", "told"), [(12, "CMYK"), (18, "colours of kind 18")])
def test_deep_jpeg_2000_in_other_colours_than_rgb_is_refused(tmp_path, rng, kind, told):
    import imagecodecs

    deep = rng.integers(0, 4096, size=(40, 50, 4 if kind == 12 else 3), dtype=np.uint16)
    coded = bytearray(imagecodecs.jpeg2k_encode(deep, bitspersample=12, codecformat="jp2"))
    coded[coded.find(b"colr") + 10] = kind
    (tmp_path / "a.jp2").write_bytes(coded)
    with pytest.raises(ImageError, match=told):
        open_image(tmp_path / "a.jp2")


@pytest.mark.parametrize("planes", [True, False])
def test_an_ome_tiff_of_three_channels_has_its_colours_however_they_are_stored(
    tmp_path, pixels, planes
):
    path = tmp_path / "a.ome.tif"
    if planes:
        axes = {"metadata": {"axes": "CYX"}, "photometric": "minisblack"}
        tifffile.imwrite(path, np.moveaxis(pixels, 2, 0), **axes)
    else:
        tifffile.imwrite(path, pixels, photometric="rgb")
    np.testing.assert_array_equal(open_image(path).window(5, 5, 20, 30), pixels[5:35, 5:25])


def test_pixels_that_are_no_colours_are_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((8, 8), dtype=np.float32))
    with pytest.raises(ImageError, match=r"a\.tif has pixels of type float32; expected 1-4"):
        open_image(tmp_path / "a.tif")


def _as_ycck(data):
    """Change Adobe's marker so that it tells of luminance and chrominance."""
    transform = data.index(b"Adobe") + 11
    return data[:transform] + b"\2" + data[transform + 1 :]


def _without_marker(data):
    """Leave Adobe's marker out, so that the inks count the other way round."""
    start = data.index(b"Adobe") - 4
    return data[:start] + data[start + 16 :]


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("a.jpg", lambda data: data),
        ("a.jpg", _as_ycck),
        ("a.jpg", _without_marker),
        ("a.tif", lambda data: data),
    ],
    ids=["CMYK", "YCCK", "no marker", "TIFF"],
)
def test_inks_are_refused_because_their_colours_are_a_printers(
    reader, tmp_path, pixels, name, change
):
    # Of the pink (200, 120, 170), written by Pillow, libvips made (194, 127, 137).
    path = tmp_path / name
    PIL.Image.fromarray(pixels).convert("CMYK").save(path)
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(ImageError, match="is in CMYK, inks for print") as told:
        open_image(path)
    assert "damaged" not in str(told.value)


@pytest.mark.parametrize("name", ["a.jpg", "a.png"])
def test_a_truncated_image_is_refused(reader, tmp_path, rng, name):
    noise = rng.integers(0, 256, size=(200, 200, 3), dtype=np.uint8)
    PIL.Image.fromarray(noise).save(tmp_path / name)
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ImageError, match=rf"{name} \([\d,]+ bytes\) cannot be decoded"):
        open_image(tmp_path / name).window(0, 150, 50, 50)


def test_a_file_that_is_no_image_is_refused(reader, tmp_path):
    (tmp_path / "a.jpg").write_text("<html>Not found</html>")
    with pytest.raises(ImageError, match="cannot be decoded"):
        open_image(tmp_path / "a.jpg")


@pytest.mark.parametrize("name", ["", "missing.png"])
def test_a_missing_image_is_named(tmp_path, name):
    with pytest.raises(ImageError, match="There is no image at"):
        open_image(tmp_path / name if name else "")


def test_a_reduced_image_is_the_mean_of_its_blocks(reader, tmp_path, pixels):
    PIL.Image.fromarray(pixels).save(tmp_path / "a.png")
    reduced, factor = read_reduced(tmp_path / "a.png", 45)
    assert factor == 1 / 3
    blocks = pixels.reshape(30, 3, 40, 3, 3).mean(axis=(1, 3))
    np.testing.assert_array_equal(reduced, blocks.astype(np.uint8))


def test_a_small_image_is_not_reduced(reader, tmp_path, pixels):
    PIL.Image.fromarray(pixels).save(tmp_path / "a.png")
    reduced, factor = read_reduced(tmp_path / "a.png", 120)
    assert factor == 1
    np.testing.assert_array_equal(reduced, pixels)
