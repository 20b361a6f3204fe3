"""A trained method as ``mlflow.pyfunc`` loads it: a pointer into the store, and ``predict``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spared_bench.errors import MissingFileError, UsageError

if TYPE_CHECKING:
    import pandas as pd


class StoredModel:
    """What ``mlflow.pyfunc.load_model`` returns for a trial.

    Parameters
    ----------
    key : str
        Of the trial.
    workspace : Path
        Whose store has it.
    """

    def __init__(self, key: str, workspace: Path) -> None:
        self.key = key
        self.workspace = workspace

    def predict(self, model_input: Any, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Predict new spots.

        Parameters
        ----------
        model_input : AnnData or DataFrame
            An AnnData as ``spared_bench.predict`` takes it; or a table with the columns ``image``
            (one path), ``x`` and ``y`` (pixels), and maybe ``um_per_px`` and ``spot_diameter_px``
            (one number), and ``array_row`` and ``array_col``.
        params : dict, optional
            Further arguments of ``spared_bench.predict``.

        Returns
        -------
        DataFrame of shape (n_spots, n_genes)
            Rows are spots, columns gene ids.

        Raises
        ------
        UsageError
            For a table without these columns, without rows, or of several images or sizes.
        """
        import numpy as np
        import pandas as pd

        from spared_bench.api.applying import predict

        options: dict[str, Any] = {"workspace": self.workspace, **(params or {})}
        slide = model_input
        if isinstance(model_input, pd.DataFrame):
            lacking = [name for name in ("image", "x", "y") if name not in model_input]
            if lacking or not len(model_input):
                raise UsageError(
                    "Expected a table with the columns image (the same path in every row), x and y;"
                    f" found {list(model_input.columns)} and {len(model_input)} rows."
                )
            slide = Path(str(_only(model_input, "image")))
            options["spots"] = model_input
            for name in ("um_per_px", "spot_diameter_px"):
                if name in model_input:
                    options[name] = _number(_only(model_input, name), name)
        made = predict(self.key, slide, **options)
        return pd.DataFrame(np.asarray(made.X), index=made.obs_names, columns=made.var_names)


def _only(table: pd.DataFrame, name: str) -> Any:
    """Return the value that a column has in every row."""
    values = table[name].unique()
    if len(values) > 1:
        raise UsageError(
            f"Column {name!r} holds {', '.join(map(str, values[:2]))}: expected the same in every"
            " row. Predict images one by one."
        )
    return values[0]


def _number(value: Any, name: str) -> float:
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise UsageError(f"Column {name!r} holds {value!r}; expected a number.") from error


def _load_pyfunc(path: str) -> StoredModel:
    """Open what ``tracking.inputs.log_model`` logged; MLflow calls it by this name.

    Raises
    ------
    MissingFileError
        If the workspace has gone, or no longer has the trial.
    """
    told = json.loads(Path(path).read_text(encoding="utf-8"))
    folder = Path(told["trial"])
    if not folder.is_dir():
        raise MissingFileError(
            f"The trained weights are not at {folder}, where they were when the model was logged."
            " MLflow holds a pointer to them and no copy: put the workspace back there, or run"
            " `spared-bench track sync` in its new place."
        )
    # <workspace>/store/trials/<two digits>/<key>
    return StoredModel(told["key"], folder.parents[3])
