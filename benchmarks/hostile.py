"""Repeat what strangers might try, one line each: the attack, what came of it, held or not.

    python benchmarks/hostile.py [WORDS]

With words, only the attacks whose line holds them. Needs no data and no network: everything is made
from the toy dataset of the tests, in a scratch folder, with a web server of its own here.
Exit status 1 if something did not hold. ``benchmarks/attacks.py`` measures the refusal of hostile
bundles, ``benchmarks/cheats.py`` how many dishonest predictions are found.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from spared_bench.api import execute, make_bench, select  # noqa: E402
from spared_bench.errors import SparedBenchError  # noqa: E402
from spared_bench.keys.hashing import digest  # noqa: E402
from spared_bench.leaderboard.columns import COLUMNS, Place  # noqa: E402
from spared_bench.leaderboard.entries import MethodEntry  # noqa: E402
from spared_bench.leaderboard.merging import entry_trials, with_listing  # noqa: E402
from spared_bench.leaderboard.publish import build_leaderboard  # noqa: E402
from spared_bench.leaderboard.text import visible  # noqa: E402
from spared_bench.sources.archives import unpack  # noqa: E402
from spared_bench.sources.download import download  # noqa: E402
from spared_bench.sources.patience import Expected, Policy  # noqa: E402
from spared_bench.store.archives import export, import_archive  # noqa: E402
from spared_bench.store.entries import Store  # noqa: E402
from spared_bench.store.maintenance import verify  # noqa: E402
from spared_bench.submissions import bundle  # noqa: E402
from spared_bench.submissions.add import add, unreproduced  # noqa: E402
from spared_bench.submissions.build import build  # noqa: E402
from spared_bench.submissions.check import check  # noqa: E402
from spared_bench.submissions.names import load_key  # noqa: E402
from spared_bench.submissions.request import review  # noqa: E402
from spared_bench.trials.cells import finished_cells  # noqa: E402
from spared_bench.trials.saving import save_apart  # noqa: E402
from tests.board_samples import board_rows  # noqa: E402
from tests.conftest import TOY_PLUGIN, TOY_PROTOCOL  # noqa: E402
from tests.leaderboard.reading import folder_of  # noqa: E402
from tests.servers import serving  # noqa: E402
from tests.submissions.attacks import ATTACKS  # noqa: E402

Outcome = tuple[str, bool]
TRIALS: dict[str, Callable[[World], Outcome]] = {}


def trial(name: str):
    """Register a function ``(world) -> (what came of it, whether that is right)``."""

    def register(run: Callable[[World], Outcome]):
        TRIALS[name] = run
        return run

    return register


@dataclass
class World:
    """A workspace with two finished runs, and folders to play in."""

    root: Path

    def folder(self) -> Path:
        """Return a new folder."""
        return Path(tempfile.mkdtemp(dir=self.root))

    def toy_bench(self, root: Path):
        """Return the toy protocol on a workspace."""
        return make_bench(
            str(TOY_PROTOCOL), workspace=root, plugin_files=[TOY_PLUGIN], device="cpu"
        )

    @cached_property
    def bench(self):
        """The toy protocol, with runs of two methods."""
        bench = self.toy_bench(self.root / "workspace")
        plan = select(bench, predictors=["toy-ridge", "toy-mean"])
        execute(plan, executor="inline")
        return bench

    @cached_property
    def sound(self) -> Path:
        """A sound bundle of toy-ridge."""
        return build(self.bench, "toy-ridge", self.folder()).archive

    def unpacked(self) -> Path:
        """Return the files of that bundle, to be bent."""
        folder = self.folder() / "bundle"
        with zipfile.ZipFile(self.sound) as packed:
            packed.extractall(folder)
        return folder

    def check(self, path: Path, board: Path | None = None, sender: str = ""):
        """Check a bundle; a folder is sealed and packed first."""
        if path.is_dir():
            bundle.seal(path)
            bundle.pack(path, path.parent / "bent.zip")
            path = path.parent / "bent.zip"
        place = board or self.root / "no-board"
        return check(path, lambda protocol: self.bench, place, sender=sender)


def refused(report, words: str) -> Outcome:
    """Return the first problem, and whether it is the one that is expected."""
    said = " ".join(report.problems) or "accepted"
    return said, not report.ok and words in said


def refuses(call: Callable[[], object], words: str) -> Outcome:
    """Return what an error says, and whether it is ours and the one that is expected."""
    try:
        return f"went through: {call()!r}", False
    except SparedBenchError as error:
        return str(error), words in str(error)


def of_attack(name: str) -> Callable[[World], Outcome]:
    """Return the trial of one of the tests' hostile bundles."""

    def run(world: World) -> Outcome:
        make, words = ATTACKS[name]
        return refused(world.check(make(world.unpacked(), world.folder())), words)

    return run


for _item, _name in [
    ("13", "results with a further dataset"),
    ("13", "results with a fold of a dataset"),
    ("19", "a description with letters that are not seen"),
    ("19", "a description with an empty Braille cell"),
    ("19", "a description with a variation selector"),
    ("19", "a description with heaps of marks"),
    ("19", "a description with a dataset absent twice"),
    ("19", "a description with an absent dataset that does not exist"),
    ("21", "a zip whose members share their bytes"),
]:
    TRIALS[f"{_item} a bundle: {_name}"] = of_attack(_name)


def entry_on(*datasets: str, mse: float, **facts) -> MethodEntry:
    """Return an entry of others with a score on each dataset."""
    results = [
        {
            "dataset": name,
            "completer": "none",
            "predictor": "theirs",
            "split_scores": {"test": {"mse": mse}},
            **facts,
        }
        for name in datasets
    ]
    head = {"method": "theirs", "version": "1", "protocol": "demo@1", "trust": "re-scored"}
    return MethodEntry.model_validate({**head, "results": results})


@trial("13 the board: an entry brings a dataset that no other row has")
def _further_dataset(world: World) -> Outcome:
    entries = [entry_on("a", mse=1.0), entry_on("a", "planted", mse=2.0)]
    entries[0] = entries[0].model_copy(update={"method": "ours"})
    trials = with_listing(entry_trials(entries), {"demo@1": ("a",)})
    (part,) = board_rows(trials).protocols
    ranks = {row.origin.method: row.rank for row in part.rows}
    return f"ranks {ranks}", ranks == {"ours": 1, "theirs": 2}


def git(folder: Path, *arguments: str) -> str:
    """Run git and return what it says."""
    identity = ["-c", "user.name=t", "-c", "user.email=t@t.invalid"]
    command = ["git", *identity, *arguments]
    return subprocess.run(
        command, cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()


def request(world: World, files: dict[str, bytes]):
    """Review a request that adds or changes files beside a sound bundle."""
    folder = world.folder()
    git(folder, "init", "--quiet", "--initial-branch=main")
    commits = []
    sound = {"submissions/toy-ridge-1.toy@1.zip": world.sound.read_bytes()}
    for content in ({"README": b"base"}, {**sound, **files}):
        for name, text in content.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text)
        git(folder, "add", "--all")
        git(folder, "commit", "--quiet", "--message", "x")
        commits.append(git(folder, "rev-parse", "HEAD"))
    git(folder, "checkout", "--quiet", commits[0])
    return review(
        folder, commits[0], commits[1], world.folder(), lambda path: (world.check(path), "")
    )


for _label, _path in {
    "the workflow": ".github/workflows/submission.yml",
    "an entry of the board": "leaderboards/toy@1/best@1/entry.json",
    "the checker": "spared_bench/submissions/check.py",
    "a tool": "tools/published_entries.py",
    "git's attributes": ".gitattributes",
}.items():

    def _edits(world: World, path: str = _path) -> Outcome:
        found = request(world, {path: b"hostile"})
        return "; ".join(found.problems) or "accepted", not found.ok and path in found.problems[0]

    TRIALS[f"16 a request with a sound bundle also edits {_label}"] = _edits


@trial("16 a request with a sound bundle alone")
def _sound_request(world: World) -> Outcome:
    found = request(world, {})
    return "accepted" if found.ok else "; ".join(found.problems), found.ok


def forged(world: World) -> Path:
    """Return an export whose scores were edited, with every hash made right again."""
    folder = world.folder()
    export(world.bench.workspace.store, folder / "sound.tar")
    with tarfile.open(folder / "sound.tar") as tar:
        tar.extractall(folder / "edited", filter="data")
    for path in (folder / "edited" / "scores").glob("*/scores.json"):
        values = json.loads(path.read_text())
        values["scores"]["test"]["mse"] = 1e-6
        path.write_text(json.dumps(values))
        manifest = json.loads(path.with_name("manifest.json").read_text())
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        manifest["files"][path.name] = {"bytes": path.stat().st_size, "sha256": digest}
        path.with_name("manifest.json").write_text(json.dumps(manifest))
    with tarfile.open(folder / "forged.tar", "w") as tar:
        for path in sorted((folder / "edited").rglob("*")):
            if path.is_file():
                tar.add(path, path.relative_to(folder / "edited"))
    return folder / "forged.tar"


@trial("17 store import: forged scores with right hashes")
def _forged(world: World) -> Outcome:
    other = world.toy_bench(world.folder())
    import_archive(other.workspace.store, forged(world))
    out = world.folder() / "site"
    build_leaderboard(other.workspace, source="store", out=out, registry=other.registry)
    text = (out / "leaderboard.csv").read_text()
    report = world.check(world.sound)
    confirms = not unreproduced(report, other.workspace.store)
    told = f"{text.count(',imported,')} rows imported, {text.count(',reproduced,')} reproduced"
    return told, ",reproduced," not in text and ",imported," in text and not confirms


@trial("17 store import: the same, exported and imported once more")
def _chain(world: World) -> Outcome:
    first, second = Store(world.folder() / "store"), Store(world.folder() / "store")
    import_archive(first, forged(world))
    export(first, world.root / "chain.tar")
    import_archive(second, world.root / "chain.tar")
    marked = [cell.final.facts.get("imported") for cell in finished_cells(second)]
    return f"{len(marked)} results, all marked: {all(marked)}", bool(marked) and all(marked)


def renamed(world: World, method: str, version: str = "1") -> Path:
    """Return the files of the sound bundle under another name."""
    folder = world.unpacked()
    text = (folder / bundle.DESCRIPTION).read_text()
    text = text.replace("method: toy-ridge", f"method: {method}")
    (folder / bundle.DESCRIPTION).write_text(text.replace("version: '1'", f"version: {version!r}"))
    return folder


@trial("18 another version of a signed name by somebody else")
def _squatter(world: World) -> Outcome:
    board = world.folder()
    key = load_key(world.folder() / "key")
    signed = build(world.bench, "toy-ridge", world.folder(), key=key).archive
    add(world.check(signed, board), board, "re-scored")
    return refused(world.check(renamed(world, "toy-ridge", "2"), board), "not signed with that key")


@trial("18 another version of a name that a repository binds, from another account")
def _other_account(world: World) -> Outcome:
    board, code = world.folder(), "https://forge.example/mine/toy"
    first = build(world.bench, "toy-ridge", world.folder(), details={"code": code}).archive
    add(world.check(first, board), board, "re-scored")
    second = build(
        world.bench, "toy-ridge", world.folder(), version="2", details={"code": code}
    ).archive
    report = world.check(second, board, sender="theirs")
    unknown = refuses(lambda: add(world.check(second, board), board, "re-scored"), "--from")
    said, held = refused(report, "under which theirs is not")
    return said, held and unknown[1] and world.check(second, board, sender="mine").ok


@trial("18 the same, spelt in another way")
def _respelt(world: World) -> Outcome:
    board = world.folder()
    add(world.check(world.sound, board), board, "re-scored")
    return refused(world.check(renamed(world, "toy_ridge", "2"), board), "belongs to whoever")


@trial("18 a copy of the workspace's own run")
def _copy(world: World) -> Outcome:
    report = world.check(renamed(world, "mine"))
    told = [flag.reason for flag in report.flags if flag.kind == "copy"]
    return "; ".join(told) or "no flag", any("the run of toy-ridge here" in each for each in told)


@trial("18 a hundred predictors in one bundle")
def _hundred(world: World) -> Outcome:
    folder = world.unpacked()
    values = json.loads((folder / bundle.CLAIM).read_text())
    (first,) = values["results"]
    prediction = (folder / "predictions/toy/none/toy-ridge/0.npz").read_bytes()
    for number in range(100):
        values["results"].append({**first, "predictor": f"try{number}"})
        path = folder / f"predictions/toy/none/try{number}/0.npz"
        path.parent.mkdir()
        path.write_bytes(prediction)
    (folder / bundle.CLAIM).write_text(json.dumps(values))
    return refused(world.check(folder), "The bundle has 101 predictors")


@trial("19 a name with letters that nobody sees")
def _invisible(world: World) -> Outcome:
    shown = visible("a\u3164b\u2800c\ufe0fd" + "\u0301" * 40)
    return ascii(shown), not {"\u3164", "\u2800", "\ufe0f"} & set(shown) and len(shown) < 80


@trial("19 parameters, times and weights of an entry")
def _claimed(world: World) -> Outcome:
    entry = entry_on("a", mse=1.0, n_parameters=7, train_seconds=1.0)
    (part,) = board_rows(entry_trials([entry])).protocols
    costs = [column for column in COLUMNS if column.key in ("n_parameters", "fit_seconds")]
    shown = [column.read(Place(part, part.rows[0])) for column in costs]
    return ", ".join(shown), all("(claimed)" in each for each in shown)


@trial("19 a number of parameters beyond every network")
def _parameters(world: World) -> Outcome:
    try:
        entry_on("a", mse=1.0, n_parameters=10**14)
    except ValueError as error:
        return str(error).splitlines()[2].strip(), True
    return "accepted", False


@trial("21 a zip of 3 kB whose 200 members are the same 1 MB")
def _overlap(world: World) -> Outcome:
    from tests.sources.test_archives import all_in_one_place

    archive = all_in_one_place(world.folder() / "x.zip")
    return refuses(lambda: unpack(archive, world.folder() / "out"), "shares its bytes")


@trial("22 one damaged prediction among the maps")
def _damaged_map(world: World) -> Outcome:
    bench = world.toy_bench(world.folder())
    execute(select(bench, predictors=["toy-ridge", "toy-mean"]), executor="inline")
    cell = next(iter(finished_cells(bench.workspace.store)))
    path = cell.folder / "predictions.npz"
    path.write_bytes(bytes(path.stat().st_size))
    out = world.folder() / "site"
    build_leaderboard(bench.workspace, source="store", out=out, registry=bench.registry)
    data = folder_of(out, "data")
    text = (data / "index.js").read_text()
    files = (data / "p0").glob("map-*.js")  # of a map, one that says what there is, and its values
    drawn = len({path.stem.partition("-s")[0] for path in files})
    named = f"The predictions of {cell.final.predictor} on toy" in text
    return f"the site is there, {drawn} map drawn, the other named: {named}", drawn == 1 and named


@trial("22 a method's save writes over the predictions of its entry")
def _save(world: World) -> Outcome:
    entry = world.folder() / "entry"
    entry.mkdir()
    (entry / "predictions.npz").write_bytes(b"sound")

    def save(folder: Path) -> None:
        (folder.parent / "predictions.npz").write_bytes(b"better")

    method = SimpleNamespace(save=save)
    told = refuses(lambda: save_apart(method, entry / "model"), "outside of the folder")
    return told[0], told[1] and (entry / "predictions.npz").read_bytes() == b"sound"


class Quiet:
    """A meter that says nothing."""

    def begin(self, done: int, total: int) -> None:
        """Say nothing."""

    def advance(self, number: int) -> None:
        """Say nothing."""


def fetched(world: World, mood: str, size: int = 0, note: str = "", **policy) -> Outcome:
    """Fetch 100 kB from a server of some mood."""
    content = np.random.default_rng(0).bytes(100_000)
    target = world.folder() / "file.bin"
    with serving() as server:
        url = server.serve("/a", content, mood)
        if note:
            part = target.with_name(f".{target.name}.part")
            part.write_bytes(content[:10])
            part.with_name(f"{part.name}.json").write_text(note.replace("URL", url))
        patience = Policy(2, 0.001, 5, **policy)
        try:
            download([url], target, Expected(size=size), Quiet(), patience)
        except SparedBenchError as error:
            return str(error), False
        return f"{target.stat().st_size:,} bytes came", target.read_bytes() == content


for _mood in ("endless", "bomb"):

    def _never_ends(world: World, mood: str = _mood) -> Outcome:
        told, _ = fetched(world, mood, size=100_000)
        return told, "sends more than the 100,000 bytes" in told

    TRIALS[f"23 a download: the server never ends ({_mood})"] = _never_ends


@trial("23 a download: a byte at a time")
def _crawl(world: World) -> Outcome:
    told, _ = fetched(world, "crawl", slowest_bytes_s=10_000, slow_s=0.2)
    return told, "is given up" in told


@trial("23 a download: headers that never end")
def _headers(world: World) -> Outcome:
    told, _ = fetched(world, "trickle headers", headers_s=0.5)
    return told, "has not said anything whole" in told


@trial("23 a download: a note with nonsense")
def _note(world: World) -> Outcome:
    return fetched(world, "", note='{"url": "URL", "validator": "\\"x\\"", "total": "abc"}')


@trial("23 a download: a Content-Length that is no number")
def _length(world: World) -> Outcome:
    return fetched(world, "length abc")


@trial("26b a killed import: its staging")
def _killed(world: World) -> Outcome:
    store, archive = Store(world.folder() / "store"), world.root / "killed.tar"
    export(world.bench.workspace.store, archive)
    program = (
        "import os, sys; from pathlib import Path; from spared_bench.store import archives;"
        "from spared_bench.store.entries import Store;"
        "archives._adopt = lambda *_: os.kill(os.getpid(), 9);"
        "archives.import_archive(Store(Path(sys.argv[1])), Path(sys.argv[2]))"
    )
    command = [sys.executable, "-c", program, str(store.root), str(archive)]
    subprocess.run(command, cwd=ROOT, check=False)
    left = len(list((store.root / "tmp").iterdir()))
    import_archive(store, archive)
    now = len(list((store.root / "tmp").iterdir()))
    return f"{left} folder left by the kill, {now} after the next import", (left, now) == (1, 0)


@trial("27 store verify: 5,000 entries, one damaged")
def _verify(world: World) -> Outcome:
    store = Store(world.folder() / "store")
    for number in range(5_000):
        inputs = {"n": number}
        key = digest(inputs)
        folder = store.folder("trials", key)
        folder.mkdir(parents=True)
        content = str(number).encode()
        (folder / "value").write_bytes(content if number != 7 else b"x")
        digest_of = hashlib.sha256(content).hexdigest()
        files = {"value": {"bytes": len(content), "sha256": digest_of}}
        manifest = {"kind": "trials", "inputs": inputs, "files": files}
        (folder / "manifest.json").write_text(json.dumps(manifest))
    begun = time.perf_counter()
    found = verify(store)
    seconds = time.perf_counter() - begun
    sampled = verify(store, sample=0.1).checked
    told = f"{found.checked} checked in {seconds:.1f} s, {len(found.damaged)} damaged"
    told += f"; {sampled} in a sample of a tenth"
    return told, (found.checked, len(found.damaged), sampled) == (5_000, 1, 500)


#: What needs runs, kills and waiting: the tests that do it.
TESTED = {
    "14 methods and metrics of others beside our own": ["executors/test_hostile.py"],
    "15 methods that look for the answers, shut in": ["executors/test_strict.py"],
    "20 MLflow's database: kills, odd paths, values out of range": ["tracking/test_tracker.py"],
    "24 a suspended run, and nonsense in leases": [
        "running/test_sharing.py::test_a_suspended_run_is_named_and_its_work_taken_over_and_it"
        "_spoils_nothing_when_it_goes_on",
        "store/test_leases.py",
    ],
    "25 YAML that crashes the parser": ["test_strict.py"],
    "26 imports that end or hold up, output, tables in another order": [
        "test_registry.py",
        "test_contracts.py",
        "leaderboard/test_site.py",
    ],
}


def of_tests(names: list[str]) -> Callable[[World], Outcome]:
    """Return the trial of some tests."""

    def run(world: World) -> Outcome:
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
        paths = [str(ROOT / "tests" / name) for name in names]
        done = subprocess.run(
            [*command, *paths], cwd=ROOT, capture_output=True, text=True, check=False
        )
        return (done.stdout.strip().splitlines() or [done.stderr])[-1], done.returncode == 0

    return run


for _label, _names in TESTED.items():
    TRIALS[f"{_label} (tests)"] = of_tests(_names)


def lines(world: World) -> Iterator[tuple[str, str, bool]]:
    """Yield attack, outcome, and whether it held."""
    for name, run in TRIALS.items():
        if " ".join(sys.argv[1:]) not in name:
            continue
        try:
            told, held = run(world)
        except Exception as error:  # an attack that meets a traceback was not met
            told, held = f"{type(error).__name__}: {error}", False
        yield name, " ".join(visible(told, 160).split()), held


def main() -> None:
    """Print one line for each attack."""
    held_all = True
    with tempfile.TemporaryDirectory() as scratch:
        for name, told, held in lines(World(Path(scratch))):
            print(f"{'held' if held else 'NOT HELD':<8} | {name} | {told}", flush=True)
            held_all = held_all and held
    raise SystemExit(0 if held_all else 1)


if __name__ == "__main__":
    main()
