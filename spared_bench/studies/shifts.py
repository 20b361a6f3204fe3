"""What may happen to an image between laboratories, scanners and files, as changes of patches.

Each is the same for all patches of a slide, and has no randomness.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from spared_bench.errors import StudyError, did_you_mean

#: From patches to patches, (n, size, size, 3), uint8.
Change = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Shift:
    """One change of the tested images.

    Parameters
    ----------
    name : str
    kind : str
        Which of several of its kind it is one of: ``"haematoxylin"``, ``"blur"``, ...
    change : callable or None
        ``None``: towards the look of a training slide, which depends on the slides.
    """

    name: str
    kind: str
    change: Change | None


def stained(haematoxylin: float = 1.0, eosin: float = 1.0) -> Change:
    """Return what multiplies the amounts of two stains (Ruifrok and Johnston's vectors)."""

    def change(patches: np.ndarray) -> np.ndarray:
        import torch

        from spared_bench.models.augmentation.hed_jitter import restain

        images = torch.from_numpy(np.ascontiguousarray(patches.transpose(0, 3, 1, 2)))
        factors = torch.tensor([[haematoxylin, eosin, 1.0]]).repeat(len(images), 1)
        made = restain(images, factors, torch.zeros(len(images), 3))
        return made.numpy().transpose(0, 2, 3, 1)

    return change


def blurred(sigma: float) -> Change:
    """Return a Gaussian blur of so many pixels of a patch."""

    def change(patches: np.ndarray) -> np.ndarray:
        from scipy.ndimage import gaussian_filter

        values = patches.astype(np.float32)
        made = gaussian_filter(values, (0, sigma, sigma, 0), mode="nearest")
        return np.rint(made).astype(np.uint8)

    return change


def as_jpeg(quality: int) -> Change:
    """Return what writes each patch as JPEG of a quality, and reads it again."""

    def change(patches: np.ndarray) -> np.ndarray:
        from PIL import Image

        made = np.empty_like(patches)
        for at, patch in enumerate(patches):
            file = io.BytesIO()
            Image.fromarray(patch).save(file, "JPEG", quality=quality)
            with Image.open(file) as image:
                made[at] = np.asarray(image.convert("RGB"))
        return made

    return change


def brightened(factor: float) -> Change:
    """Return what multiplies every value, cut at 255."""

    def change(patches: np.ndarray) -> np.ndarray:
        return np.clip(np.rint(patches * np.float32(factor)), 0, 255).astype(np.uint8)

    return change


def halved(patches: np.ndarray) -> np.ndarray:
    """Return patches at half their resolution, enlarged again, both bilinear by Pillow."""
    from PIL import Image

    made = np.empty_like(patches)
    for at, patch in enumerate(patches):
        height, width = patch.shape[:2]
        small = Image.fromarray(patch).resize(
            (max(1, width // 2), max(1, height // 2)), Image.Resampling.BILINEAR
        )
        made[at] = np.asarray(small.resize((width, height), Image.Resampling.BILINEAR))
    return made


TEMPLATE = "look of a training slide"
SHIFTS: tuple[Shift, ...] = (
    *(
        Shift(f"haematoxylin × {f}", "haematoxylin", stained(f, 1.0))
        for f in (0.5, 0.75, 1.25, 1.5)
    ),
    *(Shift(f"eosin × {f}", "eosin", stained(1.0, f)) for f in (0.5, 0.75, 1.25, 1.5)),
    Shift(TEMPLATE, "template", None),
    *(Shift(f"blur, {s} px", "blur", blurred(s)) for s in (1, 2)),
    *(Shift(f"JPEG, quality {q}", "jpeg", as_jpeg(q)) for q in (90, 60, 30)),
    *(Shift(f"brightness × {f}", "brightness", brightened(f)) for f in (0.7, 0.85, 1.15, 1.3)),
    Shift("half resolution", "resolution", halved),
)
_BY_NAME: Mapping[str, Shift] = {shift.name: shift for shift in SHIFTS}


def chosen_shifts(names: tuple[str, ...]) -> list[Shift]:
    """Return the shifts that a study names, by name or kind; all where it names none.

    Raises
    ------
    StudyError
        For a name that is none, with the nearest.
    """
    if not names:
        return list(SHIFTS)
    kinds = {shift.kind for shift in SHIFTS}
    for name in names:
        if name not in _BY_NAME and name not in kinds:
            known = [*sorted(kinds), *_BY_NAME]
            raise StudyError(
                f"`shifts` names {name!r}, and there is no such shift."
                f" {did_you_mean(name, known)} Kinds: {', '.join(sorted(kinds))}; or one of:"
                f" {', '.join(_BY_NAME)}."
            )
    return [shift for shift in SHIFTS if shift.name in names or shift.kind in names]
