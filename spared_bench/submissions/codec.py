"""Predictions in 16 bits: per gene a float32 offset and step, per value a whole number of steps.

A value is ``offset + step * code`` with code from 0 to 65,535, so the largest error is half a step:
the range of the gene's predictions / 131,070. (float16 residuals around a mean, which take the same
space, err by up to the range / 4,096.) Nothing but finite numbers can be written in this form, and
equal values stay equal, so a constant gene stays constant, exactly.

The file is an ordinary ``.npz`` of three arrays that ``numpy.load`` opens. Reading it here uses
neither pickles nor sizes that the file claims: the shapes are known beforehand.
"""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import IO

import numpy as np

from spared_bench.errors import DownloadError, SubmissionError
from spared_bench.sources.archives import sound_zip

CODES, OFFSET, STEP = "codes", "offset", "step"
_MOST = 65_535
_HEADER_BYTES = 1_024
_LARGEST = 1e9  # an offset beyond it is no expression, and its squares would leave float32
_BLOCK_ROWS = 4_096


def encode(prediction: np.ndarray) -> dict[str, np.ndarray]:
    """Return the arrays of a prediction.

    Parameters
    ----------
    prediction : ndarray of shape (n_spots, n_genes)
        Finite.

    Returns
    -------
    dict
        ``codes`` (n_spots, n_genes) of uint16; ``offset`` and ``step`` (n_genes,) of float32.

    Raises
    ------
    SubmissionError
        For nan, infinite or absurdly large values.
    """
    values = np.asarray(prediction, dtype=np.float64)
    if values.ndim != 2 or not values.size:
        raise SubmissionError(f"A prediction is (n_spots, n_genes), found shape {values.shape}.")
    if not np.isfinite(values).all() or np.abs(values).max() > _LARGEST:
        raise SubmissionError(
            f"The prediction holds nan, infinite values, or values beyond {_LARGEST:g}; it cannot"
            " be scored. Run the trial again."
        )
    offset = values.min(axis=0).astype(np.float32)
    # Rounded up, so that the largest value stays within reach.
    step = ((values.max(axis=0) - offset) / _MOST).astype(np.float32)
    varies = values.max(axis=0) > values.min(axis=0)
    step = np.where(varies, np.nextafter(step, np.float32(np.inf)), np.float32(0))
    codes = np.zeros(values.shape)
    np.divide(values - offset, step, out=codes, where=varies)
    return {CODES: np.clip(np.rint(codes), 0, _MOST).astype("<u2"), OFFSET: offset, STEP: step}


def decode(arrays: dict[str, np.ndarray]) -> np.ndarray:
    """Return the prediction, (n_spots, n_genes), float32."""
    out = np.empty(arrays[CODES].shape, dtype=np.float32)
    offset, step = (arrays[name].astype(np.float64) for name in (OFFSET, STEP))
    for start in range(0, len(out), _BLOCK_ROWS):
        rows = slice(start, start + _BLOCK_ROWS)
        out[rows] = arrays[CODES][rows] * step + offset
    return out


def write_prediction(path: Path, prediction: np.ndarray) -> None:
    """Write a prediction as ``.npz``."""
    arrays = encode(prediction)
    with path.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def read_prediction(path: Path, shape: tuple[int, int]) -> np.ndarray:
    """Read a prediction of a stranger.

    Parameters
    ----------
    path : Path
    shape : (int, int)
        What it must be: spots and genes of the dataset.

    Returns
    -------
    ndarray of float32, of shape ``shape``

    Raises
    ------
    SubmissionError
        For anything but the three arrays of these types and shapes, finite and in bounds.
    """
    wanted = {CODES: ("<u2", shape), OFFSET: ("<f4", shape[1:]), STEP: ("<f4", shape[1:])}
    try:
        with sound_zip(path, len(wanted)) as packed:
            members = packed.infolist()
            names = sorted(info.filename for info in members)
            if names != sorted(f"{name}.npy" for name in wanted):
                raise _refused(path, "it must hold codes.npy, offset.npy and step.npy alone")
            by_name = {info.filename.removesuffix(".npy"): info for info in members}
            arrays = {
                name: _read_array(packed, by_name[name], *kind) for name, kind in wanted.items()
            }
    except DownloadError as error:
        raise _refused(path, "it must hold codes.npy, offset.npy and step.npy alone") from error
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, NotImplementedError) as error:
        raise _refused(path, f"it cannot be read ({error})") from error
    except (ValueError, RuntimeError) as error:
        raise _refused(path, f"an array of it cannot be read ({str(error)[:200]})") from error
    if not all(np.isfinite(arrays[name]).all() for name in (OFFSET, STEP)):
        raise _refused(path, "offset or step is nan or infinite")
    reach = np.abs(arrays[OFFSET]).astype(np.float64) + arrays[STEP] * float(_MOST)
    if (arrays[STEP] < 0).any() or (reach > _LARGEST).any():
        raise _refused(path, f"a step is negative, or a value goes beyond {_LARGEST:g}")
    return decode(arrays)


def _read_array(
    packed: zipfile.ZipFile, info: zipfile.ZipInfo, dtype: str, shape: tuple[int, ...]
) -> np.ndarray:
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    if not size < info.file_size <= size + _HEADER_BYTES:
        raise ValueError(
            f"{info.filename} has {info.file_size} bytes, expected {size} and a header"
        )
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{info.filename} is compressed in another way than stored or deflated")
    with packed.open(info) as file:
        _check_header(file, info.filename, dtype, shape)
        content = file.read(size + 1)
    if len(content) != size:
        raise ValueError(f"{info.filename} is cut short, or too long")
    return np.frombuffer(content, dtype=dtype).reshape(shape)


def _check_header(file: IO[bytes], name: str, dtype: str, shape: tuple[int, ...]) -> None:
    """Compare a header with the one that is expected, as text; it is never evaluated."""
    magic, length = file.read(8), int.from_bytes(file.read(2), "little")
    header = file.read(min(length, _HEADER_BYTES)).decode("latin-1").rstrip()
    wanted = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}"
    if magic != b"\x93NUMPY\x01\x00" or header != wanted:
        raise ValueError(f"{name} is not {dtype} {shape} in npy version 1.0")


def _refused(path: Path, reason: str) -> SubmissionError:
    return SubmissionError(f"predictions/.../{path.name} is refused: {reason}.")
