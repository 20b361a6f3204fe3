"""An image file is one picture of colours, or refused when it is added."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from PIL import Image, features

from spared_bench.errors import ImageError
from spared_bench.inference.new_slide import require_image
from spared_bench.sources.adding import add_description
from spared_bench.sources.pictures import check_picture
from tests import made_slides


def two(size=(400, 400)):
    first = made_slides.picture(2)
    return first, Image.eval(first, lambda value: 255 - value).resize(size)


@pytest.mark.parametrize("suffix", ["png", "avif", "webp", "gif", "mpo", "ico"])
def test_a_file_of_several_pictures_is_refused_and_of_one_read(tmp_path, suffix):
    if suffix == "avif" and not features.check("avif"):
        pytest.skip("Pillow was built without AVIF")
    first, second = two()
    options = {"save_all": True, "append_images": [second]}
    if suffix == "ico":
        options = {"sizes": [(64, 64), (32, 32)]}
    first.save(tmp_path / f"two.{suffix}", **options)
    first.save(tmp_path / f"one.{suffix}", **({"sizes": [(64, 64)]} if suffix == "ico" else {}))

    with pytest.raises(ImageError, match="has 2 pictures and does not say which is the image"):
        check_picture(tmp_path / f"two.{suffix}")
    check_picture(tmp_path / f"one.{suffix}")


def test_a_smaller_picture_behind_a_jpeg_is_its_preview(tmp_path):
    first, second = two(size=(100, 100))
    first.save(tmp_path / "photo.jpg", "MPO", save_all=True, append_images=[second])

    check_picture(tmp_path / "photo.jpg")


@pytest.mark.parametrize("n_planes", [1, 3])
def test_a_fits_is_refused_with_what_its_values_are(tmp_path, n_planes):
    pixels = np.asarray(made_slides.picture(2)).transpose(2, 0, 1)[:n_planes]
    cards = {"SIMPLE": "T", "BITPIX": 8, "NAXIS": 3}
    cards |= {f"NAXIS{axis}": n for axis, n in enumerate(pixels.shape[::-1], 1)}
    header = "".join(f"{key:8}= {value!s:>20}".ljust(80) for key, value in cards.items()) + "END"
    data = pixels.tobytes()
    (tmp_path / "one.fits").write_bytes(
        header.ljust(2880).encode() + data + bytes(-len(data) % 2880)
    )

    with pytest.raises(ImageError, match="the format FITS, whose values are measurements"):
        check_picture(tmp_path / "one.fits")


@pytest.mark.parametrize("bits", [8, 0])
def test_the_fourth_channel_of_a_targa_is_an_opacity_if_its_header_says_so(tmp_path, bits):
    made_slides.picture(2).convert("RGBA").save(tmp_path / "one.tga")
    data = bytearray((tmp_path / "one.tga").read_bytes())
    data[17] = data[17] & 0xF0 | bits
    (tmp_path / "one.tga").write_bytes(data)

    if bits:
        check_picture(tmp_path / "one.tga")
    else:
        with pytest.raises(ImageError, match="four channels, and its header says that none is"):
            check_picture(tmp_path / "one.tga")


@pytest.mark.parametrize(
    ("second", "told"),
    [
        ((300, 400), "2 pictures, of which any may be the slide: its first, of 400 x 400"),
        ((200, 200), ""),  # a reduced copy
        ((150, 300), ""),  # an overview
    ],
)
@pytest.mark.parametrize("is_ome", [False, True])
def test_a_tiff_of_two_scans_is_refused_and_of_one_with_its_label_read(
    tmp_path, second, told, is_ome
):
    pixels = np.asarray(made_slides.picture(2))
    path = tmp_path / ("a.ome.tif" if is_ome else "a.tif")
    with tifffile.TiffWriter(path, ome=is_ome) as file:
        for part in (pixels, pixels[: second[0], : second[1]]):
            file.write(part, photometric="rgb", metadata={"axes": "YXS"} if is_ome else None)
    if told:
        with pytest.raises(ImageError, match=told):
            check_picture(path)
    else:
        check_picture(path)


@pytest.mark.parametrize("form", ["svs", "ome.tif"])
@pytest.mark.parametrize("name", ["label", "macro"])
def test_an_overview_of_a_small_region_is_known_by_its_name(tmp_path, form, name):
    pixels = np.asarray(made_slides.picture(2))
    path = tmp_path / f"region.{form}"
    told = "Aperio Image Library v10.2.24\r\n"
    rows = {"rowsperstrip": 16, "subfiletype": 1, "description": f"{told}{name} 400x300"}
    options = [{"tile": (256, 256), "description": f"{told}400x400 (256x256)|MPP = 0.5"}, rows]
    if form != "svs":
        options = [{"metadata": {"axes": "YXS", "Name": each}} for each in ("S1", f"{name} image")]
    with tifffile.TiffWriter(path, ome=form != "svs") as file:
        for part, given in zip((pixels, pixels[:300]), options, strict=True):
            file.write(part, photometric="rgb", **{"metadata": None, **given})

    check_picture(path)


@pytest.mark.parametrize("step", [2, 4])
@pytest.mark.parametrize("is_turned", [False, True])
def test_a_pyramid_whose_first_level_is_not_the_largest_is_refused(tmp_path, step, is_turned):
    pixels = np.asarray(made_slides.picture(2))
    levels = [pixels, pixels[::step, ::step]]
    with tifffile.TiffWriter(tmp_path / "a.ome.tif", ome=True) as file:
        first, second = levels[::-1] if is_turned else levels
        file.write(first, photometric="rgb", subifds=1, metadata={"axes": "YXS"})
        file.write(second, photometric="rgb")
    if is_turned:
        with pytest.raises(ImageError, match=r"a pyramid of which its first, of .* is smaller"):
            check_picture(tmp_path / "a.ome.tif")
    else:
        check_picture(tmp_path / "a.ome.tif")


@pytest.mark.parametrize("name", ["slide.mrxs", "slide.VSI"])
def test_a_preview_beside_the_folder_of_a_slide_is_refused_before_spots_are_sought_on_it(
    tmp_path, name
):
    folder = made_slides.space_ranger(tmp_path / "T1", n_genes=20)
    made_slides.picture(2).resize((40, 40)).save(tmp_path / name, "JPEG")
    described = tmp_path / "mine.yaml"
    described.write_text(
        "{name: mine, format: space_ranger, organism: human, split: {train: [T1]},"
        f" slides: {{T1: {{path: {folder}, image: {name}}}}}}}"
    )
    for refusing in (
        lambda: add_description(described, tmp_path / "data"),
        lambda: require_image(tmp_path / name),
    ):
        with pytest.raises(ImageError, match="holds a preview, and its pixels lie in a folder"):
            refusing()


def test_an_animated_image_is_refused_when_it_is_added(tmp_path):
    folder = made_slides.space_ranger(tmp_path / "T1", n_genes=20)
    first, second = two(size=made_slides.picture(2).size)
    first.save(tmp_path / "full.png", save_all=True, append_images=[second])
    described = tmp_path / "mine.yaml"
    described.write_text(
        "{name: mine, format: space_ranger, organism: human, split: {train: [T1]},"
        f" slides: {{T1: {{path: {folder}, image: full.png}}}}}}"
    )
    with pytest.raises(ImageError, match=r"Slide 'T1' .* has 2 pictures"):
        add_description(described, tmp_path / "data")
