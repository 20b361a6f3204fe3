"""What of a completer or predictor determines what it makes: code, parameters, weights."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from spared_bench.bench.lookup import Lookup, class_of
from spared_bench.errors import PluginError, UsageError
from spared_bench.keys.code import code_hash
from spared_bench.models.augmentation.names import modules as augmentation_modules
from spared_bench.models.augmentation.names import of_method as augment_of
from spared_bench.models.encoder_table import KnownEncoder, known_encoder
from spared_bench.models.hub import content_digest, own_file
from spared_bench.models.weights_folder import WEIGHTS_FOLDER, file_for
from spared_bench.registry import Registered

#: What an encoder's spec says for people, and moves no feature.
_TOLD = ("summary", "citation", "licence", "gated", "pretraining", "seen_slides", "aliases",
         "parameters_millions", "known_output", "extras")  # fmt: skip

#: What weights may be that are no folder, whatever it is called.
_WORDS = ("", "pretrained", "random")


def method_inputs(
    bench: Lookup, entry: Registered, parameters: Mapping[str, Any]
) -> dict[str, Any]:
    """What determines a method; of parameters that name a file, and of weights, the content."""
    described = {
        "name": entry.spec.name,
        "version": entry.spec.version,
        "distribution": entry.plugin.distribution,
        "code": entry.code,
        "parameters": dict(parameters),
    }
    if brings := bench.named_files(entry):
        described["named_files"] = brings
    if files := _files_in({key: value for key, value in parameters.items() if key != "weights"}):
        described["files"] = {
            name: bench.fingerprints.of_file(file.resolve()) for name, file in files
        }
    weights = parameters.get("weights")
    place = place_of_weights(weights) if isinstance(weights, str) else None
    if place is not None and place.is_file():
        # The content counts: another file of the same name is another experiment.
        described["weights"] = bench.fingerprints.of_file(place)
    elif place is not None and weights not in _WORDS and place.is_dir():
        described["weights"] = content_digest(place)
    elif os.environ.get(WEIGHTS_FOLDER) and (file := file_for(class_of(entry), parameters)):
        described["weights"] = bench.fingerprints.of_file(file)
    if known := known_encoder(_encoder_named(entry, parameters)):
        described["encoder"] = _encoder_inputs(known)
    if named := augmentation_modules(augment_of(_loaded(entry), parameters)):
        # They are imported by name, so the code of the method does not hold theirs.
        described["augmentation"] = {module: code_hash(module) for module in named}
    return described


def _files_in(value: object) -> list[tuple[str, Path]]:
    """Return the texts in a value, at any depth, that name a file and are no mere word."""
    if isinstance(value, Mapping):
        return _files_in(list(value.values()))
    if isinstance(value, list | tuple):
        return [found for each in value for found in _files_in(each)]
    if not isinstance(value, str) or not (os.sep in value or Path(value).suffix):
        return []
    try:
        path = Path(value).expanduser()
        return [(value, path)] if path.is_file() else []
    except (OSError, ValueError, RuntimeError):  # too long, a null, nobody's home
        return []


def place_of_weights(name: str) -> Path:
    """Return where weights would lie that are named so.

    Raises
    ------
    UsageError
        If that can be the name of no file.
    """
    try:
        place = Path(name).expanduser().resolve()
        place.exists()
    except (OSError, ValueError, RuntimeError) as error:  # too long, a null, nobody's home
        why = getattr(error, "strerror", None) or error
        raise UsageError(
            f"Weights {name[:80]!r} cannot be a file: {str(why).rstrip('.')}."
            " Name one that is there, or `pretrained` or `random`."
        ) from error
    return place


def _encoder_named(entry: Registered, parameters: Mapping[str, Any]) -> str:
    """Return what the parameter of a method that names an encoder holds, or ""."""
    asked = getattr(entry.spec, "encoder", "")
    if not asked:
        return ""
    return str(parameters[asked] if asked in parameters else getattr(_loaded(entry), asked, ""))


def _encoder_inputs(known: KnownEncoder) -> dict[str, Any]:
    """What of a registered encoder determines a trial; of its weights, the file that is at hand."""
    spec = {key: value for key, value in asdict(known.spec).items() if key not in _TOLD}
    found = {"distribution": known.distribution, **spec}
    if known.spec.loader == "factory":
        found["code"] = known.code()
    if (file := own_file(known.spec)) is not None:
        found["file"] = content_digest(file)
    return found


def _loaded(entry: Registered) -> Any:
    """Return a method's class; ``None`` where it cannot be had: its trials will say why."""
    try:
        return class_of(entry)
    except PluginError:
        return None
