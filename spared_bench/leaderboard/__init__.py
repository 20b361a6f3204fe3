"""Results -> rows -> tables and the page; no torch, no data."""

from spared_bench.leaderboard.page import build
from spared_bench.leaderboard.rows import board_rows
from spared_bench.leaderboard.tables import terminal_table

__all__ = ["board_rows", "build", "terminal_table"]
