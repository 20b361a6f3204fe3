"""STimage's head and loss against outputs of the authors' PyTorch code at random weights.

``tests/golden/stimage.npz``: ``param.*`` weights, ``input.features`` what stands for the output of
the ResNet-50, ``output.*`` in evaluation mode.
"""

from pathlib import Path

import numpy as np
import pytest
import scipy.stats
import torch
from torch import nn

from spared_bench.models.losses import negative_binomial_loss
from spared_bench_plugins.networks.negative_binomial import (
    NegativeBinomialNet,
    at_depth,
    moments,
)

GOLDEN = Path(__file__).parents[1] / "golden" / "stimage.npz"


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN) as file:
        return {name: torch.from_numpy(file[name]) for name in file}


@pytest.fixture(scope="module")
def network(golden):
    hidden, width = golden["param.hidden.weight"].shape
    n_genes = len(golden["param.gene.weight"])
    made = NegativeBinomialNet(nn.Identity(), width, n_genes, hidden, dropout=(0.0, 0.5))
    made.load_state_dict(
        {
            "hidden.0.weight": golden["param.hidden.weight"],
            "hidden.0.bias": golden["param.hidden.bias"],
            "pair.weight": golden["param.gene.weight"].flatten(0, 1),
            "pair.bias": golden["param.gene.bias"].flatten(),
        }
    )
    return made.eval()


def test_the_distribution_is_the_authors(golden, network):
    n, p = network(golden["input.features"])
    mean, variance = moments(n, p)
    for name, found in {"n": n, "p": p, "mean": mean, "variance": variance}.items():
        torch.testing.assert_close(found, golden[f"output.{name}"], rtol=1e-5, atol=1e-5)


def test_the_losses_and_the_gradient_are_the_authors(golden, network):
    features = golden["input.features"].clone().requires_grad_()
    counts = golden["input.counts"]
    n, p = network(features)
    loss = negative_binomial_loss(counts, n, p).mean()
    loss.backward()
    assert loss.item() == pytest.approx(golden["output.loss_counts"].item(), rel=1e-5)
    expected = golden["output.gradient_of_loss_counts.features"]
    torch.testing.assert_close(features.grad, expected, rtol=1e-5, atol=1e-5)
    of_logarithms = negative_binomial_loss(counts.log1p(), n, p).mean()
    assert of_logarithms.item() == pytest.approx(
        golden["output.loss_log1p_counts"].item(), rel=1e-5
    )


def test_the_loss_is_the_likelihood_that_scipy_gives_at_every_depth(rng):
    counts = rng.poisson(3, (20, 4)).astype(float)
    n, p = rng.uniform(0.2, 9, (20, 4)), rng.uniform(0.05, 0.95, (20, 4))
    factors = rng.uniform(0.2, 5, 20)
    scaled = at_depth(torch.from_numpy(p), torch.from_numpy(factors))
    mean, variance = moments(torch.from_numpy(n), scaled)
    np.testing.assert_allclose(mean, factors[:, None] * n * (1 - p) / p)
    np.testing.assert_allclose(variance, scipy.stats.nbinom.var(n, scaled))
    loss = negative_binomial_loss(torch.from_numpy(counts), torch.from_numpy(n), scaled)
    np.testing.assert_allclose(loss, -scipy.stats.nbinom.logpmf(counts, n, scaled))


def test_the_loss_of_a_negative_count_is_undefined():
    loss = negative_binomial_loss(torch.tensor([[-0.5, 2.0]]), torch.ones(1, 2), torch.ones(1) / 2)
    assert loss.isnan().tolist() == [[True, False]]


def test_no_weight_makes_the_mean_or_the_loss_infinite(network):
    extreme = torch.tensor([[-1e6], [1e6]]).expand(2, 48)
    n, p = network(extreme.clone().requires_grad_())
    mean, variance = moments(n, p)
    assert mean.isfinite().all()
    assert variance.isfinite().all()
    for count in (0.0, 1e6):
        loss = negative_binomial_loss(torch.full_like(n, count), n, p)
        assert loss.isfinite().all()
