"""Sections are found wherever they lie, and what cannot be one sample is flagged."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import affine_transform, gaussian_filter

from spared_bench.errors import ContractError, CoordinateError, ImageError
from spared_bench.registration import register
from spared_bench.registration.by_hand import read_transforms
from spared_bench.registration.pictures import Picture
from spared_bench.registration.search import moved, rigid
from tests.registration.painted import PITCH_PX, bent, placed, section


def furthest(found, name, truth, reference="b"):
    """By how many pixels the matrix of a section errs at most, over the tissue."""
    angle = np.linspace(0, 2 * np.pi, 24)
    tissue = 200 + 100 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    here, there = (tissue @ truth[n][:2, :2].T + truth[n][:2, 2] for n in (name, reference))
    return np.linalg.norm(found.sections[name].moved(here) - there, axis=1).max()


@pytest.mark.parametrize("degrees", [3.0, 90.0, 131.0, 178.0, -47.0])
def test_a_section_is_found_at_any_turn_and_distance(tmp_path, degrees):
    truth = {"a": placed(degrees, 60, -50), "b": placed(10, -40, 30)}
    slides = {
        "a": section(tmp_path / "a.png", truth["a"], glass=(222, 205, 218)),
        "b": section(tmp_path / "b.png", truth["b"]),
    }
    found = register(slides)

    assert furthest(found, "a", truth) < 0.5 * PITCH_PX
    assert found.doubtful == {}
    assert found.sections["a"].quality.margin > 0.15


@pytest.mark.parametrize("degrees", [0.0, 33.0, 180.0, -100.5])
def test_a_picture_is_moved_as_scipy_moves_it(rng, degrees):
    grey = np.pad(gaussian_filter(rng.normal(size=(60, 60)), 2), 20)  # tissue touches no edge
    picture = Picture(grey, (grey > 0).astype(float), np.eye(3), 1.0)
    matrix = rigid(degrees, (7.25, -12.5), 100) @ np.diag([1.1, 0.9, 1])
    back = np.linalg.inv(matrix)
    rows_first = back[:2, :2][::-1, ::-1], back[:2, 2][::-1]
    for ours, before in zip(moved(picture, matrix), (grey, picture.tissue), strict=True):
        np.testing.assert_allclose(ours, affine_transform(before, *rows_first, order=1), atol=1e-12)


def test_matrices_are_multiplied_from_the_middle_outwards(tmp_path):
    turns = {"a": 170.0, "b": 80.0, "c": 0.0, "d": -95.0, "e": 150.0}
    truth = {name: placed(turn, 3 * turn / 10) for name, turn in turns.items()}
    slides = {name: section(tmp_path / f"{name}.png", truth[name]) for name in turns}
    found = register(slides)

    assert found.reference == "c"
    assert {name: each.to for name, each in found.sections.items()} == {
        "a": "b", "b": "c", "c": "c", "d": "c", "e": "d",
    }  # fmt: skip
    for name in "abde":
        assert furthest(found, name, truth, "c") < 0.5 * PITCH_PX
    np.testing.assert_array_equal(found.sections["c"].matrix, np.eye(3))


def test_sections_on_images_of_different_scale_are_found_by_their_scale(tmp_path):
    truth = {"a": placed(40, scale=0.6), "b": placed(0)}
    slides = {
        "a": section(tmp_path / "a.png", truth["a"], um_per_px=25.0),
        "b": section(tmp_path / "b.png", truth["b"]),
    }
    found = register(slides)

    assert furthest(found, "a", truth) < 0.5 * PITCH_PX
    assert found.um_per_px == 15.0


@pytest.mark.parametrize("change", [{"keep": 0.5}, {"seed": 9}])
def test_half_a_section_and_another_tissue_are_flagged(tmp_path, change):
    slides = {
        "a": section(tmp_path / "a.png", placed(30), **change),
        "b": section(tmp_path / "b.png", placed(0)),
    }
    quality = register(slides).sections["a"].quality

    assert not quality.good
    assert any("expected" in reason for reason in quality.reasons)


def test_a_section_that_lies_the_other_way_up_is_told_from_one_that_is_turned(tmp_path):
    other_way_up = placed(30) @ np.array([[-1, 0, 400], [0, 1, 0], [0, 0, 1]])
    slides = {
        "a": section(tmp_path / "a.png", other_way_up),
        "b": section(tmp_path / "b.png", placed(0)),
        "c": section(tmp_path / "c.png", placed(200)),
    }
    doubtful = register(slides).doubtful

    assert list(doubtful) == ["a"]
    assert "its mirror image scores higher" in doubtful["a"][-1]


def test_affine_follows_a_stretch_that_no_turn_does(tmp_path):
    stretched = placed(25) @ np.array([[1.1, 0.05, -30], [0, 0.95, 10], [0, 0, 1]])
    truth = {"a": stretched, "b": placed(0)}
    slides = {n: section(tmp_path / f"{n}.png", matrix) for n, matrix in truth.items()}
    error = {m: furthest(register(slides, m), "a", truth) for m in ("rigid", "affine")}

    assert error["affine"] < 0.5 * error["rigid"]


def test_a_field_follows_a_bend_that_no_matrix_does(tmp_path):
    truth = {"a": placed(25), "b": placed(0)}
    slides = {
        "a": section(tmp_path / "a.png", truth["a"], bend=12.0),
        "b": section(tmp_path / "b.png", truth["b"]),
    }
    places = np.stack(np.meshgrid(*[np.arange(130.0, 271, 20)] * 2), axis=-1).reshape(-1, 2)
    on_a = bent(places, 12.0) @ truth["a"][:2, :2].T + truth["a"][:2, 2]
    on_b = places @ truth["b"][:2, :2].T + truth["b"][:2, 2]
    found = {m: register(slides, m).sections["a"] for m in ("affine", "deformable")}
    error = {
        m: np.sqrt(np.mean(np.sum((each.moved(on_a) - on_b) ** 2, axis=1)))
        for m, each in found.items()
    }

    assert error["deformable"] < 0.7 * error["affine"]
    back = found["deformable"].unmoved(found["deformable"].moved(on_a))
    np.testing.assert_allclose(back, on_a, atol=0.1)


@pytest.mark.parametrize(
    "change", [{"noise": 0.5}, {"seed": 9}, {"keep": 0.6}, {"bend": 14.0}, {"noise": 0.02}]
)
def test_no_field_carries_places_over_each_other(tmp_path, change):
    slides = {
        "a": section(tmp_path / "a.png", placed(30), **change),
        "b": section(tmp_path / "b.png", placed(0)),
    }
    registration = register(slides, "deformable")
    found = registration.sections["a"]
    x, y = np.meshgrid(np.arange(0.0, 500, 4), np.arange(0.0, 500, 4))
    places = found.moved(np.stack([x, y], axis=-1).reshape(-1, 2)).reshape(*x.shape, 2)
    along, down = np.diff(places, axis=1)[:-1], np.diff(places, axis=0)[:, :-1]
    areas = along[..., 0] * down[..., 1] - along[..., 1] * down[..., 0]

    # A quarter at least of what the matrix alone makes of a square: half of each side.
    assert (areas > 0.25 * 16 * np.linalg.det(found.matrix)).all()
    assert (found.field is None) == any("No local field" in note for note in registration.notes)


def test_centroids_shift_without_a_turn_and_none_leaves_sections_where_they_lie(tmp_path):
    truth = {"a": placed(0, 60, -40), "b": placed(0)}
    slides = {n: section(tmp_path / f"{n}.png", matrix) for n, matrix in truth.items()}

    assert furthest(register(slides, "centroid"), "a", truth) < 0.5 * PITCH_PX
    np.testing.assert_array_equal(register(slides, "none").sections["a"].matrix, np.eye(3))
    (tmp_path / "a.png").unlink()
    slides["a"].uns["slide"]["image_path"] = ""
    register(slides, "none")  # which looks at no image
    with pytest.raises(ImageError, match="Section a has no image"):
        register(slides)


def test_transforms_by_hand_are_taken_as_they_are(tmp_path):
    slides = {n: section(tmp_path / f"{n}.png", placed(0)) for n in "ab"}
    matrix = [[0.0, -1.0, 500.0], [1.0, 0.0, 3.0], [0, 0, 1]]
    found = register(slides, by_hand={"a": matrix})

    np.testing.assert_array_equal(found.sections["a"].matrix, matrix)
    assert found.sections["a"].how == "manual"
    np.testing.assert_allclose(found.frame("a", np.array([[10.0, 20.0]])), [[7200, 195]])
    with pytest.raises(ContractError, match="which is no section here: a, b"):
        register(slides, by_hand={"c": matrix})
    with pytest.raises(ContractError, match="is the middle section"):
        register(slides, by_hand={"b": matrix})


@pytest.mark.parametrize(
    "text",
    ["a: [[1, 0], [0, 1]]", "a: 3", "a: [[1, 0, 0], [1, 0, 0], [0, 0, 1]]", "a: [[1, x, 0]]"],
)
def test_a_file_of_transforms_that_are_none_is_refused(tmp_path, text):
    path = tmp_path / "by_hand.yaml"
    path.write_text(text)
    with pytest.raises(ContractError, match="must be 3 x 3 finite numbers"):
        read_transforms(path)


def test_the_message_of_a_transform_that_is_none_is_bounded(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(f"A: [{', '.join(['1'] * 20_000)}]\n")
    with pytest.raises(ContractError, match="3 x 3 finite numbers") as told:
        read_transforms(path)
    assert len(str(told.value)) < 500


def test_a_file_of_transforms_names_sections_as_it_is_written(tmp_path):
    path = tmp_path / "by_hand.yaml"
    path.write_text("010: [[1, 0, 5], [0, 1, 6], [0, 0, 1]]\n151_673: [[1,0,0],[0,1,0],[0,0,1]]\n")
    assert list(read_transforms(path)) == ["010", "151_673"]
    assert read_transforms(path)["010"][1] == [0, 1, 6]


def test_sections_whose_lengths_cannot_be_compared_are_refused(tmp_path):
    slides = {
        "a": section(tmp_path / "a.png", placed(0)),
        "b": section(tmp_path / "b.png", placed(0), um_per_px=0.0),
    }
    with pytest.raises(CoordinateError, match="b have no `um_per_px`, and a of the"):
        register(slides)
    slides["a"].uns["slide"]["um_per_px"] = 0.0
    found = register(slides)
    assert found.um_per_px == 1.0
    assert "taken to be as long in all of them" in found.notes[0]
    slides["a"].uns["slide"]["um_per_px"], slides["b"].uns["slide"]["um_per_px"] = 1.0, 20.0
    with pytest.raises(CoordinateError, match="they are of different scale"):
        register(slides)
