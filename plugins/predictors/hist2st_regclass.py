"""Hist2ST + Regclass: Hist2ST that also learns the tissue class of every spot.

A variant of the review of Jiang et al., bioRxiv 2023.09.20.558624
(github.com/BiomedicalMachineLearning/DeepHis2Exp), on Hist2ST (Zeng et al., Brief. Bioinform. 2022,
doi:10.1093/bib/bbac297). A classifier of five linear layers stands on Hist2ST's embedding of a
spot, and its cross-entropy is added to Hist2ST's loss.

By default as in both released notebooks (Visium breast, two classes): all at once, gamma = 0.5, and
a softmax after the classifier, whose output goes into a cross-entropy that holds another one. That
second softmax is kept because it is published: it keeps the loss of a class between ln(1 + (C - 1)
/ e) and ln(e + C - 1), so that sure predictions cannot be rewarded. ``softmax=False`` leaves it
out. The configuration ``her2st`` is the form for HER2+, of which no file is released: 64 positions,
no softmax, and three stages, Hist2ST alone, the classes alone, all together, which get a quarter, a
half and a quarter of the budget (published: at most 100, 200 and 100 epochs).

The classes are those that a dataset declares; a dataset without any is skipped. Unlabelled spots
enter no cross-entropy. A class named ``undetermined`` is one like the others, but a window of which
no spot has another adds nothing, as published.

Differs from the authors' code: dropout and views are drawn anew at every step, where the seed is
set back and one draw repeated; weights are chosen by the error of the expression on validation
slides, where theirs stop by the cross-entropy there (of the classes' own stage, by the mean squared
error of the probabilities). Everything else is as in ``hist2st``.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from spared_bench import PredictorSpec
from spared_bench.bounds import NotNegative, Size
from spared_bench.data import Slides
from spared_bench.errors import UsageError, did_you_mean
from spared_bench.interfaces import Context, Prediction
from spared_bench.models.precision import mixed
from spared_bench.models.window_units import WindowBatch
from spared_bench.specs import DatasetSpec
from spared_bench_plugins.networks.hist2st import hist2st_loss
from spared_bench_plugins.networks.labelled_windows import (
    ClassUnits,
    LabelledBatch,
    LabelledUnits,
    class_loss,
)
from spared_bench_plugins.networks.stages import fresh_network, reported, train_stage
from spared_bench_plugins.predictors.hist2st import Hist2ST, Hist2STNet

SPEC = PredictorSpec(
    "hist2st-regclass",
    f"{__name__}:Hist2STRegclass",
    summary="Hist2ST that learns the tissue class of every spot beside its expression",
    citation="Jiang et al., bioRxiv 2023, doi:10.1101/2023.09.20.558624",
    licence="MIT",
    scope="slide",
    search={"lr": (1e-2, 1e-3, 1e-4, 1e-5)},
)

_PUBLISHED_CLASSES = 2
_HIDDEN_LAYERS = 4
#: Shares of the budget: Hist2ST alone, the classes alone, both.
_STAGES = {"expression": 0.25, "classes": 0.5, "both": 0.25}


class RegclassNet(Hist2STNet):
    """Hist2ST with a classifier on its embedding."""

    def __init__(self, n_genes: int, n_classes: int, settings: Hist2STRegclass) -> None:
        super().__init__(n_genes, settings)
        layers: list[nn.Module] = []
        width = self.jump.hidden_size
        for _ in range(_HIDDEN_LAYERS):
            layers += [nn.Linear(width, settings.class_width), nn.ReLU()]
            layers += [nn.Dropout(settings.dropout)]
            width = settings.class_width
        layers.append(nn.Linear(width, n_classes))
        if settings.softmax:
            layers.append(nn.Softmax(dim=1))
        self.classifier = nn.Sequential(*layers)

    def probabilities(self, h: Tensor) -> Tensor:
        """(n_spots, width) -> (n_spots, n_classes); a row sums to 1."""
        found = self.classifier(h).float()
        return found if isinstance(self.classifier[-1], nn.Softmax) else found.softmax(dim=1)


@dataclass
class Hist2STRegclass(Hist2ST):
    """Predict the expression and the tissue class of all spots of a slide.

    Parameters
    ----------
    gamma : float
        Weight of the cross-entropy; 0.1, 1 and 10 were tried, too.
    softmax : bool
        Whether the classifier ends in a softmax, before a cross-entropy that holds one itself.
    three_stages : bool
        Train Hist2ST, then the classes alone, then both.
    class_width : int
        Of the classifier's hidden layers.
    class_weights : dict of str to float
        Weights of classes in the cross-entropy, by name; 1 for those left out.
    undetermined : str
        Name of the class of spots that could not be told.
    """

    name: ClassVar[str] = "hist2st-regclass"
    head_parts: ClassVar[tuple[str, ...]] = (*Hist2ST.head_parts, "classifier")
    loss_name: ClassVar[str] = "mse_zinb_distillation_and_classes"
    tiny: ClassVar[dict[str, Any]] = Hist2ST.tiny | {"class_width": 16}
    configurations: ClassVar[dict[str, dict[str, Any]]] = {
        "small": Hist2ST.configurations["small"] | {"class_width": 64},
        "her2st": {"n_positions": 64, "softmax": False, "three_stages": True},
    }

    gamma: NotNegative = 0.5
    softmax: bool = True
    three_stages: bool = False
    class_width: Size = 800
    class_weights: dict[str, NotNegative] = field(default_factory=dict)
    undetermined: str = "undetermined"

    def skip(self, spec: DatasetSpec) -> str | None:
        """Return why a dataset without classes cannot be used."""
        if spec.classes:
            return None
        return f"{spec.name} has no tissue classes of spots, and this method learns from them"

    def build(self, n_genes: int) -> nn.Module:
        # WindowBatch -> (n_core, n_genes)
        n_classes = len(getattr(self, "classes_", ())) or _PUBLISHED_CLASSES
        return RegclassNet(n_genes, n_classes, self)

    def units(self, slides: Slides, device: str, resident: bool) -> LabelledUnits:
        """Return windows with neighbours and, where they are visible, raw counts and classes."""
        return LabelledUnits(super().units(slides, device, resident), slides, device)

    def loss(self, network: Any, batch: LabelledBatch) -> Tensor:
        """Return Hist2ST's loss + gamma times the cross-entropy."""
        h, views = self.embeddings(network, batch)
        of_classes = self._class_loss(network, h, batch)
        return hist2st_loss(network, h, views, batch) + self.gamma * of_classes

    def _class_loss(self, network: RegclassNet, h: Tensor, batch: LabelledBatch) -> Tensor:
        names = self.classes_
        weights = torch.tensor([self.class_weights.get(name, 1.0) for name in names])
        nothing = names.index(self.undetermined) if self.undetermined in names else -1
        return class_loss(network.classifier(h), batch.classes, weights, nothing)

    def _classes_alone(self, network: RegclassNet, batch: LabelledBatch) -> Tensor:
        return self._class_loss(network, network.embed(batch.images, batch), batch)

    def fit(self, train: Slides, val: Slides, context: Context) -> None:
        """Train in one stage or in three.

        Raises
        ------
        UsageError
            If the dataset has no classes, or weights are given for others.
        WeightsUnavailableError, DivergedError
            As any network.
        """
        self.classes_ = self._checked_classes(train)
        if not self.three_stages:
            super().fit(train, val, context)
            return
        network = fresh_network(self, train, context)
        train_units, val_units = (
            self.units(each, context.device, resident=True) for each in (train, val)
        )
        alone = {
            "loss": self._classes_alone,
            "predict": _probabilities,
            "loss_name": "cross_entropy",
        }
        settings = {"expression": {"loss": super().loss}, "classes": alone, "both": {}}
        done = 0
        for number, (stage, share) in enumerate(_STAGES.items()):
            iterations = max(1, round(context.budget.iterations * share))
            here = replace(
                context,
                seed=context.seed + number,
                budget=replace(context.budget, iterations=iterations),
                report=reported(context.report, "" if stage == "both" else stage, done),
            )
            chosen_by = val_units
            if stage == "classes":
                chosen_by = ClassUnits(val_units, len(self.classes_))
            train_stage(self, network, train_units, chosen_by, here, stage, **settings[stage])
            done += iterations
        self.network_ = network
        self.gene_names_ = train.gene_names

    def _checked_classes(self, train: Slides) -> list[str]:
        classes = list(train.classes)
        if not classes:
            raise UsageError(
                "Hist2ST + Regclass learns the tissue class of spots, and this dataset declares"
                " none. Expected `classes` in its spec and labels on its slides; choose hist2st"
                " for a dataset without them."
            )
        for name in self.class_weights:
            if name not in classes:
                raise UsageError(
                    f"class_weights names {name!r}, which is no class of this dataset. Its classes"
                    f" are: {', '.join(classes)}. {did_you_mean(name, classes)}"
                )
        return classes

    def predict(self, slides: Slides, batch_size: int = 1) -> Prediction:
        """Predict expression and probabilities of classes; ``batch_size`` has no effect."""
        network: Any = self._fitted().eval()
        units = self.units(slides, self._device, resident=False)
        mean = np.empty((len(slides), len(self.gene_names_)), dtype=np.float32)
        classes = np.empty((len(slides), len(self.classes_)), dtype=np.float32)
        with torch.inference_mode(), mixed(network, self._device, self.precision):
            for unit, spots in enumerate(units.predicted):
                batch = units.batch(torch.tensor([unit]))
                h = network.embed(batch.images, batch)
                mean[spots] = network.head(h).float().cpu().numpy()
                classes[spots] = network.probabilities(h).cpu().numpy()
        return Prediction(mean, classes=classes)

    def _learnt(self) -> dict[str, Any]:
        return {"classes": self.classes_}

    def _recall(self, facts: dict[str, Any]) -> None:
        self.classes_ = list(facts["classes"])

    def _unfilled(self, n_genes: int) -> nn.Module:
        return self.build(n_genes)  # of as many classes as it was fitted with


def _probabilities(network: Any, batch: WindowBatch) -> Tensor:
    return network.probabilities(network.embed(batch.images, batch))
