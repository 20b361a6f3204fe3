"""The base of heads on frozen features."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LinearRegression
from sklearn.preprocessing import StandardScaler
from torch import nn

from spared_bench.errors import ShapeMismatchError, UsageError
from spared_bench.interfaces import Budget, Context
from spared_bench.models import ColorEncoder, FeaturePredictor
from spared_bench.models.features import FeatureUnits, Standardised
from spared_bench_plugins.predictors.feature_mlp import FeatureMLP


@dataclass
class Linear(FeaturePredictor):
    """What a third party writes."""

    name = "my-linear"
    lr: float = 0.05

    def build(self, width, n_genes):
        return nn.Linear(width, n_genes)


def test_a_linear_head_finds_the_least_squares_on_standardised_features(tiny_slides):
    method = Linear()
    budget = Budget(iterations=3000, batch_size=1000, validate_every=3000)
    method.fit(tiny_slides.train, tiny_slides.val, Context(budget=budget))

    encoder = ColorEncoder()
    scaler = StandardScaler().fit(encoder.encode(tiny_slides.train.patches))
    features = scaler.transform(encoder.encode(tiny_slides.train.patches))
    exact = LinearRegression().fit(features, tiny_slides.train.target)
    test = scaler.transform(encoder.encode(tiny_slides.test.patches))

    def error(values):
        return np.square(values - tiny_slides.train.target).mean()

    found = method.predict(tiny_slides.train)
    assert error(found) < 1.02 * error(exact.predict(features))
    prediction = method.predict(tiny_slides.test.without_expression())
    assert np.corrcoef(prediction.ravel(), exact.predict(test).ravel())[0, 1] > 0.98


def test_features_are_asked_for_once_a_fit_and_by_the_encoder_of_the_field(tiny_slides):
    asked = []

    def remembered(encoder, slides, view=""):
        asked.append((encoder, len(slides)))
        return encoder.encode(slides.patches)

    train, val = (replace(part, features_of=remembered) for part in tiny_slides[:2])
    method = Linear()
    method.fit(train, val, Context(budget=Budget(2, 16, 1)))
    assert asked == [(ColorEncoder(), 80), (ColorEncoder(), 40)]
    method.predict(val)
    assert asked[2:] == [(ColorEncoder(), 40)]
    named = Linear(encoder="resnet18", weights="random")
    assert (named.frozen.backbone, named.frozen.weights) == ("resnet18", "random")
    assert named.width == 512


def test_its_parameters_are_those_that_have_an_effect():
    assert asdict(Linear()) == {
        "lr": 0.05,
        "weights": "pretrained",
        "micro_batch": 0,
        "precision": "auto",
        "compile": False,
        "encoder": "color",
    }
    with pytest.raises(TypeError, match="augment"):
        Linear(augment=False)


def test_a_constant_feature_is_shifted_and_no_more(rng):
    features = rng.normal(3, 2, (50, 4)).astype(np.float32)
    features[:, 1] = 0.1
    network = Standardised(4, nn.Identity())
    network.learn(features)
    made = network(torch.from_numpy(features)).numpy()
    np.testing.assert_allclose(made[:, 1], 0, atol=1e-6)
    others = [0, 2, 3]
    expected = StandardScaler().fit_transform(features.astype(np.float64))
    np.testing.assert_allclose(made[:, others], expected[:, others], atol=1e-5)


def test_a_method_may_see_more_than_its_patch(tiny_slides):
    @dataclass
    class Placed(Linear):
        @property
        def width(self):
            return super().width + 2

        def features(self, slides):
            places = slides.array_coordinates.astype(np.float32)
            return np.concatenate([super().features(slides), places], axis=1)

    method = Placed()
    method.fit(tiny_slides.train, tiny_slides.val, Context(budget=Budget(2, 16, 1)))
    assert method.n_parameters == 26 * 6 + 6
    assert method.predict(tiny_slides.test).shape == (40, 6)


def test_features_of_another_width_are_refused(tiny_slides):
    @dataclass
    class Narrow(Linear):
        def features(self, slides):
            return super().features(slides)[:, :5]

    with pytest.raises(ShapeMismatchError, match=r"Narrow has .*\(80, 5\); expected \(80, 24\)"):
        Narrow().fit(tiny_slides.train, tiny_slides.val, Context(budget=Budget(2, 16, 1)))


def test_units_hold_the_rows_that_are_asked_for(tiny_slides):
    train = tiny_slides.train
    features = np.arange(80 * 3, dtype=np.float32).reshape(80, 3)
    rows = torch.tensor([7, 3, 3])
    batch = FeatureUnits(train, features).batch(rows)
    np.testing.assert_array_equal(batch.features, features[[7, 3, 3]])
    np.testing.assert_array_equal(batch.target, train.target[[7, 3, 3]])
    np.testing.assert_array_equal(batch.mask, train.mask[[7, 3, 3]])
    bare = FeatureUnits(train.without_expression(), features)
    assert bare.batch(rows).target.shape == (3, 0)


def test_feature_mlp_begins_near_the_training_means_and_has_the_layers_it_says(tiny_slides):
    method = FeatureMLP(hidden=16, depth=3)
    network = method.new_network(6)
    method.start(network, tiny_slides.train)
    linear = [part for part in network.modules() if isinstance(part, nn.Linear)]
    assert [(part.in_features, part.out_features) for part in linear] == [
        (24, 16), (16, 16), (16, 16), (16, 6),
    ]  # fmt: skip
    np.testing.assert_allclose(
        linear[-1].bias.detach(), tiny_slides.train.target.mean(axis=0), rtol=1e-6
    )
    assert len(FeatureMLP(depth=0).build(24, 6)) == 1
    with pytest.raises(UsageError, match="depth=-1"):
        FeatureMLP(depth=-1).build(24, 6)


def test_feature_mlp_learns_what_the_colours_foretell(tiny_slides):
    train, val, test = (part.with_target(part.prefilled) for part in tiny_slides)
    method = FeatureMLP(**FeatureMLP.configurations["small"])
    method.fit(train, val, Context(budget=Budget(300, 32, 20)))
    error = method.predict(test.without_expression()) - test.target
    around_means = train.target.mean(axis=0) - test.target
    assert np.square(error).mean() < 0.2 * np.square(around_means).mean()
