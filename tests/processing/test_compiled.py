"""Functions that numba compiles: where their code is kept, and who may see them when."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from threading import RLock, Thread, current_thread

import numba
import pytest

import spared_bench
from spared_bench.processing import compiled as compiling
from spared_bench.processing.compiled import compiled
from spared_bench.processing.kept_code import room_for_others

CALL = """
import numpy as np
from scipy.sparse import csr_matrix
from spared_bench.processing.median import median_filter
values = np.array([[0.0], [2.0]])
print(median_filter(values, values == 0, csr_matrix(1 - np.eye(2)))[0, 0])
"""


#: A function of our own kind that takes a tenth of the time to compile.
HALF = """
from spared_bench.processing.compiled import compiled


@compiled()
def half(number):
    return number / 2
"""
CALL_HALF = """
import sys
sys.path.insert(0, {folder!r})
from halves import half
print(half(2))
"""


def compiled_files(folder):
    return set(Path(folder).rglob("*.nb[ic]"))


ROOM = """
from spared_bench.processing.kept_code import room_for_others
room_for_others()
"""


def filtered(code=CALL, **variables):
    kept = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, env=kept | variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return float(done.stdout)


def test_compiled_code_is_kept_for_the_user_and_never_inside_the_package(tmp_path):
    before = compiled_files(Path(spared_bench.__file__).parent)
    assert filtered(XDG_CACHE_HOME=str(tmp_path)) == 1.0
    assert compiled_files(Path(spared_bench.__file__).parent) == before
    assert compiled_files(tmp_path / "spared-bench" / "numba")


def test_a_folder_for_compiled_code_that_the_user_names_is_heeded(tmp_path):
    filtered(XDG_CACHE_HOME=str(tmp_path / "cache"), NUMBA_CACHE_DIR=str(tmp_path / "named"))
    assert compiled_files(tmp_path / "named")
    assert not (tmp_path / "cache").exists()


def test_without_a_folder_that_can_be_written_functions_work_all_the_same(tmp_path):
    (tmp_path / "file").touch()
    place = str(tmp_path / "file")
    before = compiled_files(Path(spared_bench.__file__).parent)
    assert filtered(XDG_CACHE_HOME=place, HOME=place) == 1.0
    assert compiled_files(Path(spared_bench.__file__).parent) == before


OTHERS = """
import sys
sys.path.insert(0, {folder!r})
{first}
import numpy as np
from spared_bench.executors.isolation import clean_slate
with clean_slate(1):
    import others
print(others.doubled(2))
"""


@pytest.mark.parametrize("first", ["", "import numba"])
@pytest.mark.parametrize("left", ["nothing", "a link", "a folder for all"])
def test_without_a_home_folder_other_packages_may_compile_all_the_same(tmp_path, first, left):
    """Where numba may not write beside their source either, it raises when they are imported."""
    package, temporary = tmp_path / "package", tmp_path / "temporary"
    for folder in (package, temporary, tmp_path / "elsewhere"):
        folder.mkdir()
    text = "import numba\n\n\n@numba.njit(cache=True)\ndef doubled(x):\n    return 2 * x\n"
    (package / "others.py").write_text(text)
    (package / "__pycache__").touch()
    place = temporary / f"spared-bench-numba-{os.getuid()}"
    if left == "a link":
        place.symlink_to(tmp_path / "elsewhere")
    elif left == "a folder for all":
        place.mkdir()
        place.chmod(0o777)
    code = OTHERS.format(folder=str(package), first=first)
    nowhere = str(package / "others.py")
    kept = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}
    env = kept | {"HOME": nowhere, "XDG_CACHE_HOME": nowhere, "TMPDIR": str(temporary)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "4\n"
    assert bool(compiled_files(place)) is (left == "nothing")
    assert compiled_files(temporary)


def cut(path):
    os.truncate(path, path.stat().st_size // 2)


@pytest.mark.parametrize(
    "damage",
    [lambda path: path.write_bytes(b""), cut, lambda path: path.write_bytes(bytes(900))],
    ids=["empty", "cut", "zeros"],
)
@pytest.mark.parametrize("variable", ["XDG_CACHE_HOME", "NUMBA_CACHE_DIR"])
def test_compiled_code_that_is_damaged_is_compiled_again(tmp_path, damage, variable):
    """As a machine that loses power leaves it: numba writes and renames, and waits for no disk."""
    (tmp_path / "halves.py").write_text(HALF)
    call = CALL_HALF.format(folder=str(tmp_path))
    kept = {variable: str(tmp_path)}
    assert filtered(call, **kept) == 1.0
    sound = {path.name: path.stat().st_size for path in compiled_files(tmp_path)}
    assert len(sound) == 2, "an index and the code of one function"
    for path in compiled_files(tmp_path):
        damage(path)
    assert filtered(ROOM + call, **kept) == 1.0
    assert {path.name: path.stat().st_size for path in compiled_files(tmp_path)} == sound
    begun = {path: path.stat().st_mtime_ns for path in compiled_files(tmp_path)}
    assert filtered(ROOM + call, **kept) == 1.0
    assert {path: path.stat().st_mtime_ns for path in compiled_files(tmp_path)} == begun


def test_where_the_home_folder_is_full_compiled_code_is_kept_among_temporary_files(
    tmp_path, monkeypatch
):
    def full(dir, **_):
        raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NUMBA_CACHE_DIR", "")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("tempfile.TemporaryFile", full)
    monkeypatch.setattr(numba.config, "CACHE_DIR", "")
    room_for_others()
    assert os.environ["NUMBA_CACHE_DIR"] == numba.config.CACHE_DIR
    assert Path(numba.config.CACHE_DIR).parent == tmp_path


def test_numba_is_not_imported_before_it_is_needed():
    modules = "spared_bench.api, spared_bench.processing.views, spared_bench.processing.median"
    code = f"import sys, {modules}; print('numba' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_functions_that_call_each_other_are_compiled_by_whichever_thread_comes_first(tmp_path):
    code = """
from concurrent.futures import ThreadPoolExecutor
from functools import partial
import numpy as np
from PIL import Image
from spared_bench.processing.bilinear import bilinear
window = np.arange(40 * 40 * 3, dtype=np.uint8).reshape(40, 40, 3)
known = np.asarray(Image.fromarray(window).resize((17, 17), Image.Resampling.BILINEAR))
with ThreadPoolExecutor(8) as threads:
    made = list(threads.map(lambda _: bilinear(window, 17), range(16)))
print(all((each == known).all() for each in made))
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == "True", done.stderr


@compiled(inline="always")
def _twice(value):
    return 2 * value


@compiled()
def _twice_and_one(value):
    return _twice(value) + 1


class AnnouncedLock:
    """A lock that tells who comes to it."""

    def __init__(self):
        self.lock, self.came = RLock(), set()

    def __enter__(self):
        self.came.add(current_thread())
        self.lock.acquire()

    def __exit__(self, *_):
        self.lock.release()


def test_no_thread_sees_a_function_before_all_that_it_calls(monkeypatch, tmp_path):
    """Another thread comes in whenever one of the functions has been made, and has to wait."""
    names, make, making = globals(), compiling._compile, AnnouncedLock()
    answers, threads = [], []

    def make_while_another_comes(*arguments):
        made = make(*arguments)
        threads.append(Thread(target=lambda: answers.append(names["_twice_and_one"](3))))
        threads[-1].start()
        while threads[-1].is_alive() and threads[-1] not in making.came:
            threads[-1].join(0.01)
        return made

    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))  # nothing is compiled yet
    monkeypatch.setattr(compiling._Compiled, "_making", making)
    monkeypatch.setattr(compiling, "_compile", make_while_another_comes)
    answers.append(names["_twice_and_one"](3))
    for thread in threads:
        thread.join()
    assert answers == [7, 7, 7]
