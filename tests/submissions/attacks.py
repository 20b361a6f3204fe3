"""Hostile bundles: by name, how each is made from the folder of a sound one, and what refuses it.

Used by the tests, and by ``benchmarks/attacks.py``, which measures time and memory of refusing.
"""

from __future__ import annotations

import json
import os
import pickle
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from spared_bench.submissions import bundle

PREDICTION = "predictions/toy/none/toy-ridge/0.npz"
Attack = Callable[[Path, Path], Path]

ATTACKS: dict[str, tuple[Attack, str]] = {}


def attack(name: str, refusal: str):
    """Register a function ``(folder, out) -> path`` with what the refusal must say."""

    def register(make: Attack) -> Attack:
        ATTACKS[name] = (make, refusal)
        return make

    return register


class Payload:
    """Runs a command when it is unpickled."""

    def __init__(self, sign: Path) -> None:
        self.sign = sign

    def __reduce__(self):
        return os.system, (f"touch {self.sign}",)


def with_member(folder: Path, out: Path, name: str, content: bytes = b"x", **facts) -> Path:
    """Pack a sound bundle with one more member of any name."""
    bundle.seal(folder)
    path = out / "hostile.zip"
    bundle.pack(folder, path)
    info = zipfile.ZipInfo(name)
    info.external_attr = facts.get("mode", 0) << 16
    with zipfile.ZipFile(path, "a") as packed:
        packed.writestr(info, content, facts.get("compression", zipfile.ZIP_STORED))
    return path


def packed(folder: Path, out: Path) -> Path:
    """Seal and pack a folder that was changed."""
    bundle.seal(folder)
    bundle.pack(folder, out / "hostile.zip")
    return out / "hostile.zip"


for _label, _name in {
    "a parent path": "../evil",
    "a hidden parent path": "ids/../../evil",
    "an absolute path": "/tmp/evil",
    "a Windows path": "C:\\evil",
    "a backslash parent path": "..\\evil",
    "a name with HTML": "<script>alert(1)</script>",
    "a name with control characters": "ids/\x1b[2J.spots.txt",
    "a name with a right-to-left mark": "ids/\u202etxt.spots",
    "a name of 10,000 characters": "n" * 10_000,
    "a pickle": "model.pkl",
    "a pickle by another name": "predictions/toy/none/toy-ridge/0.npy",
    "a module": "conftest.py",
    "a file in another case": "Results.json",
}.items():
    ATTACKS[f"a zip with {_label}"] = (
        lambda folder, out, name=_name: with_member(folder, out, name),
        "is no file of a bundle",
    )

for _label, _mode in {
    "a symbolic link": 0o120777,
    "a device": 0o020666,
    "a pipe": 0o010666,
}.items():
    ATTACKS[f"a zip with {_label}"] = (
        lambda folder, out, mode=_mode: with_member(
            folder, out, "ids/x.spots.txt", b"/etc/passwd", mode=mode
        ),
        "is a link, a device, a folder or encrypted",
    )

for _label, _kind in {
    "a plain file": tarfile.REGTYPE,
    "a symbolic link": tarfile.SYMTYPE,
    "a hard link": tarfile.LNKTYPE,
    "a device": tarfile.CHRTYPE,
    "a pipe": tarfile.FIFOTYPE,
}.items():

    def _tar(folder: Path, out: Path, kind: bytes = _kind) -> Path:
        with tarfile.open(out / "hostile.tar.gz", "w:gz") as archive:
            info = tarfile.TarInfo("../../evil")
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
        return out / "hostile.tar.gz"

    ATTACKS[f"a tar with {_label}"] = (_tar, "it is no zip archive")


@attack("a tar with a million members", "it is no zip archive")
def _many_in_a_tar(folder: Path, out: Path) -> Path:
    header = tarfile.TarInfo("x").tobuf()
    with (out / "hostile.tar").open("wb") as file:
        for _ in range(100):
            file.write(header * 10_000)
    return out / "hostile.tar"


@attack("a zip with a million members", "unpacks to more data than is allowed")
def _many_in_a_zip(folder: Path, out: Path) -> Path:
    return million_members(out / "hostile.zip")


@attack("a prediction with a million members", "must hold codes.npy, offset.npy and step.npy alone")
def _many_in_a_prediction(folder: Path, out: Path) -> Path:
    million_members(folder / PREDICTION)
    return packed(folder, out)


def million_members(path: Path) -> Path:
    """Write the list of a million empty members by hand."""
    count = 1_000_000
    entry = struct.pack("<4s6H3I5H2I", b"PK\1\2", 20, 20, *[0] * 7, 1, *[0] * 6) + b"x"
    size = count * len(entry)
    end64 = struct.pack("<4sQ2H2I4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, size, 0)
    locator = struct.pack("<4sIQI", b"PK\6\7", 0, size, 1)
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 65_535, 65_535, 2**32 - 1, 2**32 - 1, 0)
    with path.open("wb") as file:
        for _ in range(100):
            file.write(entry * (count // 100))
        file.write(end64 + locator + end)
    return path


@attack("a bomb in the name of a text", "at most 4000000 are read")
def _bomb(folder: Path, out: Path) -> Path:
    (folder / "results.json").unlink()
    path = packed(folder, out)
    with (
        zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive,
        archive.open("results.json", "w", force_zip64=True) as member,
    ):
        for _ in range(1_000):
            member.write(bytes(2**20))
    return path


@attack("a bomb that lies about its size", "cannot be unpacked")
def _lying_bomb(folder: Path, out: Path) -> Path:
    """A member of 500 MB whose two headers say 1,000 bytes."""
    path = out / "lying.zip"
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("results.json", "w") as member,
    ):
        for _ in range(500):
            member.write(bytes(2**20))
    content = path.read_bytes().replace(struct.pack("<I", 500 * 2**20), struct.pack("<I", 1_000))
    path.write_bytes(content)
    return path


@attack("a prediction that is a bomb", "codes.npy has 536871936 bytes, expected 588")
def _prediction_bomb(folder: Path, out: Path) -> Path:
    """Arrays that unpack to 512 MiB of zeros, where 588 bytes are expected."""
    with zipfile.ZipFile(folder / PREDICTION, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("offset.npy", "step.npy"):
            archive.writestr(name, b"x")
        with archive.open("codes.npy", "w", force_zip64=True) as member:
            member.write(bytes(1_024))
            for _ in range(512):
                member.write(bytes(2**20))
    return packed(folder, out)


@attack("a prediction compressed in the archive", "is compressed in another way")
def _compressed_prediction(folder: Path, out: Path) -> Path:
    name = "predictions/toy/none/toy-ridge/1.npz"
    return with_member(folder, out, name, bytes(2**20), compression=zipfile.ZIP_DEFLATED)


@attack("a member that stands twice", "stands twice in the archive")
def _twice(folder: Path, out: Path) -> Path:
    return with_member(folder, out, "results.json", b"{}")


@attack("a zip whose members share their bytes", "shares its bytes with")
def _overlapping(folder: Path, out: Path) -> Path:
    """Two hundred texts of 3 MB, all of them the same 3 kB of the archive."""
    path = out / "hostile.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("ids/x0.spots.txt", bytes(3_000_000))
    content = path.read_bytes()
    start, end = content.index(b"PK\1\2"), content.index(b"PK\5\6")
    entries = b"".join(
        content[start:end].replace(b"ids/x0.", b"ids/%c%d." % (97 + number // 10, number % 10))
        for number in range(200)
    )
    ending = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 200, 200, len(entries), start, 0)
    path.write_bytes(content[:start] + entries + ending)
    return path


@attack("a pointer of Git LFS", "it is a pointer of Git LFS, and what it points to was not")
def _pointer(folder: Path, out: Path) -> Path:
    name = f"oid sha256:{'a' * 64}\nsize 12345\n"
    path = out / "pointer.zip"
    path.write_text(f"version https://git-lfs.github.com/spec/v1\n{name}")
    return path


@attack("a damaged archive", "refused")
def _damaged(folder: Path, out: Path) -> Path:
    path = packed(folder, out)
    content = bytearray(path.read_bytes())
    content[100:400] = bytes(300)
    path.write_bytes(content)
    return path


@attack("an archive of a later version", "zip file version 12.7")
def _later_version(folder: Path, out: Path) -> Path:
    path = packed(folder, out)
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        content[archive.start_dir + 6] = 127
    path.write_bytes(content)
    return path


@attack("an archive of two disks", "span multiple disks")
def _two_disks(folder: Path, out: Path) -> Path:
    path = packed(folder, out)
    content = path.read_bytes()
    end = content.rindex(b"PK\5\6")
    locator = struct.pack("<4sIQI", b"PK\6\7", 0, 0, 2)
    path.write_bytes(content[:end] + locator + content[end:])
    return path


@attack("a pickle in place of a prediction", "is refused")
def _pickled_prediction(folder: Path, out: Path) -> Path:
    (folder / PREDICTION).write_bytes(pickle.dumps(Payload(out / "executed")))
    return packed(folder, out)


@attack("an npz with an array of objects", "an array of it cannot be read")
def _objects(folder: Path, out: Path) -> Path:
    arrays = dict(np.load(folder / PREDICTION))
    objects = np.array([Payload(out / "executed")] * arrays["offset"].size, dtype=object)
    np.savez(folder / PREDICTION, **(arrays | {"offset": objects}))
    return packed(folder, out)


def _npy_with_header(header: str) -> bytes:
    text = header.encode().ljust(118) + b"\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text


for _label, _header in {
    "code in its header": "{'descr': __import__('os').system('touch executed'), 'shape': (6,)}",
    "a huge shape": "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999,), }",
    "an object type": "{'descr': '|O', 'fortran_order': False, 'shape': (6,), }",
    "brackets without end": "(" * 100,
}.items():

    def _header_attack(folder: Path, out: Path, header: str = _header) -> Path:
        with zipfile.ZipFile(folder / PREDICTION) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        members["offset.npy"] = _npy_with_header(header) + bytes(24)
        with zipfile.ZipFile(folder / PREDICTION, "w") as archive:
            for name, content in members.items():
                archive.writestr(name, content)
        return packed(folder, out)

    ATTACKS[f"an array with {_label}"] = (_header_attack, "an array of it cannot be read")


def _changed_yaml(text: str) -> Attack:
    def make(folder: Path, out: Path) -> Path:
        (folder / "submission.yaml").write_text(text, encoding="utf-8")
        return packed(folder, out)

    return make


_HEAD = 'method: toy-ridge\nversion: "1"\nprotocol: toy@1\n'
_ANCHORS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
for _label, _text, _refusal in [
    ("tags", _HEAD + "title: !!python/object/apply:os.system ['touch executed']\n", "YAML"),
    ("anchors that explode", _ANCHORS + _HEAD, "aliases (*name) are not allowed"),
    ("anchors that contain themselves", "a: &a [*a]\n" + _HEAD, "aliases"),
    ("a string of 100 MB", _HEAD + f"title: {'x' * 10**8}\n", "at most 20000 are read"),
    ("ten thousand brackets", _HEAD + "title: " + "[" * 10_000, "YAML"),
    ("two thousand keys", _HEAD + "".join(f"k{i}: 1\n" for i in range(2_000)), "is not known here"),
    ("a number of 5,000 digits", _HEAD + "title: " + "9" * 5_000, "not valid YAML"),
    ("a key twice", _HEAD + "method: other\n", "stands twice"),
    ("an impossible date", _HEAD + "title: 2024-99-99", "not valid YAML"),
    ("a list for a mapping", "- 1\n", "must be a YAML mapping"),
    ("a script", _HEAD + "title: <script>alert(1)</script>\n", "title: holds markup"),
    ("control characters", _HEAD + 'title: "a\\eb"\n', "characters that cannot be seen"),
    ("a right-to-left mark", _HEAD + 'title: "a\\u202eb"\n', "characters that cannot be seen"),
    ("a line end", _HEAD + 'title: "a\\nb"\n', "holds line ends"),
    ("a title of 10,000 characters", _HEAD + f"title: {'x' * 10_000}\n", "at most 300"),
    ("a script for an address", _HEAD + "code: javascript:alert(1)\n", "code: "),
    (
        "a path for a method",
        _HEAD.replace("toy-ridge", "../x"),
        "method: expected text of the form",
    ),
    (
        "a version that ends with a dot",
        _HEAD.replace('"1"', '"1."'),
        "version: expected text of the form",
    ),
    (
        "a path for a protocol",
        _HEAD.replace("toy@1", "../x@1"),
        "protocol: expected text of the form",
    ),
    ("letters that are not seen", _HEAD + 'title: "a\\u3164b"\n', "characters that cannot be seen"),
    ("an empty Braille cell", _HEAD + 'title: "\\u2800"\n', "characters that cannot be seen"),
    ("a variation selector", _HEAD + 'title: "a\\ufe0fb"\n', "characters that cannot be seen"),
    (
        "heaps of marks",
        _HEAD + 'title: "a' + "\u0301" * 40 + '"\n',
        "characters that cannot be seen",
    ),
    ("spaces alone", _HEAD + 'title: "   "\n', "title: holds nothing but spaces"),
    (
        "a dataset absent twice",
        _HEAD + "absent: [{dataset: toy, reason: big}, {dataset: toy, reason: slow}]\n",
        "toy is declared absent twice",
    ),
    (
        "an absent dataset that does not exist",
        _HEAD + "absent: [{dataset: brain-of-all, reason: too large}]\n",
        "brain-of-all is declared absent, and is no dataset of toy@1",
    ),
    ("an unknown protocol", _HEAD.replace("toy@1", "other@1"), "names protocol other@1"),
]:
    ATTACKS[f"a description with {_label}"] = (_changed_yaml(_text), _refusal)


def _changed_results(change: Callable[[dict], object]) -> Attack:
    def make(folder: Path, out: Path) -> Path:
        values = json.loads((folder / "results.json").read_text())
        text = change(values)
        text = text if isinstance(text, str) else json.dumps(values)
        (folder / "results.json").write_text(text)
        return packed(folder, out)

    return make


def _set_score(value):
    def change(values: dict) -> str:
        values["results"][0]["split_scores"]["test"]["mse"] = "SCORE"
        return json.dumps(values).replace('"SCORE"', value)

    return change


def _better(amount: float):
    def change(values: dict) -> None:
        scores = values["results"][0]["split_scores"]["test"]
        scores["mse"] -= amount
        scores["pcc-gene"] += amount

    return change


def _other_hash(values: dict) -> None:
    values["datasets"]["toy"]["hash"] = "0" * 64


def _other_dataset(values: dict) -> None:
    values["datasets"]["planted"] = values["datasets"].pop("toy")
    values["results"][0]["dataset"] = "planted"


def _further(values: dict, name: str) -> None:
    values["datasets"][name] = values["datasets"]["toy"]
    values["results"].append({**values["results"][0], "dataset": name})


def _further_dataset(values: dict) -> None:
    _further(values, "planted")


def _further_fold(values: dict) -> None:
    _further(values, "toy.lodo-1")


def _no_score(values: dict) -> None:
    values["results"][0]["split_scores"]["test"]["mse"] = None


def _no_hash(values: dict) -> None:
    del values["protocol_hash"]


def _no_metric(values: dict) -> None:
    del values["results"][0]["split_scores"]["test"]["mse"]


for _label, _change, _refusal in [
    ("nan", _set_score("NaN"), "NaN is no number of JSON"),
    ("infinity", _set_score("Infinity"), "Infinity is no number of JSON"),
    ("1e308", _set_score("1e308"), "results.0.split_scores.test.mse"),
    ("1e999", _set_score("1e999"), "results.0.split_scores.test.mse"),
    ("a number of 5,000 digits", _set_score("9" * 5_000), "not valid"),
    ("a metric better by 1e-3", _better(1e-3), "the scores are not those of the predictions: mse"),
    ("a metric better by 1e9", _better(1e8), "A score is claimed that cannot be: "),
    ("no metric", _no_metric, "mse is not claimed"),
    ("an undefined metric", _no_score, "mse is claimed as undefined"),
    ("another dataset's hash", _other_hash, "the submission was made on other data"),
    ("another dataset's name", _other_dataset, "planted has results, and is no dataset of toy@1"),
    ("a further dataset", _further_dataset, "planted has results, and is no dataset of toy@1"),
    ("a fold of a dataset", _further_fold, "toy.lodo-1 has results, and is no dataset of toy@1"),
    ("brackets", lambda values: "[" * 1_000_000, "not valid JSON"),
    ("a key twice", lambda values: '{"format": 1, "format": 1}', "stands twice"),
    ("no protocol hash", _no_hash, "protocol_hash"),
    ("another protocol hash", lambda values: values.update(protocol_hash="0" * 64), "differ from"),
    ("a path for a dataset", lambda values: values["results"][0].update(dataset="../x"), "dataset"),
    ("no results", lambda values: values.update(results=[]), "at least 1 in it"),
    ("a result twice", lambda values: values["results"].append(values["results"][0]), "twice"),
    ("another seed", lambda values: values["results"][0].update(seed=7), "results are missing"),
]:
    ATTACKS[f"results with {_label}"] = (_changed_results(_change), _refusal)


def _changed_ids(change: Callable[[list[str]], list[str]], kind: str = "spots") -> Attack:
    def make(folder: Path, out: Path) -> Path:
        path = folder / "ids" / f"toy.{kind}.txt"
        path.write_text("\n".join(change(path.read_text().split("\n"))))
        return packed(folder, out)

    return make


for _label, _change_ids, _refusal in [
    ("permuted", lambda ids: [ids[1], ids[0], *ids[2:]], "they are permuted: row 0 is"),
    ("duplicated", lambda ids: [ids[0], ids[0], *ids[2:]], "1 stand twice"),
    ("missing", lambda ids: ids[1:], "1 are missing"),
    ("unknown", lambda ids: ["\x1b[2J<b>", *ids[1:]], "1 are unknown here"),
    ("of 8 MB", lambda ids: ["x" * 9_000_000], "at most 8000000 are read"),
]:
    for _kind_of_ids in ("spots", "genes"):
        ATTACKS[f"{_kind_of_ids} {_label}"] = (
            _changed_ids(_change_ids, _kind_of_ids),
            _refusal,
        )


@attack("a prediction of another shape", "codes.npy is not <u2 (49, 6)")
def _other_shape(folder: Path, out: Path) -> Path:
    arrays = dict(np.load(folder / PREDICTION))
    arrays["codes"] = arrays["codes"].reshape(6, 49)
    np.savez(folder / PREDICTION, **arrays)
    return packed(folder, out)


for _label, _offset in {"nan": np.nan, "infinity": np.inf, "1e38": 1e38}.items():

    def _bad_offset(folder: Path, out: Path, value: float = _offset) -> Path:
        arrays = dict(np.load(folder / PREDICTION))
        arrays["offset"][2] = value
        np.savez(folder / PREDICTION, **arrays)
        return packed(folder, out)

    ATTACKS[f"a prediction with an offset of {_label}"] = (_bad_offset, "0.npz is refused")


@attack("a prediction that is not that of the manifest", "is not the file that manifest.json")
def _swapped(folder: Path, out: Path) -> Path:
    bundle.seal(folder)
    arrays = dict(np.load(folder / PREDICTION))
    arrays["offset"] += 1
    np.savez_compressed(folder / PREDICTION, **arrays)
    bundle.pack(folder, out / "hostile.zip")
    return out / "hostile.zip"


@attack("a prediction that no result tells of", "belongs to no result")
def _stowaway(folder: Path, out: Path) -> Path:
    content = (folder / PREDICTION).read_bytes()
    (folder / PREDICTION.replace("/0.npz", "/5.npz")).write_bytes(content)
    return packed(folder, out)


@attack("a manifest that leads outside", "is in manifest.json and not in the bundle")
def _outside(folder: Path, out: Path) -> Path:
    bundle.seal(folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"]["../../../../etc/passwd"] = {"bytes": 1, "sha256": "0" * 64}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    bundle.pack(folder, out / "hostile.zip")
    return out / "hostile.zip"
