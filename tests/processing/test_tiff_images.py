"""TIFFs: what is shown was decoded, and means what the file says it means."""

from __future__ import annotations

import re
import struct

import numpy as np
import PIL.Image
import pytest
import tifffile

from spared_bench.errors import ImageError
from spared_bench.processing import tiff_image
from spared_bench.processing.images import image_size, open_image

HEIGHT, WIDTH = 150, 200
CODECS = ["none", "lzw", "deflate", "packbits", "zstd", "lzma", "lerc", "jpeg", "webp", "png"]
CODECS += ["jpeg2000", "jpegxl", "jpegxr"]
TILES, STRIPS, ROWS = {"tile": (64, 64)}, {}, {"rowsperstrip": 7}


@pytest.fixture
def pixels(rng):
    """Smooth colours with some noise, nowhere black, (height, width, 3)."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    smooth = np.stack([x // 2 + 20, y // 2 + 60, (x + y) // 4 + 30], axis=-1)
    return (smooth + rng.integers(0, 5, size=smooth.shape)).astype(np.uint8)


def write(path, pixels, codec="none", **options):
    options = {"photometric": "rgb", "compression": None if codec == "none" else codec} | options
    tifffile.imwrite(path, pixels, **options)
    return path


def whole(path, **options):
    image = open_image(path, **options)
    return image.window(0, 0, image.width, image.height)


@pytest.mark.parametrize("layout", [TILES, STRIPS, ROWS], ids=["tiles", "strip", "strips"])
@pytest.mark.parametrize("codec", CODECS)
def test_every_codec_shows_what_tifffile_decodes(tmp_path, pixels, codec, layout):
    path = write(tmp_path / "a.tif", pixels, codec, **layout)
    expected = tifffile.imread(path)
    assert np.abs(expected.astype(int) - pixels).max() < 40  # JPEG XR is coarse
    np.testing.assert_array_equal(whole(path), expected)
    part = open_image(path).window(50, 30, 90, 100)
    np.testing.assert_array_equal(part, expected[30:130, 50:140])


@pytest.mark.parametrize("layout", [TILES, ROWS], ids=["tiles", "strips"])
@pytest.mark.parametrize("damage", ["cut", "zero tail", "one byte short"])
@pytest.mark.parametrize("codec", CODECS)
def test_a_file_that_is_not_whole_is_refused(tmp_path, pixels, codec, damage, layout):
    path = write(tmp_path / "a.tif", pixels, codec, **layout)
    data = path.read_bytes()
    end = len(data) - 1 if damage == "one byte short" else len(data) * 6 // 10
    path.write_bytes(data[:end] + (bytes(len(data) - end) if damage == "zero tail" else b""))
    with pytest.raises(ImageError, match=r"a\.tif \([\d,]+ bytes\) cannot be decoded (at|in) "):
        whole(path)


@pytest.mark.parametrize("codec", [codec for codec in CODECS if codec != "none"])
def test_a_hole_in_the_middle_is_found(tmp_path, pixels, codec):
    path = write(tmp_path / "a.tif", pixels, codec)
    data = path.read_bytes()
    middle, length = len(data) // 2, 1200
    path.write_bytes(data[:middle] + bytes(length) + data[middle + length :])
    with pytest.raises(ImageError, match="cannot be decoded at x=0, y=0"):
        whole(path)


@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("codec", ["lzw", "packbits", "zstd", "jpeg"])
def test_zeros_that_a_codec_without_a_checksum_never_writes_are_found(tmp_path, rng, codec, planar):
    """Most of such holes its decoder forgives: it shows something else from there on."""
    noise = rng.integers(20, 230, size=(256, 256, 3), dtype=np.uint8)
    shown = np.moveaxis(noise, 2, 0) if planar == "separate" else noise
    path = write(tmp_path / "a.tif", shown, codec, planarconfig=planar, tile=(128, 128))
    data = path.read_bytes()
    with tifffile.TiffFile(path) as tiff:
        first, length = tiff.pages[0].dataoffsets[0], tiff.pages[0].databytecounts[0]
    for place in range(first + 1000, first + length - 1800, length // 7):
        path.write_bytes(data[:place] + bytes(600) + data[place + 600 :])
        with pytest.raises(ImageError, match="cannot be decoded at x=0, y=0"):
            open_image(path).window(0, 0, 128, 128)


def test_zeros_that_jpeg_xr_may_write_leave_a_way_out(tmp_path, rng):
    """Its decoder tells of no damage, and at the edges of tiles of 16 bits it writes zeros."""
    walk = np.cumsum(rng.normal(0, 2, (150, 170, 3)), axis=1)
    shown = np.clip(187 + walk, 30, 250).astype(np.uint16) * 257
    path = write(tmp_path / "a.tif", shown, "jpegxr", tile=(256, 256))
    with pytest.raises(ImageError, match="if the file is whole, write it again with the"):
        whole(path)


@pytest.mark.parametrize("codec", ["lzw", "packbits", "zstd", "jpeg"])
@pytest.mark.parametrize("value", [0, 187, 255])
def test_an_even_image_is_no_damage(tmp_path, codec, value):
    shown = np.full((1024, 1024, 3), value, dtype=np.uint8)
    path = write(tmp_path / "a.tif", shown, codec, tile=(512, 512))
    assert np.abs(whole(path).astype(int) - value).max() <= 2


@pytest.mark.parametrize("codec", ["none", "deflate", "jpeg"])
def test_a_tile_that_the_file_leaves_out_is_refused_and_the_others_are_read(
    tmp_path, pixels, codec
):
    path = write(tmp_path / "a.tif", pixels, codec, **TILES)
    expected = tifffile.imread(path)
    with tifffile.TiffFile(path, mode="r+") as tiff:
        counts = list(tiff.pages[0].databytecounts)
        counts[5] = 0  # the second of the second row
        tiff.pages[0].tags["TileByteCounts"].overwrite(counts)
    image = open_image(path)
    np.testing.assert_array_equal(image.window(0, 0, WIDTH, 64), expected[:64])
    with pytest.raises(ImageError, match="holds no data at x=64, y=64: it was left out"):
        image.window(100, 60, 10, 10)


def test_black_that_is_compressed_or_not_at_the_end_of_the_file_is_read(tmp_path, pixels):
    pixels[100:] = 0
    np.testing.assert_array_equal(whole(write(tmp_path / "a.tif", pixels, "lzw")), pixels)
    flipped = pixels[::-1]
    np.testing.assert_array_equal(whole(write(tmp_path / "b.tif", flipped, **TILES)), flipped)
    with pytest.raises(ImageError, match="nothing but zeros, as an interrupted copy does"):
        whole(write(tmp_path / "c.tif", pixels, **ROWS))


def test_a_white_tile_whose_jpeg_is_all_zeros_inside_is_read(tmp_path):
    # With Huffman tables of its own an even tile is coded as a run of zeros, as damage is.
    PIL.Image.new("L", (512, 512), 255).save(
        tmp_path / "a.tif", compression="jpeg", quality=90, tiffinfo={}
    )
    assert (whole(tmp_path / "a.tif") == 255).all()


def test_a_codec_that_nobody_knows_is_named_and_not_called_damage(tmp_path, pixels):
    path = write(tmp_path / "a.tif", pixels, "deflate", **TILES)
    with tifffile.TiffFile(path, mode="r+") as tiff:
        tiff.pages[0].tags["Compression"].overwrite(34661)  # JBIG
    with pytest.raises(
        ImageError, match="compressed as JBIG, which no reader here decodes"
    ) as told:
        whole(path)
    assert "damaged" not in str(told.value)
    assert "Write it again with the compression deflate" in str(told.value)


def test_colours_that_cannot_be_converted_are_named(tmp_path, pixels):
    write(tmp_path / "a.tif", pixels, photometric="cielab")
    with pytest.raises(ImageError, match="colours of kind CIELAB") as told:
        whole(tmp_path / "a.tif")
    assert "damaged" not in str(told.value)


@pytest.mark.parametrize("codec", ["none", "deflate", "jpeg"])
def test_one_large_strip_is_read_row_by_row(tmp_path, pixels, codec, monkeypatch):
    monkeypatch.setattr(tiff_image, "_LARGEST_STRIP", 1000)
    monkeypatch.setattr("spared_bench.processing.tiff_planes._RAW_BLOCK_BYTES", 5000)
    path = write(tmp_path / "a.tif", pixels, codec)
    np.testing.assert_array_equal(whole(path), tifffile.imread(path))
    np.testing.assert_array_equal(
        open_image(path).window(20, 100, 30, 9), tifffile.imread(path)[100:109, 20:50]
    )
    path.write_bytes(path.read_bytes()[:-3000])
    with pytest.raises(ImageError, match="cannot be decoded"):
        whole(path)


def test_a_large_strip_of_much_coded_data_is_read(tmp_path, monkeypatch, rng):
    monkeypatch.setattr(tiff_image, "_LARGEST_STRIP", 1000)
    noise = rng.integers(0, 255, (4300, 4300, 3), dtype=np.uint8)  # of over 50 MiB
    few = {"level": 0}
    path = write(tmp_path / "a.tif", noise, "deflate", rowsperstrip=4300, compressionargs=few)
    np.testing.assert_array_equal(open_image(path).window(7, 9, 20, 30), noise[9:39, 7:27])


@pytest.mark.parametrize("codec", ["zstd", "png", "lerc"])
def test_a_large_strip_that_is_not_decoded_in_parts_is_not_called_damaged(
    tmp_path, pixels, codec, monkeypatch
):
    monkeypatch.setattr(tiff_image, "_LARGEST_STRIP", 1000)
    path = write(tmp_path / "a.tif", pixels, codec)
    with pytest.raises(ImageError, match=r"cannot be decoded row by row .* again in tiles, or in"):
        whole(path)


def test_a_window_of_a_tiled_image_decodes_its_tiles_only(tmp_path, pixels):
    path = write(tmp_path / "a.tif", np.tile(pixels, (4, 4, 1)), "deflate", **TILES)
    image = open_image(path)
    decoded, decode = [], image.decode
    image.decode = lambda row, column: (decoded.append((row, column)), decode(row, column))[1]
    image.window(100, 70, 100, 20)
    assert sorted(decoded) == [(1, 1), (1, 2), (1, 3)]


# --- opacity


@pytest.mark.parametrize(
    ("kind", "expected"), [("unassalpha", "white"), ("unspecified", "kept"), ("assocalpha", "kept")]
)
def test_a_fourth_band_is_an_opacity_only_where_the_file_says_so(tmp_path, pixels, kind, expected):
    opacity = np.full((HEIGHT, WIDTH, 1), 255, dtype=np.uint8)
    opacity[:, :50] = 0 if kind != "assocalpha" else 255
    four = np.concatenate([pixels, opacity], axis=2)
    read = whole(write(tmp_path / "a.tif", four, extrasamples=[kind]))
    np.testing.assert_array_equal(read[:, 50:], pixels[:, 50:])
    assert (read[:, :50] == (255 if expected == "white" else pixels[:, :50])).all()


def test_colours_that_are_multiplied_already_are_not_multiplied_again(tmp_path):
    half = np.full((16, 16, 4), (60, 40, 20, 128), dtype=np.uint8)
    read = whole(write(tmp_path / "a.tif", half, extrasamples=["assocalpha"]))
    assert read[0, 0].tolist() == [60 + 127, 40 + 127, 20 + 127]


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_an_image_that_is_transparent_everywhere_is_refused(tmp_path, pixels, name):
    empty = np.concatenate([pixels, np.zeros((HEIGHT, WIDTH, 1), dtype=np.uint8)], axis=2)
    PIL.Image.fromarray(empty).save(tmp_path / name)
    with pytest.raises(ImageError, match="transparent everywhere"):
        open_image(tmp_path / name).window(0, 0, 10, 10)
    empty[..., 3] = 1  # a mask of 0 and 1, or an opacity of floats that was cast
    PIL.Image.fromarray(empty).save(tmp_path / name)
    with pytest.raises(ImageError, match="transparent everywhere"):
        open_image(tmp_path / name).window(0, 0, 10, 10)
    empty[-1, -1, 3] = 17
    PIL.Image.fromarray(empty).save(tmp_path / name)
    assert (open_image(tmp_path / name).window(0, 0, 10, 10) >= 239).all()


def test_bands_that_are_left_out_are_noted(tmp_path, pixels):
    six = np.concatenate([pixels, pixels], axis=2)
    path = write(tmp_path / "a.tif", six, extrasamples=["unspecified"] * 3)
    np.testing.assert_array_equal(whole(path), pixels)
    assert "left out: 3" in open_image(path).colours.notes[0]


# --- range


@pytest.mark.parametrize("bits", [8, 9, 10, 12, 14])
@pytest.mark.parametrize("said", ["tag", "largest found", "ome"])
def test_fewer_bits_in_sixteen_are_scaled_by_what_the_file_says(tmp_path, pixels, bits, said):
    top = 2**bits - 1
    deep = (pixels / 255 * top).astype(np.uint16)
    deep[0, 0] = top
    if said == "ome":
        path = write(tmp_path / "a.ome.tif", deep, metadata={"SignificantBits": bits})
    else:
        value = top if said == "tag" else int(0.9 * top)
        path = write(tmp_path / "a.tif", deep, extratags=[(281, "H", 3, (value,) * 3, False)])
    np.testing.assert_array_equal(whole(path), np.floor(deep / top * 255))
    assert f"255 / {top}" in open_image(path).colours.notes[0]


@pytest.mark.parametrize("name", ["a.tif", "a.png"])
@pytest.mark.parametrize("bits", [8, 10, 12, 14])
def test_a_dark_image_of_sixteen_bits_is_refused_unless_its_range_is_said(
    tmp_path, pixels, bits, name
):
    dark = (pixels[..., 0] / 255 * (2**bits - 1)).astype(np.uint16)
    PIL.Image.fromarray(dark).save(tmp_path / name)
    with pytest.raises(ImageError, match=r"lowest quarter of its 16 bits.*MaxSampleValue \(281"):
        open_image(tmp_path / name).window(0, 0, 10, 10)
    dark[-1, -1] = 40_000
    PIL.Image.fromarray(dark).save(tmp_path / name)
    window = open_image(tmp_path / name).window(0, 0, 10, 10)
    np.testing.assert_array_equal(window[..., 1], np.floor(dark[:10, :10] / 65535 * 255))


def test_a_dark_image_whose_file_says_sixteen_bits_is_read(tmp_path, pixels):
    dark = pixels.astype(np.uint16)
    path = write(tmp_path / "a.tif", dark, extratags=[(281, "H", 3, (65535,) * 3, False)])
    assert whole(path).max() == 0


def test_a_value_above_the_largest_that_the_file_says_is_refused(tmp_path, pixels):
    deep = pixels.astype(np.uint16) * 256
    path = write(tmp_path / "a.tif", deep, extratags=[(281, "H", 3, (4095,) * 3, False)])
    with pytest.raises(ImageError, match="but says that its largest is 4095"):
        whole(path)


def packed_twelve_bits(path, deep, largest=None):
    bits = np.unpackbits(deep.astype(">u2").view(np.uint8).reshape(HEIGHT, WIDTH, 2), axis=2)
    packed = np.packbits(bits[..., 4:].reshape(HEIGHT, -1), axis=1)
    tags = [] if largest is None else [(281, "H", 1, largest, False)]
    tifffile.imwrite(path, packed, photometric="minisblack", metadata=None, extratags=tags)
    with tifffile.TiffFile(path, mode="r+") as tiff:
        tiff.pages[0].tags["ImageWidth"].overwrite(WIDTH)
        tiff.pages[0].tags["BitsPerSample"].overwrite(12)
    return path


@pytest.mark.parametrize("largest", [None, 4095, 3900, 65535])
def test_packed_twelve_bits_are_read(tmp_path, pixels, largest):
    deep = pixels[..., 0].astype(np.uint16) * 16
    path = packed_twelve_bits(tmp_path / "a.tif", deep, largest)
    np.testing.assert_array_equal(whole(path)[..., 0], np.floor(deep / 4095 * 255))


def test_ten_bits_in_packed_twelve_are_scaled_by_what_the_file_says_or_refused(tmp_path, pixels):
    deep = pixels[..., 0].astype(np.uint16) * 4
    path = packed_twelve_bits(tmp_path / "a.tif", deep, 1023)
    np.testing.assert_array_equal(whole(path)[..., 0], np.floor(deep / 1023 * 255))
    assert "255 / 1023" in open_image(path).notes[0]
    path = packed_twelve_bits(tmp_path / "b.tif", deep)
    with pytest.raises(ImageError, match="lowest quarter of its 12 bits only"):
        whole(path)


@pytest.mark.parametrize(
    "dtype", ["float16", "float32", "float64", "int16", "int32", "uint32", "i1"]
)
def test_other_types_of_pixels_are_refused_before_anything_is_converted(tmp_path, pixels, dtype):
    path = write(tmp_path / "a.tif", (pixels // 2).astype(dtype))
    with pytest.raises(ImageError, match=f"pixels of type {np.dtype(dtype)}; expected 1-4 channel"):
        open_image(path)


def test_grey_where_zero_is_white_is_inverted(tmp_path, pixels):
    path = write(tmp_path / "a.tif", pixels[..., 0], photometric="miniswhite")
    np.testing.assert_array_equal(whole(path)[..., 2], 255 - pixels[..., 0])


@pytest.mark.parametrize("mode", ["1", "P"])
def test_bits_and_palettes_are_as_pillow_shows_them(tmp_path, pixels, mode):
    picture = PIL.Image.fromarray(pixels).convert(mode)
    picture.save(tmp_path / "a.tif")
    np.testing.assert_array_equal(whole(tmp_path / "a.tif"), np.asarray(picture.convert("RGB")))


# --- channels and pages


def planes(pixels):
    return np.moveaxis(pixels, 2, 0)


@pytest.mark.parametrize(
    ("name", "axes"),
    [("a.ome.tif", axes) for axes in ("CYX", "TZCYX", "ZCTYX", "CZTYX", "YXS", "CSYX")]
    + [
        ("a.tif", "imagej"),
        ("a.tif", "apart"),
        ("a.tif", "apart in tiles"),
        ("a.tif", "grey apart"),
    ],
)
def test_three_channels_are_colours_however_they_are_stored(tmp_path, pixels, name, axes):
    path, apart, grey = tmp_path / name, planes(pixels), {"photometric": "minisblack"}
    if axes == "imagej":
        tifffile.imwrite(path, apart, imagej=True, metadata={"axes": "CYX", "mode": "composite"})
    elif axes.endswith("apart"):
        kind = "minisblack" if "grey" in axes else "rgb"
        tifffile.imwrite(path, apart, planarconfig="separate", photometric=kind)
    elif axes == "apart in tiles":
        tifffile.imwrite(path, apart, planarconfig="separate", photometric="rgb", tile=(64, 64))
    elif axes == "YXS":
        tifffile.imwrite(path, pixels, photometric="rgb")
    elif axes == "CSYX":
        tifffile.imwrite(
            path, apart[None], photometric="rgb", planarconfig="separate", metadata={"axes": axes}
        )
    else:
        shape = [3 if axis == "C" else 1 for axis in axes[:-2]]
        cube = apart.reshape(*shape, HEIGHT, WIDTH)
        tifffile.imwrite(path, cube, metadata={"axes": axes}, **grey)
    np.testing.assert_array_equal(whole(path), pixels)
    assert image_size(path) == (WIDTH, HEIGHT)


@pytest.mark.parametrize("shape", [(3, 1, 90, 120), (1, 3, 90, 120), (2, 1, 90, 120, 3)])
def test_several_pages_are_seen_on_whichever_unnamed_axis_they_lie(tmp_path, rng, shape):
    """As ``tifffile.imwrite`` writes an array: all its axes but the image's are called Q."""
    values = rng.integers(1, 255, size=shape, dtype=np.uint8)
    colour = "rgb" if shape[-1] == 3 else "minisblack"
    tifffile.imwrite(tmp_path / "a.tif", values, photometric=colour)
    with pytest.raises(ImageError, match=rf"{max(shape[:2])} pages \({max(shape[:2])} unnamed\)"):
        open_image(tmp_path / "a.tif")


@pytest.mark.parametrize(
    ("name", "axes", "shape", "told"),
    [
        ("a.ome.tif", "CYX", (2,), "2 pages for its channels; expected 3"),
        ("a.ome.tif", "CYX", (4,), "4 pages for its channels; expected 3"),
        ("a.ome.tif", "ZYX", (3,), r"3 pages \(3 in z\)"),
        ("a.ome.tif", "TCYX", (2, 3), r"6 pages \(2 in time, 3 channels\)"),
        ("a.tif", "IYX", (3,), r"3 pages \(3 pages\)"),
    ],
)
def test_pages_that_are_not_described_as_three_colours_are_counted(
    tmp_path, pixels, name, axes, shape, told
):
    cube = np.broadcast_to(pixels[..., 0], (*shape, HEIGHT, WIDTH))
    options = {"metadata": {"axes": axes}} if name == "a.ome.tif" else {"metadata": None}
    tifffile.imwrite(tmp_path / name, cube, photometric="minisblack", **options)
    with pytest.raises(ImageError, match=f"has {told}.*Save it as one RGB image"):
        open_image(tmp_path / name)
    if len(shape) == 1:  # which may be stains, so the size does not depend on the colours
        assert image_size(tmp_path / name) == (WIDTH, HEIGHT)


def test_four_grey_samples_are_not_taken_for_colours_and_opacity(tmp_path, pixels):
    four = np.concatenate([pixels, pixels[..., :1]], axis=2)
    path = write(tmp_path / "a.tif", four, photometric="minisblack", planarconfig="contig")
    with pytest.raises(ImageError, match="4 channels and does not say which are red, green"):
        open_image(path)


def test_smaller_pages_and_other_series_do_not_matter(tmp_path, pixels):
    with tifffile.TiffWriter(tmp_path / "a.tif") as tiff:
        tiff.write(pixels, photometric="rgb", tile=(64, 64), compression="jpeg")
        tiff.write(pixels[::4, ::4], photometric="rgb")
        tiff.write(pixels[:20, :30], photometric="rgb")
    expected = tifffile.imread(tmp_path / "a.tif", key=0)
    np.testing.assert_array_equal(whole(tmp_path / "a.tif"), expected)


@pytest.mark.parametrize("ome", [False, True])
def test_a_file_that_begins_with_a_smaller_image_is_refused(tmp_path, pixels, ome):
    """A label, a macro photograph, or one of several scenes is not the slide."""
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path, ome=ome) as tiff:
        kept = {} if ome else {"metadata": None}
        tiff.write(pixels[:20, :30], photometric="rgb", **kept)
        tiff.write(pixels, photometric="rgb", **kept)
    with pytest.raises(ImageError, match="its first, of 30 x 20 pixels, is smaller"):
        open_image(path)


def ndpi(path, pixels, interval):
    """Write a slide as Hamamatsu does: one JPEG, and where it restarts; return these places."""
    pyvips = pytest.importorskip("pyvips")
    coded = pyvips.Image.new_from_array(pixels).jpegsave_buffer(
        Q=98, subsample_mode="off", restart_interval=interval, strip=True
    )
    scan = coded.index(b"\xff\xda") + 2
    scan += int.from_bytes(coded[scan : scan + 2], "big")
    starts = [scan, *(at.end() for at in re.finditer(rb"\xff[\xd0-\xd7]", coded))]
    starts = [start for start in starts if start >= scan]
    height, width, _ = pixels.shape
    place = 12 + len(coded) + len(coded) % 2
    more = struct.pack(f"<3H{len(starts)}I", 8, 8, 8, *starts) + b"Hamamatsu\0"
    tags = [(256, 4, 1, width), (257, 4, 1, height), (258, 3, 3, place), (259, 3, 1, 7)]
    tags += [(262, 3, 1, 6), (271, 2, 10, place + len(more) - 10), (273, 4, 1, 12)]
    tags += [(277, 3, 1, 3), (278, 4, 1, height), (279, 4, 1, len(coded)), (530, 3, 2, 65537)]
    tags += [(65420, 4, 1, 1), (65421, 11, 1, 0x41A00000), (65426, 4, len(starts), place + 6)]
    parts = [b"II*\0", struct.pack("<Q", place + len(more)), coded.ljust(place - 12, b"\0"), more]
    parts += [struct.pack("<H", len(tags)), *(struct.pack("<HHII", *tag) for tag in tags)]
    # The next page, and the upper halves of all values: this kind has 64 bits.
    path.write_bytes(b"".join(parts) + bytes(8 + 4 * len(tags)))
    return [12 + start for start in starts]


@pytest.mark.parametrize("interval", [5, 25])  # of the 25 blocks in a row
def test_pieces_of_hamamatsus_jpeg_are_shown(tmp_path, pixels, interval):
    ndpi(tmp_path / "a.ndpi", pixels, interval)
    assert np.abs(whole(tmp_path / "a.ndpi").astype(int) - pixels).max() < 16


@pytest.mark.parametrize("damage", ["zeros", "marker", "no restart", "restart", "no end"])
def test_damage_of_a_piece_of_hamamatsus_jpeg_is_no_picture(tmp_path, pixels, damage):
    path = tmp_path / "a.ndpi"
    starts = ndpi(path, pixels, 25)
    data = bytearray(path.read_bytes())
    middle, last = starts[5], starts[-1]
    if damage == "zeros":
        data[middle + 30 : starts[6] - 2] = bytes(starts[6] - 2 - middle - 30)
    elif damage == "no end":
        end = data.index(b"\xff\xd9", last)
        data[end : end + 2] = b"ab"
    else:
        at, sign = {"marker": (30, b"\xff\xc4"), "restart": (30, b"\xff\xd3")}.get(
            damage, (-2, b"ab")
        )
        data[middle + at : middle + at + 2] = sign
    path.write_bytes(data)
    with pytest.raises(ImageError, match=r"cannot be decoded at x=0, y=\d+ \(compression JPEG\)"):
        whole(path)


JOINT = '<TileJointInfo FlagJoined="1" Tile1="1" Tile2="2" OverlapX="{}" OverlapY="{}"/>'
TRESTLE = "Objective Power=20;OverlapsXY={};Background Color=FFFFFF"


@pytest.mark.parametrize(
    ("tag", "told", "is_refused"),
    [
        (700, JOINT.format(0, 0) + JOINT.format(12, 0), True),
        (700, JOINT.format(0, 4), True),
        (700, JOINT.format(-3, 0), True),
        (700, JOINT.replace('"', "'").format(100, 0), True),
        (270, TRESTLE.format("64 64 32 32"), True),
        (270, TRESTLE.format(" 0 16 0 8"), True),
        (700, JOINT.format(0, 0), False),
        (270, TRESTLE.format("0 0 0 0"), False),
        (270, "OverlapsXY= 0 0\n20 x", False),
    ],
)
def test_tiles_that_overlap_are_not_laid_side_by_side(tmp_path, pixels, tag, told, is_refused):
    """Ventana tells of them in XMP, Trestle in the description."""
    stored = (tag, 1, len(told), told.encode(), True) if tag == 700 else (tag, 2, 0, told, True)
    options = {"extratags": [stored], "metadata": None, "description": None}
    path = write(tmp_path / "a.bif", pixels, **TILES, **options)
    if is_refused:
        with pytest.raises(ImageError, match="tiles that overlap each other"):
            open_image(path)
    else:
        np.testing.assert_array_equal(whole(path), pixels)


def test_planes_in_other_files_are_not_taken_from_this_one(tmp_path, pixels):
    # The places of all planes were looked up in the file that was opened: one plane, three times.
    uuid = "urn:uuid:0000000{}-0000-0000-0000-000000000000".format
    planes_in = "".join(
        f'<TiffData FirstC="{c}" IFD="0"><UUID FileName="{c}.ome.tif">{uuid(c)}</UUID></TiffData>'
        for c in range(3)
    )
    for c, plane in enumerate(planes(pixels)):
        told = (
            '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="'
            f'{uuid(c)}"><Image ID="I:0"><Pixels ID="P:0" DimensionOrder="XYCZT" Type="uint8"'
            f' SizeX="{WIDTH}" SizeY="{HEIGHT}" SizeC="3" SizeZ="1" SizeT="1">'
            f"{planes_in}</Pixels></Image></OME>"
        )
        options = {"photometric": "minisblack", "description": told, "metadata": None}
        tifffile.imwrite(tmp_path / f"{c}.ome.tif", plane, **options)
    with pytest.raises(ImageError, match=r"in other files \(1\.ome\.tif, 2\.ome\.tif\)"):
        open_image(tmp_path / "0.ome.tif")
    (tmp_path / "2.ome.tif").unlink()
    with pytest.raises(ImageError, match="3 planes, but pages for 2"):
        open_image(tmp_path / "0.ome.tif")


def test_samples_that_are_pages_are_colours(tmp_path, pixels):
    options = {"photometric": "minisblack", "metadata": {"axes": "SYX"}}
    tifffile.imwrite(tmp_path / "a.tif", planes(pixels), **options)
    np.testing.assert_array_equal(whole(tmp_path / "a.tif"), pixels)


def test_a_mask_before_the_slide_is_not_taken_for_it(tmp_path, pixels):
    parts = [(pixels[..., 0], "minisblack"), (pixels, "rgb")]
    for name, order in (("a.tif", parts), ("b.tif", parts[::-1])):
        with tifffile.TiffWriter(tmp_path / name) as tiff:
            for part, kind in order:
                tiff.write(part, photometric=kind, metadata=None)
    with pytest.raises(ImageError, match="2 images of its size, the first in grey, one in colour"):
        open_image(tmp_path / "a.tif")
    np.testing.assert_array_equal(whole(tmp_path / "b.tif"), pixels)


def test_stains_of_an_ome_tiff_are_its_channels_in_order(tmp_path, rng):
    stains = rng.integers(0, 4000, size=(5, 1, 40, 50)).astype(np.uint16)  # dark, as they are
    tifffile.imwrite(
        tmp_path / "a.ome.tif", stains, photometric="minisblack", metadata={"axes": "CZYX"}
    )
    read = whole(tmp_path / "a.ome.tif", fluorescence=True)
    np.testing.assert_array_equal(read, np.floor(planes_last(stains[:3, 0]) / 65535 * 255))


def written_as_ome(path, pixels, **channel):
    tifffile.imwrite(
        path, planes(pixels), photometric="minisblack", metadata={"axes": "CYX", "Channel": channel}
    )
    return path


@pytest.mark.parametrize(
    "channel",
    [
        {"Name": ["DAPI", "CD45", "PanCK"]},
        {"Name": ["Red Alexa 594", "Green FITC", "Blue DAPI"]},
        {"Name": ["488", "561", "640"]},
        {"Name": ["Hematoxylin", "Eosin", "Residual"]},
        {"Name": ["Red", "", "Blue"]},
        {"Fluor": ["DAPI", "FITC", "Cy5"]},
        {"Color": [0xFF00FF, 0x00FF00FF, 0x0000FFFF]},
    ],
)
def test_three_channels_of_an_ome_tiff_that_are_said_to_be_stains_are_refused(
    tmp_path, pixels, channel
):
    path = written_as_ome(tmp_path / "a.ome.tif", pixels, **channel)
    with pytest.raises(ImageError, match="expected red, green and blue, or no names"):
        open_image(path)
    assert open_image(path, fluorescence=True).window(0, 0, 5, 5).shape == (5, 5, 3)


@pytest.mark.parametrize(
    ("channel", "order"),
    [
        ({"Name": ["Red", "GREEN", "b"]}, [0, 1, 2]),
        ({"Name": ["Channel 1", "Channel 2", "Channel 3"]}, [0, 1, 2]),
        ({"Name": ["TL Brightfield"] * 3}, [0, 1, 2]),
        ({"Name": ["B", "G", "R"]}, [2, 1, 0]),
        ({"Name": ["C:2", "C:0", "C:1"]}, [1, 2, 0]),
        ({"Color": [0x0000FFFF, 0x00FF00FF, 0xFF0000FF - 2**32]}, [2, 1, 0]),
        ({"Color": [-1, -1, -1]}, [0, 1, 2]),
    ],
)
def test_channels_of_an_ome_tiff_are_the_colours_that_they_are_said_to_be(
    tmp_path, pixels, channel, order
):
    path = written_as_ome(tmp_path / "a.ome.tif", pixels, **channel)
    np.testing.assert_array_equal(whole(path), pixels[..., order])


def test_a_single_channel_of_a_stain_is_no_picture_in_grey(tmp_path, pixels):
    for name in ("DAPI", "Brightfield"):
        metadata = {"axes": "YX", "Channel": {"Name": [name]}}
        grey = {"photometric": "minisblack", "metadata": metadata}
        tifffile.imwrite(tmp_path / f"{name}.ome.tif", pixels[..., 0], **grey)
    with pytest.raises(ImageError, match="are called DAPI"):
        open_image(tmp_path / "DAPI.ome.tif")
    assert whole(tmp_path / "Brightfield.ome.tif").shape == pixels.shape


def tables(colours):
    """Lookup tables of ImageJ, from black to a colour."""
    ramp = np.arange(256, dtype=np.uint8)
    parts = {"r": (1, 0, 0), "g": (0, 1, 0), "b": (0, 0, 1), "c": (0, 1, 1), "w": (1, 1, 1)}
    return [np.array([ramp * part for part in parts[colour]]) for colour in colours]


@pytest.mark.parametrize(
    ("labels", "colours", "order"),
    [
        (["Red", "Green", "Blue"], "", [0, 1, 2]),
        (["Blue", "Green", "Red"], "rgb", [2, 1, 0]),
        ([f"c:{n}/3 - slide.czi #1" for n in (1, 2, 3)], "www", [0, 1, 2]),
        ([], "bgr", [2, 1, 0]),
        (["DAPI", "CD45", "PanCK"], "bgr", []),
        ([], "cgr", []),
    ],
)
def test_labels_and_tables_of_imagej_say_what_a_channel_is(
    tmp_path, pixels, labels, colours, order
):
    told = {"Labels": labels} if labels else {}
    told |= {"LUTs": tables(colours)} if colours else {}
    metadata = {"axes": "CYX", "mode": "composite"} | told
    tifffile.imwrite(tmp_path / "a.tif", planes(pixels), imagej=True, metadata=metadata)
    if order:
        np.testing.assert_array_equal(whole(tmp_path / "a.tif"), pixels[..., order])
    else:
        with pytest.raises(ImageError, match="expected red, green and blue, or no names"):
            open_image(tmp_path / "a.tif")


def planes_last(stains):
    return np.moveaxis(stains, 0, 2)


def without_tag(path, code):
    """Turn a tag of the first page into one that nobody knows."""
    with tifffile.TiffFile(path) as tiff:
        offset, order = tiff.pages[0].tags[code].offset, tiff.byteorder
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(struct.pack(f"{order}H", 65_001))


def test_colours_without_a_photometric_interpretation_are_as_libtiff_takes_them(tmp_path, pixels):
    path = write(tmp_path / "a.tif", pixels, "lzw")
    without_tag(path, 262)
    np.testing.assert_array_equal(whole(path), pixels)


def test_what_a_file_leaves_out_is_not_taken_from_the_defaults_of_tiff(tmp_path, pixels):
    grey = write(tmp_path / "grey.tif", pixels[..., 0], photometric="minisblack")
    without_tag(grey, 262)
    with pytest.raises(ImageError, match=r"\(262\).*whether 0 is black or white"):
        whole(grey)
    one_bit = write(tmp_path / "bits.tif", pixels, "lzw")
    without_tag(one_bit, 258)
    with pytest.raises(ImageError, match=r"no tag BitsPerSample \(258\)"):
        whole(one_bit)


def test_three_channels_in_which_zero_is_white_are_refused(tmp_path, pixels):
    path = write(tmp_path / "a.tif", pixels, photometric="miniswhite", planarconfig="contig")
    with pytest.raises(ImageError, match="in which 0 is white"):
        whole(path)


@pytest.mark.parametrize("said", ["rgb", "ycbcr"])
def test_jpeg_2000_of_aperio_in_luminance_and_chrominance_shows_its_colours(tmp_path, pixels, said):
    """Compression 33003 by its definition: components without the transform of JPEG 2000."""
    red, green, blue = np.moveaxis(pixels.astype(np.float64), -1, 0)
    light = 0.299 * red + 0.587 * green + 0.114 * blue
    parts = [light, 128 + (blue - light) / 1.772, 128 + (red - light) / 1.402]
    stored = np.rint(np.clip(np.stack(parts, axis=-1), 0, 255)).astype(np.uint8)
    options = {"compressionargs": {"mct": False}, "photometric": said, **TILES}
    path = write(tmp_path / "a.svs", stored, "APERIO_JP2000_YCBC", **options)
    assert np.abs(whole(path).astype(int) - pixels).max() <= 3

    as_it_is = write(tmp_path / "b.svs", pixels, "APERIO_JP2000_RGB", **TILES)
    np.testing.assert_array_equal(whole(as_it_is), pixels)
    # The transform of JPEG 2000 was undone in decoding.
    with_it = write(tmp_path / "c.svs", pixels, "APERIO_JP2000_YCBC", **TILES)
    np.testing.assert_array_equal(whole(with_it), pixels)


# --- what other readers settle


@pytest.mark.parametrize("scale", [1, 256, 257])
def test_a_table_of_colours_has_eight_bits_or_sixteen(tmp_path, pixels, scale):
    """Old programs write eight, of which libtiff says so; the upper half of each was 0: black."""
    colours = np.stack([np.arange(256), np.arange(256)[::-1], np.arange(256) // 2])
    options = {"photometric": "palette", "colormap": (colours * scale).astype(np.uint16)}
    tifffile.imwrite(tmp_path / "a.tif", pixels[..., 0], **options)
    expected = colours.T[pixels[..., 0]]
    np.testing.assert_array_equal(whole(tmp_path / "a.tif"), expected)
    pyvips = pytest.importorskip("pyvips")
    shown = pyvips.Image.new_from_file(str(tmp_path / "a.tif")).numpy()
    np.testing.assert_array_equal(shown, expected)


def test_a_table_of_colours_may_have_65536(tmp_path, pixels):
    colours = np.stack([np.arange(65536)] * 3).astype(np.uint16)
    options = {"photometric": "palette", "colormap": colours}
    tifffile.imwrite(tmp_path / "a.tif", pixels[..., 0].astype(np.uint16) * 257, **options)
    np.testing.assert_array_equal(whole(tmp_path / "a.tif")[..., 0], pixels[..., 0])


def test_a_palette_without_its_table_is_said_to_lack_it(tmp_path, pixels):
    path = write(tmp_path / "a.tif", pixels[..., 0], photometric="minisblack")
    with tifffile.TiffFile(path, mode="r+b") as tiff:
        tiff.pages.first.tags[262].overwrite(3)
    with pytest.raises(ImageError, match=r"\(ColorMap, tag 320\) that it does not hold"):
        open_image(path)


def with_tag(path, pixels, number, value, codec="none"):
    """Write an image with a tag that tifffile would write as it wants."""
    told = {"extratags": [(65001, "H", 1, value, True)], "metadata": None}
    write(path, pixels, codec, **told)
    old, new = (struct.pack("<HH", tag, 3) for tag in (65001, number))
    path.write_bytes(path.read_bytes().replace(old, new))
    return path


def test_a_predictor_of_pixels_that_are_not_compressed_is_passed_over(tmp_path, pixels):
    """As Pillow and libtiff do: LSM 510 writes such files, and their pixels are no differences."""
    path = with_tag(tmp_path / "a.tif", pixels, 317, 2)
    np.testing.assert_array_equal(np.asarray(PIL.Image.open(path)), pixels)
    np.testing.assert_array_equal(whole(path), pixels)


def test_a_predictor_that_readers_do_not_agree_on_is_refused(tmp_path, pixels):
    path = with_tag(tmp_path / "a.tif", pixels, 317, 2, codec="packbits")
    with pytest.raises(ImageError, match=r"a predictor \(tag 317\), .* with PACKBITS\. Save it"):
        open_image(path)


@pytest.mark.parametrize("codec", ["lzw", "deflate", "zstd", "lzma"])
def test_a_predictor_of_a_codec_is_undone(tmp_path, pixels, codec):
    path = write(tmp_path / "a.tif", pixels, codec, predictor=True)
    np.testing.assert_array_equal(whole(path), pixels)


@pytest.mark.parametrize("ome", [False, True])
@pytest.mark.parametrize("grey", [False, True])
def test_two_images_alike_are_refused(tmp_path, pixels, ome, grey):
    """Two scenes, or the channels of one image: the first was taken, whichever was meant."""
    path = tmp_path / "a.tif"
    shown = pixels[..., 0] if grey else pixels
    with tifffile.TiffWriter(path, ome=ome) as tiff:
        for number, codec in enumerate(("zlib", "lzw")):
            told = {} if ome else {"metadata": None}
            kind = "minisblack" if grey else "rgb"
            tiff.write(shown // (number + 1), photometric=kind, compression=codec, **told)
    with pytest.raises(ImageError, match="2 images alike, of which any may be the slide"):
        open_image(path)
    assert image_size(path) == (WIDTH, HEIGHT)


def test_channels_of_unlike_bits_are_told(tmp_path, pixels):
    path = write(tmp_path / "a.tif", pixels)
    data = path.read_bytes()
    path.write_bytes(data.replace(struct.pack("<3H", 8, 8, 8), struct.pack("<3H", 5, 6, 5)))
    with pytest.raises(ImageError, match="has channels of 5, 6, 5 bits; expected"):
        open_image(path)


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("kind", ["imagej", "ome", "pages"])
def test_channels_that_a_cut_took_leave_no_image_in_grey(tmp_path, pixels, kind, big):
    """The first page was whole, and the directories of the others behind the end of the file."""
    path, told = tmp_path / "a.tif", {"photometric": "minisblack"}
    if kind == "imagej":
        told = {"imagej": True, "metadata": {"axes": "CYX", "mode": "composite"}}
        tifffile.imwrite(path, planes(pixels), **told)
    elif kind == "ome":
        tifffile.imwrite(path, planes(pixels), ome=True, bigtiff=big, **told)
    else:
        with tifffile.TiffWriter(path, bigtiff=big, byteorder=">") as tiff:
            for plane in planes(pixels):
                tiff.write(plane, metadata=None, **told)
    data = path.read_bytes()
    path.write_bytes(data[: WIDTH * HEIGHT * 3 // 2])
    for fluorescence in (False, True):
        with pytest.raises(ImageError, match="cut short or damaged, and channels may be missing"):
            open_image(path, fluorescence=fluorescence)


def test_a_stack_of_imagej_that_was_cut_leaves_no_image_in_grey(tmp_path, pixels):
    """Of large stacks ImageJ writes one directory; the other planes follow the first."""
    told = "ImageJ=1.53t\nimages=3\nchannels=3\nmode=composite\n"
    options = {"photometric": "minisblack", "description": told, "metadata": None}
    tifffile.imwrite(tmp_path / "a.tif", pixels[..., 0], **options)
    with pytest.raises(ImageError, match="holds 1 of the 3 images of which its description tells"):
        open_image(tmp_path / "a.tif")


OME = '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">{}</OME>'
ONE_CHANNEL = OME.format(
    '<Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint8" SizeX="{}"'
    ' SizeY="{}" SizeC="1" SizeZ="1" SizeT="1"><TiffData/></Pixels></Image>'
)


@pytest.mark.parametrize(
    ("n_pages", "told", "expected"),
    [
        (3, ONE_CHANNEL.format(WIDTH, HEIGHT), "3 pages of its size, and a description of 1"),
        (
            1,
            OME.format('<BinaryOnly MetadataFile="a.companion.ome" UUID="urn:uuid:0"/>'),
            "one channel, and its description, which may tell of more, elsewhere",
        ),
    ],
)
def test_a_page_in_grey_that_may_be_a_channel_is_refused(tmp_path, pixels, n_pages, told, expected):
    with tifffile.TiffWriter(tmp_path / "a.ome.tif") as tiff:
        for number in range(n_pages):
            described = None if number else told
            options = {"photometric": "minisblack", "metadata": None}
            tiff.write(pixels[..., number], description=described, **options)
    with pytest.raises(ImageError, match=expected):
        open_image(tmp_path / "a.ome.tif")


def test_a_described_page_in_grey_is_read(tmp_path, pixels):
    with tifffile.TiffWriter(tmp_path / "a.ome.tif") as tiff:
        options = {"photometric": "minisblack", "metadata": None}
        tiff.write(pixels[..., 0], description=ONE_CHANNEL.format(WIDTH, HEIGHT), **options)
        tiff.write(pixels[::2, ::2, 0], **options)
    np.testing.assert_array_equal(whole(tmp_path / "a.ome.tif")[..., 2], pixels[..., 0])


@pytest.mark.parametrize("kind", ["unassalpha", "unspecified"])
def test_the_range_of_a_further_band_is_not_taken_for_that_of_the_colours(tmp_path, pixels, kind):
    """65535 of an opacity made colours of 12 bits nearly black."""
    further = np.full((HEIGHT, WIDTH), 65535, dtype=np.uint16)
    shown = np.dstack([pixels.astype(np.uint16) * 16, further])
    said = [(281, "H", 4, (4095, 4095, 4095, 65535), True)]
    path = write(tmp_path / "a.tif", shown, extrasamples=[kind], extratags=said)
    if kind == "unspecified":
        expected = (pixels.astype(np.uint16) * 16 / 4095 * 255).astype(np.uint8)
        np.testing.assert_array_equal(whole(path), expected)
        return
    with pytest.raises(ImageError, match="samples of unlike range"):
        open_image(path)
