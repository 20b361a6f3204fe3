"""What this machine lacks for a plan, told before anything runs: an accelerator, or weights.

What is in the store needs neither, so only trials that are still to be run are asked about.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from spared_bench.bench import Bench
from spared_bench.errors import PluginError, UsageError, WeightsUnavailableError
from spared_bench.interfaces import Job
from spared_bench.models.encoder_table import known_encoder
from spared_bench.models.weights_folder import WEIGHTS_FOLDER, downloads
from spared_bench.planning.forecast import needed_features, needed_products, open_trials
from spared_bench.planning.plan import Plan
from spared_bench.planning.stored import stored_results
from spared_bench.whereabouts import no_file

#: Parameters of methods that name a network, and the network that has no weights.
_NAMING, _NO_NETWORK = ("backbone", "encoder"), ("", "color")
#: How files of PyTorch begin, zip and pickle; of safetensors, a length and JSON, to its first sign.
_PYTORCH, _HEAD = (b"PK\3\4", b"\x80"), 9


def check_requirements(plan: Plan, gpus: Iterable[str] = ()) -> None:
    """Refuse a plan that cannot be carried out on this machine.

    Parameters
    ----------
    plan : Plan
    gpus : iterable of str
        Indices of the GPUs that workers take in turn.

    Raises
    ------
    UsageError
        If the device of its trials is not there, or no network has the name that was set.
    WeightsUnavailableError
        If pretrained weights of methods are neither on this machine nor to be had: all at once.
    """
    ahead = _Ahead(plan)
    problem = missing_device(plan.bench.settings.device, gpus)
    if problem and ahead.trials:
        raise UsageError(problem)
    unknown = dict.fromkeys(_unknown_networks(plan.bench, plan) if ahead.trials else ())
    if unknown:
        raise UsageError("\n".join(unknown))
    lacking = [lack for lack in _missing_weights(plan) if ahead.needs(lack)]
    if lacking:
        reasons: dict[str, list[str]] = {}
        for lack in lacking:
            reasons.setdefault(f"{lack.network!r}: {lack.reason}", []).append(lack.method)
        told = "".join(
            f"\n  {', '.join(dict.fromkeys(methods))} with {reason}"
            for reason, methods in reasons.items()
        )
        raise WeightsUnavailableError(
            f"Weights that selected methods start from cannot be had, so nothing was run:{told}\n"
            "Leave these methods out, or choose: `--weights random`, which the results record;"
            " `--weights FILE`, or `--set METHOD.weights=FILE` for one of them, with a local"
            f" .safetensors or .pth file; or a folder of such files, named after the networks, in"
            f" the environment variable {WEIGHTS_FOLDER}."
        )


def missing_device(device: str, gpus: Iterable[str] = ()) -> str:
    """Return why trials cannot run on a device of this machine, or an empty string."""
    kind, _, index = device.partition(":")
    if kind == "cpu":
        return ""
    import torch

    if kind == "mps":
        there = torch.backends.mps.is_available()
        return "" if there else "`--device mps` was asked for, and this machine has no such device."
    number = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if not number:
        return (
            f"`--device {device}` was asked for, and PyTorch finds no GPU on this machine. Check"
            " the driver and that PyTorch was built for it, or run with `--device cpu`."
        )
    absent = [each for each in [*gpus, *([index] if index else [])] if int(each) >= number]
    if absent:
        return f"There is no GPU {absent[0]}: PyTorch finds {number} here, counted from 0."
    return ""


def weights_of(
    bench: Bench,
    completers: Iterable[str] | None = None,
    predictors: Iterable[str] | None = None,
) -> dict[str, str]:
    """Return the networks whose pretrained weights methods start from, and why one is not here.

    Parameters
    ----------
    bench : Bench
    completers, predictors : iterable of str, optional
        The methods; all that are registered where not given.

    Returns
    -------
    dict of str to str
        Why the weights are not on this machine, empty for those that are. Nothing is downloaded,
        and no server is asked.
    """
    registry, found = bench.registry, dict[str, str]()
    completers = registry.names("completer") if completers is None else completers
    predictors = registry.names("predictor") if predictors is None else predictors
    methods = _methods(bench, completers, predictors)
    with downloads(allowed=False):
        for kind, name, values in methods:
            ours = registry.get(kind, name).plugin.is_ours
            for network, weights in _starts_from(bench, kind, name, values):
                if network not in found:
                    found[network] = _why_not_here(network, weights, ours)
    return found


def unreadable_weights(plan: Plan) -> list[str]:
    """Say of weights that were set for methods of a plan why they cannot be used, a line each.

    Published weights may still be to be fetched; a file that was named is here, or nowhere.
    """
    lacking = _missing_weights(plan, but=("pretrained",))
    told = (f"{each.kind} {each.method!r}, {each.network!r}: {each.reason}" for each in lacking)
    return list(dict.fromkeys(told))


@dataclass(frozen=True)
class _Lack:
    """Weights that a method would start from and that cannot be had."""

    kind: str
    method: str
    network: str
    reason: str


def _unknown_networks(bench: Bench, plan: Plan) -> Iterator[str]:
    """Yield what is wrong with names of networks that were set and start from random weights."""
    completers = dict.fromkeys(cell.completer for cell in plan.cells)
    predictors = dict.fromkeys(cell.predictor for cell in plan.cells)
    for kind, name, values in _methods(bench, completers, predictors):
        signature = bench.signature(kind, name)
        known = signature.parameters.get("weights")
        if values.get("weights", known.default if known else "") != "random":
            continue  # whoever looks for the weights finds that there is no such network
        for parameter in set(_NAMING) & set(values) & set(signature.parameters):
            offered = [each.get(parameter) for each in signature.configurations.values()]
            network = values[parameter]
            if (
                isinstance(network, str)
                and network not in (*_NO_NETWORK, signature.parameters[parameter].default, *offered)
                and bench.registry.get(kind, name).plugin.is_ours
                and known_encoder(network) is None
            ):
                from spared_bench.models.backbones import require_network

                try:
                    require_network(network)
                except UsageError as error:
                    yield f"{kind.capitalize()} {name!r} has {parameter}={network!r}: {error}"


def _missing_weights(plan: Plan, but: Collection[str] = ()) -> list[_Lack]:
    bench = plan.bench
    completers = dict.fromkeys(cell.completer for cell in plan.cells)
    predictors = dict.fromkeys(cell.predictor for cell in plan.cells)
    reasons: dict[tuple[str, str, bool], str] = {}
    found = []
    for kind, name, values in _methods(bench, completers, predictors):
        for network, weights in _starts_from(bench, kind, name, values):
            if weights in but:
                continue
            asked = network, weights, bench.registry.get(kind, name).plugin.is_ours
            if asked not in reasons:
                reasons[asked] = _why_unavailable(bench, *asked)
            if reason := reasons[asked]:
                found.append(_Lack(kind, name, network, reason))
    return found


def _methods(
    bench: Bench, completers: Iterable[str], predictors: Iterable[str]
) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Yield kind, name and set parameters of all methods, with what they give to their stages."""
    for name in completers:
        yield "completer", name, bench.chosen("completer", name).values
    for name in predictors:
        values = bench.chosen("predictor", name).values
        yield "predictor", name, values
        for stage in bench.stages(name, values).values():
            yield "predictor", stage.predictor, stage.parameters


def _starts_from(
    bench: Bench, kind: str, name: str, values: Mapping[str, Any]
) -> list[tuple[str, str]]:
    """Return the networks of a method that start from weights, and from which."""
    signature = bench.signature(kind, name)

    def value(parameter: str) -> object:
        known = signature.parameters.get(parameter)
        return values.get(parameter, known.default if known else "")

    weights, networks = value("weights"), map(value, _NAMING)
    if not isinstance(weights, str) or weights in ("", "random"):
        return []
    named = [net for net in networks if isinstance(net, str) and net not in _NO_NETWORK]
    known = {net: known_encoder(net) for net in named}
    return [(found.spec.name if (found := known[net]) else net, weights) for net in named]


def _why_unavailable(bench: Bench, network: str, weights: str, ours: bool) -> str:
    with downloads(allowed=not bench.settings.offline):
        return _why_not_here(network, weights, ours)


def _why_not_here(network: str, weights: str, ours: bool) -> str:
    """Return why weights are not here and are not to be had, or an empty string."""
    from spared_bench.models.backbones import require_weights
    from spared_bench.models.declared import DeclaredEncoder

    try:
        known = known_encoder(network)
        if known is not None and known.spec.loader != "colour":
            DeclaredEncoder(known, weights).require()
        elif known is None:
            require_weights(network, weights)
    except WeightsUnavailableError as error:
        told = str(error).partition(" Three ways out:")[0]
        is_path = weights not in ("pretrained", "random")
        return f"{told} {no_file(Path(weights).expanduser())}".rstrip() if is_path else told
    except PluginError as error:  # a library that loads it is not installed
        return str(error)
    except UsageError as error:
        # A stranger's may be a network of its own, of which its trial will say what it lacks.
        return str(error) if ours else ""
    return _why_unreadable(Path(weights).expanduser()) if ours else ""


def _why_unreadable(file: Path) -> str:
    """Return why a file that was named holds no weights; empty where it begins as one that does.

    To read it whole takes as long as the network is large, and is the trial's.
    """
    from spared_bench.models.weights import read_weights

    if not file.is_file():
        return ""
    with file.open("rb") as opened:
        start = opened.read(_HEAD)
    named = file.suffix == ".safetensors"  # by which files are read
    if start[_HEAD - 1 :] == b"{" if named else start.startswith(_PYTORCH):
        return ""
    try:
        read_weights(file)
    except WeightsUnavailableError as error:
        return str(error)
    return ""


class _Ahead:
    """What of a plan is still to be done; the store is asked when that is first asked for."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan

    @cached_property
    def trials(self) -> list[Job]:
        return open_trials(self._plan, stored_results(self._plan))

    @cached_property
    def _jobs(self) -> list[Job]:
        products = needed_products(self._plan, self.trials)
        return [*self.trials, *(job for job, made in products if not made)]

    @cached_property
    def _features(self) -> set[str]:
        asked = needed_features(self._plan, self._jobs)
        return {network for _, network, made in asked if not made}

    def needs(self, lack: _Lack) -> bool:
        """Return whether open work starts from these weights; features may be made already."""
        bench = self._plan.bench
        if bench.encoder_of(lack.kind, lack.method) == lack.network:
            return lack.network in self._features
        jobs = (job.completer if lack.kind == "completer" else job.predictor for job in self._jobs
                if (job.kind == "complete") == (lack.kind == "completer"))  # fmt: skip
        return lack.method in set(jobs)
