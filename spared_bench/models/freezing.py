"""Training the head of a network alone: its body keeps its weights and its statistics.

Which part is the body is told in one of two ways. ``build_backbone`` marks what it makes: all of it
but its own last layer. A network that is made of no backbone has its head named by its predictor
(``TorchPredictor.head_parts``), and all the rest is its body.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import nn

from spared_bench.errors import PluginError, UsageError, did_you_mean

_HEADS = "spared_bench_heads"
_STILL = "spared_bench_still"
_EMPTY = nn.Identity()


def mark_body(network: nn.Module, heads: Sequence[str]) -> nn.Module:
    """Note of a network that it is a body; return it.

    Parameters
    ----------
    network : nn.Module
    heads : sequence of str
        Names of its parts that are fresh; those that it does not have, or that have no weights, are
        left out.
    """
    known = dict(network.named_modules())
    fresh = tuple(name for name in heads if list(known.get(name, _EMPTY).parameters()))
    setattr(network, _HEADS, fresh)
    return network


def freeze(network: nn.Module, heads: Sequence[str], label: str) -> None:
    """Let only the head of a network train, in place.

    Parameters of the body get no gradient, and ``training_mode`` leaves the body as it is when it
    predicts: batch normalisation uses and keeps its statistics, and nothing is dropped.

    Parameters
    ----------
    network : nn.Module
    heads : sequence of str
        Names of the parts that train; ``""`` is the whole. None named: all but the bodies
        that are marked.
    label : str
        What to call the method in a message.

    Raises
    ------
    PluginError
        If the network has no part of such a name.
    UsageError
        If nothing tells its body from its head, or nothing would be left to train.
    """
    regions = _regions(network, heads, label)
    for region, trained in regions:
        for name, part in _body(region, trained):
            for parameter in part.parameters(recurse=False):
                parameter.requires_grad_(False)
            if not any(not name or head.startswith(f"{name}.") for head in trained):
                setattr(part, _STILL, True)
    if not any(parameter.requires_grad for parameter in network.parameters()):
        raise UsageError(
            f"{label} has `freeze`, and its network is all body: nothing is left to train."
            " Leave `freeze` out."
        )


def training_mode(network: nn.Module) -> None:
    """Put a network into training mode, but for what ``freeze`` has frozen."""
    network.train()
    for part in network.modules():
        if getattr(part, _STILL, False):
            part.training = False


def _regions(
    network: nn.Module, heads: Sequence[str], label: str
) -> list[tuple[nn.Module, tuple[str, ...]]]:
    """Return the parts of a network that have a body, each with the names of its heads."""
    if heads:
        known = dict(network.named_modules())
        for name in heads:
            if name not in known:
                raise PluginError(
                    f"{label} says in `head_parts` that {name!r} is a part of its network's head,"
                    f" and the network has no part of this name. {did_you_mean(name, known)} Its"
                    f" parts: {', '.join(dict(network.named_children()))}."
                )
        return [(network, tuple(heads))]
    marked = [(part, getattr(part, _HEADS)) for part in network.modules() if hasattr(part, _HEADS)]
    if not marked:
        raise UsageError(
            f"{label} has `freeze`, and nothing tells the body of its network from its head."
            " Leave `freeze` out; or give its class a line that names the parts which then train,"
            ' such as `head_parts: ClassVar[tuple[str, ...]] = ("head",)`.'
        )
    return marked


def _body(region: nn.Module, heads: tuple[str, ...]) -> Iterator[tuple[str, nn.Module]]:
    """Yield the modules of a region that are in none of its heads, by name."""
    trained = {id(part) for name in heads for part in region.get_submodule(name).modules()}
    for name, part in region.named_modules():
        if id(part) not in trained:
            yield name, part
