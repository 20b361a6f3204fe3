"""What MLflow shows of a run beside its numbers: the dataset that went in, the model that came out.

The logged model holds no weights: they stay in the workspace's store, once, and the model says
where. ``mlflow.pyfunc.load_model`` finds them there (``spared_bench.api.pyfunc_model``).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from spared_bench.ordinary import read_json
from spared_bench.results import TrialResult
from spared_bench.store.entries import MANIFEST
from spared_bench.store.processes import scratch_folder
from spared_bench.store.trials import APPLICATION, MODEL

#: The tag of a run that names its logged model.
LOGGED_MODEL = "spared_bench.model"
POINTER = "trial.json"
_LOADER = "spared_bench.api.pyfunc_model"
_MAX_DIGEST = 36  # of MLflow
_UNKNOWN_TO_SERVER = ("ENDPOINT_NOT_FOUND", "NOT_IMPLEMENTED")


def log_dataset(client: Any, run_id: str, trial: TrialResult, folder: Path) -> None:
    """Log the dataset of a trial as the run's input.

    Its digest is the start of the key of what was trained on, so that runs of the same prepared
    data have the same.
    """
    from mlflow.data.code_dataset_source import CodeDatasetSource
    from mlflow.entities import Dataset, DatasetInput, InputTag

    inputs = _inputs(folder)
    key = str(inputs.get("completed") or inputs.get("prepared") or trial.key)
    source = {
        "mlflow.source.name": "spared-bench",
        "dataset": trial.dataset,
        "protocol": trial.protocol,
        "completer": trial.completer,
    }
    told = CodeDatasetSource(source).to_json()
    dataset = Dataset(trial.dataset[:500], key[:_MAX_DIGEST], source_type="code", source=told)
    context = InputTag("mlflow.data.context", "training")
    client.log_inputs(run_id, [DatasetInput(dataset, [context])])


def log_model(client: Any, experiment: str, run_id: str, trial: TrialResult, folder: Path) -> str:
    """Log the model that a trial left in the store; return its id, or nothing where it left none.

    Parameters
    ----------
    client : MlflowClient
    experiment, run_id : str
    trial : TrialResult
    folder : Path
        Of the trial's entry.
    """
    if not (folder / APPLICATION).is_file() or not (folder / MODEL).is_dir():
        return ""
    from mlflow import pyfunc
    from mlflow.entities import LoggedModelOutput
    from mlflow.exceptions import MlflowException
    from mlflow.models import Model

    try:
        logged = client.create_logged_model(
            experiment,
            name=_name(f"{trial.predictor}-{trial.dataset}"),
            source_run_id=run_id,
            model_type="predictor",
            tags={"spared_bench.trial_key": trial.key},
        )
    except MlflowException as error:
        if error.error_code in _UNKNOWN_TO_SERVER:  # a server of before MLflow 3
            return ""
        raise
    with scratch_folder() as made:
        told = {"key": trial.key, "trial": str(folder.absolute())}
        (made / POINTER).write_text(json.dumps(told, indent=1), encoding="utf-8")
        model = Model(model_id=logged.model_id, run_id=run_id)
        pyfunc.add_to_model(model, loader_module=_LOADER, data=POINTER)
        model.save(str(made / "MLmodel"))
        client.log_model_artifacts(logged.model_id, str(made))
    client.finalize_logged_model(logged.model_id, "READY")
    client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, 0)])
    client.set_tag(run_id, LOGGED_MODEL, logged.model_id)
    return str(logged.model_id)


def source_tags(trial: TrialResult) -> dict[str, str]:
    """Return the tags by which MLflow shows where a run comes from, the git commit among them."""
    tags = {"mlflow.source.name": "spared-bench", "mlflow.source.type": "LOCAL"}
    commit, _, changes = str(trial.environment.get("git", "")).partition(" ")
    if commit:
        tags["mlflow.source.git.commit"] = commit
        tags["mlflow.source.git.dirty"] = str(bool(changes)).lower()
    return tags


def _inputs(folder: Path) -> dict[str, Any]:
    """Return what the entry of a trial was made from, nothing where that cannot be read."""
    try:
        found = read_json(folder / MANIFEST)["inputs"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return found if isinstance(found, dict) else {}


def _name(text: str) -> str:
    """Return a name that MLflow takes for a model: no slash, colon, dot, per cent or quote."""
    return "".join(c if c.isalnum() or c in "_- " else "-" for c in text)[:200]
