"""One protocol on one workspace with one set of plugins: what determines each product and result.

The inputs returned here are what the store hashes into keys. They name everything that can move a
number: the protocol, the raw data, the code of the plugins involved, parameters, seeds, and the
keys of the products consumed. Package versions are recorded in results, and are not in the keys.
"""

from __future__ import annotations

import hashlib
import inspect
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from spared_bench.data.views import View, checked_views, declared_by
from spared_bench.errors import MissingFileError, PluginError, UsageError
from spared_bench.guard import guarded
from spared_bench.keys.code import code_hash
from spared_bench.keys.fingerprints import Fingerprints
from spared_bench.keys.hashing import digest
from spared_bench.models.augmentation.names import modules as augmentation_modules
from spared_bench.models.augmentation.names import of_method as augment_of
from spared_bench.models.weights_folder import WEIGHTS_FOLDER, file_for
from spared_bench.parameters import Chosen, Parameter, Signature, Wishes, resolve, signature_of
from spared_bench.protocol import Protocol
from spared_bench.registry import Registered, Registry, discover
from spared_bench.sources.described import FACTORY as DESCRIBED
from spared_bench.specs import DatasetSpec, MetricSpec, PredictorSpec, Stage
from spared_bench.workspace import Workspace

if TYPE_CHECKING:
    from spared_bench.data import Encoder

#: Raised by hand when the harness itself starts to compute something else from the same inputs.
HARNESS_VERSION = 1


@dataclass(frozen=True)
class Limits:
    """What a trial may take, and where it may run; they determine no result.

    Parameters
    ----------
    timeout : float
        Seconds of a trial or a completion; 0: any.
    memory_mb : int
        Resident memory of a job's processes together, in 2**20 bytes; 0: any.
    isolate : bool
        A child process of its own for every job, forked from a worker that has done the imports;
        without it only the jobs with a stranger's plugin have one.
    gpus : tuple of str
        What ``CUDA_VISIBLE_DEVICES`` says, one worker after the other; empty: as it is.
    strict : bool
        A stranger's method is imported, trained and asked in a process that can read neither the
        store nor raw data (``spared_bench.sandbox``), and nowhere else.
    """

    timeout: float = 0.0
    memory_mb: int = 0
    isolate: bool = False
    gpus: tuple[str, ...] = ()
    strict: bool = False


@dataclass(frozen=True)
class Settings:
    """What a worker must be told to be the same bench; plain values, so that it can be sent.

    Parameters
    ----------
    workspace, data_dir : str
    protocol : dict
        ``Protocol.model_dump(mode="json")``.
    plugin_files : tuple of str
    device : str
        A torch device.
    threads : int
        CPU threads of one trial. Part of the plan and not of the machine's load, because a sum
        over threads depends on their number.
    weights : str
        Replaces the ``weights`` of every method that has them; empty: as each says.
    parameters : dict of method to dict
        Set by hand (``--set``).
    offline : bool
        Whether nothing may be downloaded.
    limits : Limits
    cluster : str
        For executors beyond this machine: an address, or a YAML file.
    plugins : dict of str to str
        What workers must have: ``"kind name"`` to distribution, version and hash of the code.
    strangers : dict of str to str, optional
        Which of the plan's plugins are not our own: ``"kind name"`` to distribution. Their jobs run
        in processes of their own. ``None``: not known, so that every job does.
    told : tuple of dict
        What there is to know of these plugins without their code (``spared_bench.told``).
    """

    workspace: str
    data_dir: str
    protocol: dict[str, Any]
    plugin_files: tuple[str, ...] = ()
    device: str = "cpu"
    threads: int = 1
    weights: str = ""
    parameters: dict[str, dict[str, Any]] = field(default_factory=dict)
    offline: bool = False
    limits: Limits = field(default_factory=Limits)
    cluster: str = ""
    plugins: dict[str, str] = field(default_factory=dict)
    strangers: dict[str, str] | None = None
    told: tuple[dict[str, Any], ...] = ()

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Settings:
        """Read what ``as_dict`` made, from JSON or not."""
        limits = dict(values["limits"])
        limits["gpus"] = tuple(limits["gpus"])
        lists = {name: tuple(values[name]) for name in ("plugin_files", "told")}
        return cls(**{**values, **lists, "limits": Limits(**limits)})

    def as_dict(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        return asdict(self)


class Bench:
    """Looks plugins up and says what determines what.

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
        self.settings = settings
        self.guests = guests
        self.confined = False  # whether this process was shut in (``trials.guests``)
        self.protocol = Protocol.model_validate(settings.protocol)
        self.workspace = Workspace.at(Path(settings.workspace), Path(settings.data_dir))
        self._inputs: dict[tuple[str, ...], dict[str, Any]] = {}
        self._completed: dict[tuple[str, str], str] = {}
        self._chosen: dict[tuple[str, str], Chosen] = {}
        self._registry = registry

    def adopt(self, registry: Registry) -> None:
        """Take over other plugins of the same names: imported where they were only told of."""
        self.__dict__["registry"] = registry

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
        spec = self.registry.get("dataset", name).spec
        assert isinstance(spec, DatasetSpec)
        return self.protocol.validation.divide(spec)

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

    def data_inputs(self, name: str) -> dict[str, Any]:
        """What determines the raw slides of a dataset."""
        if ("data", name) not in self._inputs:
            entry = self.registry.get("dataset", name)
            spec = self.dataset(name)
            folder = self.folder(name)
            self._inputs["data", name] = {
                # Not the fold: all folds share what comes of the raw slides, patches above all.
                "dataset": spec.fold_of or spec.name,
                "version": spec.version,
                "organism": spec.organism,
                "image": spec.image,
                "raw_counts": spec.raw_counts,
                "classes": list(spec.classes),
                "slides": [asdict(slide) for slide in spec.slides],
                "content": self._content(spec, folder),
                "reader": entry.code,
            }
            self.fingerprints.save()
        return self._inputs["data", name]

    def slide_check_inputs(self, name: str, slide_id: str) -> dict[str, Any]:
        """What determines the checks of a slide, whatever the protocol."""
        return {
            "data": self.data_inputs(name),
            "slide": slide_id,
            "code": code_hash("spared_bench.reports.quality"),
        }

    def _content(self, spec: DatasetSpec, folder: Path) -> Any:
        if spec.synthetic:
            return ""
        from spared_bench.sources.fetched import is_described

        if is_described(spec, folder):
            from spared_bench.sources.described import content

            return content(folder, self.fingerprints)
        return self.fingerprints.of_folder(folder, spec.members)

    def patches_inputs(self, name: str) -> dict[str, Any]:
        """What determines the patches of a dataset: all its spots, whatever is kept later."""
        return {
            "harness": HARNESS_VERSION,
            "data": self.data_inputs(name),
            "cutting": self.protocol.patches.model_dump(mode="json"),
            "code": code_hash("spared_bench.processing.patches"),
        }

    @property
    def patch_view(self) -> View:
        """What the protocol's patches are, as a view."""
        return View(size=self.protocol.patches.size, scale=self.protocol.patches.scale)

    def view_inputs(self, name: str, view: View) -> dict[str, Any]:
        """What determines a view of a dataset; of what the protocol's patches are, theirs."""
        if view == self.patch_view:
            return self.patches_inputs(name)
        cutting = self.protocol.patches
        return {
            "harness": HARNESS_VERSION,
            "data": self.data_inputs(name),
            "view": view.as_dict(),
            "cutting": {"window": cutting.window, "antialias": cutting.antialias},
            "code": code_hash("spared_bench.processing.views"),
            "opened": code_hash("spared_bench.processing.view_products"),
        }

    def view_kind(self, view: View) -> str:
        """Return the kind of entry that holds a view."""
        return "patches" if view == self.patch_view else "views"

    def has_view(self, name: str, view: View) -> bool:
        """Return whether the store has a view of a dataset."""
        key = digest(self.view_inputs(name, view))
        return self.workspace.store.has(self.view_kind(view), key)

    def facts_inputs(self, name: str) -> dict[str, Any]:
        """What determines the sizes and scales of a dataset's images."""
        return {"harness": HARNESS_VERSION, "data": self.data_inputs(name), "made": "image facts"}

    def features_inputs(
        self, name: str, encoder: Encoder, view: View | None = None
    ) -> dict[str, Any]:
        """What determines a frozen network's features of a dataset's patches, or of a view."""
        return {
            "patches": digest(self.view_inputs(name, view or self.patch_view)),
            "encoder": encoder.identity(),
            "code": code_hash(type(encoder).__module__),
            "device": self.settings.device.partition(":")[0],
        }

    def prepared_inputs(self, name: str) -> dict[str, Any]:
        """What determines a prepared dataset.

        Raises
        ------
        SplitError
            If the protocol has nothing to report of it.
        """
        spec = self.dataset(name)
        self.protocol.validation.require_reported(spec)
        self.check_dataset(name)
        return {
            "harness": HARNESS_VERSION,
            "data": self.data_inputs(name),
            "split": {split: list(slides) for split, slides in spec.split.items()},
            "processing": self.protocol.processing.for_dataset(spec).model_dump(mode="json"),
            "validation": self.protocol.validation.model_dump(mode="json"),
            "code": code_hash("spared_bench.processing.pipeline"),
        }

    def completed_inputs(self, dataset: str, completer: str) -> dict[str, Any]:
        """What determines a completed layer."""
        entry = self.registry.get("completer", completer)
        name = entry.spec.name
        parameters = self.chosen("completer", completer).values
        return {
            "harness": HARNESS_VERSION,
            "prepared": digest(self.prepared_inputs(dataset)),
            "patches": digest(self.patches_inputs(dataset)),
            "completer": self._method(entry, parameters),
            "budget": self.protocol.completion.model_dump(mode="json"),
            "seed": self.seed_of("completer", name, dataset),
            "threads": self.settings.threads,
            "device": self.settings.device.partition(":")[0],
            **self._view_keys(dataset, "completer", completer, parameters),
        }

    def _view_keys(
        self, dataset: str, kind: str, method: str, parameters: Mapping[str, Any]
    ) -> dict[str, dict[str, str]]:
        """Return the keys of the views that a method declares; nothing where it declares none."""
        views = self.views_of(kind, method, parameters)
        keys = {name: digest(self.view_inputs(dataset, view)) for name, view in views.items()}
        return {"views": keys} if keys else {}

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
            if "unknown_views" in entry.told:
                raise UsageError(entry.told["unknown_views"])
            declared = {at: View(**each) for at, each in entry.told["views"].items()}
        else:
            try:
                factory = entry.load()
            except PluginError:
                return {}
            declared = checked_views(_declared_views(factory, parameters, label), label)
        cutting = self.protocol.patches
        return {at: view.settled(cutting.scale, cutting.size) for at, view in declared.items()}

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
        told = self.registry.get(kind, name).told
        if told is not None:
            if "problem" in told:
                raise UsageError(told["problem"])
            return Chosen(told["configuration"], dict(told["values"]))
        if (kind, name) not in self._chosen:
            own = self.registry.get(kind, name).spec.name
            wishes = Wishes(
                self.protocol.configuration,
                self.protocol.overrides.get(own, {}),
                self.settings.weights,
                self.settings.parameters.get(own, {}),
                f"protocol {self.protocol.id}",
            )
            signature = self.signature(kind, name)
            self._chosen[kind, name] = resolve(f"{kind} {own!r}", signature, wishes)
        return self._chosen[kind, name]

    def encoder_of(self, kind: str, name: str, parameters: Mapping[str, Any] | None = None) -> str:
        """Return the frozen network whose features a completer or predictor asks for, or "".

        The ``parameters`` of a completer are the protocol's where they are not given.
        """
        entry = self.registry.get(kind, name)
        asked = getattr(entry.spec, "encoder", "")
        if parameters is None:
            parameters = self.chosen(kind, name).values
        return str(parameters.get(asked, getattr(_class_of(entry), asked, ""))) if asked else ""

    def completed_key(self, dataset: str, completer: str) -> str:
        """Return the key of a completed layer, worked out once."""
        if (dataset, completer) not in self._completed:
            inputs = self.completed_inputs(dataset, completer)
            self._completed[dataset, completer] = digest(inputs)
        return self._completed[dataset, completer]

    def trial_inputs(
        self,
        dataset: str,
        completer: str,
        predictor: str,
        parameters: Mapping[str, Any],
        seed: int,
        *,
        iterations: int = 0,
    ) -> dict[str, Any]:
        """What determines the predictions of a trial, and the error that a search chooses by."""
        entry = self.registry.get("predictor", predictor)
        stages = self.stages(predictor, parameters)
        return {
            "harness": HARNESS_VERSION,
            "completed": self.completed_key(dataset, completer),
            "predictor": self._method(entry, parameters),
            "training": self.protocol.training.model_dump(mode="json"),
            "validation_error": code_hash("spared_bench.metrics.mse"),
            "seed": self.trial_seed(dataset, predictor, seed),
            "threads": self.settings.threads,
            "device": self.settings.device.partition(":")[0],
            **self._view_keys(dataset, "predictor", predictor, parameters),
            **({"iterations": iterations} if iterations else {}),
            **(
                {
                    "stages": {
                        name: digest(self.network_inputs(dataset, completer, stage, seed))
                        for name, stage in stages.items()
                    }
                }
                if stages
                else {}
            ),
        }

    def trial_seed(self, dataset: str, predictor: str, repetition: int) -> int:
        """Return the seed of a training; the same for all completers."""
        return self.seed_of(dataset, self.predictor(predictor).name, repetition)

    def score_inputs(self, trial: str) -> dict[str, Any]:
        """What determines the scores of a trial's predictions."""
        return {
            "trial": trial,
            "metrics": {name: self._metric_inputs(name) for name in self.scored_metrics},
            "genes": list(self.protocol.scored_genes),
            "pooling": self.protocol.pooling,
            "mean_rule": self.protocol.mean_rule,
            "code": code_hash("spared_bench.metrics.scoring"),
        }

    @property
    def scored_metrics(self) -> list[str]:
        """All metrics of the protocol, those that only some methods have values of included."""
        return list(dict.fromkeys([*self.protocol.metrics, *self.protocol.further_metrics]))

    def _metric_inputs(self, name: str) -> dict[str, Any]:
        entry = self.registry.get("metric", name)
        spec = self.metric(name)
        return {
            "version": spec.version,
            "per": spec.per,
            "undefined": spec.undefined,
            "given": spec.given,
            "distribution": entry.plugin.distribution,
            "code": entry.code,
        }

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

    def network_inputs(
        self, dataset: str, completer: str, stage: Stage, seed: int
    ) -> dict[str, Any]:
        """What determines a trained network that trials of other predictors build on."""
        entry = self.registry.get("predictor", stage.predictor)
        return {
            "harness": HARNESS_VERSION,
            "completed": self.completed_key(dataset, completer),
            "predictor": self._method(entry, stage.parameters),
            "training": self.protocol.training.model_dump(mode="json"),
            "seed": self.seed_of(dataset, stage.predictor, seed),
            "threads": self.settings.threads,
            "device": self.settings.device.partition(":")[0],
            **self._view_keys(dataset, "predictor", stage.predictor, stage.parameters),
        }

    def figure_inputs(self, trial: str) -> dict[str, Any]:
        """What determines the figures of a trial."""
        return {
            "trial": trial,
            "genes": list(self.protocol.scored_genes),
            "code": code_hash("spared_bench.reports.expression_map"),
            "calibration": code_hash("spared_bench.reports.calibration"),
        }

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

    def seed_of(self, *names: str | int) -> int:
        """Return a seed made from names, so that it does not depend on the order of trials."""
        text = "/".join([self.protocol.id, *map(str, names)])
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")

    def _method(self, entry: Registered, parameters: Mapping[str, Any]) -> dict[str, Any]:
        described = {
            "name": entry.spec.name,
            "version": entry.spec.version,
            "distribution": entry.plugin.distribution,
            "code": entry.code,
            "parameters": dict(parameters),
        }
        weights = parameters.get("weights")
        if isinstance(weights, str) and Path(weights).expanduser().is_file():
            # The content counts: another file of the same name is another experiment.
            described["weights"] = self.fingerprints.of_file(Path(weights).expanduser().resolve())
        elif os.environ.get(WEIGHTS_FOLDER) and (file := file_for(_class_of(entry), parameters)):
            described["weights"] = self.fingerprints.of_file(file)
        if named := augmentation_modules(augment_of(_loaded(entry), parameters)):
            # They are imported by name, so the code of the method does not hold theirs.
            described["augmentation"] = {module: code_hash(module) for module in named}
        return described


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
        except (Exception, SystemExit):  # a trial makes it again, and tells what is wrong
            return None
        return declared_by(method, label)


def _has_files(folder: Path) -> bool:
    """Return whether anything but the notes of an unfinished download is there."""
    return folder.is_dir() and any(not path.name.startswith(".") for path in folder.iterdir())


def _loaded(entry: Registered) -> Any:
    """Return a method's class; ``None`` where it cannot be had: its trials will say why."""
    try:
        return _class_of(entry)
    except PluginError:
        return None


def _class_of(entry: Registered) -> Any:
    """Return a method's class, or what is told of its attributes."""
    if entry.told is None:
        return entry.load()
    return SimpleNamespace(**entry.told["defaults"], **entry.told["augment"])
