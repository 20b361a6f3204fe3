"""Every level of every study that ships: it moves what it names, all the way to the key of a trial.

No data is here: what stands for their content is put in, and all else is as in a run.
"""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from spared_bench.bench import Bench
from spared_bench.errors import StudyError
from spared_bench.keys.hashing import digest
from spared_bench.registry import discover
from spared_bench.studies.loading import load_study, open_study
from spared_bench.studies.planning import plan_study
from spared_bench.studies.settings import SELECTED
from spared_bench.studies.variants import variants_of
from tests.studies.test_shipped import NAMES

REGISTRY = discover()
STUDIES = [name for name in NAMES if load_study(name, REGISTRY)[0].kind == "factors"]
#: Which part of a trial's inputs a section of the protocol is in.
PART = {"processing": "prepared", "validation": "prepared", "known": "prepared",
        "patches": "patches", "training": "training"}  # fmt: skip


@pytest.fixture(autouse=True)
def no_data_needed(monkeypatch, tmp_path):
    monkeypatch.setattr(Bench, "folder", lambda self, name: tmp_path)
    monkeypatch.setattr(Bench, "_content", lambda self, spec, folder: f"content of {spec.name}")


def flat(values, path=""):
    """Settings by dotted name."""
    if isinstance(values, dict) and values:
        return {
            k: v for name, each in values.items() for k, v in flat(each, f"{path}.{name}").items()
        }
    return {path.lstrip("."): values}


def inputs_of(bench, variant, place):
    """What determines a trial of a variant, part by part, and its key."""
    dataset, completer, method, seed = place
    parameters = bench.candidates(method)[0]
    whole = bench.trial_inputs(dataset, completer, method, parameters, seed)
    parts = {
        "prepared": bench.prepared_inputs(dataset),
        "patches": bench.patches_inputs(dataset),
        "completer": bench.completed_inputs(dataset, completer)["completer"],
        **{part: whole[part] for part in ("predictor", "training", "seed")},
    }
    return SimpleNamespace(key=digest(whole), parts=parts, candidates=bench.candidates(method))


def expected_parts(paths):
    """Which parts are to move, by the names of what is set."""
    found = set()
    for path in paths:
        head = path.partition(".")[0]
        if path == "method":
            found |= {"predictor", "seed"}
        elif path in ("dataset", "seed"):
            found |= {"prepared", "patches", "seed"}
        else:
            found.add(PART.get(head, "completer" if path == "completer" else "predictor"))
    return found


def single_changes(study, variants):
    """Yield factor, label, its variant and that of the base, which differ in this factor alone."""
    bases = {name: factor.base_level for name, factor in study.factors.items()}
    by_levels = {tuple(each.levels.items()): each for each in variants}
    base = by_levels[tuple(bases.items())]
    for name, factor in study.factors.items():
        for label in factor.levels:
            if label != factor.base_level:
                yield name, label, by_levels[tuple((bases | {name: label}).items())], base


@pytest.mark.parametrize("name", STUDIES)
def test_every_level_moves_what_it_names_and_nothing_else(name, tmp_path):
    check(open_study(name, workspace=tmp_path, device="cpu"))


AXES = """
name: axes
base: demo
datasets: [her2st_demo]
completers: [none]
methods: [shufflenet]
design: single
max_cells: 60
set: {shufflenet.lr: 0.001, processing.zeros: measured}
factors:
  batch: {setting: training.batch_size, levels: [32, 64]}
  steps: {setting: training.iterations, levels: [10, 20]}
  weights: {setting: shufflenet.weights, levels: [random, pretrained]}
  body: {setting: method.freeze, levels: {trained: false, frozen: true}}
  augment:
    setting: method.augment
    levels: {own: true, HED look: [{randstainna: {space: hed}}], LAB look: [randstainna]}
  size: {setting: patches.size, levels: [32, 64]}
  scale: {setting: patches.scale, levels: [1.0, 2.0]}
  stain: {setting: patches.stain, levels: [none, reinhard, macenko, vahadane]}
  target:
    levels:
      log2_tpm: {processing.target: log2_tpm}
      tpm: {processing.target: tpm}
      counts: {processing.target: counts}
      log1p_counts: {processing.target: log1p_counts}
      cpm: {processing.target: cpm}
      log1p_cpm: {processing.target: log1p_cpm}
      log1p_cp10k: {processing.target: log1p_cp10k}
      residuals: {processing.target: pearson_residuals, processing.ranked_on: log1p_cp10k}
  range: {setting: processing.scaling, levels: [none, min_max]}
  smoothing: {setting: processing.smoothing, levels: [none, array_neighbours]}
  ranking: {setting: processing.ranking, levels: [moran, variable, mean]}
  number: {setting: processing.n_genes, levels: [8, 16]}
  genes: {setting: processing.gene_list, levels: {ranked: "", markers: jiang-markers}}
"""


def test_every_axis_can_be_varied_and_reaches_the_trial(tmp_path):
    path = tmp_path / "axes.yaml"
    path.write_text(AXES)
    check(open_study(str(path), workspace=tmp_path / "w", device="cpu"))


WEIGHTS = """
name: starts
base: demo
datasets: [planted]
completers: [none]
methods: [shufflenet]
factors:
  start: {setting: shufflenet.weights, levels: [random, LEVEL]}
"""


@pytest.mark.parametrize("level", ["nonsense", "weights.pth", "pre-trained"])
def test_a_level_of_weights_that_are_nowhere_is_refused(level, tmp_path):
    (tmp_path / "weights.pth").touch()  # not beside the command, and nothing is in it
    path = tmp_path / "starts.yaml"
    path.write_text(WEIGHTS.replace("LEVEL", level))
    opened = open_study(str(path), workspace=tmp_path / "w", device="cpu")
    with pytest.raises(StudyError, match=f"'shufflenet'.*{level}"):
        plan_study(opened.study, opened.base)


def test_a_level_of_weights_that_are_to_be_fetched_is_planned(tmp_path):
    path = tmp_path / "starts.yaml"
    path.write_text(WEIGHTS.replace("LEVEL", "pretrained"))
    opened = open_study(str(path), workspace=tmp_path / "w", device="cpu")
    assert len(plan_study(opened.study, opened.base).variants) == 2


def check(opened):
    study, name = opened.study, opened.study.name
    seen = 0
    for factor, label, variant, base in single_changes(study, variants_of(study, opened.base)):
        where = f"{name}, {factor} = {label}"
        level, other = (study.factors[factor].assigned(each)
                        for each in (label, study.factors[factor].base_level))  # fmt: skip
        named = {path for path in {*level, *other} if level.get(path) != other.get(path)}
        settings = {path for path in named if path.partition(".")[0] in PART}

        ours, theirs = (flat(each.protocol.model_dump(mode="json")) for each in (variant, base))
        moved = {k for k in {*ours, *theirs} if ours.get(k) != theirs.get(k)}
        assert moved <= settings, where
        assert moved >= {path for path in settings if path in level and path in other}, where
        assert all(ours[path] == level[path] for path in settings & set(level)), where
        assert len(variant.places) == len(base.places), where

        benches = variant.bench(opened.base), base.bench(opened.base)
        for place, before in zip(variant.places, base.places, strict=True):
            here, there = (
                inputs_of(*each)
                for each in zip(benches, (variant, base), (place, before), strict=True)
            )
            assert here.key != there.key, f"{where}: {place} is trained as the base is"
            changed = {part for part in here.parts if here.parts[part] != there.parts[part]}
            assert changed == expected_parts(named), where
            for path, value in level.items():
                method, _, parameter = path.rpartition(".")
                if method in ("method", place[2]) and path not in SELECTED:
                    chosen = benches[0].chosen("predictor", place[2])
                    if parameter == "configuration":
                        assert chosen.configuration == value, where
                        continue
                    for candidate in here.candidates:
                        found = candidate[parameter]
                        assert found == value or list(found) == value, where
            seen += 1
    assert seen
