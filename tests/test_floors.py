"""Each floor of the house imports only what stands below it; the table here is the map.

Imports inside functions count; those for type checkers alone (``if TYPE_CHECKING``) do not.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

#: From the ground up. Rooms of one floor stand in the order in which they may use each other.
FLOORS = (
    (
        "ground",
        "pretty errors whereabouts annotations bounds prediction results specs statistics files"
        " threads memory geometry guard words wrong_values encoded yaml_slips strict validated"
        " apart fresh interpreter sandbox beside shipped unseen harmless tars ordinary removal"
        " lasting",
    ),
    ("keys", "keys"),
    ("store", "store"),
    ("contracts", "data interfaces contracts hookspecs protocol parameters workspace"),
    ("numbers", "processing metrics registration"),
    ("material", "readers models sources registry told"),
    ("bench", "bench"),
    ("planning", "planning"),
    ("trials", "trials"),
    ("work", "reports inference scverse executors completion running"),
    ("results", "tracking leaderboard"),
    ("facade", "api"),
    ("studies", "studies"),
    ("strangers", "submissions brought testing scaffold"),
    ("command", "cli"),
)
ORDER = {room: at for at, room in enumerate(" ".join(rooms for _, rooms in FLOORS).split())}
PLUGINS = ORDER["scaffold"]  # they stand beside the strangers


def modules(folder: str, package: str) -> Iterator[tuple[str, Path]]:
    """Yield every module below a folder of the repository, by its dotted name."""
    for path in sorted((ROOT / folder).rglob("*.py")):
        parts = path.relative_to(ROOT / folder).with_suffix("").parts
        parts = parts[:-1] if parts[-1] == "__init__" else parts
        yield ".".join([package, *parts]), path


def imported(module: str, path: Path) -> Iterator[tuple[int, str]]:
    """Yield line and name of all that a module imports, its members written out."""
    for node in executed(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: write imports with their full names"
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def executed(tree: ast.AST) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(tree):
        if not (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)):
            yield node
            yield from executed(node)


def room_of(name: str) -> str | None:
    """Return the room that a name of the package lives in; ``None`` for the package itself."""
    parts = name.split(".")
    return parts[1] if parts[0] == "spared_bench" and len(parts) > 1 else None


CORE = list(modules("spared_bench", "spared_bench"))
OURS = list(modules("plugins", "spared_bench_plugins"))


def test_every_room_stands_on_a_floor():
    rooms = {room_of(name) for name, _ in CORE} - {None, "__main__"}

    assert rooms == set(ORDER)


@pytest.mark.parametrize(("module", "path"), CORE, ids=[name for name, _ in CORE])
def test_a_floor_imports_only_what_stands_below(module, path):
    room = room_of(module)
    if room in (None, "__main__"):  # the package's front door shows rooms of every floor
        return
    upward = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for line, name in imported(module, path)
        if (other := room_of(name)) in ORDER and ORDER[other] > ORDER[room]
    ]

    assert upward == []


@pytest.mark.parametrize(("module", "path"), OURS, ids=[name for name, _ in OURS])
def test_plugins_import_no_command_and_the_core_no_plugin(module, path):
    above = [name for _, name in imported(module, path) if ORDER.get(room_of(name), 0) > PLUGINS]

    assert above == []


def test_the_core_names_no_plugin():
    named = [
        m for m, path in CORE if any("spared_bench_plugins" in n for _, n in imported(m, path))
    ]

    assert named == []


def test_modules_that_are_imported_are_there():
    """Mypy is told to pass over those that it does not find, and imports in functions run late."""
    known = {name for name, _ in CORE + OURS}
    lost = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for module, path in CORE + OURS
        for line, name in imported(module, path)
        if name.partition(".")[0] in ("spared_bench", "spared_bench_plugins")
        and not {name, name.rpartition(".")[0]} & known
    ]

    assert lost == []


def test_no_modules_import_each_other_in_a_circle():
    known = {name for name, _ in CORE + OURS}
    needs = {
        module: {
            found
            for _, name in imported(module, path)
            for found in (name, name.rpartition(".")[0])
            if found in known and found != module
        }
        for module, path in CORE + OURS
        # A package that shows what its modules hold imports them, and they may import it.
        if path.name != "__init__.py"
    }

    assert circles(needs) == []


def circles(needs: dict[str, set[str]]) -> list[list[str]]:
    """Return groups of modules that reach each other, by taking away what reaches nobody."""
    left = {name: set(others) & set(needs) for name, others in needs.items()}
    while True:
        free = {name for name, others in left.items() if not others}
        free |= {name for name in left if not any(name in others for others in left.values())}
        if not free:
            break
        left = {name: others - free for name, others in left.items() if name not in free}
    return [sorted(left)] if left else []


def test_a_circle_is_seen():
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}) == [["b", "c"]]
