"""What a method looks at beside, or instead of, the protocol's patches: windows that it declares.

A method names its views in a mapping: ``views = {"region": View(scale=4.6)}``, a class attribute,
or a property where they depend on the method's fields.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from spared_bench.errors import PluginError, ViewError

#: The name of the view that ``slides.patches`` is.
TARGET = "target"
_MOST_PIXELS = 4096
_MOST_TILES = 31
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")


@dataclass(frozen=True)
class View:
    """One window per spot, one grid of windows per slide, or the tiles around each spot.

    At most one of ``scale``, ``um`` and ``pixels`` is set; where none is, a window is as wide as
    the protocol's patches.

    Parameters
    ----------
    size : int
        Side in pixels of what is handed out, of one tile where there are tiles; 0: that of the
        protocol's patches.
    scale : float
        Side of the window in spot diameters.
    um : float
        Side of the window in micrometres; the slides must say their micrometres per pixel.
    pixels : float
        Side of the window in pixels of the full resolution.
    grid : bool
        Whether the windows lie side by side over the slide, from the upper left corner of its
        image, each once, and are shared by all spots whose centre lies in them.
    tiles : int
        Odd. More than 1: so many by so many tiles of that side, the middle one centred on the spot.

    Raises
    ------
    PluginError
        For values that exclude each other, or that no window can have.
    """

    size: int = 224
    scale: float = 0.0
    um: float = 0.0
    pixels: float = 0.0
    grid: bool = False
    tiles: int = 1

    def __post_init__(self) -> None:
        for name in ("scale", "um", "pixels"):
            value = getattr(self, name)
            if (
                isinstance(value, bool)
                or not isinstance(value, int | float)
                or not 0 <= value < 1e9
            ):
                raise PluginError(f"View: {name} is {value!r}; expected a number of 0 or more.")
            object.__setattr__(self, name, float(value))  # 4 and 4.0 are one view
        sides = [name for name in ("scale", "um", "pixels") if getattr(self, name)]
        if len(sides) > 1:
            raise PluginError(
                f"View: {' and '.join(sides)} both say how wide a window is. Give one of them."
            )
        if not _is_whole(self.size) or not 0 <= self.size <= _MOST_PIXELS:
            raise PluginError(
                f"View: size is {self.size!r}; expected a whole number of pixels up to"
                f" {_MOST_PIXELS}, or 0 for that of the protocol's patches."
            )
        if not _is_whole(self.tiles) or not 1 <= self.tiles <= _MOST_TILES or not self.tiles % 2:
            raise PluginError(
                f"View: tiles is {self.tiles!r}; expected an odd number from 1 to {_MOST_TILES}, so"
                " that one tile is centred on the spot."
            )
        if not isinstance(self.grid, bool):
            raise PluginError(f"View: grid is {self.grid!r}; expected True or False.")
        if self.grid and self.tiles > 1:
            raise PluginError("View: grid and tiles exclude each other. Declare two views.")

    @property
    def per_spot(self) -> bool:
        """Whether there is one window for every spot."""
        return not self.grid and self.tiles == 1

    def settled(self, scale: float, size: int, um: float = 0.0) -> View:
        """Return the same view with what it leaves open taken from the protocol's patches."""
        known = replace(self, size=self.size or size)
        if self.scale or self.um or self.pixels:
            return known
        return replace(known, um=um) if um else replace(known, scale=scale)

    def side_px(self, facts: Mapping[str, Any]) -> float:
        """Return the side of a window in full-resolution pixels of a slide.

        Parameters
        ----------
        facts : mapping
            ``uns["slide"]`` of a raw slide: ``spot_diameter_px``, ``um_per_px``.

        Raises
        ------
        ViewError
            If it is in micrometres, and the slide does not say how many a pixel has.
        """
        if self.pixels:
            return self.pixels
        if not self.um:
            return self.scale * float(facts["spot_diameter_px"])
        if not float(facts["um_per_px"]) > 0:
            raise ViewError(
                f"a window of {self.um:g} µm is asked for, and the slide does not say how many"
                " micrometres a pixel has (um_per_px is 0). Add it to the dataset, or declare the"
                " view by `scale` or `pixels`"
            )
        return self.um / float(facts["um_per_px"])

    def reach_um(self, facts: Mapping[str, Any]) -> float:
        """Return the side of all that a spot is shown, in µm; nan where pixels have no scale."""
        if self.um:
            return self.um * self.tiles
        scale = float(facts["um_per_px"])
        return self.side_px(facts) * scale * self.tiles if scale > 0 else float("nan")

    @property
    def in_words(self) -> str:
        """As people read it: ``"5 x 5 tiles of 1 spot diameters"``."""
        sides = ((self.um, "µm"), (self.pixels, "px"), (self.scale, "spot diameters"))
        side = next((f"{value:g} {unit}" for value, unit in sides if value), "the protocol's width")
        if self.grid:
            return f"a grid of {side}"
        return side if self.tiles == 1 else f"{self.tiles} x {self.tiles} tiles of {side}"

    def as_dict(self) -> dict[str, Any]:
        """Return JSON-ready values; ``View(**values)`` is the same view."""
        return asdict(self)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def declared_by(method: Any, label: str) -> Any:
    """Return what a method has as ``views``; ``None`` where it has none.

    Parameters
    ----------
    method : object
        Made with its parameters.
    label : str
        ``"Predictor 'mine'"``.

    Raises
    ------
    PluginError
        If its property raises. What it raises may be an ``AttributeError``, too, by which Python
        means that there is no such attribute, and the method that it mistook a name.
    """
    if inspect.getattr_static(method, "views", None) is None:
        return None
    try:
        return method.views
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise PluginError(
            f"{label}: its `views` cannot be read ({type(error).__name__}: {error}). They must"
            " follow from the fields of the method alone, before it is fitted."
        ) from error


def checked_views(declared: Any, method: str) -> dict[str, View]:
    """Return the views that a method declares; none where it declares nothing.

    Raises
    ------
    PluginError
        If it is no mapping of names to ``View``, or a name holds what no name may; ``target`` must
        be one window per spot.
    """
    if declared is None:
        return {}
    if not isinstance(declared, Mapping) or not all(
        isinstance(name, str) and name and isinstance(view, View) for name, view in declared.items()
    ):
        raise PluginError(
            f"{method}: `views` must map names to `View`, such as"
            f" {{'region': View(scale=4.6)}}; found {str(declared)[:200]}."
        )
    for name in declared:
        if not _NAME.fullmatch(name):
            raise PluginError(
                f"{method}: a view is named {name[:70]!a}. Expected up to 64 letters, digits,"
                " '_' and '-', the first a letter, as in 'region'."
            )
    if TARGET in declared and not declared[TARGET].per_spot:
        raise PluginError(
            f"{method}: the view {TARGET!r} is what `slides.patches` holds, one window per spot."
            " Give the grid or the tiles another name."
        )
    return dict(declared)
