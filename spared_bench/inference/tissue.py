"""Where on an image of an H&E section there is tissue: not glass, fiducials, pen marks or dust.

Both stains absorb green most, haematoxylin (0.65, 0.70, 0.29 in red, green, blue) and eosin (0.07,
0.99, 0.11) alike: Ruifrok and Johnston, Anal. Quant. Cytol. Histol. 23 (2001) 291-299. Black and
grey marks absorb all colours alike, blue and green pens red most, red pens blue as much as green.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from spared_bench.errors import ImageError

#: A grid point is taken where at least so much of its spot is tissue.
TISSUE_SHARE = 0.5
_LONGEST_PX = 1_000  # of the reduced image in which tissue is looked for
_FAINTEST, _GLASS = 0.05, 0.15  # optical density of green: below it never, above it always, stained
_DARKEST_GLASS, _TINT = 170, 40  # what is darker, or of stronger colour, is no glass
# Densities; more is no stain of H&E. On HER2+ C2 and STUtility's MOB1, a twentieth of the stained
# pixels have more red than 1.09 times their green, none more blue than 0.6 times.
_BLUE_TO_GREEN, _RED_TO_GREEN = 0.7, 1.2
_SMOOTH = 0.3  # of the texture of the largest piece: what has less is the shadow of a frame
_FINE = 3  # pixels: what varies over more is no texture
_PIECE = 0.02  # of the largest piece: what is smaller is dust, or a letter


def find_tissue(image: Path) -> tuple[np.ndarray, np.ndarray, float]:
    """Find the tissue of an H&E image.

    Parameters
    ----------
    image : Path

    Returns
    -------
    pixels : ndarray of uint8, of shape (height, width, 3)
        The image, reduced.
    mask : ndarray of bool, of shape (height, width)
        True on tissue.
    factor : float
        Pixels of both per pixel of the image.

    Raises
    ------
    ImageError
        If the image cannot be read.
    """
    from spared_bench.processing.images import read_reduced

    pixels, factor = read_reduced(image, _LONGEST_PX)
    return pixels, tissue_mask(pixels), factor


def tissue_mask(pixels: np.ndarray) -> np.ndarray:
    """Return where there is tissue, (height, width), of an image (height, width, 3) of uint8.

    Stained pixels, without what is thinner than a three-hundredth of the image's longer side, in
    connected pieces of at least a fiftieth of the largest one and of its kind of texture; gaps as
    small are closed.
    """
    from scipy.ndimage import binary_closing, binary_opening
    from skimage.filters import gaussian, threshold_otsu
    from skimage.morphology import disk

    smooth = gaussian(pixels.astype(np.float64), sigma=1, channel_axis=2)
    glass = np.percentile(smooth, 99, axis=(0, 1))
    if glass.min() < _DARKEST_GLASS or np.ptp(glass) > _TINT:
        glass = np.full(3, 255.0)  # tissue fills the image
    red, green, blue = np.moveaxis(-np.log10(np.clip(smooth, 1, glass) / glass), 2, 0)
    threshold = threshold_otsu(green) if np.ptp(green) > 0 else _GLASS
    stained = green > np.clip(threshold, _FAINTEST, _GLASS)
    stained &= (blue < _BLUE_TO_GREEN * green) & (red < _RED_TO_GREEN * green)
    width = max(1, round(max(pixels.shape[:2]) / 300))
    loose = binary_closing(_edged(stained, 2 * width), disk(1))
    solid = binary_opening(loose, disk(width))
    solid = binary_closing(solid, disk(2 * width))[2 * width : -2 * width, 2 * width : -2 * width]
    sizes = _sizes(solid)
    least = _PIECE * sizes.max() if sizes.any() else 0
    return ~_pieces(~_without_shadows(_pieces(solid, least), pixels[..., 1]), least)


def _edged(mask: np.ndarray, width: int) -> np.ndarray:
    """Continue a mask beyond its border, so that tissue which reaches it is not eaten there."""
    return np.pad(mask, width, mode="edge")


def _sizes(mask: np.ndarray) -> np.ndarray:
    """Return the size of the piece that each pixel belongs to; 0 where there is none."""
    from skimage.measure import label

    labels = label(mask)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    found: np.ndarray = sizes[labels]
    return found


def _without_shadows(mask: np.ndarray, green: np.ndarray) -> np.ndarray:
    """Return a mask without its pieces that are smooth beside the largest one.

    Shadows are, and strokes of a violet pen. A piece is looked at away from its border, which is no
    texture of its own, unless it is too thin.
    """
    from scipy.ndimage import binary_erosion, gaussian_filter, mean
    from skimage.measure import label

    labels = label(mask)
    if labels.max() < 2:
        return mask
    level = green.astype(np.float64)
    texture, numbers = np.abs(level - gaussian_filter(level, _FINE)), np.arange(labels.max() + 1)
    inside = np.where(binary_erosion(mask, iterations=2 * _FINE), labels, 0)
    thin = np.bincount(inside.ravel(), minlength=len(numbers)) == 0
    inside = np.where(thin[labels], labels, inside)
    of_piece = np.asarray(mean(texture, inside, numbers))
    largest = np.bincount(labels.ravel())[1:].argmax() + 1
    kept: np.ndarray = mask & (of_piece >= _SMOOTH * of_piece[largest])[labels]
    return kept


def _pieces(mask: np.ndarray, least: float) -> np.ndarray:
    """Return a mask without its pieces of less than so many pixels."""
    large: np.ndarray = _sizes(mask) >= max(least, 1)
    return large


def share_of_tissue(
    mask: np.ndarray, factor: float, centres: np.ndarray, diameter: float
) -> np.ndarray:
    """Return which share of each spot is tissue.

    Parameters
    ----------
    mask : ndarray of bool, of shape (height, width)
    factor : float
        Pixels of the mask per pixel of the image.
    centres : ndarray of shape (n_spots, 2)
        x and y in pixels of the image.
    diameter : float
        Of a spot, in pixels of the image; its square is looked at.

    Returns
    -------
    ndarray of shape (n_spots,)
        In [0, 1]; what lies beyond the image is no tissue.
    """
    sums = np.pad(mask.astype(np.int64).cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    half = max(diameter * factor, 1) / 2
    corners = np.stack([centres * factor - half, centres * factor + half])
    low, high = np.rint(corners).astype(int)
    high = np.maximum(high, low + 1)
    area = (high - low).prod(axis=1)
    bounds = np.array(mask.shape[::-1])
    low, high = low.clip(0, bounds), high.clip(0, bounds)
    inside = (
        sums[high[:, 1], high[:, 0]]
        - sums[low[:, 1], high[:, 0]]
        - sums[high[:, 1], low[:, 0]]
        + sums[low[:, 1], low[:, 0]]
    )
    shares: np.ndarray = inside / area
    return shares


def require_some(taken: np.ndarray, image: Path) -> None:
    """Raise ImageError where no point of a grid was taken."""
    if not taken.any():
        raise ImageError(
            f"None of the {len(taken)} grid points of {image} lies on tissue, as far as its colours"
            " tell: it looks blank, or is no H&E image. Give the positions with `--spots`, or take"
            " the whole image with `--tissue-share 0`."
        )
