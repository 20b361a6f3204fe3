"""What determines what is read of a dataset: its slides, their pictures, how sections lie."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from spared_bench.bench.harness import HARNESS_VERSION
from spared_bench.bench.lookup import Lookup
from spared_bench.errors import ContractError
from spared_bench.keys.code import code_hash
from spared_bench.keys.hashing import digest
from spared_bench.lasting import write_lasting
from spared_bench.ordinary import read_json
from spared_bench.protocol import samples_of
from spared_bench.specs import DatasetSpec, SlideInfo

#: Ending of the note, beside transforms by hand, of the middle section of each sample.
MIDDLES = ".middles.json"
#: And of that of the pixels of each section.
FRAMES = ".frames.json"
_SPATIAL = "spatial/"  # of Space Ranger's output, what says where pixels are


class RawInputs(Lookup):
    """Says what determines raw slides, and what is made of them whatever the protocol."""

    def data_inputs(self, name: str) -> dict[str, Any]:
        """What determines the raw slides of a dataset."""
        if ("data", name) not in self._inputs:
            entry = self.registry.get("dataset", name)
            spec = self.dataset(name)
            folder = self.folder(name)
            self._inputs["data", name] = {
                # Not the fold: all folds share what comes of the raw slides, patches above all.
                "dataset": spec.fold_of or spec.name,
                "version": spec.version,
                "organism": spec.organism,
                "image": spec.image,
                "raw_counts": spec.raw_counts,
                "classes": list(spec.classes),
                "slides": [slide.as_read() for slide in spec.slides],
                "content": self._content(spec, folder),
                "reader": entry.code,
            }
            self.fingerprints.save()
        return self._inputs["data", name]

    def _content(self, spec: DatasetSpec, folder: Path) -> Any:
        if spec.synthetic:
            return ""
        from spared_bench.sources.fetched import is_described

        if is_described(spec, folder):
            from spared_bench.sources.described import content

            return content(folder, self.fingerprints)
        return self.fingerprints.of_folder(folder, spec.members)

    def facts_inputs(self, name: str) -> dict[str, Any]:
        """What determines the sizes and scales of a dataset's images."""
        return {"harness": HARNESS_VERSION, "data": self.data_inputs(name), "made": "image facts"}

    def slide_check_inputs(self, name: str, slide_id: str) -> dict[str, Any]:
        """What determines the checks of a slide, whatever the protocol."""
        return {
            "data": self._slide_inputs(name, slide_id),
            "slide": slide_id,
            "code": code_hash("spared_bench.reports.quality"),
        }

    def picture_inputs(self, name: str, slide_id: str) -> dict[str, Any]:
        """What determines the page's pictures of a slide, whatever the protocol."""
        return {
            "data": self._slide_inputs(name, slide_id),
            "slide": slide_id,
            "code": code_hash("spared_bench.reports.tissue"),
        }

    def _slide_inputs(self, name: str, slide_id: str) -> dict[str, Any]:
        """Return what determines one raw slide, where it is known which files are its own.

        Of slides that a description names, these are the entry of the slide and its files; of any
        other dataset, all files are every slide's.
        """
        data, spec = self.data_inputs(name), self.dataset(name)
        if not isinstance(data["content"], dict) or slide_id not in data["content"].get(
            "slides", ()
        ):
            return data
        return data | {
            "slides": [slide.as_read() for slide in spec.slides if slide.slide_id == slide_id],
            "content": data["content"] | {"slides": data["content"]["slides"][slide_id]},
        }

    def sections_of(self, name: str, sample: str) -> list[SlideInfo]:
        """Return all sections of a sample, in their order through it."""
        infos = [info for info in self.dataset(name).slides if info.sample == sample]
        return sorted(infos, key=lambda info: (info.order is None, info.order or 0))

    def registered_samples(self, name: str) -> list[str]:
        """Return the samples of a dataset that have slides in its split."""
        return list(samples_of(self.dataset(name)))

    def transforms_by_hand(self, name: str) -> dict[str, list[list[float]]]:
        """Return the transforms of sections that a user has given; see ``registration.by_hand``.

        Raises
        ------
        ContractError
            If a sample has another middle section than when they were given, to which they lead; or
            a section that a description names another image, or other positions.
        """
        from spared_bench.registration.by_hand import read_transforms

        path = self.place_by_hand(name)
        if not path.is_file():
            return {}
        found = read_transforms(path)
        given = _noted(path.with_suffix(MIDDLES))
        middles = self.middles_of(name, found)
        for sample, middle in middles.items():
            if given.get(sample, middle) != middle:
                raise ContractError(
                    f"The transforms by hand of sample {sample!r} of dataset {name!r} lead to"
                    f" section {given[sample]}, its middle when they were given, and that is"
                    f" {middle} now. Give transforms to {middle} (`spared-bench data align {name}"
                    " --transforms FILE`), or take these away with `--forget`."
                )
        frames = _noted(path.with_suffix(FRAMES))
        for section, frame in self.frames_of(name, {*found, *middles.values()}).items():
            if frames.get(section, frame) != frame:
                raise ContractError(
                    f"The transforms by hand of dataset {name!r} were given for other pixels of"
                    f" section {section}: its image, or the positions of its spots, changed since."
                    f" Where they hold, give them again (`spared-bench data align {name}"
                    " --transforms FILE`); else take them away with `--forget`."
                )
        return found

    def keep_by_hand(self, name: str, text: str) -> None:
        """Keep a file of transforms, and between which pixels they lead; an empty text: none."""
        from spared_bench.registration.by_hand import read_transforms

        path = self.place_by_hand(name)
        if not text:
            path.unlink(missing_ok=True)
            path.with_suffix(MIDDLES).unlink(missing_ok=True)
            path.with_suffix(FRAMES).unlink(missing_ok=True)
            return
        write_lasting(path, text)
        sections = read_transforms(path)
        middles = self.middles_of(name, sections)
        frames = self.frames_of(name, {*sections, *middles.values()})
        write_lasting(path.with_suffix(MIDDLES), json.dumps(middles))
        write_lasting(path.with_suffix(FRAMES), json.dumps(frames))

    def place_by_hand(self, name: str) -> Path:
        """Return where the transforms by hand of a dataset lie."""
        from spared_bench.registration.by_hand import place_of

        spec = self.dataset(name)
        return place_of(self.workspace.data_dir, spec.fold_of or spec.name)

    def middles_of(self, name: str, sections: Iterable[str]) -> dict[str, str]:
        """Return the middle section of each sample that some sections are of, as ``register``."""
        named = set(sections)
        samples = {info.sample for info in self.dataset(name).slides if info.slide_id in named}
        stacks = {sample: self.sections_of(name, sample) for sample in sorted(samples)}
        return {sample: stack[len(stack) // 2].slide_id for sample, stack in stacks.items()}

    def frames_of(self, name: str, sections: Iterable[str]) -> dict[str, str]:
        """Return a hash of what the pixels of each section are, where a description says it."""
        content = self.data_inputs(name)["content"]
        slides = content.get("slides", {}) if isinstance(content, dict) else {}
        return {each: digest(_frame(slides[each])) for each in sorted(sections) if each in slides}

    def registration_inputs(self, name: str, sample: str, method: str) -> dict[str, Any]:
        """What determines the registration of the sections of a sample, all that the dataset has.

        Also of those outside the split, through which others are registered.
        """
        infos = self.sections_of(name, sample)
        by_hand = self.transforms_by_hand(name)
        return {
            "harness": HARNESS_VERSION,
            "data": self.data_inputs(name),
            "sections": [info.slide_id for info in infos],
            "method": method,
            "by_hand": {i.slide_id: by_hand[i.slide_id] for i in infos if i.slide_id in by_hand},
            "code": code_hash("spared_bench.registration"),
        }


def _noted(path: Path) -> dict[str, str]:
    """Return what was noted when transforms were given; nothing where that was before notes."""
    try:
        found = read_json(path) if path.is_file() else {}
    except (OSError, ValueError) as error:
        raise ContractError(f"{_lost(path)}: {error}.") from error
    if not isinstance(found, dict):
        raise ContractError(f"{_lost(path)}: expected names and values.")
    return found


def _lost(path: Path) -> str:
    return (
        f"What was noted beside the transforms by hand cannot be read, so give them again"
        f" (`spared-bench data align DATASET --transforms FILE`); {path}"
    )


def _frame(slide: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is said of where the pixels of a slide are: its image, and its positions.

    Where counts lie in one file with the positions, they are part of it.
    """
    path = slide.get("path")
    if "spots" in slide:
        path = None
    elif isinstance(path, Mapping) and any(name.startswith(_SPATIAL) for name in path):
        path = {name: hashed for name, hashed in path.items() if name.startswith(_SPATIAL)}
    return {"path": path, **{key: slide[key] for key in ("spots", "image") if key in slide}}
