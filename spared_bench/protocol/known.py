"""Which spots of a sample are measured and given to methods, and which are to be predicted.

The track of partially measured samples: of adjacent sections, one is known (or some of the spots of
all), and the others are predicted from their images and from what is known.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import ConfigDict, Field, model_validator

from spared_bench.errors import SplitError, did_you_mean
from spared_bench.protocol.section import Section

if TYPE_CHECKING:
    from spared_bench.specs import DatasetSpec, SlideInfo

Register = Literal["none", "centroid", "rigid", "affine", "deformable"]
Unit = Annotated[float, Field(ge=0, lt=1)]


class Known(Section):
    """What is known of the samples that are reported, or chosen on, and how sections are aligned.

    Known spots are given to methods with their expression. They are also learned from, whether a
    method uses where they lie or not, and never scored.

    Parameters
    ----------
    sections : {"first", "middle"} or list of str
        The known sections of each sample: the first or the middle one in order, or these slides.
        Not used where ``share`` is set.
    share : float
        A share of the spots of every section of the sample, drawn at random from the name of the
        dataset and the section, in place of whole sections; 0: whole sections.
    scored : {"all", "next"}
        Of the unknown sections, all, or those alone that are next to a known one in order.
    register : {"none", "centroid", "rigid", "affine", "deformable"}
        How sections are brought into one frame (``spared_bench.registration``).
    require_quality : bool
        Whether a section is left out whose registration to the known ones is in doubt.
    image_only : str
        The predictor, of those that use nothing but images, against which the gain is measured.
    """

    sections: Literal["first", "middle"] | tuple[str, ...] = "first"
    share: Unit = 0.0
    scored: Literal["all", "next"] = "all"
    register_by: Register = Field(default="rigid", alias="register")
    require_quality: bool = False
    image_only: str = "linear-probe"

    # `register` is a name that pydantic's classes have already.
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    @model_validator(mode="after")
    def _check(self) -> Known:
        if not self.sections:
            raise ValueError(
                "`known.sections` is an empty list: name at least one section, `first` or `middle`,"
                " or set `known.share`"
            )
        return self

    def divide(self, spec: DatasetSpec) -> DatasetSpec:
        """Return a dataset whose split has the known sections of each sample to learn from.

        The other sections of a sample with slides in ``test`` are all in ``test``; likewise for
        ``val``. With a share of spots, all sections of such a sample are, and one of them stands
        for training where there is no other slide; ``processing.splitting`` deals out the spots.
        A dataset that ``problem`` finds fault with is returned as it is.
        """
        if self.problem(spec):
            return spec
        split: dict[str, list[str]] = {"train": [], "val": [], "test": []}
        for sample in samples_of(spec).values():
            part = _part_of(sample, spec)
            known = self.known_of(sample, part)
            scored = self._scored(sample, known)
            for info in sample:
                if part == "train" or (info.slide_id in known and not self.share):
                    split["train"].append(info.slide_id)
                elif self.share or info.slide_id in scored:
                    split[part].append(info.slide_id)
        if not split["train"]:
            last = "test" if split["test"] else "val"
            split["train"].append(split[last].pop(0))
        found = {name: tuple(slides) for name, slides in split.items() if slides}
        return replace(spec, split=found, allow_shared_donors=True)

    def known_of(self, sample: Iterable[SlideInfo], part: str) -> set[str]:
        """Return the sections of a sample that are known, whole or in part; none in training."""
        infos = list(sample)
        if part == "train":
            return set()
        if self.share:
            return {info.slide_id for info in infos}
        if isinstance(self.sections, tuple):
            return {info.slide_id for info in infos if info.slide_id in self.sections}
        at = 0 if self.sections == "first" else len(infos) // 2
        return {infos[at].slide_id}

    def _scored(self, sample: Iterable[SlideInfo], known: set[str]) -> set[str]:
        names = [info.slide_id for info in sample]
        if self.scored == "all":
            return set(names)
        places = [at for at, name in enumerate(names) if name in known]
        return {
            name for at, name in enumerate(names) if any(abs(at - place) == 1 for place in places)
        }

    def parts_known(self, spec: DatasetSpec) -> dict[str, set[str]]:
        """Return, by sample, the sections that are known, whole or in part; see ``known_of``."""
        return {
            name: self.known_of(sample, _part_of(sample, spec))
            for name, sample in samples_of(spec).items()
        }

    def samples(self, spec: DatasetSpec) -> dict[str, tuple[SlideInfo, ...]]:
        """Return the sections of each sample; see ``samples_of``."""
        return samples_of(spec)

    def settled(self, spec: DatasetSpec) -> Known:
        """Return the same with the known sections of a divided dataset by their names."""
        if self.share:
            return self
        named = sorted(slide for each in self.parts_known(spec).values() for slide in each)
        return self.model_copy(update={"sections": tuple(named), "scored": "all"})

    def problem(self, spec: DatasetSpec) -> str:
        """Say why a dataset cannot be used in this way; empty where it can."""
        label, samples = f"Dataset {spec.name!r}", samples_of(spec)
        for name, sample in samples.items():
            told = _disorder(name, sample)
            needs_order = self.register_by != "none" or not isinstance(self.sections, tuple)
            if told and needs_order:
                return f"{label}: {told}"
        reported = {n: s for n, s in samples.items() if _part_of(s, spec) != "train"}
        if not reported:
            return f"{label} has no slides in `test` or `val`, so no sample is partially known."
        return self._nothing_left(label, reported)

    def _nothing_left(self, label: str, reported: Mapping[str, tuple[SlideInfo, ...]]) -> str:
        names = [info.slide_id for sample in reported.values() for info in sample]
        if self.share:
            return ""
        if isinstance(self.sections, tuple):
            named = [name for name in names if name in self.sections]
            if not named:
                return (
                    f"{label}: `known.sections` names {', '.join(self.sections)}, none of which is"
                    f" a section of a reported sample ({', '.join(names)})."
                    f" {did_you_mean(self.sections[0], names)}".rstrip()
                )
            bare = [n for n, s in reported.items() if not any(i.slide_id in named for i in s)]
            if bare:
                return (
                    f"{label}: `known.sections` names no section of sample {bare[0]!r}"
                    f" ({', '.join(i.slide_id for i in reported[bare[0]])}), of which nothing would"
                    " be known. Name one of each reported sample."
                )
            if len(named) == len(names):
                return (
                    f"{label}: `known.sections` names every section of the reported samples"
                    f" ({', '.join(names)}), so that nothing is left to predict. Leave some out."
                )
        alone = [n for n, s in reported.items() if len(s) == 1]
        if len(alone) == len(reported):
            return (
                f"{label}: every reported sample has one section only ({', '.join(alone[:5])}), so"
                " nothing is left to predict once it is known. Say which slides are sections of one"
                " sample (`sample_id`, `order`), or make a share of the spots known (`known:"
                " {share: 0.2}`)."
            )
        return ""

    def require_usable(self, spec: DatasetSpec) -> None:
        """Refuse a dataset that cannot be used in this way.

        Raises
        ------
        SplitError
            With the reason.
        """
        if told := self.problem(spec):
            raise SplitError(told)


def samples_of(spec: DatasetSpec) -> dict[str, tuple[SlideInfo, ...]]:
    """Return the sections of each sample that are in the split, in order where they have one."""
    inside = {slide_id for slides in spec.split.values() for slide_id in slides}
    found: dict[str, list[SlideInfo]] = {}
    for info in spec.slides:
        if info.slide_id in inside:
            found.setdefault(info.sample, []).append(info)
    return {
        name: tuple(sorted(infos, key=lambda i: (i.order is None, i.order or 0)))
        for name, infos in found.items()
    }


def _part_of(sample: Iterable[SlideInfo], spec: DatasetSpec) -> str:
    """Return in which split a sample is reported: the last in which it has a slide."""
    names = {info.slide_id for info in sample}
    for part in ("test", "val"):
        if names & set(spec.split.get(part, ())):
            return part
    return "train"


def _disorder(name: str, sample: tuple[SlideInfo, ...]) -> str:
    """Say what is wrong with the order of a sample's sections; empty where nothing is."""
    orders = [info.order for info in sample]
    if len(sample) > 1 and (None in orders or len(set(orders)) < len(orders)):
        told = ", ".join(f"{info.slide_id}: {info.order}" for info in sample)
        return (
            f"the sections of sample {name!r} are in no order ({told}). Give each its place along z"
            " (`order` of its slide, a whole number of its own), or correct the sample."
        )
    return ""
