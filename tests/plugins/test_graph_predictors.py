"""The predictors of slides, graphs and exemplars beyond what the contract asks of all."""

import pytest
import torch

from spared_bench_plugins.predictors.histogene import HisToGene


def count(network):
    return sum(p.numel() for p in network.parameters() if p.requires_grad)


@pytest.mark.parametrize(
    ("predictor", "published"),
    [
        (HisToGene(image_size=112, n_positions=64), 105_974_912),
        (HisToGene(), 221_711_488),
    ],
    ids=["histogene", "histogene-spared"],
)
def test_the_published_configuration_has_the_published_number_of_parameters(predictor, published):
    with torch.device("meta"):
        assert count(predictor.build(n_genes=128)) == published
