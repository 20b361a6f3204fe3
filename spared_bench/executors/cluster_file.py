"""Where a Dask cluster comes from: an address, this machine, or a batch system, from a short YAML.

::

    batch: slurm            # or pbs, lsf
    jobs: 10                # jobs to submit; each is one worker
    cores: 4                # of a job
    memory: 16GB
    walltime: "24:00:00"
    queue: gpu              # the site's name; left out: its default
    directives: ["--gres=gpu:1"]
    prologue: ["module load cuda"]
    interface: ib0          # the network between the nodes, where the default is the wrong one
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, Field

from spared_bench.errors import UsageError
from spared_bench.protocol.section import Positive, Section
from spared_bench.strict import in_one_line, is_yaml, text_of
from spared_bench.validated import load_model

if TYPE_CHECKING:
    from dask_jobqueue import JobQueueCluster

_CLASSES = {"slurm": "SLURMCluster", "pbs": "PBSCluster", "lsf": "LSFCluster"}


def _size(text: str) -> str:
    if not re.fullmatch(r"\d+(\.\d+)? ?[kMGTP]i?B?", text):
        raise ValueError(f"expected a size with its unit, such as 16GB (found {in_one_line(text)})")
    return text


def _duration(text: str) -> str:
    if not re.fullmatch(r"(\d+-)?\d+(:\d\d){1,2}", text, re.ASCII):
        raise ValueError(
            f'expected hours, minutes and seconds, such as "24:00:00" (found {in_one_line(text)})'
        )
    return text


class ClusterFile(Section):
    """The settings of a batch system."""

    batch: Literal["slurm", "pbs", "lsf"]
    jobs: Annotated[int, Field(gt=0, le=10_000)]
    cores: Positive = 1
    memory: Annotated[str, AfterValidator(_size)] = "16GB"
    walltime: Annotated[str, AfterValidator(_duration)] = "24:00:00"
    queue: str = ""
    directives: tuple[str, ...] = ()
    prologue: tuple[str, ...] = ()
    interface: str = ""

    def options(self, threads: int) -> dict[str, Any]:
        """Return what dask-jobqueue is told; a worker does one trial at a time per ``threads``."""
        optional = {
            "queue": self.queue,
            "interface": self.interface,
            "job_extra_directives": list(self.directives),
            "job_script_prologue": list(self.prologue),
        }
        return {
            "cores": max(1, self.cores // threads),
            "processes": 1,
            "memory": self.memory,
            "walltime": self.walltime,
            **{name: value for name, value in optional.items() if value},
            **({"job_cpu": self.cores} if self.batch == "slurm" else {}),
        }

    def start(self, threads: int) -> JobQueueCluster:
        """Submit the jobs."""
        try:
            import dask_jobqueue
        except ImportError as error:
            raise UsageError(
                "A batch system needs the package dask-jobqueue: `pip install dask-jobqueue`."
            ) from error
        cluster = getattr(dask_jobqueue, _CLASSES[self.batch])(**self.options(threads))
        cluster.scale(jobs=self.jobs)
        return cluster


def refuse_cluster(executor: str, cluster: str) -> None:
    """Refuse a cluster for an executor that has no use for it.

    Raises
    ------
    UsageError
    """
    if cluster:
        raise UsageError(
            f"--cluster {cluster!r} has no effect with `--executor {executor}`: it is for"
            " `--executor dask`. Add that, or leave it out."
        )


def is_cluster_file(cluster: str) -> bool:
    """Return whether what names a cluster is a file that describes one."""
    return is_yaml(cluster)


def read_cluster_file(path: Path) -> ClusterFile:
    """Read a cluster file.

    Raises
    ------
    UsageError
        For a file that cannot be read, an unknown setting, or an impossible value.
    """
    text = text_of(path, "cluster file", UsageError)
    return load_model(ClusterFile, text, str(path), "cluster", UsageError)
