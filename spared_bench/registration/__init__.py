"""Sections of one sample in one frame, from their images alone.

``register`` takes raw slides in their order and returns a matrix for each, from full-resolution
pixels of the section to those of the middle one, with numbers that say how good it is. scikit-image
and scipy do the work, which the benchmark needs already: what a library of registration would add
(SimpleITK, elastix, ANTs, OpenCV) is a choice of optimisers and of local fields, and what decides
here is the search over all turns, which none of them does by itself.
"""

from __future__ import annotations

from spared_bench.registration.quality import Quality
from spared_bench.registration.sample import Aligned, Method, Registration, register

__all__ = ["Aligned", "Method", "Quality", "Registration", "register"]
