"""A step that is recorded once gives the gradients of one that is computed each time."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from spared_bench.interfaces import Budget, Context
from spared_bench.models import replay
from spared_bench.models.replay import Recorded
from spared_bench.models.trainer import Gradients, Recipe, train

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


@dataclass(frozen=True)
class Some:
    """A batch."""

    images: Tensor
    target: Tensor
    mask: Tensor
    label: str = "what is no tensor stays"


class Images:
    """Images with a target, all on a device."""

    def __init__(self, n: int, device: str = "cpu") -> None:
        drawn = torch.Generator().manual_seed(1)
        self.images = torch.rand(n, 3, 12, 12, generator=drawn).to(device)
        self.target = torch.rand(n, 2, generator=drawn).to(device)

    def __len__(self) -> int:
        return len(self.target)

    def batch(self, rows: Tensor, augment: torch.Generator | None = None) -> Some:
        target = self.target[rows]
        return Some(self.images[rows], target, torch.ones_like(target, dtype=torch.bool))


def network_of(dropout: float = 0.0) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(),
            nn.Dropout(dropout), nn.Linear(400, 2),
        )  # fmt: skip


def mse(network: nn.Module, batch: Some) -> Tensor:
    return functional.mse_loss(network(batch.images), batch.target)


def state_after(network, gradients, units, n_steps=5):
    """Return all weights and statistics after some steps, and the losses."""
    optimizer, losses = torch.optim.Adam(network.parameters(), lr=1e-2), []
    for step in range(n_steps):
        losses.append(gradients(torch.arange(4) + step, None))
        optimizer.step()
    return {k: v.cpu() for k, v in network.state_dict().items()}, torch.stack(losses).cpu()


class Replayed:
    """CUDA's graph, streams and random state as far as ``Recorded`` uses them, on a CPU.

    Its replay does the recorded work again, on the very tensors that the recording saw.
    """

    def __init__(self, monkeypatch):
        self.works, here = [], self

        class Nothing:
            def __init__(self, *given):
                pass

            def __enter__(self):
                return self

            def __exit__(self, *given):
                return None

            def wait_stream(self, other):
                return None

        class Graph:
            def replay(self):
                here.works[-1]()

        fakes = {
            "get_rng_state": lambda device: torch.get_rng_state(),
            "set_rng_state": lambda state, device: torch.set_rng_state(state),
            "current_stream": Nothing, "Stream": Nothing, "stream": Nothing, "device": Nothing,
            "graph": Nothing, "CUDAGraph": Graph,
        }  # fmt: skip
        for name, fake in fakes.items():
            monkeypatch.setattr(replay.torch.cuda, name, fake)

    def of(self, network, loss=mse):
        def work(batch):
            value = loss(network, batch)
            value.backward()
            return value.detach()

        def once(batch):
            found = work(batch)
            kept = [(p, p.grad) for p in network.parameters()]

            def again():  # as a graph: into the tensors of the recording, whatever was there
                for parameter, grad in kept:
                    assert parameter.grad is grad
                    parameter.grad = None
                value = work(batch)
                for parameter, grad in kept:
                    grad.copy_(parameter.grad)
                    parameter.grad = grad
                found.copy_(value)

            self.works.append(again)
            return found

        return Recorded(network, once)


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_replayed_steps_are_those_that_are_computed_each_time(dropout, monkeypatch):
    units = Images(8)
    plain, recorded = network_of(dropout), network_of(dropout)
    context = Context(budget=Budget(batch_size=4))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(9)
        wanted = state_after(plain, Gradients(plain, mse, units, Recipe(), context), units)
    cuda = Replayed(monkeypatch)
    step = cuda.of(recorded)
    # The recording itself runs the network once more on a CPU, so the statistics that it changes
    # there, and what it draws, are put back here.
    record = Recorded._record

    def recording(self, *given):
        made = record(self, *given)
        for name, buffer in recorded.named_buffers():
            buffer.copy_(before[name])
        torch.set_rng_state(random)
        return made

    monkeypatch.setattr(Recorded, "_record", recording)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(9)
        random = torch.get_rng_state()
        before = {name: buffer.clone() for name, buffer in recorded.named_buffers()}
        found = state_after(recorded, lambda rows, turns: step(units.batch(rows)), units)
    for name, value in wanted[0].items():
        assert torch.equal(found[0][name], value), name
    assert torch.equal(found[1], wanted[1])


def test_warming_up_leaves_statistics_and_the_random_state_as_they_were(monkeypatch):
    network, seen = network_of(0.5), {}
    step = Replayed(monkeypatch).of(network)
    before = {name: buffer.clone() for name, buffer in network.named_buffers()}
    random = torch.get_rng_state()

    def graph():
        seen.update((name, buffer.clone()) for name, buffer in network.named_buffers())
        seen["random"] = torch.get_rng_state()
        raise KeyboardInterrupt

    monkeypatch.setattr(replay.torch.cuda, "CUDAGraph", graph)
    with pytest.raises(KeyboardInterrupt):
        step(Images(4).batch(torch.arange(4)))
    assert torch.equal(seen["random"], random)
    assert all(torch.equal(seen[name], value) for name, value in before.items())


def test_what_cannot_be_recorded_is_computed_each_time_and_told(monkeypatch):
    def refused():
        monkeypatch.setattr(replay.torch.cuda, "CUDAGraph", lambda: None)
        raise RuntimeError("CUDA error: out of memory\nmore of it")

    units, context = Images(8), Context(budget=Budget(batch_size=4))
    plain, network = network_of(0.5), network_of(0.5)
    step = Replayed(monkeypatch).of(network)
    zeros = torch.zeros
    monkeypatch.setattr(replay.torch.cuda, "CUDAGraph", refused)
    monkeypatch.setattr(replay.torch, "zeros", lambda n, device: zeros(n))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(9)
        wanted = state_after(plain, Gradients(plain, mse, units, Recipe(), context), units)
        torch.manual_seed(9)
        with pytest.warns(UserWarning, match="not record them: CUDA error: out of memory$"):
            found = state_after(network, lambda rows, turns: step(units.batch(rows)), units)
    assert all(torch.equal(found[0][name], value) for name, value in wanted[0].items())
    assert torch.equal(found[1], wanted[1])


def test_a_batch_of_another_shape_is_refused(monkeypatch):
    units, step = Images(8), Replayed(monkeypatch).of(network_of())
    step(units.batch(torch.arange(4)))
    with pytest.raises(AssertionError, match="images of a batch has changed its shape"):
        step(units.batch(torch.arange(1)))


def test_what_a_cpu_trains_does_not_depend_on_it():
    found = []
    for replays in (False, True):
        network, units = network_of(0.2), Images(12)
        context = Context(budget=Budget(6, 4, 3), seed=2)
        train(network, mse, units, units, lr=1e-2, context=context, recipe=Recipe(replay=replays))
        found.append(network.state_dict())
    assert all(torch.equal(found[0][name], value) for name, value in found[1].items())


@needs_gpu
@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_a_gpu_replays_what_it_computes(dropout):
    found = []
    for replays in (False, True):
        network, units = network_of(dropout).cuda(), Images(16, "cuda")
        context = Context(budget=Budget(batch_size=4), device="cuda")
        torch.manual_seed(4)
        gradients = Gradients(network, mse, units, Recipe(replay=replays), context)
        found.append(state_after(network, gradients, units, 6))
    if not dropout:  # else the two draw other masks, each by its seed alone
        for name, value in found[0][0].items():
            torch.testing.assert_close(found[1][0][name], value, rtol=1e-4, atol=1e-5, msg=name)
        torch.testing.assert_close(found[1][1], found[0][1], rtol=1e-4, atol=1e-5)
    assert int(found[1][0]["1.num_batches_tracked"]) == 6
    assert len(found[1][1].unique()) == 6


@needs_gpu
def test_a_loss_that_asks_a_gpu_for_a_value_is_computed_each_time():
    def asking(network, batch):
        value = mse(network, batch)
        return value if float(value.detach()) < 1e9 else 0 * value

    found = []
    for replays in (False, True):
        network, units = network_of(0.5).cuda(), Images(16, "cuda")
        context = Context(budget=Budget(batch_size=4), device="cuda")
        torch.manual_seed(4)
        gradients = Gradients(network, asking, units, Recipe(replay=replays), context)
        if replays:
            with pytest.warns(UserWarning, match="could not record them"):
                gradients(torch.arange(4), None)
        else:
            gradients(torch.arange(4), None)
        found.append(state_after(network, gradients, units, 6))
    for name, value in found[0][0].items():
        torch.testing.assert_close(found[1][0][name], value, rtol=1e-4, atol=1e-5, msg=name)


@needs_gpu
def test_a_gpu_replays_the_same_from_the_same_seed():
    found = []
    for _ in range(2):
        network, units = network_of(0.5).cuda(), Images(16, "cuda")
        context = Context(budget=Budget(batch_size=4), device="cuda")
        torch.manual_seed(4)
        gradients = Gradients(network, mse, units, Recipe(replay=True), context)
        found.append(state_after(network, gradients, units, 6))
    assert all(torch.equal(found[1][0][name], value) for name, value in found[0][0].items())


@needs_gpu
def test_a_killed_training_goes_on_to_the_same_weights_on_a_gpu(tmp_path, monkeypatch):
    from spared_bench.models import checkpoint

    monkeypatch.setattr(checkpoint, "SECONDS_BETWEEN", 0.0)
    monkeypatch.setattr(checkpoint, "_SHARE_OF_TIME", 1e9)

    def trained(folder, stop=0):
        def report(step, values):
            if step == stop:
                raise KeyboardInterrupt

        network, units = network_of(0.5).cuda(), Images(12, "cuda")
        context = Context(
            budget=Budget(9, 4, 3), seed=2, device="cuda", scratch=folder, report=report
        )
        train(network, mse, units, units, lr=1e-2, context=context, recipe=Recipe(replay=True))
        return network.state_dict()

    whole = trained(None)
    (tmp_path / "scratch").mkdir()
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "scratch", stop=6)
    again = trained(tmp_path / "scratch")
    assert all(torch.equal(again[name], value) for name, value in whole.items())
