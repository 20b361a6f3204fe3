"""What methods themselves have against the parameters that they are to run with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from spared_bench.bench import Bench
from spared_bench.bounds import out_of_bounds
from spared_bench.errors import PluginError, UsageError
from spared_bench.guard import guarded
from spared_bench.planning.views import methods_of


def unfit(bench: Bench, completers: Iterable[str] = (), predictors: Iterable[str] = ()) -> str:
    """Say which parameters of methods, or of what they build on, cannot go together.

    Candidates of a search are among them, and what lies out of its bounds is told, too.

    Their ``check_parameters`` is asked (``spared_bench.interfaces.Predictor``), where their code is
    imported in this process; of others, the process says it that tells of them.

    Returns
    -------
    str
        Empty where nothing is wrong.
    """
    told = (_refusal(bench, *each) for each in methods_of(bench, completers, predictors))
    return "\n".join(dict.fromkeys(filter(None, told)))


def _refusal(bench: Bench, kind: str, name: str, parameters: Mapping[str, Any]) -> str:
    entry = bench.registry.get(kind, name)
    known = bench.signature(kind, name).parameters
    for each, value in parameters.items():
        if each in known and (expected := out_of_bounds(value, known[each].bounded)):
            return (
                f"{kind.capitalize()} {name!r} cannot run so: {each!r} is {value!r}; expected"
                f" {expected}."
            )
    try:
        factory: Any = None if entry.told is not None else entry.load()
    except PluginError:
        return ""  # its trials will say why
    if not hasattr(factory, "check_parameters"):
        return ""
    with guarded():
        try:
            factory(**parameters).check_parameters()
        except UsageError as error:
            return f"{kind.capitalize()} {name!r} cannot run so: {error}"
        except KeyboardInterrupt:
            raise
        except BaseException:  # a trial makes it again, and tells what is wrong
            return ""
    return ""
