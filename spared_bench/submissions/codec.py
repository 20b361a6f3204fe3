"""Predictions in 16 bits: per gene a float32 offset and step, per value a whole number of steps.

A value is ``offset + step * code`` with code from 0 to 65,535, so the largest error is half a step:
the range of the gene's predictions / 131,070. (float16 residuals around a mean, which take the same
space, err by up to the range / 4,096.) Nothing but finite numbers can be written in this form, and
equal values stay equal, so a constant gene stays constant, exactly.

A variance, where the method predicts it, is written as its logarithm in the same way, so that its
error is a share of it: at most half a step, that is, the logarithm of the gene's largest variance
over its smallest / 131,068. Code 0 stands for a variance of 0. Probabilities of classes are whole
numbers of 1 / 65,535.

The file is an ordinary ``.npz`` of three, four, six or seven arrays that ``numpy.load`` opens.
Reading it here uses neither pickles nor sizes that the file claims: the shapes are known
beforehand.
"""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import IO

import numpy as np

from spared_bench.errors import DownloadError, SubmissionError
from spared_bench.prediction import Prediction
from spared_bench.sources.archives import sound_zip

CODES, OFFSET, STEP = "codes", "offset", "step"
VARIANCE, CLASSES = "variance", "classes"
_MOST = 65_535
_HEADER_BYTES = 1_024
_LARGEST = 1e9  # an offset beyond it is no expression, and its squares would leave float32
_LEAST = 1e-30  # a variance below it is none
_LARGEST_LOG = 80.0  # of a variance: beyond it lies no float32
_BLOCK_ROWS = 4_096


def encode(prediction: np.ndarray, most: int = _MOST) -> dict[str, np.ndarray]:
    """Return the arrays of a prediction.

    Parameters
    ----------
    prediction : ndarray of shape (n_spots, n_genes)
        Finite.
    most : int
        The largest code.

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
    step = ((values.max(axis=0) - offset) / most).astype(np.float32)
    varies = values.max(axis=0) > values.min(axis=0)
    step = np.where(varies, np.nextafter(step, np.float32(np.inf)), np.float32(0))
    codes = np.zeros(values.shape)
    np.divide(values - offset, step, out=codes, where=varies)
    return {CODES: np.clip(np.rint(codes), 0, most).astype("<u2"), OFFSET: offset, STEP: step}


def decode(arrays: dict[str, np.ndarray]) -> np.ndarray:
    """Return the prediction, (n_spots, n_genes), float32."""
    out = np.empty(arrays[CODES].shape, dtype=np.float32)
    offset, step = (arrays[name].astype(np.float64) for name in (OFFSET, STEP))
    for start in range(0, len(out), _BLOCK_ROWS):
        rows = slice(start, start + _BLOCK_ROWS)
        out[rows] = arrays[CODES][rows] * step + offset
    return out


def encode_variance(variance: np.ndarray) -> dict[str, np.ndarray]:
    """Return the arrays of a variance, as ``encode`` does of a prediction.

    Returns
    -------
    dict
        ``variance_codes`` (n_spots, n_genes) of uint16; ``variance_offset`` and ``variance_step``
        (n_genes,) of float32: of the natural logarithm, which code 1 has at the offset.

    Raises
    ------
    SubmissionError
        For nan, infinite or negative values, and absurdly large ones.
    """
    values = np.asarray(variance, dtype=np.float64)
    if not np.isfinite(values).all() or (values < 0).any() or values.max() > _LARGEST**2:
        raise SubmissionError(
            f"The variance holds nan, infinite or negative values, or values beyond"
            f" {_LARGEST**2:g}; it cannot be scored. Run the trial again."
        )
    zero = values < _LEAST
    logs = np.log(np.where(zero, 1.0, values))
    # A zero has a code of its own; put where it does not widen the range of its gene.
    lowest = np.where(zero, np.inf, logs).min(axis=0)
    lowest = np.where(np.isfinite(lowest), lowest, 0.0)
    coded = encode(np.where(zero, lowest, logs), most=_MOST - 1)
    codes = np.where(zero, 0, coded[CODES].astype(np.int64) + 1).astype("<u2")
    return {f"{VARIANCE}_{CODES}": codes, **{f"{VARIANCE}_{n}": coded[n] for n in (OFFSET, STEP)}}


def decode_variance(arrays: dict[str, np.ndarray]) -> np.ndarray:
    """Return the variance, (n_spots, n_genes), float32."""
    codes = arrays[f"{VARIANCE}_{CODES}"]
    shifted = {CODES: np.maximum(codes, 1) - 1}
    shifted |= {name: arrays[f"{VARIANCE}_{name}"] for name in (OFFSET, STEP)}
    return np.where(codes > 0, np.exp(decode(shifted)), np.float32(0)).astype(np.float32)


def write_prediction(path: Path, prediction: np.ndarray | Prediction) -> None:
    """Write a prediction as ``.npz``."""
    if not isinstance(prediction, Prediction):
        prediction = Prediction(prediction)
    arrays = encode(prediction.mean)
    if prediction.variance is not None:
        arrays |= encode_variance(prediction.variance)
    if prediction.classes is not None:
        arrays[CLASSES] = np.rint(np.clip(prediction.classes, 0, 1) * _MOST).astype("<u2")
    with path.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def read_prediction(path: Path, shape: tuple[int, int]) -> np.ndarray:
    """Read the means of a prediction of a stranger, (n_spots, n_genes); see ``read_output``."""
    return read_output(path, shape).mean


def read_output(path: Path, shape: tuple[int, int], n_classes: int = 0) -> Prediction:
    """Read a prediction of a stranger.

    Parameters
    ----------
    path : Path
    shape : (int, int)
        What it must be: spots and genes of the dataset.
    n_classes : int
        Of the dataset; 0: it may hold no classes.

    Returns
    -------
    Prediction
        Of float32; variance and classes where it has them.

    Raises
    ------
    SubmissionError
        For anything but the arrays of these types and shapes, finite and in bounds.
    """
    wanted = {CODES: ("<u2", shape), OFFSET: ("<f4", shape[1:]), STEP: ("<f4", shape[1:])}
    spread = {f"{VARIANCE}_{name}": kind for name, kind in wanted.items()}
    table = {CLASSES: ("<u2", (shape[0], n_classes))} if n_classes else {}
    known = [wanted, wanted | spread, wanted | table, wanted | spread | table]
    odd = (
        "it must hold codes.npy, offset.npy and step.npy alone, the same three of variance_ where"
        " the method predicts variances, and classes.npy where it predicts those of the dataset"
    )
    try:
        with sound_zip(path, len(known[-1])) as packed:
            members = packed.infolist()
            names = sorted(info.filename for info in members)
            kinds = next((k for k in known if names == sorted(f"{name}.npy" for name in k)), None)
            if kinds is None:
                raise _refused(path, odd)
            by_name = {info.filename.removesuffix(".npy"): info for info in members}
            arrays = {
                name: _read_array(packed, by_name[name], *kind) for name, kind in kinds.items()
            }
    except DownloadError as error:
        raise _refused(path, odd) from error
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, NotImplementedError) as error:
        raise _refused(path, f"it cannot be read ({error})") from error
    except (ValueError, RuntimeError) as error:
        raise _refused(path, f"an array of it cannot be read ({str(error)[:200]})") from error
    _check_bounds(path, arrays, "", _LARGEST)
    variance = classes = None
    if f"{VARIANCE}_{CODES}" in arrays:
        _check_bounds(path, arrays, f"{VARIANCE}_", _LARGEST_LOG)
        variance = decode_variance(arrays)
    if CLASSES in arrays:
        classes = _probabilities(path, arrays[CLASSES])
    return Prediction(decode(arrays), variance, classes)


def _check_bounds(path: Path, arrays: dict[str, np.ndarray], part: str, largest: float) -> None:
    offset, step = arrays[f"{part}{OFFSET}"], arrays[f"{part}{STEP}"]
    if not (np.isfinite(offset).all() and np.isfinite(step).all()):
        raise _refused(path, f"{part}offset or {part}step is nan or infinite")
    reach = np.abs(offset).astype(np.float64) + step * float(_MOST)
    if (step < 0).any() or (reach > largest).any():
        raise _refused(path, f"a {part}step is negative, or a value goes beyond {largest:g}")


def _probabilities(path: Path, codes: np.ndarray) -> np.ndarray:
    """Return probabilities of classes, which sum to 1 but for the rounding of each."""
    values = codes.astype(np.float64) / _MOST
    sums = values.sum(axis=1)
    if len(sums) and np.abs(sums - 1).max() > codes.shape[1] / _MOST:
        raise _refused(path, "probabilities of classes do not sum to 1")
    return (values / sums[:, None]).astype(np.float32)


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
