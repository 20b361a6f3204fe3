"""The front door of the command: ``spared-bench`` and ``python -m spared_bench``."""

from __future__ import annotations

import os
import signal
from typing import Any


def main() -> None:
    """Run the command line, which is imported here: it can be interrupted meanwhile, too."""
    handler = signal.getsignal(signal.SIGINT)
    if handler is signal.default_int_handler:  # else whoever began us lets us ignore it
        signal.signal(signal.SIGINT, _leave)
    from spared_bench.cli import main as run

    signal.signal(signal.SIGINT, handler)
    run()


def _leave(*_: Any) -> None:
    """End at once: an exception would pass through libraries that are half imported."""
    os.write(2, b"Interrupted. Nothing was begun.\n")
    os._exit(130)


if __name__ == "__main__":
    main()
