"""What a dataset is made of: files that can be had somewhere, and slides."""

from __future__ import annotations

from dataclasses import dataclass


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
        Unique within the dataset.
    patient_id : str
        The donor; sections of one donor are not independent.
    section : str
        The label of the section within the donor, where there is one.
    """

    slide_id: str
    patient_id: str = ""
    section: str = ""
