"""A plugin that was edited while a process, such as a notebook's, has its code in memory."""

from __future__ import annotations

from spared_bench.errors import UsageError
from spared_bench.executors.plugin_lock import strangers_of
from spared_bench.keys.code import is_edited
from spared_bench.planning.plan import Plan


def refuse_edited(plan: Plan) -> None:
    """Refuse a plan with code of others that is another one now than this process has read.

    What was imported stays as it was, and results would be those of the code before.

    Raises
    ------
    UsageError
    """
    for name in strangers_of(plan):
        entry = plan.bench.registry.get(*name.split(" ", 1))
        module = entry.spec.factory.partition(":")[0]
        if entry.told is None and is_edited(module):
            raise UsageError(
                f"The code of {entry.spec.kind} {entry.spec.name!r} (module {module!r}, or one that"
                " it imports) was edited after this process had read it, and would be used as it"
                " was before. Restart the process (in a notebook: the kernel) and run this again;"
                " what is finished is kept."
            )
