"""What a worker must be told to be the same bench, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Limits:
    """What a trial may take, and where it may run; they determine no result.

    Parameters
    ----------
    timeout : float
        Seconds of a trial or a completion; 0: any.
    memory_mb : int
        Resident memory of a job's processes together, in 2**20 bytes; 0: any.
    isolate : bool
        A child process of its own for every job, forked from a worker that has done the imports;
        without it only the jobs with a stranger's plugin have one.
    gpus : tuple of str
        What ``CUDA_VISIBLE_DEVICES`` says, one worker after the other; empty: as it is.
    strict : bool
        A stranger's method is imported, trained and asked in a process that can read neither the
        store nor raw data (``spared_bench.sandbox``), and nowhere else.
    """

    timeout: float = 0.0
    memory_mb: int = 0
    isolate: bool = False
    gpus: tuple[str, ...] = ()
    strict: bool = False


@dataclass(frozen=True)
class Settings:
    """What a worker must be told to be the same bench; plain values, so that it can be sent.

    Parameters
    ----------
    workspace, data_dir : str
    protocol : dict
        ``Protocol.model_dump(mode="json")``.
    plugin_files : tuple of str
    device : str
        A torch device.
    threads : int
        CPU threads of one trial. Part of the plan and not of the machine's load, because a sum
        over threads depends on their number.
    weights : str
        Replaces the ``weights`` of every method that has them; empty: as each says.
    parameters : dict of method to dict
        Set by hand (``--set``).
    offline : bool
        Whether nothing may be downloaded.
    limits : Limits
    cluster : str
        For executors beyond this machine: an address, or a YAML file.
    plugins : dict of str to str
        What workers must have: ``"kind name"`` to distribution, version and hash of the code.
    strangers : dict of str to str, optional
        Which of the plan's plugins are not our own: ``"kind name"`` to distribution. Their jobs run
        in processes of their own. ``None``: not known, so that every job does.
    told : tuple of dict
        What there is to know of these plugins without their code (``spared_bench.told``).
    """

    workspace: str
    data_dir: str
    protocol: dict[str, Any]
    plugin_files: tuple[str, ...] = ()
    device: str = "cpu"
    threads: int = 1
    weights: str = ""
    parameters: dict[str, dict[str, Any]] = field(default_factory=dict)
    offline: bool = False
    limits: Limits = field(default_factory=Limits)
    cluster: str = ""
    plugins: dict[str, str] = field(default_factory=dict)
    strangers: dict[str, str] | None = None
    told: tuple[dict[str, Any], ...] = ()

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Settings:
        """Read what ``as_dict`` made, from JSON or not."""
        limits = dict(values["limits"])
        limits["gpus"] = tuple(limits["gpus"])
        lists = {name: tuple(values[name]) for name in ("plugin_files", "told")}
        return cls(**{**values, **lists, "limits": Limits(**limits)})

    def as_dict(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        return asdict(self)
