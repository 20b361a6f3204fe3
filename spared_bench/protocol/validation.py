"""Which slides choose, and which are reported."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from spared_bench.errors import SplitError
from spared_bench.protocol.section import Section

if TYPE_CHECKING:
    from spared_bench.specs import DatasetSpec


class Validation(Section):
    """What checkpoints, searched parameters and completers are chosen on, and what is reported.

    Parameters
    ----------
    held_out_fraction : float
        Of the spots of every training slide, where no slides are for validation: a contiguous
        strip across its longer side, so that held-out spots have few training neighbours.
    without_test : {"report_val", "hold_out"}
        What is reported of a dataset that declares validation slides and no test slides:
        ``"report_val"``, the slides that all was chosen on, as published; or ``"hold_out"``, the
        same slides, which then choose nothing: a strip of the training slides does.
    learned_from : bool
        Whether methods learn from the validation spots, too: for benchmarks whose methods choose
        nothing on them. What is chosen on them nevertheless is chosen on what was learnt.
    """

    held_out_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.2
    without_test: Literal["report_val", "hold_out"] = "report_val"
    learned_from: bool = False

    @property
    def learned(self) -> tuple[str, ...]:
        """The splits that methods learn from."""
        return ("train", "val") if self.learned_from else ("train",)

    def divide(self, spec: DatasetSpec) -> DatasetSpec:
        """Return a dataset with its slides in the splits that this protocol gives them."""
        if self.without_test == "report_val" or spec.split.get("test") or not spec.split.get("val"):
            return spec
        split = {"train": spec.split["train"], "test": spec.split["val"]}
        # Donors may be shared, as they were with validation; the tier then says so.
        return replace(spec, split=split, allow_shared_donors=True)

    def require_reported(self, spec: DatasetSpec) -> None:
        """Refuse a divided dataset whose reported spots would be those that choose.

        Raises
        ------
        SplitError
        """
        if self.without_test == "hold_out" and not spec.split.get("test"):
            raise SplitError(
                f"Dataset {spec.name!r} has training slides only"
                f" ({', '.join(map(str, spec.split['train'][:3]))}), and this protocol reports no"
                " slide that a method learns from or is chosen on (`validation.without_test:"
                " hold_out`). Name a slide for `test` in the dataset's split, or use a protocol"
                " with `without_test: report_val`."
            )
