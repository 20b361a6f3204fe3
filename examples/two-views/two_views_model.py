"""Look at a spot and at the tissue around it, and say how sure the prediction is."""

from dataclasses import dataclass

import torch
from torch import nn
from torchvision.transforms import v2

from spared_bench import View
from spared_bench.models import ViewPredictor


class Network(nn.Module):
    def __init__(self, n_genes):
        super().__init__()
        self.spot, self.region = (nn.Conv2d(3, 16, 8, stride=8) for _ in range(2))
        self.head = nn.Linear(32, 2 * n_genes)

    def forward(self, spot, region):  # by the names of the views, each (n_spots, 3, 32, 32)
        seen = [self.spot(spot).relu(), self.region(region).relu()]
        both = torch.cat([each.mean(dim=(2, 3)) for each in seen], dim=1)
        mean, spread = self.head(both).chunk(2, dim=1)
        return mean, nn.functional.softplus(spread)  # mean and variance, (n_spots, n_genes)


@dataclass
class TwoViews(ViewPredictor):
    views = {"spot": View(size=32), "region": View(scale=4.6, size=32)}
    augmentation = [v2.RandomHorizontalFlip(), v2.ColorJitter(brightness=0.2)]
    weights_used = None  # nothing begins with weights from elsewhere
    lr: float = 1e-2

    def build(self, n_genes):
        return Network(n_genes)

    def start(self, network, train):
        with torch.no_grad():
            network.head.bias[: train.n_genes] = torch.from_numpy(train.target.mean(axis=0))

    def loss(self, network, batch):
        mean, variance = network(**batch.views)
        return nn.functional.gaussian_nll_loss(mean, batch.target, variance)

    def predict_batch(self, network, batch):
        return network(**batch.views)[0]

    def predict_with_variance(self, network, batch):
        return network(**batch.views)
