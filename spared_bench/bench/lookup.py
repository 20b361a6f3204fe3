"""Plugins as one protocol on one workspace sees them: specs, files, parameters, views, searches."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from spared_bench.bench.settings import Settings
from spared_bench.data.views import View, checked_views, declared_by
from spared_bench.errors import MissingFileError, PluginError, UsageError
from spared_bench.guard import guarded
from spared_bench.keys.fingerprints import Fingerprints
from spared_bench.models.encoder_table import KnownEncoder, known_encoder
from spared_bench.parameters import (
    WEIGHTS,
    Chosen,
    Parameter,
    Signature,
    Wishes,
    resolve,
    signature_of,
)
from spared_bench.processing.kept_code import room_for_others
from spared_bench.protocol import Protocol
from spared_bench.registry import Registered, Registry, discover
from spared_bench.sources.description import FACTORY as DESCRIBED
from spared_bench.specs import DatasetSpec, MetricSpec, PredictorSpec, Stage
from spared_bench.told import of_parameters
from spared_bench.workspace import Workspace


class Lookup:
    """Looks plugins up, and says with which parameters a protocol makes methods.

    Parameters
    ----------
    settings : Settings
    registry : Registry, optional
        Discovered when not given.
    guests : tuple of str
        Distributions of the strangers' methods for whose one job this process is there. It sees no
        expression of test slides, and makes no features for others.
    """

    def __init__(
        self, settings: Settings, registry: Registry | None = None, guests: tuple[str, ...] = ()
    ) -> None:
        room_for_others()  # whatever is made for a bench may be compiled first
        self.settings = settings
        self.guests = guests
        self.confined = False  # whether this process was shut in (``trials.guests``)
        self.protocol = Protocol.model_validate(settings.protocol)
        self.workspace = Workspace.at(Path(settings.workspace), Path(settings.data_dir))
        self._inputs: dict[tuple[str, ...], dict[str, Any]] = {}
        self._completed: dict[tuple[str, str], str] = {}
        self._chosen: dict[tuple[str, str], Chosen] = {}
        self._divided: dict[str, DatasetSpec] = {}
        self._registry = registry

    @property
    def makes_shared(self) -> bool:
        """Whether what others use, too, may be made here: where no stranger's method runs."""
        return not (self.guests or self.confined)

    def adopt(self, registry: Registry) -> None:
        """Take over other plugins of the same names: imported where they were only told of."""
        self.__dict__["registry"] = registry
        self._divided.clear()

    @cached_property
    def registry(self) -> Registry:
        """All plugins."""
        files = [Path(file) for file in self.settings.plugin_files]
        return self._registry or discover(files, data_dir=self.workspace.data_dir)

    @cached_property
    def fingerprints(self) -> Fingerprints:
        """Hashes of the raw files."""
        return Fingerprints(self.workspace.root / "fingerprints.json")

    def dataset(self, name: str) -> DatasetSpec:
        """Look a dataset's spec up; its slides are split as the protocol uses them."""
        if name not in self._divided:  # every input of every key asks for it
            spec = self.registry.get("dataset", name).spec
            assert isinstance(spec, DatasetSpec)
            self._divided[name] = self.protocol.divide(spec)
        return self._divided[name]

    def listed(self) -> list[str]:
        """Return the datasets of the protocol, folds by name; all where it lists none."""
        names = self.protocol.datasets or self.registry.names("dataset")
        return [fold for name in names for fold in self.registry.expand(name)]

    def predictor(self, name: str) -> PredictorSpec:
        """Look a predictor's spec up."""
        spec = self.registry.get("predictor", name).spec
        assert isinstance(spec, PredictorSpec)
        return spec

    def metric(self, name: str) -> MetricSpec:
        """Look a metric's spec up."""
        spec = self.registry.get("metric", name).spec
        assert isinstance(spec, MetricSpec)
        return spec

    def named_files(self, entry: Registered) -> Mapping[str, str]:
        """Return the files that the code of a method brings, with their hashes.

        As the plan knows them: a method that writes beside its code changes them in every process.
        """
        name = getattr(entry.spec, "variant_of", "") or entry.spec.name
        key = (entry.plugin.distribution, entry.spec.kind, name)
        if key not in self._named_files:
            self._named_files[key] = entry.named_files
        return self._named_files[key]

    @cached_property
    def _named_files(self) -> dict[tuple[str, str, str], Mapping[str, str]]:
        found = {}
        for each in self.settings.told:
            name = (each["plugin"]["distribution"], each["kind"], each["spec"]["name"])
            found[name] = each["named_files"]
        return found

    def folder(self, name: str) -> Path:
        """Return the folder of a dataset's raw files, which must be there unless it is generated.

        Raises
        ------
        MissingFileError
            With what to do.
        """
        from spared_bench.sources.fetch import dataset_folder
        from spared_bench.sources.fetched import on_disk

        spec = self.dataset(name)
        if spec.fold_of:
            return self.folder(spec.fold_of)
        folder = dataset_folder(spec, self.workspace.data_dir)
        if on_disk(spec, folder)[0] == "incomplete":
            raise MissingFileError(
                f"Dataset {spec.name!r} is not complete in {folder}: its download was broken off,"
                f" or files are gone. `spared-bench data fetch {spec.name}` brings what is missing."
            )
        if not spec.synthetic and not _has_files(folder):
            fetch = (
                f"`spared-bench data fetch {name}` downloads it; or put" if spec.files else "Put"
            )
            raise MissingFileError(
                f"The files of dataset {name!r} are not in {folder}. {fetch} them there, or"
                f" name the folder that contains {folder.name!r} with `--data-dir DIR`."
            )
        return folder

    def check_dataset(self, name: str) -> None:
        """Refuse parameters of somebody's own dataset that would have no effect.

        Raises
        ------
        UsageError
            With the parameters, and what would honour them.
        """
        spec = self.dataset(name)
        idle = self.protocol.processing.idle_parameters(spec) if spec.factory == DESCRIBED else {}
        if idle:
            reasons = "; ".join(f"`{key}`, {reason}" for key, reason in idle.items())
            raise UsageError(
                f"Parameters in the description of dataset {spec.name!r} have no effect under"
                f" protocol {self.protocol.id}: {reasons}. Take them out, or choose a protocol that"
                " honours them, such as `--suite own`."
            )

    @property
    def patch_view(self) -> View:
        """What the protocol's patches are, as a view."""
        return self.protocol.patches.view

    def views_of(self, kind: str, name: str, parameters: Mapping[str, Any]) -> dict[str, View]:
        """Return the views that a completer or predictor declares, by their names.

        What they leave open is taken from the protocol. A class that declares them by a property is
        made with these parameters; where it cannot be, there are none, and its trials say why.

        Raises
        ------
        PluginError
            If what it declares are no views, or the property that declares them raises.
        """
        entry = self.registry.get(kind, name)
        label = f"{kind.capitalize()} {entry.spec.name!r}"
        if entry.told is not None:
            made = entry.told.get("views_made", {}).get(of_parameters(parameters))
            if made is None and "unknown_views" in entry.told:
                raise UsageError(entry.told["unknown_views"])
            told = entry.told["views"] if made is None else made
            declared = {at: View(**each) for at, each in told.items()}
        else:
            try:
                factory = entry.load()
            except PluginError:
                return {}
            declared = checked_views(_declared_views(factory, parameters, label), label)
        cutting = self.protocol.patches
        return {at: view.settled(**cutting.open_values) for at, view in declared.items()}

    def signature(self, kind: str, name: str) -> Signature:
        """Return what a completer or predictor can be made with; see ``signature_of``."""
        entry = self.registry.get(kind, name)
        if entry.told is not None:
            defaults = entry.told["defaults"].items()
            known = {each: Parameter(each, default=value) for each, value in defaults}
            return Signature(known, takes_all=True, configurations={})
        try:
            factory = entry.load()
        except PluginError:
            return Signature({}, takes_all=True, configurations={})  # its trials will say why
        return signature_of(f"{kind} {entry.spec.name!r}", factory)

    def chosen(self, kind: str, name: str) -> Chosen:
        """Return the parameters of a completer or predictor, worked out once; see ``resolve``."""
        entry = self.registry.get(kind, name)
        told = entry.told
        if told is not None:
            if "problem" in told:
                raise UsageError(told["problem"])
            fixed = self._by_hand(entry, "") if getattr(entry.spec, "variant_of", "") else {}
            return Chosen(told["configuration"], {**told["values"], **fixed})
        if (kind, name) not in self._chosen:
            own = getattr(entry.spec, "variant_of", "") or entry.spec.name
            by_hand = self._by_hand(entry, own)
            wishes = Wishes(
                self.protocol.configuration,
                {} if self.registry.is_shadowed(entry) else self.protocol.overrides.get(own, {}),
                self.settings.weights,
                by_hand,
                f"protocol {self.protocol.id}",
            )
            signature = self.signature(kind, name)
            self._chosen[kind, name] = resolve(f"{kind} {own!r}", signature, wishes)
        return self._chosen[kind, name]

    def _by_hand(self, entry: Registered, own: str) -> dict[str, Any]:
        """Return what is set by hand of a method, of its variant, and what makes it the variant.

        Raises
        ------
        UsageError
            If a variant's encoder is set to another one.
        """
        spec = entry.spec
        if not isinstance(spec, PredictorSpec) or not spec.variant_of:
            return self.set_of(entry, own)
        mine = self.set_of(entry, spec.name)
        if spec.encoder in mine and mine[spec.encoder] != spec.fixed[spec.encoder]:
            raise UsageError(
                f"--set: {spec.name} is {spec.variant_of} on {spec.fixed[spec.encoder]!r}, and its"
                f" {spec.encoder} was set to {mine[spec.encoder]!r}. Ask for"
                f" `-p {spec.variant_of}+{mine[spec.encoder]}`."
            )
        return {**self.set_of(entry, own), **mine, **spec.fixed}

    def set_of(self, entry: Registered, name: str) -> dict[str, Any]:
        """Return what is set by hand of a plugin by a name, alone and with its distribution."""
        chosen = self.settings.parameters
        alone = {} if self.registry.is_shadowed(entry) else chosen.get(name, {})
        return {**alone, **chosen.get(f"{entry.plugin.distribution}:{name}", {})}

    def set_by_hand(self, completer: str, predictor: str) -> dict[str, Any]:
        """Return what is set by hand of two methods, and of what the second builds on.

        ``"st-net.lr"`` to value: by ``--set``, and by ``--weights`` where the protocol and the
        method say otherwise.
        """
        methods = [("completer", completer), ("predictor", predictor)]
        found = {
            f"{name}.{parameter}": value
            for kind, name in methods
            for parameter, value in self._set_of_either(kind, name).items()
        }
        for stage in self._builds_on(predictor, self.chosen("predictor", predictor).values):
            found |= {
                f"{stage.predictor}.{parameter}": value
                for parameter, value in self._set_of_either("predictor", stage.predictor).items()
                if stage.parameters.get(parameter) == value  # its builder sets no other one
            }
        return found

    def _set_of_either(self, kind: str, name: str) -> dict[str, Any]:
        """Return what is set by hand of a plugin, also by the name of what it is a variant of."""
        entry = self.registry.get(kind, name)
        base = getattr(entry.spec, "variant_of", "")
        mine = {**(self.set_of(entry, base) if base else {}), **self.set_of(entry, name)}
        return {**self._weights_by_hand(kind, name), **mine}

    def _weights_by_hand(self, kind: str, name: str) -> dict[str, str]:
        """Return other weights that ``--weights`` gives a method; of a file, its name."""
        asked = self.settings.weights
        chosen = self.chosen(kind, name)
        if not asked or chosen.values.get(WEIGHTS) != asked:
            return {}
        entry = self.registry.get(kind, name)
        own = getattr(entry.spec, "variant_of", "") or entry.spec.name
        overrides = {} if self.registry.is_shadowed(entry) else self.protocol.overrides
        signature = self.signature(kind, name)
        parameter = signature.parameters.get(WEIGHTS)
        otherwise = {
            **({} if parameter is None else {WEIGHTS: parameter.default}),
            **signature.configurations.get(chosen.configuration, {}),
            **overrides.get(own, {}),
        }
        return {} if otherwise.get(WEIGHTS) == asked else {WEIGHTS: Path(asked).name}

    def _builds_on(self, predictor: str, parameters: Mapping[str, Any]) -> Iterator[Stage]:
        for stage in self.stages(predictor, parameters).values():
            yield stage
            yield from self._builds_on(stage.predictor, stage.parameters)

    def encoder_of(self, kind: str, name: str, parameters: Mapping[str, Any] | None = None) -> str:
        """Return the frozen network whose features a completer or predictor asks for, or "".

        A registered encoder is called by its own name, whichever of its names is set.
        The ``parameters`` of a completer are the protocol's where they are not given.
        """
        named = self._encoder_named(kind, name, parameters)
        known = known_encoder(named)
        return known.spec.name if known else named

    def known_encoder_of(
        self, kind: str, name: str, parameters: Mapping[str, Any] | None = None
    ) -> KnownEncoder | None:
        """Return the registered encoder that ``encoder_of`` names; ``None`` where it is none."""
        named = self._encoder_named(kind, name, parameters)
        return known_encoder(named) if named else None

    def _encoder_named(
        self, kind: str, name: str, parameters: Mapping[str, Any] | None = None
    ) -> str:
        entry = self.registry.get(kind, name)
        asked = getattr(entry.spec, "encoder", "")
        if not asked:
            return ""
        if parameters is None:
            parameters = self.chosen(kind, name).values
        return str(parameters.get(asked, getattr(class_of(entry), asked, "")))

    def stages(self, predictor: str, parameters: Mapping[str, Any]) -> dict[str, Stage]:
        """Return the networks on which a predictor builds, with all parameters that are set."""
        made = {}
        for name, stage in self.predictor(predictor).stages.items():
            taken = {
                theirs: parameters[ours]
                for theirs, ours in stage.taken.items()
                if ours in parameters
            }
            fixed = self.chosen("predictor", stage.predictor).values
            values = fixed | dict(stage.parameters) | taken
            made[name] = Stage(stage.predictor, values)
        return made

    def candidates(self, predictor: str) -> list[dict[str, Any]]:
        """Return the parameters to choose from; one set where nothing is searched.

        Raises
        ------
        UsageError
            If the grid is larger than the protocol allows.
        """
        sets: list[dict[str, Any]] = [dict(self.chosen("predictor", predictor).values)]
        for name, grid in self._grids(predictor).items():
            sets = [{**known, name: value} for known in sets for value in grid]
        if len(sets) > self.protocol.search.max_trials:
            raise UsageError(
                f"The search space of predictor {predictor!r} has {len(sets)} points; protocol"
                f" {self.protocol.id} allows {self.protocol.search.max_trials}. Make the grid"
                " smaller, or fix a parameter with `--set`."
            )
        return sets

    def _grids(self, predictor: str) -> dict[str, tuple[float, ...]]:
        """Return the grid of every searched parameter, by their names' order."""
        fixed = self.chosen("predictor", predictor).values
        return {
            name: tuple(self.protocol.search.grids.get(name, grid))
            for name, grid in sorted(self.predictor(predictor).search.items())
            if name not in fixed
        }

    def search_spaces(self, predictor: str) -> dict[str, tuple[float, float]]:
        """Return the lowest and the highest value of every searched parameter's grid."""
        return {name: (min(grid), max(grid)) for name, grid in self._grids(predictor).items()}

    @property
    def scored_metrics(self) -> list[str]:
        """All metrics of the protocol, those that only some methods have values of included."""
        return list(dict.fromkeys([*self.protocol.metrics, *self.protocol.further_metrics]))


def _declared_views(factory: Any, parameters: Mapping[str, Any], label: str) -> Any:
    """Return ``views`` of a method; one that has a property, or a field, of that name is made."""
    declared = getattr(factory, "views", None)
    fields = getattr(factory, "__dataclass_fields__", {})
    if isinstance(declared, Mapping) and "views" not in fields:
        return declared
    if declared is None and "views" not in fields and inspect.isclass(factory):
        return None
    with guarded():
        try:
            method = factory(**parameters)
        except KeyboardInterrupt:
            raise
        except BaseException:  # a trial makes it again, and tells what is wrong
            return None
        return declared_by(method, label)


def _has_files(folder: Path) -> bool:
    """Return whether anything but the notes of an unfinished download is there."""
    return folder.is_dir() and any(not path.name.startswith(".") for path in folder.iterdir())


def class_of(entry: Registered) -> Any:
    """Return a method's class, or what is told of its attributes."""
    if entry.told is None:
        return entry.load()
    return SimpleNamespace(**entry.told["defaults"], **entry.told["augment"])
