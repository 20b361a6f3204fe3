"""ShuffleNet's units in the layout of their convolutions: the same values, fewer copies.

torchvision's shuffle of channels ends in the layout of channels first, whatever it was given. In a
network whose convolutions work with channels last, each unit then copies its input, and on the way
back every ReLU meets a gradient of another layout: a tenth of a training step on a CPU.
"""

from __future__ import annotations

from torch import Tensor, cat, nn
from torchvision.models.shufflenetv2 import InvertedResidual


class ChannelsLastUnit(InvertedResidual):
    """A unit of ShuffleNet V2 (Ma et al., ECCV 2018, figure 3 c and d)."""

    def forward(self, x: Tensor) -> Tensor:
        if self.stride == 1:
            kept, changed = x.chunk(2, dim=1)
        else:
            kept, changed = self.branch1(x), x
        return shuffled(cat((kept, self.branch2(changed)), dim=1))


def shuffled(images: Tensor) -> Tensor:
    """Take channels from the first and the second half in turn; channels lie last.

    (n, channels, height, width) -> the same
    """
    n, channels, height, width = images.shape
    halves = images.permute(0, 2, 3, 1).reshape(n, height, width, 2, channels // 2)
    return halves.transpose(3, 4).reshape(n, height, width, channels).permute(0, 3, 1, 2)


def with_channels_last(network: nn.Module) -> nn.Module:
    """Let the units of torchvision's ShuffleNet keep the layout; leave other networks alone."""
    for unit in network.modules():
        if type(unit) is InvertedResidual:
            unit.__class__ = ChannelsLastUnit
    return network
