"""An encoding that is killed anywhere, as by ``kill -9``, goes on and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import sys
from functools import partial

import numpy as np
import pytest

from spared_bench import files
from spared_bench.models.encoders import ColorEncoder
from spared_bench.models.encoding import devices_of
from spared_bench.store import entries
from spared_bench.trials import encoding, views
from spared_bench.trials import features as made
from spared_bench.trials.products import prepare

SHARD = 8
#: A kill falls between two lines of these.
WATCHED = {module.__file__ for module in (encoding, made, views, files, entries)}


def features(bench):
    return prepare(bench, "toy").slides("train", "val").features(ColorEncoder())


def killed(bench, after: int) -> bool:
    """Encode in a child that kills itself after so many lines; return whether it did."""
    child = os.fork()
    if not child:
        left = after

        def trace(frame, event, argument):
            nonlocal left
            if frame.f_code.co_filename not in WATCHED:
                return None
            left -= event == "line"
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)
            return trace

        sys.settrace(trace)
        try:
            features(bench)
        except BaseException:
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


@pytest.fixture
def sharded(bench, monkeypatch):
    """A bench whose patches are cut, and whose encodings are put aside by eights."""
    whole = encoding.encode_sharded
    monkeypatch.setattr(made, "encode_sharded", partial(whole, shard=SHARD))
    prepare(bench, "toy").slides("train").patches[0]
    assert devices_of("cpu") == ("cpu",)  # imported here, and not in every child
    return bench


def shards(bench):
    return sorted(bench.workspace.training.glob("features-*/0*.npy"))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_an_encoding_killed_at_random_gives_the_same_features_and_leaves_nothing(sharded, seed):
    patches = prepare(sharded, "toy").slides("train", "val").patches
    expected = ColorEncoder().encode(patches)
    store, rng = sharded.workspace.store, np.random.default_rng(seed)
    there: set[str] = set()
    for _ in range(5):
        assert killed(sharded, int(rng.integers(20, 250)))
        before, there = there, {file.name for file in shards(sharded)}
        assert before <= there  # each attempt begins where the one before it ended
        assert all(np.isfinite(np.load(file)).all() for file in shards(sharded))
        assert list(store.entries("features")) == []

    found = features(sharded)

    np.testing.assert_array_equal(found, expected)
    (entry,) = store.entries("features")
    assert store.verify(entry) == []
    assert entry.read_json(made.ENCODED)["resumed"] == min(len(there) * SHARD, 147) > 0
    assert list(sharded.workspace.training.glob("features-*")) == []
    store.sweep()
    assert list((store.root / "tmp").iterdir()) == []


def test_shards_outlive_a_kill_just_before_the_entry_stands(sharded, monkeypatch):
    def die(self, folder, kind, inputs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(entries.Store, "_seal", die)
        with pytest.raises(KeyboardInterrupt):
            features(sharded)
    assert len(shards(sharded)) == -(-147 // SHARD)

    features(sharded)

    (entry,) = sharded.workspace.store.entries("features")
    assert entry.read_json(made.ENCODED)["resumed"] == 147


def test_shards_that_a_kill_left_beside_finished_features_are_removed(sharded):
    features(sharded)
    (entry,) = sharded.workspace.store.entries("features")
    left = sharded.workspace.training / f"features-{entry.key}"
    left.mkdir(parents=True)
    (left / "000000000-000000008.npy").write_bytes(b"half")

    features(sharded)

    assert not left.exists()
