"""What a plugin says about itself: frozen dataclasses of plain values, quick to import.

A hook returns specs, never the objects behind them. ``factory`` is the address of the object,
``"package.module:attribute"``, and is imported only when a run needs it.
"""

from spared_bench.specs.base import Spec, spec_as_dict
from spared_bench.specs.completer import CompleterSpec
from spared_bench.specs.dataset import SPLITS, DatasetSpec, conflicts
from spared_bench.specs.encoder import EncoderSpec
from spared_bench.specs.executor import ExecutorSpec
from spared_bench.specs.files import RemoteFile, SlideInfo
from spared_bench.specs.metric import Direction, MetricSpec, Undefined, Unit
from spared_bench.specs.predictor import PredictorSpec, Scope, Speed, Stage
from spared_bench.specs.protocol import ProtocolSpec
from spared_bench.specs.study import StudySpec

KINDS: dict[str, type[Spec]] = {
    spec.kind: spec
    for spec in (
        DatasetSpec,
        CompleterSpec,
        PredictorSpec,
        MetricSpec,
        ProtocolSpec,
        ExecutorSpec,
        EncoderSpec,
        StudySpec,
    )
}
#: How each kind is called in the plural: in hooks and on the command line.
PLURALS = {kind: spec.plural or f"{kind}s" for kind, spec in KINDS.items()}

__all__ = [
    "KINDS",
    "PLURALS",
    "SPLITS",
    "CompleterSpec",
    "DatasetSpec",
    "Direction",
    "EncoderSpec",
    "ExecutorSpec",
    "MetricSpec",
    "PredictorSpec",
    "ProtocolSpec",
    "RemoteFile",
    "Scope",
    "SlideInfo",
    "Spec",
    "Speed",
    "Stage",
    "StudySpec",
    "Undefined",
    "Unit",
    "conflicts",
    "spec_as_dict",
]
