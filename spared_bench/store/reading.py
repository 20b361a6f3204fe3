"""Reading what an entry holds, where a file of the right size may hold something else.

After a power cut a file can be all zeros, and whatever reads it fails in words of its own. That is
no fault of the method that asked for it, and must not be kept as one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from spared_bench.errors import CorruptEntryError
from spared_bench.store.entries import Entry, Store

T = TypeVar("T")


def read_product(
    store: Store, obtain: Callable[[], Entry], read: Callable[[Entry], T], *, again: bool = True
) -> T:
    """Read an entry; one that cannot be read because it is damaged is made again.

    Hashes are compared only after an error, which stays what it is where they are right.

    Parameters
    ----------
    store : Store
    obtain : callable
        Returns the entry, making it where there is none.
    read : callable
    again : bool
        False where it must not be made: in a process that is there for a stranger's method.

    Raises
    ------
    CorruptEntryError
        If it is damaged and must not be made here.
    """
    entry = obtain()
    try:
        return read(entry)
    except CorruptEntryError:  # of an entry that this one needs, or told already
        raise
    except Exception as error:
        wrong = _damage(store, entry)
        if not wrong:
            raise
        if not again:
            raise CorruptEntryError(
                f"{entry.folder} is damaged ({'; '.join(wrong[:3])}). `spared-bench store verify"
                " --repair` takes it away, and the next run makes it again."
            ) from error
    store.remove(entry.kind, entry.key)
    return read(obtain())


def _damage(store: Store, entry: Entry) -> list[str]:
    """Say what is wrong with an entry; nothing where another process has just replaced it."""
    try:
        return store.verify(entry)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return [str(error)]
