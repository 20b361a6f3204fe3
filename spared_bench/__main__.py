"""``python -m spared_bench``."""

from spared_bench.cli import main

main()
