"""The files of a bundle: every field checked, every text and number bounded.

::

    submission.yaml                  Description: what a person says of the method
    results.json                     Claim: datasets with their hashes, and the scores claimed
    provenance.json                  Provenance: with what it was run
    conformance.json                 the report of ``spared-bench plugins check``; may be missing
    ids/<dataset>.spots.txt          names of the evaluated spots and genes, one a line, in order
    ids/<dataset>.genes.txt
    predictions/<dataset>/<completer>/<predictor>/<seed>.npz
    manifest.json                    size and SHA-256 of every other file
    signature.txt                    of manifest.json, 128 hex digits; where a key is named
"""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from spared_bench.errors import SubmissionError
from spared_bench.leaderboard.entries import EntryResult, ProtocolId
from spared_bench.leaderboard.text import visible
from spared_bench.strict import load_json, load_mapping
from spared_bench.validated import first_problems

MAX_RESULTS = 5_000
MAX_DATASETS = 500

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
#: Names of plugins are lower case, so that no two differ in case alone; see ``specs.Spec``.
PluginName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_+.-]{0,63}$")]
#: A folder is named after them, and some systems drop a dot at its end.
OwnName = Annotated[str, Field(pattern=r"^[a-z0-9](?:[a-z0-9_+.-]{0,62}[a-z0-9_+-])?$")]
Line = Annotated[str, Field(max_length=300)]
#: A host and a path; no user before the host, who could have the name of another forge.
Address = Annotated[
    str, Field(pattern=r"^(https://[A-Za-z0-9.-]{1,200}(:[0-9]{1,5})?(/[!-~]{0,290})?)?$")
]
Count = Annotated[int, Field(gt=0, le=10_000_000)]

_MARKUP = re.compile(r"<[A-Za-z/!?]|javascript:|data:text", re.IGNORECASE)
Model = TypeVar("Model", bound=BaseModel)


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class _Plain(_Part):
    """Texts on one line, of characters that can be seen, without markup."""

    @field_validator("*", mode="after")
    @classmethod
    def _is_plain(cls, value: Any) -> Any:
        for text in value if isinstance(value, tuple | list) else [value]:
            if not isinstance(text, str):
                continue
            if visible(text, len(text)) != text:
                raise ValueError("holds line ends or characters that cannot be seen")
            if text and not text.strip():
                raise ValueError("holds nothing but spaces")
            if _MARKUP.search(text):
                raise ValueError("holds markup; plain text is expected")
        return value


class Absence(_Plain):
    """A dataset of the protocol on which the method has no result, and why."""

    dataset: PluginName
    reason: Annotated[str, Field(min_length=3, max_length=300)]


class Description(_Plain):
    """``submission.yaml``.

    Parameters
    ----------
    format : int
        1.
    method : str
        Lower case; with ``version`` the name of the folder on the board.
    version : str
        In quotes in the YAML.
    protocol : str
        ``"demo@1"``.
    title, citation, licence, contact : str
    authors : tuple of str
    code : str
        An https address, or empty.
    key : str
        Public key by which a name is its first submitter's, ``"ed25519:"`` and 64 hex digits;
        empty, or proved by ``signature.txt``.
    pretrained_on : tuple of str
        Datasets of this benchmark that the method or its weights have seen before.
    absent : tuple of Absence
        Datasets of the protocol without a result. What is missing and is not said here refuses
        the submission.
    """

    format: Literal[1] = 1
    method: OwnName
    version: OwnName
    protocol: ProtocolId
    title: Line = ""
    authors: Annotated[tuple[Line, ...], Field(max_length=100)] = ()
    contact: Line = ""
    citation: Line = ""
    licence: Line = ""
    code: Address = ""
    key: Annotated[str, Field(pattern=r"^(ed25519:[0-9a-f]{64})?$")] = ""
    pretrained_on: Annotated[tuple[PluginName, ...], Field(max_length=MAX_DATASETS)] = ()
    absent: Annotated[tuple[Absence, ...], Field(max_length=MAX_DATASETS)] = ()

    @field_validator("absent")
    @classmethod
    def _absent_once(cls, values: tuple[Absence, ...]) -> tuple[Absence, ...]:
        seen: set[str] = set()
        for each in values:
            if each.dataset in seen:
                raise ValueError(f"{each.dataset} is declared absent twice")
            seen.add(each.dataset)
        return values


class ClaimedDataset(_Part):
    """On what was predicted.

    Parameters
    ----------
    hash : str
        ``truth.table_hash`` of the prepared dataset.
    split : str
        The one that is scored.
    n_spots, n_genes : int
        Of that split.
    classes : list of str
        Of the dataset, in the order of the columns of predicted probabilities.
    """

    hash: Sha256
    split: Literal["val", "test"]
    n_spots: Count
    n_genes: Annotated[int, Field(gt=0, le=100_000)]
    classes: Annotated[list[Line], Field(max_length=1_000)] = []


class Claim(_Part):
    """``results.json``: the scores claimed, one result per dataset, completer, predictor, seed."""

    format: Literal[1] = 1
    protocol: ProtocolId
    protocol_hash: Sha256
    datasets: Annotated[dict[PluginName, ClaimedDataset], Field(max_length=MAX_DATASETS)]
    results: Annotated[list[EntryResult], Field(min_length=1, max_length=MAX_RESULTS)]

    @model_validator(mode="after")
    def _consistent(self) -> Claim:
        seen = set()
        for result in self.results:
            label = " / ".join(map(str, result.place))
            if result.dataset not in self.datasets:
                raise ValueError(f"{label}: `datasets` says nothing of this dataset")
            if any(name != name.lower() for name in result.place[:3]):
                raise ValueError(f"{label}: names are lower case")
            if result.place in seen:
                raise ValueError(f"{label} stands twice in results")
            seen.add(result.place)
        return self


class Provenance(_Part):
    """``provenance.json``: with what the runs were made; shown, and never relied on."""

    spared_bench: Line
    environment: dict[str, Any] = {}
    distribution: Line = ""
    trials: Annotated[dict[Line, Sha256], Field(max_length=MAX_RESULTS)] = {}


class FileFact(_Part):
    """Of one file of a bundle."""

    bytes: Annotated[int, Field(ge=0, le=2**40)]
    sha256: Sha256


class Manifest(_Part):
    """``manifest.json``."""

    format: Literal[1] = 1
    files: Annotated[dict[str, FileFact], Field(max_length=3 * MAX_RESULTS)]


def read_description(text: str, source: str) -> Description:
    """Check the text of a ``submission.yaml``.

    Raises
    ------
    SubmissionError
    """
    values = load_mapping(text, source, "submission", SubmissionError)
    # Through JSON: lists become tuples, and what YAML alone has (dates, sets) is refused.
    try:
        return Description.model_validate_json(json.dumps(values, allow_nan=False))
    except ValidationError as error:
        raise SubmissionError(_invalid(source, error, Description)) from error
    except (ValueError, TypeError, RecursionError) as error:
        raise SubmissionError(f"{source}: {error}. Only plain values are read.") from error


def read_json(text: str, model: type[Model], source: str) -> Model:
    """Check the text of one of the JSON files.

    Raises
    ------
    SubmissionError
        For what is not JSON (nan and infinities included), and for the first fields that are wrong.
    """
    try:
        load_json(text)
        return model.model_validate_json(text)
    except ValidationError as error:
        raise SubmissionError(_invalid(source, error, model)) from error
    except (ValueError, RecursionError) as error:
        reason = visible(str(error), 300) or type(error).__name__
        raise SubmissionError(f"{source} is not valid JSON: {reason}.") from error


def _invalid(source: str, error: ValidationError, model: type[BaseModel]) -> str:
    return f"{source} is not valid: {visible(first_problems(error, 'file', model), 1_000)}."
