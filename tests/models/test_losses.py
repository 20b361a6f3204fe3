import numpy as np
import pytest
import torch

from spared_bench.models.losses import pearson_loss


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
