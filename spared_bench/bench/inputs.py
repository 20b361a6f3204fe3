"""One protocol on one workspace with one set of plugins: what determines each product and result.

The inputs returned here are what the store hashes into keys. They name everything that can move a
number: the protocol, the raw data, the code of the plugins involved, parameters, seeds, and the
keys of the products consumed. Package versions are recorded in results, and are not in the keys.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spared_bench.bench.lookup import Lookup, class_of
from spared_bench.data.views import View
from spared_bench.errors import PluginError, ProtocolError, did_you_mean
from spared_bench.keys.code import code_hash
from spared_bench.keys.hashing import digest
from spared_bench.models.augmentation.names import modules as augmentation_modules
from spared_bench.models.augmentation.names import of_method as augment_of
from spared_bench.models.encoder_table import KnownEncoder, known_encoder
from spared_bench.models.hub import content_digest, own_file
from spared_bench.models.weights_folder import WEIGHTS_FOLDER, file_for
from spared_bench.protocol import samples_of
from spared_bench.registry import Registered
from spared_bench.specs import DatasetSpec, SlideInfo, Stage

if TYPE_CHECKING:
    from spared_bench.data import Encoder

#: Raised by hand when the harness itself starts to compute something else from the same inputs.
HARNESS_VERSION = 1


class Bench(Lookup):
    """Says what determines each product and result; see ``Lookup`` for how it is made."""

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
                "slides": [slide.as_read() for slide in spec.slides],
                "content": self._content(spec, folder),
                "reader": entry.code,
            }
            self.fingerprints.save()
        return self._inputs["data", name]

    def slide_check_inputs(self, name: str, slide_id: str) -> dict[str, Any]:
        """What determines the checks of a slide, whatever the protocol."""
        return {
            "data": self._slide_inputs(name, slide_id),
            "slide": slide_id,
            "code": code_hash("spared_bench.reports.quality"),
        }

    def picture_inputs(self, name: str, slide_id: str) -> dict[str, Any]:
        """What determines the page's pictures of a slide, whatever the protocol."""
        return {
            "data": self._slide_inputs(name, slide_id),
            "slide": slide_id,
            "code": code_hash("spared_bench.reports.tissue"),
        }

    def _slide_inputs(self, name: str, slide_id: str) -> dict[str, Any]:
        """Return what determines one raw slide, where it is known which files are its own.

        Of slides that a description names, these are the entry of the slide and its files; of any
        other dataset, all files are every slide's.
        """
        data, spec = self.data_inputs(name), self.dataset(name)
        if not isinstance(data["content"], dict) or slide_id not in data["content"].get(
            "slides", ()
        ):
            return data
        return data | {
            "slides": [slide.as_read() for slide in spec.slides if slide.slide_id == slide_id],
            "content": data["content"] | {"slides": data["content"]["slides"][slide_id]},
        }

    def sections_of(self, name: str, sample: str) -> list[SlideInfo]:
        """Return all sections of a sample, in their order through it."""
        infos = [info for info in self.dataset(name).slides if info.sample == sample]
        return sorted(infos, key=lambda info: (info.order is None, info.order or 0))

    def transforms_by_hand(self, name: str) -> dict[str, list[list[float]]]:
        """Return the transforms of sections that a user has given; see ``registration.by_hand``."""
        from spared_bench.registration.by_hand import place_of, read_transforms

        spec = self.dataset(name)
        path = place_of(self.workspace.data_dir, spec.fold_of or spec.name)
        return read_transforms(path) if path.is_file() else {}

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
        return self.view_inputs(name, self.patch_view)

    def view_inputs(self, name: str, view: View) -> dict[str, Any]:
        """What determines a view of a dataset as methods see it: what is cut, and its colours."""
        cut = self.cut_inputs(name, view)
        if self.protocol.patches.stain == "none":
            return cut
        return {"patches": digest(cut), **self.stain_inputs(name)}

    def stain_inputs(self, name: str) -> dict[str, Any]:
        """What determines the colours that the slides of a dataset are given.

        Raises
        ------
        ProtocolError
            If there is no such template slide.
        """
        cutting = self.protocol.patches
        dataset, slide = self.stain_template(name)
        own = digest(self.cut_inputs(name, self.patch_view))
        found = {"harness": HARNESS_VERSION, "stain": cutting.stain, "measured": own}
        found["code"] = code_hash("spared_bench.processing.stains.colours")
        if not slide:
            train = self.dataset(name).split["train"]
            return found | {"to": sorted(map(str, train))}
        return found | {
            "to": slide,
            "template": digest(self.cut_inputs(dataset, self.patch_view)),
        }

    def stain_template(self, name: str) -> tuple[str, str]:
        """Return dataset and slide of the template; no slide where it is the training mean."""
        wanted = self.protocol.patches.stain_to
        if wanted == "train":
            return name, ""
        dataset, slash, slide = wanted.rpartition("/")
        dataset = self.registry.canonical("dataset", dataset) if slash else name
        known = [each.slide_id for each in self.dataset(dataset).slides]
        if slide not in known:
            hint = did_you_mean(slide, known)
            raise ProtocolError(
                f"Protocol {self.protocol.id}: `patches.stain_to` is {wanted!r}, and dataset"
                f" {dataset!r} has no slide {slide!r}. {hint} It has: {', '.join(known[:8])}"
                f"{', ...' if len(known) > 8 else ''}. Name one of them, one of another dataset as"
                " dataset/slide, or say `train`."
            )
        return dataset, slide

    def cut_inputs(self, name: str, view: View) -> dict[str, Any]:
        """What determines what is cut by a view; of what the protocol's patches are, theirs."""
        cutting = self.protocol.patches
        if view == self.patch_view:
            return {
                "harness": HARNESS_VERSION,
                "data": self.data_inputs(name),
                "cutting": cutting.cutting,
                "code": code_hash("spared_bench.processing.patches"),
            }
        return {
            "harness": HARNESS_VERSION,
            "data": self.data_inputs(name),
            "view": view.as_dict(),
            "cutting": {"window": cutting.window, "antialias": cutting.antialias},
            "code": code_hash("spared_bench.processing.views"),
            "opened": code_hash("spared_bench.processing.view_products"),
        }

    def view_kind(self, view: View) -> str:
        """Return the kind of entry that holds a view as methods see it."""
        return self.cut_kind(view) if self.protocol.patches.stain == "none" else "stained"

    def cut_kind(self, view: View) -> str:
        """Return the kind of entry that holds what is cut by a view."""
        return "patches" if view == self.patch_view else "views"

    def has_view(self, name: str, view: View) -> bool:
        """Return whether the store has a view of a dataset."""
        key = digest(self.view_inputs(name, view))
        return self.workspace.store.has(self.view_kind(view), key)

    def has_cut(self, name: str, view: View) -> bool:
        """Return whether the store has what is cut by a view."""
        return self.workspace.store.has(self.cut_kind(view), digest(self.cut_inputs(name, view)))

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
        self.protocol.require_usable(spec)
        self.check_dataset(name)
        return {
            "harness": HARNESS_VERSION,
            "data": self.data_inputs(name),
            "split": {split: list(slides) for split, slides in spec.split.items()},
            "processing": self.protocol.processing.for_dataset(spec).model_dump(mode="json"),
            "validation": self.protocol.validation.model_dump(mode="json"),
            "code": code_hash("spared_bench.processing.pipeline"),
            **self._known_inputs(name, spec),
        }

    def _known_inputs(self, name: str, spec: DatasetSpec) -> dict[str, Any]:
        """What of a protocol of partially measured samples determines a prepared dataset."""
        known = self.protocol.known
        if known is None:
            return {}
        samples = samples_of(spec)
        return {
            "known": known.model_dump(mode="json", exclude={"image_only"}),
            "samples": {
                sample: [[i.slide_id, i.order, i.thickness_um] for i in infos]
                for sample, infos in samples.items()
            },
            "registrations": {
                sample: digest(self.registration_inputs(name, sample, known.register_by))
                for sample in self.registered_samples(name)
            },
            "placed": code_hash("spared_bench.trials.placing"),
        }

    def registered_samples(self, name: str) -> list[str]:
        """Return the samples of a dataset that have slides in its split."""
        return list(samples_of(self.dataset(name)))

    def registration_inputs(self, name: str, sample: str, method: str) -> dict[str, Any]:
        """What determines the registration of the sections of a sample, all that the dataset has.

        Also of those outside the split, through which others are registered.
        """
        infos = self.sections_of(name, sample)
        by_hand = self.transforms_by_hand(name)
        return {
            "harness": HARNESS_VERSION,
            "data": self.data_inputs(name),
            "sections": [info.slide_id for info in infos],
            "method": method,
            "by_hand": {i.slide_id: by_hand[i.slide_id] for i in infos if i.slide_id in by_hand},
            "code": code_hash("spared_bench.registration"),
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
            **(
                {
                    "genes": spec.genes,
                    "choice": code_hash("spared_bench.processing.gene_choice"),
                }
                if spec.genes != "all"
                else {}
            ),
        }

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
        elif os.environ.get(WEIGHTS_FOLDER) and (file := file_for(class_of(entry), parameters)):
            described["weights"] = self.fingerprints.of_file(file)
        if known := known_encoder(_encoder_named(entry, parameters)):
            described["encoder"] = _encoder_inputs(known)
        if named := augmentation_modules(augment_of(_loaded(entry), parameters)):
            # They are imported by name, so the code of the method does not hold theirs.
            described["augmentation"] = {module: code_hash(module) for module in named}
        return described


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


#: What an encoder's spec says for people, and moves no feature.
_TOLD = ("summary", "citation", "licence", "gated", "pretraining", "seen_slides", "aliases",
         "parameters_millions", "known_output", "extras")  # fmt: skip


def _loaded(entry: Registered) -> Any:
    """Return a method's class; ``None`` where it cannot be had: its trials will say why."""
    try:
        return class_of(entry)
    except PluginError:
        return None
