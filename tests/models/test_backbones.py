import pytest
import torch

from spared_bench.errors import UsageError
from spared_bench.models.backbones import build_backbone


@pytest.mark.parametrize(
    ("name", "n_genes", "n_parameters"),
    [
        ("shufflenet_v2_x0_5", 128, 472_992),
        ("shufflenet_v2_x0_5", 32, 374_592),
        ("vit_b_16", 128, 85_897_088),
        ("densenet121", 128, 7_085_056),
    ],
)
def test_networks_have_the_published_number_of_parameters(name, n_genes, n_parameters):
    with torch.device("meta"):
        network = build_backbone(name, "random", n_genes)
    assert sum(p.numel() for p in network.parameters()) == n_parameters


@pytest.mark.parametrize(("name", "width"), [("test_resnet", 96), ("shufflenet_v2_x0_5", 1024)])
def test_a_backbone_gives_one_value_per_class_or_pooled_features(name, width):
    images = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        assert build_backbone(name, "random", 5).eval()(images).shape == (2, 5)
        assert build_backbone(name, "random").eval()(images).shape == (2, width)


def test_the_new_last_layer_does_not_start_at_zero_as_torchvisions_would():
    assert build_backbone("vit_b_16", "random", 4).heads.head.weight.any()


@pytest.mark.parametrize(
    ("typed", "nearest"),
    [("shufflenet_v2_x05", "shufflenet_v2_x0_5"), ("test_resnt", "test_resnet")],
)
def test_an_unknown_backbone_is_an_error_that_names_the_nearest(typed, nearest):
    with pytest.raises(UsageError, match=f"named '{typed}'. Did you mean '{nearest}'"):
        build_backbone(typed, "random", 4)


def test_a_network_without_a_linear_last_layer_is_refused():
    with pytest.raises(UsageError, match="'squeezenet1_0' ends in no linear layer"):
        build_backbone("squeezenet1_0", "random", 4)
