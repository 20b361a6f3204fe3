"""One protocol on one workspace with one set of plugins: what determines each product and result.

The inputs returned here are what the store hashes into keys. They name everything that can move a
number: the protocol, the raw data, the code of the plugins involved, parameters, seeds, and the
keys of the products consumed. Package versions are recorded in results, and are not in the keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spared_bench.bench.harness import HARNESS_VERSION
from spared_bench.bench.methods import method_inputs
from spared_bench.bench.view_inputs import ViewInputs
from spared_bench.keys.code import code_hash
from spared_bench.keys.hashing import digest
from spared_bench.keys.seeds import seed_of
from spared_bench.protocol import samples_of
from spared_bench.registry import Registered
from spared_bench.specs import DatasetSpec, Stage
from spared_bench.specs.plain import as_json


class Bench(ViewInputs):
    """Says what determines each product and result; see ``Lookup`` for how it is made."""

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

    def data_hash(self, name: str) -> str:
        """Return a hash of what a dataset is to a method: its files, its split, its own settings.

        Only results of one hash can be compared. The code that reads and prepares the dataset is no
        part of it where it is ours: an upgrade takes no result from a board.
        """
        entry, spec = self.registry.get("dataset", name), self.dataset(name)
        data, processing = self.data_inputs(name), self.protocol.processing
        known = self._known_inputs(name, spec)
        return digest(
            {
                **{part: data[part] for part in ("dataset", "version", "organism", "classes")},
                **{part: data[part] for part in ("slides", "content")},
                "split": {split: list(slides) for split, slides in spec.split.items()},
                "parameters": dict(spec.parameters) if processing.from_dataset else {},
                "reader": "" if entry.plugin.is_ours else data["reader"],
                **({"samples": known["samples"]} if known else {}),
                **({"by_hand": self.transforms_by_hand(name)} if known else {}),
            }
        )

    def measuring_code(self, name: str) -> str:
        """Return a hash of the code that reads and prepares a dataset, and scores predictions."""
        return digest(
            {
                "harness": HARNESS_VERSION,
                "reader": self.data_inputs(name)["reader"],
                "prepared": code_hash("spared_bench.processing.pipeline"),
                "metrics": {each: self._metric_inputs(each) for each in self.scored_metrics},
                "scored": code_hash("spared_bench.metrics.scoring"),
            }
        )

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
        stages = {
            name: digest(self.network_inputs(dataset, completer, stage, seed))
            for name, stage in self.stages(predictor, parameters).items()
        }
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
            **({"stages": stages} if stages else {}),
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
            "bounds": as_json(spec.bounds),
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
        return seed_of(self.protocol.id, *names)

    def _method(self, entry: Registered, parameters: Mapping[str, Any]) -> dict[str, Any]:
        return method_inputs(self, entry, parameters)
