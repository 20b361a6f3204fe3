"""Tables off a terminal are laid out as rich lays them out."""

from __future__ import annotations

import io

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.table import Table
from rich.text import Text

from spared_bench.cli.common import _plain_table, print_table
from spared_bench.harmless import harmless

CELLS = st.text(alphabet="ab é中🧬\n|[]\x07", max_size=6)


def by_rich(columns, rows):
    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(harmless(cell)) for cell in row))
    out = io.StringIO()
    Console(file=out, width=10_000).print(table)
    return [line.rstrip() for line in out.getvalue().removesuffix("\n").split("\n")]


@given(st.lists(st.tuples(CELLS, CELLS, CELLS), max_size=5))
def test_a_plain_table_is_as_rich_lays_it_out(rows):
    columns = ["key", "state", "more"]
    assert list(_plain_table(columns, rows)) == by_rich(columns, rows)


def test_off_a_terminal_a_table_is_printed_whole(capsys):
    print_table(["a", "b"], [["x" * 500, "one\ntwo"]])
    assert capsys.readouterr().out == "\n".join(
        [f"{'a':<500}  b", f"{'x' * 500}  one", f"{'':<500}  two", ""]
    )
