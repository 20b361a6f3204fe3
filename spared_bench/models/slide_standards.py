"""Features standardised within slides, of which some are known from training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from spared_bench.geometry import rows_by_slide

_CONSTANT = 1e-6  # of the largest value: a smaller deviation is none


@dataclass(frozen=True)
class Standard:
    """What a slide's features are standardised by.

    Parameters
    ----------
    mean, scale : ndarray of float64, of shape (width,)
        A scale of 0 stands for a feature that is constant on the slide, and becomes 0.
    places : ndarray of float64, of shape (n_spots, 2)
        Where its spots lie, in pixels.
    """

    mean: np.ndarray
    scale: np.ndarray
    places: np.ndarray

    @classmethod
    def of(cls, features: np.ndarray, places: np.ndarray) -> Standard:
        """Return the mean and the deviation of a slide's features, (n_spots, width)."""
        values = features.astype(np.float64)
        scale = values.std(axis=0)
        constant = scale <= _CONSTANT * np.abs(features).max(axis=0)
        return cls(values.mean(axis=0), np.where(constant, 0.0, scale), places)

    def apply(self, features: np.ndarray) -> np.ndarray:
        """Return features less the mean, over the deviation; float32."""
        constant = self.scale == 0
        found = (features - self.mean) / np.where(constant, 1.0, self.scale)
        return np.where(constant, 0.0, found).astype(np.float32)

    def holds(self, places: np.ndarray) -> bool:
        """Whether all these places are of spots of the slide, to the last digit."""
        there = {place.tobytes() for place in self.places}
        return all(place.tobytes() in there for place in np.ascontiguousarray(places, np.float64))


class SlideStandards:
    """Standards of the slides that a method was trained on, by the ids of slides.

    Stains and scanners shift the colours of a whole slide; what is left once a slide is
    standardised is how a spot differs from the others on it. A part of a slide alone would be taken
    for a whole one: its own mean is not the slide's. So the standards of the slides of training and
    validation are kept, and spots of these slides, such as the strip that a protocol holds out, are
    standardised by them. Any other slide is standardised by itself; so is one of a known id whose
    spots lie elsewhere. Images alone are looked at, never the expression.

    Parameters
    ----------
    standards : mapping of str to Standard
    """

    def __init__(self, standards: Mapping[str, Standard] | None = None) -> None:
        self._standards = dict(standards or {})

    @classmethod
    def fitted(
        cls, features: np.ndarray, slide_ids: np.ndarray, coordinates: np.ndarray
    ) -> SlideStandards:
        """Return the standards of slides.

        Parameters
        ----------
        features : ndarray of shape (n_spots, width)
        slide_ids : ndarray of str, of shape (n_spots,)
        coordinates : ndarray of shape (n_spots, 2)
            In pixels of each slide.
        """
        return cls(
            {
                str(slide_ids[rows[0]]): Standard.of(features[rows], coordinates[rows])
                for rows in rows_by_slide(slide_ids)
            }
        )

    def apply(
        self, features: np.ndarray, slide_ids: np.ndarray, coordinates: np.ndarray
    ) -> np.ndarray:
        """Return the features, standardised within each slide: (n_spots, width), float32.

        A feature that is constant on a slide, as all are where it has one spot, becomes 0.
        """
        found = np.empty(features.shape, dtype=np.float32)
        for rows in rows_by_slide(slide_ids):
            known = self._standards.get(str(slide_ids[rows[0]]))
            if known is None or not known.holds(coordinates[rows]):
                known = Standard.of(features[rows], coordinates[rows])
            found[rows] = known.apply(features[rows])
        return found

    def arrays(self) -> dict[str, np.ndarray]:
        """Return what ``from_arrays`` takes: by slide, the standard and the places."""
        return {
            f"{part}/{slide}": getattr(standard, part)
            for slide, standard in self._standards.items()
            for part in ("mean", "scale", "places")
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> SlideStandards:
        """Return the standards that ``arrays`` wrote down."""
        slides = [name.removeprefix("mean/") for name in arrays if name.startswith("mean/")]
        return cls(
            {
                slide: Standard(
                    *(arrays[f"{part}/{slide}"] for part in ("mean", "scale", "places"))
                )
                for slide in slides
            }
        )
