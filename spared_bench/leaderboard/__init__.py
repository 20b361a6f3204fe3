"""Results -> rows -> statistics, tables and the site; no torch, no data."""

from spared_bench.leaderboard.rows import Known, board_rows
from spared_bench.leaderboard.site import Extras, build
from spared_bench.leaderboard.tables import terminal_table

__all__ = ["Extras", "Known", "board_rows", "build", "terminal_table"]
