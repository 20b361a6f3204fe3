"""Which pixels of an image of an H&E section are tissue: not glass, fiducials, pen marks or dust.

Both stains absorb green most, haematoxylin (0.65, 0.70, 0.29 in red, green, blue) and eosin (0.07,
0.99, 0.11) alike: Ruifrok and Johnston, Anal. Quant. Cytol. Histol. 23 (2001) 291-299. Black and
grey marks absorb all colours alike, blue and green pens red most, red pens blue as much as green,
and more of both than muscle or blood does, whose eosin is as red.
"""

from __future__ import annotations

import numpy as np

_FAINTEST, _GLASS = 0.05, 0.15  # optical density of green: below it never, above it always, stained
_DARKEST_GLASS, _TINT = 170, 40  # what is darker, or of stronger colour, is no glass
# Densities; more is no stain of H&E. On HER2+ C2 and STUtility's MOB1, a twentieth of the stained
# pixels have more red than 1.09 times their green, none more blue than 0.6 times.
_BLUE_TO_GREEN, _RED_TO_GREEN = 0.7, 1.2
# Of salmon tissue: on two sections of mouse muscle on Visium, a hundredth has more blue than 0.94
# times its green, or more green than 0.45. A stroke of a red pen has 0.9.
_BLUE_OF_SALMON, _SALMON = 0.97, (0.18, 0.6)
_SMOOTH = 0.3  # of the texture of the roughest large piece: what has less is a shadow, or a pen
_LARGE = 0.1  # of the largest piece
_FINE = 3  # pixels: what varies over more is no texture
_PIECE = 0.02  # of the largest piece: what is smaller is dust, or a letter


def tissue_mask(pixels: np.ndarray) -> np.ndarray:
    """Return where there is tissue, (height, width), of an image (height, width, 3) of uint8.

    Stained pixels, without what is thinner than a three-hundredth of the image's longer side, in
    connected pieces of at least a fiftieth of the largest one and of its kind of texture; gaps as
    small are closed. Pieces that are much paler than others are looked for where these are not.
    """
    from skimage.filters import gaussian, threshold_otsu

    smooth = gaussian(pixels.astype(np.float64), sigma=1, channel_axis=2)
    glass = np.percentile(smooth, 99, axis=(0, 1))
    if glass.min() < _DARKEST_GLASS or np.ptp(glass) > _TINT:
        glass = np.full(3, 255.0)  # tissue fills the image
    red, green, blue = np.moveaxis(-np.log10(np.clip(smooth, 1, glass) / glass), 2, 0)
    threshold = threshold_otsu(green) if np.ptp(green) > 0 else _GLASS
    salmon = (blue < _BLUE_OF_SALMON * green) & (green > _SALMON[0]) & (green < _SALMON[1])
    of_stain = (salmon | (blue < _BLUE_TO_GREEN * green)) & (red < _RED_TO_GREEN * green)
    width = max(1, round(max(pixels.shape[:2]) / 300))
    solid = _solid(of_stain & (green > np.clip(threshold, _FAINTEST, _GLASS)), width)
    sizes = _sizes(solid)
    least = _PIECE * sizes.max() if sizes.any() else 0
    found = ~_pieces(~_without_shadows(_pieces(solid, least), pixels[..., 1]), least)
    if threshold <= _FAINTEST or not found.any():
        return found
    seen = found | _pieces(solid, least)  # with shadows and pens, whose texture told
    return found | _paler(found, seen, green, of_stain, pixels[..., 1], width, least)


def _solid(stained: np.ndarray, width: int) -> np.ndarray:
    """Return stained pixels without what is thin, and with gaps as small closed."""
    from scipy.ndimage import binary_closing, binary_opening
    from skimage.morphology import disk

    loose = binary_closing(_edged(stained, 2 * width), disk(1))
    solid = binary_closing(binary_opening(loose, disk(width)), disk(2 * width))
    inner: np.ndarray = solid[2 * width : -2 * width, 2 * width : -2 * width]
    return inner


def _paler(
    found: np.ndarray,
    seen: np.ndarray,
    green: np.ndarray,
    of_stain: np.ndarray,
    level: np.ndarray,
    width: int,
    least: float,
) -> np.ndarray:
    """Return pieces beside those that were found, which these are so much darker than.

    Their threshold is that of the rest of the image. What touches a found piece is its blurred
    border. Against its depth a piece has to be of as much texture as the found ones.
    """
    from scipy.ndimage import binary_dilation, gaussian_filter
    from skimage.filters import threshold_otsu
    from skimage.measure import label
    from skimage.morphology import disk

    around = binary_dilation(seen, disk(1), iterations=2 * width)
    rest = green[~around]
    none = np.zeros_like(found)
    if not rest.size or np.ptp(rest) == 0:
        return none
    stained = of_stain & ~around & (green > np.clip(threshold_otsu(rest), _FAINTEST, _GLASS))
    labels = label(_pieces(_solid(stained, width) & ~around, least))
    if not labels.max():
        return none
    texture = np.abs(level - gaussian_filter(level.astype(np.float64), _FINE))
    plain = ~around & (labels == 0)
    noise = float(np.median(texture[plain])) if plain.any() else 0.0
    glass = float(np.percentile(level, 99))

    def roughness(where: np.ndarray) -> float:
        """Texture beyond that of glass, of what lies within a piece, against its depth."""
        depth = max(glass - float(level[where].mean()), 1.0)
        return max(float(texture[where].mean()) - noise, 0.0) / depth

    wanted = _SMOOTH * roughness(found)
    touches = np.unique(labels[binary_dilation(around, disk(1))])
    kept = [
        number
        for number in range(1, labels.max() + 1)
        if number not in touches and roughness(labels == number) >= wanted
    ]
    return ~_pieces(~np.isin(labels, kept), least) if kept else none


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
    """Return a mask without its pieces that are smooth beside the roughest large one.

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
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    roughest = of_piece[sizes >= _LARGE * sizes.max()].max()
    kept: np.ndarray = mask & (of_piece >= _SMOOTH * roughest)[labels]
    return kept


def _pieces(mask: np.ndarray, least: float) -> np.ndarray:
    """Return a mask without its pieces of less than so many pixels."""
    large: np.ndarray = _sizes(mask) >= max(least, 1)
    return large
