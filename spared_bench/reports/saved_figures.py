"""Pictures for people, which are whole or not there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from spared_bench.files import replacing
from spared_bench.reports.own_style import in_own_style

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@in_own_style()
def save_figure(figure: Figure, path: Path, **options: Any) -> None:
    """Save a picture so that a kill or a full disk leaves the one of before, and no half.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    path : Path
        Its suffix says the format.
    **options
        Of matplotlib's ``savefig``.
    """
    with replacing(path) as beside:
        figure.savefig(beside, **options)
