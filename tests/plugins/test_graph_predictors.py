"""The predictors of slides, graphs and exemplars beyond what the contract asks of all."""

import pytest
import torch

from spared_bench_plugins.predictors.eggn import EGGN
from spared_bench_plugins.predictors.egn import EGN
from spared_bench_plugins.predictors.hist2st import Hist2ST
from spared_bench_plugins.predictors.histogene import HisToGene
from spared_bench_plugins.predictors.sepal import SEPAL


def count(network):
    return sum(p.numel() for p in network.parameters() if p.requires_grad)


@pytest.mark.parametrize(
    ("predictor", "published"),
    [
        (HisToGene(image_size=112, n_positions=64), 105_974_912),
        (HisToGene(), 221_711_488),
        (EGN(), 132_856_960),
        (EGGN(), 11_089_537),
        (Hist2ST(n_positions=64), 73_096_133),
        (Hist2ST(image_size=224, head_width=128), 892_660_677),
        (SEPAL(), 967_937),
        (SEPAL(layout="legacy_st", hops=1), 196_993),
    ],
    ids=[
        "histogene",
        "histogene-spared",
        "egn",
        "eggn",
        "hist2st",
        "hist2st-spared",
        "sepal-visium",
        "sepal-legacy",
    ],
)
def test_the_published_configuration_has_the_published_number_of_parameters(predictor, published):
    with torch.device("meta"):
        assert count(predictor.build(n_genes=128)) == published
