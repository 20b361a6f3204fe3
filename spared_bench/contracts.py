"""What methods have and return, held to the contract before anything is made of it."""

from __future__ import annotations

import inspect
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from spared_bench.data import MASK, TARGET
from spared_bench.errors import DivergedError, PluginError
from spared_bench.prediction import Prediction

if TYPE_CHECKING:
    from spared_bench.data import Slides
    from spared_bench.interfaces import Completer


#: By kind: the methods that it needs, and what each is called with.
_CALLED = {
    "completer": {"fit": ("train", "val", "context"), "complete": ("slides",)},
    "predictor": {"fit": ("train", "val", "context"), "predict": ("slides",)},
}


def lacking(kind: str, method: Any) -> str:
    """Say which methods an object lacks, or which cannot be called as they will be.

    Parameters
    ----------
    kind : {"completer", "predictor"}
    method : object

    Returns
    -------
    str
        A sentence that begins with a verb; empty where nothing is lacking.
    """
    called = _CALLED[kind]
    absent = [name for name in called if not callable(getattr(method, name, None))]
    if absent:
        return f"lacks {' and '.join(absent)}; a {kind} needs {' and '.join(called)}."
    for name, arguments in called.items():
        try:
            # A wrapper may give what it wraps further arguments, so it is its own that count.
            inspect.signature(getattr(method, name), follow_wrapped=False).bind(*arguments)
        except TypeError as error:
            return (
                f"has a `{name}` that cannot be called as {name}({', '.join(arguments)}): {error}."
            )
        except ValueError:  # of what is not written in Python
            continue
    return ""


def completion_of(method: Completer, slides: Slides, completer: str) -> np.ndarray:
    """Return what a completer makes of slides, by what was measured before it got them.

    It may write into its slides, and what it makes of ``target`` and ``mask`` there counts nothing.

    Raises
    ------
    PluginError
        See ``checked_completion``.
    """
    from anndata import AnnData

    adata = slides.adata
    layers = {name: np.array(adata.layers[name]) for name in (TARGET, MASK)}
    obs, var = (
        pd.DataFrame(index=adata.obs_names.copy()),
        pd.DataFrame(index=adata.var_names.copy()),
    )
    known = replace(slides, adata=AnnData(obs=obs, var=var, layers=layers))
    return checked_completion(method.complete(slides), known, completer)


def checked_completion(values: Any, slides: Slides, completer: str) -> np.ndarray:
    """Return what a completer returned as float32, of shape (n_spots, n_genes).

    Rows and columns are found as those of a prediction are (``checked_output``).

    Raises
    ------
    PluginError
        If it is no array of numbers of that shape, a masked array with masked entries, or a
        DataFrame with other names; if it holds nan, or changed measured entries.
    """
    who = f"Completer {completer!r}"
    values = _table(values, slides, who, "complete", "", slides.gene_names, _PER_GENE)
    if not np.isfinite(values).all():
        raise PluginError(f"Completer {completer!r} returned nan or infinite values.")
    mask = slides.mask
    if not np.array_equal(values[mask], slides.target[mask]):
        raise PluginError(
            f"Completer {completer!r} changed measured entries. A completer fills unmeasured"
            " entries (mask False) and returns the others as they are."
        )
    return values


def checked_output(values: Any, slides: Slides, predictor: str) -> Prediction:
    """Return what a predictor returned, an array or a ``Prediction``, as float32 of the right form.

    Rows and columns of an array are spots and genes in the order of ``slides``. Those of a
    DataFrame, or of a list of Series, are found by their names, whatever their order; an axis that
    is merely numbered (0, 1, ...) is taken in order, as an array's is.

    Raises
    ------
    PluginError
        If a part is no array of numbers of its shape, has masked entries, is a DataFrame with
        other names than those of the spots and genes (classes), or a table of another library,
        which has names that would not be read; if a variance is
        negative; if probabilities of classes are, or do not sum to 1, or there are no classes.
    DivergedError
        If it holds nan or infinite values.
    """
    if not isinstance(values, Prediction):
        return Prediction(_numbers(values, slides, predictor, "", slides.gene_names, _PER_GENE))
    genes = slides.gene_names
    mean = _numbers(values.mean, slides, predictor, "", genes, _PER_GENE)
    variance = classes = None
    if values.variance is not None:
        variance = _numbers(
            values.variance, slides, predictor, " for the variance", genes, _PER_GENE
        )
        if (variance < 0).any():
            raise PluginError(
                f"Predictor {predictor!r} returned a variance that is negative"
                f" ({float(variance.min()):.4g}, for example). A variance is 0 or more: if the"
                " method predicts its logarithm, return the exponential of that."
            )
    if values.classes is not None:
        classes = _probabilities(values.classes, slides, predictor)
    return Prediction(mean, variance, classes)


def checked_prediction(values: Any, slides: Slides, predictor: str) -> np.ndarray:
    """Return the means of what a predictor returned, (n_spots, n_genes); see ``checked_output``."""
    return checked_output(values, slides, predictor).mean


#: How far the probabilities of a spot may be from 1 in sum: the rounding of half precision.
_SUM_TOLERANCE = 5e-3
_PER_GENE = "one row per spot, one column per gene"


def _probabilities(values: Any, slides: Slides, predictor: str) -> np.ndarray:
    classes = list(slides.classes)
    if not classes:
        raise PluginError(
            f"Predictor {predictor!r} returned probabilities of classes, and the dataset declares"
            " none (`slides.classes` is empty). Return `classes=None` there."
        )
    per_class = f"one row per spot, one column per class ({', '.join(classes)})"
    found = _numbers(values, slides, predictor, " for the classes", classes, per_class)
    if (found < 0).any():
        raise PluginError(
            f"Predictor {predictor!r} returned a negative probability of a class"
            f" ({float(found.min()):.4g}). Return probabilities, not scores: a softmax makes them."
        )
    sums = found.sum(axis=1, dtype=np.float64)
    if len(sums) and (worst := float(np.abs(sums - 1).max())) > _SUM_TOLERANCE:
        row = int(np.abs(sums - 1).argmax())
        raise PluginError(
            f"Predictor {predictor!r} returned probabilities of classes that do not sum to 1: those"
            f" of spot {slides.adata.obs_names[row]!r} sum to {sums[row]:.4g} ({worst:.2g} off)."
            " Return probabilities, not scores: a softmax makes them."
        )
    return (found / np.maximum(sums, 1e-12)[:, None]).astype(np.float32)


def _numbers(
    values: Any, slides: Slides, predictor: str, what: str, columns: list[str], wants: str
) -> np.ndarray:
    """Return one part of a prediction as finite float32, of shape (n_spots, len(columns))."""
    who = f"Predictor {predictor!r}"
    values = _table(values, slides, who, "predict", what, columns, wants)
    if not np.isfinite(values).all():
        raise DivergedError(
            f"Predictor {predictor!r} predicts nan or infinite values{what}. Expected finite"
            " numbers of float32's range."
        )
    return values


def _table(
    values: Any, slides: Slides, who: str, by: str, what: str, columns: list[str], wants: str
) -> np.ndarray:
    """Return what a method returned as float32, of shape (n_spots, len(columns))."""
    if values is None:
        raise PluginError(
            f"{who} returned None{what}; expected an array of shape"
            f" {(slides.n_spots, len(columns))}: {wants}. Does `{by}` lack a `return`?"
        )
    if hasattr(values, "toarray"):  # of scipy, in all its formats, and of those that follow it
        raise PluginError(
            f"{who} returned a sparse {type(values).__name__}{what}; expected a dense array. Return"
            " its `.toarray()`."
        )
    values = _detached(values)
    rows = values if isinstance(values, list | tuple) else []
    masks = [np.ma.getmaskarray(e) for e in (values, *rows) if np.ma.isMaskedArray(e)]
    if n_masked := sum(int(mask.sum()) for mask in masks):
        raise PluginError(
            f"{who} returned a masked array{what} with {n_masked} masked entries. Every spot needs"
            " a value in every column: fill them (`.filled(value)`) before returning."
        )
    is_pair = isinstance(values, tuple)
    if rows and all(isinstance(row, pd.Series) for row in rows):
        values = pd.DataFrame(list(rows))
    if isinstance(values, pd.DataFrame):
        spots = list(slides.adata.obs_names)
        of = "classes" if "classes" in what else "genes"
        values = _in_order(values, 0, "spots", spots, who)
        values = _in_order(values, 1, of, columns, who)
    elif any(_has_some(values, names) for names in _NAMES_OF_OTHERS):
        raise PluginError(
            f"{who} returned {type(values).__name__}{what}, a table whose names are not read, so"
            " that its order could be another. Return a DataFrame of pandas, or an array in the"
            " order of the slides."
        )
    wanted = (slides.n_spots, len(columns))
    try:
        given = np.asarray(values)
        if given.ndim and given.shape != wanted:  # before it is converted: it may be huge
            hint = " A mean with its variance is a `Prediction(mean, variance)`." if is_pair else ""
            raise PluginError(
                f"{who} returned shape {given.shape}{what}; expected {wanted}: {wants}.{hint}"
            )
        numbers = given.dtype.kind in "biufO"
        with np.errstate(over="ignore"):  # what float32 cannot hold is found below
            values = given.astype(np.float32) if numbers else given
    except (TypeError, ValueError) as error:
        raise PluginError(
            f"{who} returned {type(values).__name__}{what}, which is no array of numbers: {error}"
        ) from error
    if not numbers:
        raise PluginError(f"{who} returned values of type {given.dtype}{what}; expected numbers.")
    texts = (each for each in given.flat if isinstance(each, str | bytes))
    if given.dtype.kind == "O" and (text := next(texts, None)) is not None:
        # NumPy would take "1_5" for 15.
        raise PluginError(f"{who} returned the text {text!r}{what}; expected numbers.")
    if values.shape != wanted:
        raise PluginError(f"{who} returned one value{what}; expected {wanted}: {wants}.")
    return values


def _detached(values: Any) -> Any:
    """Return tensors as NumPy can read them: off their graph and GPU, and of a type that it has."""
    torch = sys.modules.get("torch")  # who returns a tensor has imported it
    if torch is None:
        return values
    if isinstance(values, list) and any(isinstance(row, torch.Tensor) for row in values):
        return [_detached(row) for row in values]
    if not isinstance(values, torch.Tensor):
        return values
    found = values.detach().cpu()
    return found.float() if found.dtype == torch.bfloat16 else found


#: Where tables that are none of pandas keep names: dask and polars, pyarrow, xarray, AnnData.
_NAMES_OF_OTHERS = ("columns", "column_names", "coords", "obs_names")


def _has_some(values: Any, names: str) -> bool:
    try:
        return len(getattr(values, names)) > 0
    except (AttributeError, TypeError):
        return False


_NAMED = {
    "spots": "`slides.adata.obs_names`",
    "genes": "`slides.gene_names`",
    "classes": "`slides.classes`",
}


def _in_order(
    table: pd.DataFrame, axis: Literal[0, 1], what: str, names: list[str], who: str
) -> pd.DataFrame:
    """Return a table with its rows (axis 0) or columns (1) in the order of these names."""
    found = list(table.axes[axis])
    if found == names or found == list(range(len(found))):
        return table
    wanted, there = set(names), set(found)
    if not table.axes[axis].is_unique:
        twice = table.axes[axis][table.axes[axis].duplicated()][0]
        raise PluginError(
            f"{who} returned a DataFrame that names {twice!r} more than once among its {what}."
        )
    odd = [name for name in found if name not in wanted]
    lacking = [name for name in names if name not in there]
    if odd or lacking:
        told = [f"{odd[:3]} are none of them"] if odd else []
        told += [f"{lacking[:3]} are lacking"] if lacking else []
        raise PluginError(
            f"{who} returned a DataFrame whose {('rows', 'columns')[axis]} are"
            f" not the {len(names)} {what}: {' and '.join(told)}. Name them as {_NAMED[what]} does,"
            " or return an array in that order."
        )
    return table.reindex(names, axis=axis)
