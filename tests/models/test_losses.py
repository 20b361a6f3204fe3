import numpy as np
import pytest
import scipy.stats
import torch

from spared_bench.models.losses import pearson_loss, zinb_loss


def test_the_pearson_loss_is_one_minus_the_mean_correlation(rng):
    truth, prediction = rng.normal(size=(2, 30, 4))
    expected = np.mean([np.corrcoef(truth[:, g], prediction[:, g])[0, 1] for g in range(4)])
    loss = pearson_loss(torch.from_numpy(prediction), torch.from_numpy(truth))
    assert float(loss) == pytest.approx(1 - expected)


@pytest.mark.parametrize("n_spots", [1, 5])
def test_a_gene_that_does_not_vary_is_uncorrelated_and_has_a_finite_gradient(n_spots):
    prediction = torch.full((n_spots, 2), 3.0, requires_grad=True)
    loss = pearson_loss(prediction, torch.arange(2.0 * n_spots).view(n_spots, 2))
    loss.backward()
    assert loss.item() == 1
    assert prediction.grad.isfinite().all()


def test_the_zinb_loss_is_the_likelihood_that_scipy_gives(rng):
    counts = rng.poisson(2, (20, 3)).astype(float)
    mean, theta = rng.uniform(0.5, 4, (2, 20, 3))
    dropout = rng.uniform(0.1, 0.6, (20, 3))
    factors = rng.uniform(0.5, 2, 20)

    scaled = mean * factors[:, None]
    plain = scipy.stats.nbinom.pmf(counts, theta, theta / (theta + scaled))
    expected = -np.log(np.where(counts == 0, dropout, 0) + (1 - dropout) * plain).mean()

    tensors = map(torch.from_numpy, (counts, mean, theta, dropout, factors))
    assert float(zinb_loss(*tensors)) == pytest.approx(expected)


def test_the_zinb_loss_is_finite_at_the_ends_of_its_ranges():
    counts = torch.tensor([[0.0, 0, 500, 500]])
    mean = torch.tensor([[1e-5, 1e6, 1e-5, 1e6]], requires_grad=True)
    dispersion = torch.tensor([[1e-4, 1e4, 1e-4, 1e4]], requires_grad=True)
    dropout = torch.tensor([[0.0, 1.0, 0.0, 1.0]], requires_grad=True)
    loss = zinb_loss(counts, mean, dispersion, dropout, torch.ones(1))
    loss.backward()
    assert loss.isfinite()
    assert all(v.grad.isfinite().all() for v in (mean, dispersion, dropout))
