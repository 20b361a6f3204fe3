"""How raw slides become a prepared dataset: filters, normalisation, genes, targets."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, FiniteFloat, ValidationError, model_validator

from spared_bench.errors import ProtocolError, did_you_mean
from spared_bench.protocol.gene_lists import OF_THE_DATASET, gene_lists, require_list
from spared_bench.protocol.section import Fraction, Positive, Section
from spared_bench.validated import explain

if TYPE_CHECKING:
    from spared_bench.specs import DatasetSpec

#: Settings that a dataset may have of its own, beside those of ``filtering``.
_OF_A_DATASET = ("n_genes", "further_genes", "genes", "gene_list", "batch_key")


class Filtering(Section):
    """Which spots and genes stay; all count bounds are exclusive (PROTOCOL, filtering).

    ``real_fraction`` keeps the longest prefix of genes, ordered by their smallest per-slide
    expressed fraction, whose mean overall expressed fraction is at least this.
    ``min_fraction`` and ``min_slide_fraction`` are the thresholds of SEPAL (Mejia et al., ICCV
    Workshops 2023; there ε_T and ε_WSI): a gene needs a larger overall expressed fraction than the
    first, and a larger one on every slide than the second; -1: any.
    """

    spot_min_counts: FiniteFloat = 10
    spot_max_counts: FiniteFloat = 1_000_000
    gene_min_counts: FiniteFloat = 10
    gene_max_counts: FiniteFloat = 1_000_000
    real_fraction: Fraction = 0.7
    min_fraction: Annotated[float, Field(ge=-1, le=1)] = -1
    min_slide_fraction: Annotated[float, Field(ge=-1, le=1)] = -1

    @model_validator(mode="after")
    def _check(self) -> Filtering:
        for what in ("spot", "gene"):
            low, high = getattr(self, f"{what}_min_counts"), getattr(self, f"{what}_max_counts")
            if not math.floor(low) + 1 < high:
                raise ValueError(
                    f"`{what}_min_counts: {low:g}` and `{what}_max_counts: {high:g}` leave no"
                    f" {what}: counts lie between them, both left out. Raise the second or lower"
                    " the first"
                )
        return self


class Processing(Section):
    """From raw counts to the target.

    Parameters
    ----------
    fit_on : {"train", "all"}
        The splits that decide which genes stay and which are chosen. ``"all"`` is what was
        published; it lets the test slides choose the genes.
    ties : {"id", "published"}
        Which of genes that are equally well measured comes first at the cut of ``real_fraction``:
        by id, so that the order of columns in a file does not matter; or as numpy's unstable sort
        leaves them in the order of the file (``processing.ties``).
    mitochondrial : {"counted", "left_out"}
        Whether genes of the mitochondrion have a part in the million of TPM (in the 10,000 of
        counts), and may be chosen. Left out, they still count in the filters, as published.
    target : str
        Normalisation of the target, one of ``spared_bench.data.targets``: ``log2_tpm``,
        ``log1p_cp10k``, ``log1p_cpm``, ``log1p_counts``, or without a logarithm ``tpm``, ``cpm``,
        ``counts``. Or ``log_share``, that of ASIGN (``normalization.log_share``), with genes of the
        highest mean count; it needs ``ranking: mean`` and ``zeros: measured``. Or
        ``pearson_residuals`` (``normalization.pearson_residuals``), which needs ``zeros:
        measured`` and, unless genes are listed, ``ranked_on: log1p_cp10k``.
    scaling : {"none", "min_max"}
        ``"min_max"``: each gene's target from 0 to 1 over the measured entries of the spots that
        ``fit_on`` names, after everything else; other spots may lie beyond.
    ranked_on : {"target", "log1p_cp10k"}
        As which target the expression is that ranks genes. Named, protocols of different targets
        choose the same genes, as far as filters leave the same.
    ranking : {"moran", "variable", "mean"}
        Which genes are chosen: those of highest Moran's I, the most variable ones, or those of
        highest mean of the target's layer, zeros included, over the spots that ``fit_on`` names.
    n_genes : int
        How many are chosen.
    further_genes : tuple of str
        Ids or symbols of genes that are taken beside those that are chosen or listed, whatever
        their rank, such as a marker that readers look for. One that is there anyway adds none,
        filters of genes do not apply to them, and which others are chosen does not depend on them.
    genes : tuple of str
        Ids or symbols of genes that are chosen instead, in this order; filters of genes do not
        apply to them.
    gene_list : str
        The same, for a list that a paper prints (``spared_bench.protocol.gene_lists``); those that
        a dataset's slides do not all have are left out. ``"dataset"``: the genes that the dataset's
        own files list (HEST's tasks do), as if they stood in ``genes``; a dataset without a list is
        refused.
    empty_spots : {"dropped", "kept"}
        What becomes of spots in which no chosen gene was seen.
    zeros : {"unmeasured", "measured"}
        Whether a count of 0 is a gap, to be filled in training and left out of scores, or a value.
    median_hops : int
        Windows of the median filter.
    n_neighbours : int
        Of the neighbour graph.
    batch_correction : {"none", "combat", "combat_published"}
        ``"combat"`` is fitted where ``fit_on`` says; a batch that it was not fitted to (the slides
        of other splits under ``fit_on: train``) stays as it is. ``"combat_published"`` has the
        first-gene defect of the published package.
    batch_key : {"slide_id", "patient_id"}
    smoothing : {"none", "array_neighbours"}
        Whether the target of a spot, in training and in scores, is the mean over it and its
        neighbours in the array (8 of a square one, 6 of a hexagonal one), as of TRIPLEX. Such
        scores are of another, easier quantity, and the board says so.
    from_dataset : bool
        Whether ``parameters`` of a dataset's spec replace settings of this section and of
        ``filtering``.
    per_dataset : dict of dataset to dict
        The same from the side of the protocol, which has the last word; by the name of a dataset,
        of a scheme of folds, or of one fold.
    """

    filtering: Filtering = Filtering()
    fit_on: Literal["train", "all"] = "train"
    ties: Literal["id", "published"] = "id"
    mitochondrial: Literal["counted", "left_out"] = "counted"
    target: Literal[
        "log2_tpm",
        "tpm",
        "log1p_cp10k",
        "log1p_cpm",
        "cpm",
        "log1p_counts",
        "counts",
        "log_share",
        "pearson_residuals",
    ] = "log2_tpm"
    scaling: Literal["none", "min_max"] = "none"
    ranked_on: Literal["target", "log1p_cp10k"] = "target"
    ranking: Literal["moran", "variable", "mean"] = "moran"
    n_genes: Positive = 128
    further_genes: tuple[str, ...] = ()
    genes: tuple[str, ...] = ()
    gene_list: str = ""
    empty_spots: Literal["dropped", "kept"] = "dropped"
    zeros: Literal["unmeasured", "measured"] = "unmeasured"
    median_hops: Annotated[int, Field(gt=0, le=200)] = 4  # by when it has crossed any array
    n_neighbours: Positive = 6
    batch_correction: Literal["none", "combat", "combat_published"] = "none"
    batch_key: Literal["slide_id", "patient_id"] = "slide_id"
    smoothing: Literal["none", "array_neighbours"] = "none"
    from_dataset: bool = False
    per_dataset: dict[str, dict[str, Any]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _check(self) -> Processing:
        if self.fit_on == "train" and self.batch_correction == "combat_published":
            raise ValueError(
                "`fit_on: train` and `batch_correction: combat_published` exclude each other: the"
                " published correction moves a test slide by looking at its answers. Use `combat`,"
                " which is then fitted to the training slides, or `fit_on: all` to repeat what was"
                " published"
            )
        require_list(self.gene_list)
        if self.genes and self.gene_list:
            raise ValueError("`genes` and `gene_list` both name the genes. Keep one of them")
        if self.target == "log_share":
            shares = "a share among the chosen genes, 0 counts included"
            self._require_for_target({} if self.listed_genes else {"ranking": "mean"}, shares)
        if self.target == "pearson_residuals":
            ranked = {} if self.listed_genes else {"ranked_on": "log1p_cp10k"}
            self._require_for_target(ranked, "a residual, which a count of 0 has too")
        for name, settings in self.per_dataset.items():
            self._with(settings, f"per_dataset[{name!r}]")
        return self

    def _require_for_target(self, further: Mapping[str, str], what: str) -> None:
        wanted = {"zeros": "measured", "batch_correction": "none", "smoothing": "none", **further}
        for name, value in wanted.items():
            if getattr(self, name) != value:
                raise ValueError(
                    f"`target: {self.target}` needs `{name}: {value}`: it is {what}; found"
                    f" `{name}: {getattr(self, name)}`"
                )

    @property
    def listed_genes(self) -> tuple[str, ...]:
        """The genes that are named instead of chosen, in their order.

        Empty where none are, and where the dataset's files name them.
        """
        return gene_lists().get(self.gene_list, ()) if self.gene_list else self.genes

    @property
    def takes_genes_of_dataset(self) -> bool:
        """Whether the genes are those that the files of a dataset list."""
        return self.gene_list == OF_THE_DATASET

    def for_dataset(self, spec: DatasetSpec) -> Processing:
        """Return the settings that hold for one dataset.

        Raises
        ------
        ProtocolError
            For a parameter that no dataset may set, with the nearest that it may.
        """
        settings = self.model_copy(update={"from_dataset": False, "per_dataset": {}})
        try:
            if self.from_dataset:
                settings = settings._with(spec.parameters, f"parameters of dataset {spec.name!r}")
            for name in _names_of(spec):
                settings = settings._with(self.per_dataset.get(name, {}), f"per_dataset[{name!r}]")
        except ValueError as error:
            raise ProtocolError(str(error)) from error
        return settings

    def idle_parameters(self, spec: DatasetSpec) -> dict[str, str]:
        """Return the ``parameters`` of a dataset's spec that change nothing here, and why."""
        if not self.from_dataset:
            return dict.fromkeys(spec.parameters, "since it takes no parameters of datasets")
        settled = self.for_dataset(spec)
        last = {key for name in _names_of(spec) for key in self.per_dataset.get(name, {})}
        idle = {
            key: "which the protocol sets itself for this dataset"
            for key in spec.parameters
            if key in last
        }
        empty = ("genes", "further_genes", "gene_list")
        idle |= {
            key: "since it names none"
            for key in empty
            if key in spec.parameters and not getattr(settled, key) and not getattr(self, key)
        }
        if settled.batch_correction == "none" and "batch_key" in spec.parameters:
            idle["batch_key"] = "since it corrects no batches"
        if settled.listed_genes or settled.takes_genes_of_dataset:
            passed_over = {
                *("n_genes", "real_fraction", "gene_min_counts", "gene_max_counts"),
                *("min_fraction", "min_slide_fraction"),
            }
            idle |= dict.fromkeys(
                passed_over & set(spec.parameters), "since `genes` names the genes"
            )
        return idle

    def _with(self, values: Mapping[str, Any], source: str) -> Processing:
        """Return a copy with some settings replaced; names of ``filtering`` need no prefix."""
        ours = {name for name in type(self).model_fields if name in _OF_A_DATASET}
        filtering = set(Filtering.model_fields)
        unknown = sorted(set(values) - ours - filtering)
        if unknown:
            known = sorted(ours | filtering)
            raise ValueError(
                f"{source}: {unknown[0]!r} is no setting that a dataset may have."
                f" {did_you_mean(unknown[0], known)} Known: {', '.join(known)}."
            )
        if not values:
            return self
        new = self.model_dump() | {name: values[name] for name in ours & set(values)}
        new["filtering"] |= {name: values[name] for name in filtering & set(values)}
        new["per_dataset"] = {}
        try:
            return type(self).model_validate(new)
        except ValidationError as error:
            raise ValueError(f"{source}: {explain(error, type(self))}") from error


def _names_of(spec: DatasetSpec) -> list[str]:
    """Return by which names a protocol may speak of a dataset, the widest first."""
    if not spec.fold_of:
        return [spec.name]
    # The name of its scheme may have hyphens as well: `leave-one-out` of `leave-one-out-a1`.
    parts = spec.name.removeprefix(spec.fold_of.lower() + ".").split("-")
    schemes = ["-".join(parts[:end]) for end in range(1, len(parts))]
    return [spec.fold_of, *(f"{spec.fold_of}.{scheme}" for scheme in schemes), spec.name]
