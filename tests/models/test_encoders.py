import numpy as np
import pytest
from safetensors.torch import save_file

from spared_bench.data import Patches
from spared_bench.models import encoders
from spared_bench.models.backbones import build_backbone
from spared_bench.models.encoders import ColorEncoder, TimmEncoder, frozen_encoder
from spared_bench.models.weights_folder import WEIGHTS_FOLDER


@pytest.fixture
def images(rng):
    return rng.integers(0, 256, (5, 20, 20, 3), np.uint8)


def encode(images):
    return ColorEncoder().encode(Patches([images]))


def test_color_features_are_24_finite_numbers_even_for_black_and_white_patches(images):
    images[0], images[1] = 0, 255
    features = encode(images)
    assert features.shape == (5, 24)
    assert features.dtype == np.float32
    assert np.isfinite(features).all()
    np.testing.assert_allclose(features[1, :3], 1)
    np.testing.assert_allclose(features[1, 3:], 0, atol=1e-6)


def test_color_features_begin_with_the_means_and_deviations_of_red_green_and_blue(images):
    pixels = images.reshape(5, -1, 3) / 255
    expected = np.concatenate([pixels.mean(axis=1), pixels.std(axis=1)], axis=1)
    np.testing.assert_allclose(encode(images)[:, :6], expected, rtol=1e-5)


def test_stain_features_recover_the_amounts_that_absorbed_the_light(rng):
    amounts = rng.uniform(0.1, 0.5, size=(1, 20, 20, 2))
    stains = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11]])
    stains /= np.linalg.norm(stains, axis=1, keepdims=True)
    light = 10 ** -(amounts @ stains)  # Beer and Lambert

    features = encode(np.rint(255 * light).astype(np.uint8))[0]

    pixels = amounts.reshape(-1, 2)
    inner = amounts[0, 5:15, 5:15].reshape(-1, 2).mean(axis=0)
    n_inner = 100
    outer = (pixels.sum(axis=0) - n_inner * inner) / (400 - n_inner)
    lagged = [np.abs(np.diff(amounts[0], axis=axis)).mean(axis=(0, 1)) for axis in (0, 1)]
    tolerance = 0.01  # of rounding to bytes
    np.testing.assert_allclose(features[6:8], pixels.mean(axis=0), atol=tolerance)
    np.testing.assert_allclose(features[8:10], pixels.std(axis=0), atol=tolerance)
    for i, q in enumerate((0.1, 0.5, 0.9)):
        expected = np.quantile(pixels, q, axis=0)
        np.testing.assert_allclose(features[10 + 2 * i : 12 + 2 * i], expected, atol=tolerance)
    np.testing.assert_allclose(features[16:18], inner - outer, atol=tolerance)
    np.testing.assert_allclose(features[18:20], sum(lagged), atol=tolerance)
    assert features[23] < tolerance


def test_the_tissue_share_counts_what_is_not_glass():
    image = np.full((1, 20, 20, 3), 250, np.uint8)
    image[0, :5] = (150, 80, 150)
    assert encode(image)[0, 22] == pytest.approx(0.25)


def test_turning_a_patch_leaves_its_color_features_as_they_are(images):
    expected = encode(images)
    for turned in (images[:, ::-1], images[:, :, ::-1], np.rot90(images, axes=(1, 2))):
        np.testing.assert_allclose(encode(turned), expected, rtol=1e-4, atol=1e-5)


def spots_first(images):
    """The color features with spots as the first axis throughout, as results were made with."""
    n, size = images.shape[:2]
    rgb = images.reshape(n, -1, 3).astype(np.float32) / 255
    density = encoders._density_of_byte()[images]
    stain = density @ encoders._unmixing()
    pixels, both = stain.reshape(n, -1, 3), stain[..., :2]
    inner = np.zeros((size, size), dtype=bool)
    inner[size // 4 : size - size // 4, size // 4 : size - size // 4] = True
    centre, rim = pixels[:, inner.ravel(), :2], pixels[:, ~inner.ravel(), :2]
    parts = [rgb.mean(axis=1), rgb.std(axis=1)]
    parts += [pixels[..., :2].mean(axis=1), pixels[..., :2].std(axis=1)]
    parts += [*np.quantile(pixels[..., :2], (0.1, 0.5, 0.9), axis=1)]
    parts += [centre.mean(axis=1) - rim.mean(axis=1)]
    for lag in (1, 3):
        along = np.abs(both[:, :, lag:] - both[:, :, :-lag]).mean(axis=(1, 2))
        parts.append(along + np.abs(both[:, lag:] - both[:, :-lag]).mean(axis=(1, 2)))
    parts.append((density.mean(axis=3) > 0.15).mean(axis=(1, 2))[:, None])
    parts.append(pixels[..., 2:].std(axis=1))
    return np.concatenate(parts, axis=1).astype(np.float32)


@pytest.mark.parametrize(("n", "size"), [(1, 32), (2, 33), (27, 64), (150, 20), (3, 200)])
def test_color_features_are_to_the_bit_those_of_results_that_are_published(rng, n, size):
    light = rng.integers(0, 140, (n, 1, 1, 3))  # patches lie on both sides of the bound of glass
    images = (light + rng.integers(0, 116, (n, size, size, 3))).astype(np.uint8)
    np.testing.assert_array_equal(encode(images), spots_first(images))


@pytest.mark.parametrize("encoder", [ColorEncoder(), TimmEncoder("test_resnet", "random")])
def test_the_features_of_a_patch_do_not_depend_on_the_others(encoder, images, monkeypatch):
    whole = encoder.encode(Patches([images]))
    monkeypatch.setattr(encoders, "_CHUNK_BYTES", 2 * 20 * 20 * 3 * 4)
    parts = encoder.encode(Patches([images[:2], images[2:]]))
    np.testing.assert_allclose(parts, whole, rtol=1e-4, atol=1e-5)


def test_random_features_are_the_same_every_time(images):
    first, again = (
        TimmEncoder("test_resnet", "random").encode(Patches([images])) for _ in range(2)
    )
    np.testing.assert_array_equal(first, again)
    assert first.dtype == np.float32
    assert first.std() > 0


def test_patches_are_resized_for_a_network_of_one_input_size(images):
    features = TimmEncoder("test_vit", "random").encode(Patches([images]))
    assert len(features) == 5


def test_an_identity_tells_encoders_and_weights_apart(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    state = build_backbone("test_resnet", "random", 3).state_dict()
    for name in ("one", "same", "other"):
        save_file(state, tmp_path / f"{name}.safetensors")
        if name == "same":
            state["conv1.0.weight"] += 1

    def identity(weights):
        return TimmEncoder("test_resnet", weights).identity()

    one, same, other = (
        identity(str(tmp_path / f"{n}.safetensors")) for n in ("one", "same", "other")
    )
    assert one == same != other
    assert identity("~/one.safetensors") == one
    published = identity("pretrained")
    assert identity("random") != published
    monkeypatch.setenv(WEIGHTS_FOLDER, str(tmp_path))
    assert identity("pretrained") == published
    (tmp_path / "one.safetensors").rename(tmp_path / "test_resnet.safetensors")
    assert identity("pretrained")["weights"] == same["weights"]
    assert ColorEncoder().identity() == {"encoder": "color", "version": 1}


@pytest.mark.parametrize("name", ["color", "test_resnet"])
def test_an_encoder_knows_its_width_before_it_has_encoded(name, rng):
    encoder = frozen_encoder(name, "random")
    patches = Patches([rng.integers(0, 256, (2, 32, 32, 3), np.uint8)])
    assert encoder.encode(patches).shape == (2, encoder.width)
