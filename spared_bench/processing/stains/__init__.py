"""Stain normalisation: the colours of each slide made like those of a template.

A slide's look is measured once, on a sample of the pixels of its patches; the change that follows
is one function of a pixel's colour for the whole slide, so neighbouring patches stay alike.
Published code measures patch by patch, where a patch of one tissue alone is given the colours of
all. The three methods have a file each; ``colours`` applies them to many patches.

References
----------
Reinhard et al., IEEE Comput. Graph. Appl. 21 (2001); Macenko et al., ISBI (2009); Vahadane et al.,
IEEE Trans. Med. Imaging 35 (2016).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from spared_bench.processing.stains import macenko, reinhard, vahadane

#: What is measured of a slide, by name.
Look = dict[str, np.ndarray]
#: From colours to colours, (n, 3), uint8.
Recolour = Callable[[np.ndarray], np.ndarray]
_METHODS = {"reinhard": reinhard, "macenko": macenko, "vahadane": vahadane}


def measure(method: str, pixels: np.ndarray) -> Look:
    """Return the look of a slide.

    Parameters
    ----------
    method : {"reinhard", "macenko", "vahadane"}
    pixels : ndarray of uint8, of shape (n_pixels, 3)

    Raises
    ------
    ImageError
        If too few of them are stained.
    """
    return _METHODS[method].measure(pixels)


def mean_look(method: str, looks: Sequence[Mapping[str, np.ndarray]]) -> Look:
    """Return the mean of several looks, stain vectors made to length 1 again."""
    mean: Look = {
        name: np.asarray(np.mean([look[name] for look in looks], axis=0, dtype=np.float64))
        for name in looks[0]
    }
    if "stains" in mean:
        mean["stains"] /= np.linalg.norm(mean["stains"], axis=1, keepdims=True)
    return mean


def recolouring(
    method: str, source: Mapping[str, np.ndarray], target: Mapping[str, np.ndarray]
) -> Recolour:
    """Return what makes colours of a slide with one look like those of another."""
    change = _METHODS[method].change

    def recolour(colours: np.ndarray) -> np.ndarray:
        return change(colours, source, target)

    return recolour
