"""SpaCKLE's published training loop, literally, and the package's step.

A Dataset that gathers the neighbours of one spot per item, a DataLoader, PyTorch's
TransformerEncoder in its default settings, masks drawn on the CPU.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from spared_bench.completion.masking import hiding_probabilities
from spared_bench.data import Slides
from spared_bench.interfaces import Context
from spared_bench.models.trainer import Gradients, Recipe, shuffled_batches
from spared_bench_plugins.completers.spackle import SpaCKLE

BATCH, LR = 256, 1e-3


class SpotDataset(Dataset[Any]):
    """One item: a spot's matrix of expression with its neighbours, gathered when asked for."""

    def __init__(self, slides: Slides, completer: SpaCKLE) -> None:
        table = completer.table(slides)
        self.values = torch.tensor(slides.prefilled)
        self.mask = torch.tensor(slides.mask)
        self.index, self.present = table.index, table.present

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, spot: int) -> dict[str, Tensor]:
        rows = torch.as_tensor(self.index[spot])
        return {
            "values": self.values[rows],
            "mask": self.mask[rows],
            "present": torch.as_tensor(self.present[spot]),
        }


class LiteralNetwork(nn.Module):
    """The network in PyTorch's own layers."""

    def __init__(self, n_genes: int, completer: SpaCKLE) -> None:
        super().__init__()
        self.enter = nn.Linear(n_genes, completer.width)
        sizes = completer.width, completer.n_heads, completer.inner
        layer = nn.TransformerEncoderLayer(*sizes, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, completer.n_layers, enable_nested_tensor=False)
        self.leave = nn.Linear(completer.width, n_genes)

    def forward(self, x: Tensor, present: Tensor) -> Tensor:
        """(n_spots, n_slots, n_genes) -> the same."""
        out: Tensor = self.leave(self.encoder(self.enter(x), src_key_padding_mask=~present))
        return out


def literal_steps(
    slides: Slides, completer: SpaCKLE, network: nn.Module, device: str, low: bool = False
) -> Iterator[None]:
    """Train for one step whenever it is asked for the next; ``low``: in autocast's bfloat16."""
    chances = torch.tensor(hiding_probabilities(slides.mask.mean(axis=0)), dtype=torch.float32)
    loader = DataLoader(SpotDataset(slides, completer), BATCH, shuffle=True, drop_last=True)
    optimizer = torch.optim.Adam(network.parameters(), lr=LR)
    while True:
        for batch in loader:
            network.train()
            hidden = (torch.rand(batch["values"].shape) < chances) & batch["mask"]
            visible = torch.where(hidden, 0.0, batch["values"]).to(device)  # medians are seen
            truth, present = batch["values"].to(device), batch["present"].to(device)
            optimizer.zero_grad()
            there = present[..., None]
            with torch.autocast(torch.device(device).type, torch.bfloat16, enabled=low):
                predicted = network(visible, present)
            error = (predicted.float() - truth).square() * there
            (error.sum() / (there.sum() * truth.shape[-1])).backward()
            optimizer.step()
            yield


def our_steps(
    slides: Slides, completer: SpaCKLE, network: nn.Module, device: str
) -> Iterator[None]:
    """The step of the shared trainer."""
    units = completer.training_units(slides, device)
    optimizer = torch.optim.Adam(network.parameters(), lr=LR, fused=True)
    recipe = Recipe(precision="float32", replay=completer.replayable)
    network.train()
    gradients = Gradients(network, completer.loss, units, recipe, Context(device=device))
    for rows in shuffled_batches(len(units), BATCH, seed=int(torch.randint(1 << 31, ()))):
        gradients(rows, None)
        optimizer.step()
        yield


def as_ours(literal: nn.Module, completer: SpaCKLE, n_genes: int, device: str) -> nn.Module:
    """Our network with the weights of the literal one."""
    network = completer.build(n_genes).to(device)
    state = {name.replace("encoder.", ""): value for name, value in literal.state_dict().items()}
    network.load_state_dict(state)
    return network
