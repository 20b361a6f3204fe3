"""Slides of one dataset whose images differ in resolution are told of when it is added."""

from __future__ import annotations

import json

import pytest
from PIL import Image

from spared_bench.sources.adding import add_description
from tests import made_slides


def added(folder, factors):
    """Add slides of which each has an image of so many pixels for one of its coordinates."""
    for seed, (name, factor) in enumerate(factors.items()):
        spatial = made_slides.space_ranger(folder / name, seed=seed) / "spatial"
        image = spatial / "tissue_hires_image.png"
        picture = Image.open(image)
        size = [round(side * factor) for side in picture.size]
        picture.resize(size, Image.Resampling.BOX).save(image)
        told = {"spot_diameter_fullres": 22.0, "tissue_hires_scalef": factor}
        (spatial / "scalefactors_json.json").write_text(json.dumps(told))
    (folder / "own.yaml").write_text(
        "{name: own, format: space_ranger, organism: human,"
        f" slides: {{{', '.join(f'{name}: {{path: {name}}}' for name in factors)}}},"
        " split: {train: [A]}, parameters: {n_genes: 4}}"
    )
    lines: list[str] = []
    add_description(folder / "own.yaml", folder / "data", tell=lines.append)
    return [line for line in lines if "resolution" in line]


@pytest.mark.parametrize(
    ("factors", "told"),
    [
        ({"A": 1.0, "B": 0.25}, "a spot is 5.5 px wide on that of slide 'B' and 22 px on that of"),
        ({"A": 0.25, "B": 0.5, "C": 0.25}, "5.5 px wide on that of slide 'A' and 11 px on that"),
        ({"A": 1.0, "B": 0.75}, ""),
        ({"A": 12.0, "B": 6.0}, ""),  # both are sharp
        ({"A": 0.25}, ""),
    ],
)
def test_slides_with_a_much_coarser_image_are_told_of(tmp_path, factors, told):
    found = added(tmp_path, factors)
    assert len(found) == bool(told)
    assert told in "".join(found)
