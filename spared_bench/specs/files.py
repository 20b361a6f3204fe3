"""What a dataset is made of: files that can be had somewhere, and slides."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from spared_bench.errors import PluginError

#: Files are named after a slide: a name that is one on every system.
SLIDE_ID = re.compile(r"\w[\w.+-]{0,99}", re.ASCII)


@dataclass(frozen=True)
class RemoteFile:
    """One file of a dataset and where it can be had.

    Parameters
    ----------
    url : str
        First place to ask.
    path : str
        Where it lies in the dataset's folder; the last part of the URL by default.
    sha256 : str
        Pinned hash; empty where the source publishes none.
    size : int
        In bytes; 0 where unknown.
    mirrors : tuple of str
        Further places, asked in order.
    unpack : bool
        Whether it is an archive whose members belong in the dataset's folder, below ``path``.
    nested : str
        A pattern (``"raw/*.tar.gz"``): members that are archives themselves, each unpacked into a
        folder of its own name; of a ``.gz`` that is no tar, the file takes its place.
    """

    url: str
    path: str = ""
    sha256: str = ""
    size: int = 0
    mirrors: tuple[str, ...] = ()
    unpack: bool = False
    nested: str = ""


@dataclass(frozen=True)
class SlideInfo:
    """What is known of a slide before it is read.

    Parameters
    ----------
    slide_id : str
        Unique within the dataset, capitals aside. Files are named after it: up to 100 letters,
        digits and ``_ . + -``.
    patient_id : str
        The donor; sections of one donor are not independent.
    section : str
        The label of the section within the donor, where there is one.
    order : int, optional
        Its place along z among the sections of its sample.
    sample_id : str
        The block of tissue that it was cut from; where empty, the donor, else the slide itself.
    thickness_um : float
        From this section to the next one of the sample; 0: unknown.

    Raises
    ------
    PluginError
        For a name that cannot be a file's, a place that is no whole number, or a thickness that is
        negative or no number.
    """

    slide_id: str
    patient_id: str = ""
    section: str = ""
    order: int | None = None
    sample_id: str = ""
    thickness_um: float = 0.0

    def __post_init__(self) -> None:
        if not isinstance(self.slide_id, str) or not SLIDE_ID.fullmatch(self.slide_id):
            raise PluginError(
                f"SlideInfo({self.slide_id!r}): files are named after a slide, and slide_id must be"
                " a text of up to 100 letters (a-z, A-Z), digits and `_ . + -` that begins with a"
                " letter, a digit or `_`. Name it so, and let the reader find the file of that"
                " name."
            )
        whole = isinstance(self.order, int) and not isinstance(self.order, bool)
        if self.order is not None and not whole:
            raise PluginError(
                f"SlideInfo({self.slide_id!r}): order is the place of the section along z, a whole"
                f" number, or None where it is not known; found {self.order!r}."
            )
        thickness = self.thickness_um
        sound = isinstance(thickness, int | float) and not isinstance(thickness, bool)
        if not sound or not 0 <= thickness < math.inf:
            raise PluginError(
                f"SlideInfo({self.slide_id!r}): thickness_um must be 0 (unknown) or more, found"
                f" {thickness!r}."
            )

    @property
    def sample(self) -> str:
        """The sample that it belongs to, also where it is not named."""
        return self.sample_id or self.patient_id or self.slide_id

    def as_read(self) -> dict[str, str]:
        """Return what of it determines how a slide is read and stacked."""
        return {name: getattr(self, name) for name in ("slide_id", "patient_id", "section")}
