from dataclasses import asdict, dataclass

import numpy as np
import pytest
import torch
from torch import nn

from spared_bench.contracts import checked_output
from spared_bench.errors import CorruptEntryError, MissingFileError, PluginError, UsageError
from spared_bench.interfaces import Budget, Context, Predictor
from spared_bench.models import TorchPredictor


@dataclass
class MeanColour(TorchPredictor):
    """What a third party writes: the fields of its method and its network."""

    width: int = 4

    def build(self, n_genes):
        return nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(3, self.width),
            nn.ReLU(),
            nn.Linear(self.width, n_genes),
        )


@dataclass
class MeasuredOnly(MeanColour):
    loss_name = "measured_mse"

    def loss(self, network, batch):
        return (network(batch.images) - batch.target)[batch.mask].square().mean()

    def predict_batch(self, network, batch):
        return network(batch.images) + 100


IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CONTEXT = Context(seed=2, budget=Budget(6, 16, 3))


@pytest.fixture(scope="module")
def fitted(tiny_slides):
    predictor = MeanColour(lr=0.01, width=5)
    predictor.fit(tiny_slides.train, tiny_slides.val, CONTEXT)
    return predictor


def test_a_subclass_with_a_network_is_a_predictor_whose_fields_are_its_parameters(fitted):
    assert isinstance(fitted, Predictor)
    assert asdict(fitted) == {
        "lr": 0.01,
        "weights": "pretrained",
        "micro_batch": 0,
        "precision": "auto",
        "compile": False,
        "normalisation": "imagenet",
        "augment": True,
        "freeze": False,
        "width": 5,
    }
    assert fitted.n_parameters == 3 * 5 + 5 + 5 * 6 + 6


def test_frozen_parameters_are_not_counted(tiny_slides):
    predictor = MeanColour(width=5)
    predictor.fit(tiny_slides.train, tiny_slides.val, CONTEXT)
    predictor.network_[2].requires_grad_(False)
    assert predictor.n_parameters == 5 * 6 + 6


def test_initial_weights_come_from_the_seed_and_not_from_the_random_state(tiny_slides, fitted):
    torch.manual_seed(123)
    again = MeanColour(lr=0.01, width=5)
    again.fit(tiny_slides.train, tiny_slides.val, CONTEXT)
    np.testing.assert_array_equal(again.predict(tiny_slides.test), fitted.predict(tiny_slides.test))


def test_own_loss_and_own_prediction_are_used_in_training_and_validation(tiny_slides):
    reports = []
    context = Context(budget=Budget(2, 16, 1), report=lambda step, values: reports.append(values))
    predictor = MeasuredOnly()
    predictor.fit(tiny_slides.train, tiny_slides.val, context)

    assert set(reports[0]) == {"train_measured_mse", "val_mse"}
    assert reports[0]["val_mse"] > 80**2
    assert predictor.predict(tiny_slides.test).min() > 80


def test_prediction_before_fitting_says_what_to_do(tiny_slides):
    with pytest.raises(UsageError, match=r"MeanColour has not been fitted.*Call `fit`, or `load`"):
        MeanColour().predict(tiny_slides.test)


def test_a_loaded_predictor_knows_its_genes_and_predicts_the_same(tiny_slides, fitted, tmp_path):
    fitted.save(tmp_path)
    loaded = MeanColour(lr=0.01, width=5)
    loaded.load(tmp_path)
    assert loaded.gene_names_ == tiny_slides.train.gene_names
    np.testing.assert_array_equal(
        loaded.predict(tiny_slides.test), fitted.predict(tiny_slides.test)
    )


def test_loading_with_other_fields_or_from_nowhere_is_an_error(fitted, tmp_path):
    fitted.save(tmp_path)
    with pytest.raises(CorruptEntryError, match=r"another network than MeanColour\(.*width=9"):
        MeanColour(width=9).load(tmp_path)
    with pytest.raises(MissingFileError):
        MeanColour().load(tmp_path / "nowhere")


@dataclass
class Sure(MeanColour):
    """Mean and log variance from one network; a Gaussian likelihood as its loss."""

    loss_name = "nll"

    def build(self, n_genes):
        return super().build(2 * n_genes)

    def loss(self, network, batch):
        mean, log_variance = network(batch.images).chunk(2, dim=1)
        return nn.functional.gaussian_nll_loss(mean, batch.target, log_variance.exp())

    def predict_batch(self, network, batch):
        return network(batch.images).chunk(2, dim=1)[0]

    def predict_with_variance(self, network, batch):
        mean, log_variance = network(batch.images).chunk(2, dim=1)
        return mean, log_variance.exp()


def test_a_network_of_means_and_variances_predicts_both_whatever_the_batch_size(tiny_slides):
    predictor = Sure(lr=0.05)
    predictor.fit(tiny_slides.train, tiny_slides.val, Context(2, Budget(60, 32, 10)))
    blind = tiny_slides.test.without_expression()
    found = checked_output(predictor.predict(blind), blind, "sure")
    again = predictor.predict(blind, batch_size=7)
    np.testing.assert_allclose(again.mean, found.mean, rtol=1e-5)
    np.testing.assert_allclose(again.variance, found.variance, rtol=1e-5)
    with torch.inference_mode():
        images = torch.from_numpy(blind.patches[:]).permute(0, 3, 1, 2).float() / 255
        scale = [torch.tensor(v).view(3, 1, 1) for v in IMAGENET]
        by_hand = predictor.network_((images - scale[0]) / scale[1])
    np.testing.assert_allclose(found.mean, by_hand[:, :6], rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(found.variance, by_hand[:, 6:].exp(), rtol=1e-3)


@pytest.mark.parametrize(
    ("give", "found"),
    [
        (lambda mean: mean, "a Tensor;"),
        (lambda mean: (mean, mean, mean), "a tuple of Tensor, Tensor, Tensor;"),
        (lambda mean: (mean.numpy(), mean.numpy()), "a tuple;"),
    ],
)
def test_what_is_no_pair_of_mean_and_variance_is_told(tiny_slides, give, found):
    class Unsure(MeanColour):
        def predict_with_variance(self, network, batch):
            return give(network(batch.images))

    predictor = Unsure()
    predictor.fit(tiny_slides.train, tiny_slides.val, Context(2, Budget(1, 8, 1)))
    with pytest.raises(PluginError, match=f"predict_with_variance returned {found} expected two"):
        predictor.predict(tiny_slides.test)
