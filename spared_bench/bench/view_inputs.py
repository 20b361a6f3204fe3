"""What determines what methods look at: patches and views, their colours, their features."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from spared_bench.bench.harness import HARNESS_VERSION
from spared_bench.bench.raw_inputs import RawInputs
from spared_bench.data.views import View
from spared_bench.errors import ProtocolError, did_you_mean
from spared_bench.keys.code import code_hash
from spared_bench.keys.hashing import digest

if TYPE_CHECKING:
    from spared_bench.data import Encoder


class ViewInputs(RawInputs):
    """Says what determines patches, views and features, and which of them the store has."""

    def patches_inputs(self, name: str) -> dict[str, Any]:
        """What determines the patches of a dataset: all its spots, whatever is kept later."""
        return self.view_inputs(name, self.patch_view)

    def view_inputs(self, name: str, view: View) -> dict[str, Any]:
        """What determines a view of a dataset as methods see it: what is cut, and its colours."""
        cut = self.cut_inputs(name, view)
        if self.protocol.patches.stain == "none":
            return cut
        return {"patches": digest(cut), **self.stain_inputs(name)}

    def cut_inputs(self, name: str, view: View) -> dict[str, Any]:
        """What determines what is cut by a view; of what the protocol's patches are, theirs."""
        cutting = self.protocol.patches
        if view == self.patch_view:
            return {
                "harness": HARNESS_VERSION,
                "data": self.data_inputs(name),
                "cutting": cutting.cutting,
                "code": code_hash("spared_bench.processing.patches"),
            }
        return {
            "harness": HARNESS_VERSION,
            "data": self.data_inputs(name),
            "view": view.as_dict(),
            "cutting": {"window": cutting.window, "antialias": cutting.antialias},
            "code": code_hash("spared_bench.processing.views"),
            "opened": code_hash("spared_bench.processing.view_products"),
        }

    def stain_inputs(self, name: str) -> dict[str, Any]:
        """What determines the colours that the slides of a dataset are given.

        Raises
        ------
        ProtocolError
            If there is no such template slide.
        """
        cutting = self.protocol.patches
        dataset, slide = self.stain_template(name)
        own = digest(self.cut_inputs(name, self.patch_view))
        found = {"harness": HARNESS_VERSION, "stain": cutting.stain, "measured": own}
        found["code"] = code_hash("spared_bench.processing.stains.colours")
        if not slide:
            train = self.dataset(name).split["train"]
            return found | {"to": sorted(map(str, train))}
        return found | {
            "to": slide,
            "template": digest(self.cut_inputs(dataset, self.patch_view)),
        }

    def stain_template(self, name: str) -> tuple[str, str]:
        """Return dataset and slide of the template; no slide where it is the training mean."""
        wanted = self.protocol.patches.stain_to
        if wanted == "train":
            return name, ""
        dataset, slash, slide = wanted.rpartition("/")
        dataset = self.registry.canonical("dataset", dataset) if slash else name
        known = [each.slide_id for each in self.dataset(dataset).slides]
        if slide not in known:
            hint = did_you_mean(slide, known)
            raise ProtocolError(
                f"Protocol {self.protocol.id}: `patches.stain_to` is {wanted!r}, and dataset"
                f" {dataset!r} has no slide {slide!r}. {hint} It has: {', '.join(known[:8])}"
                f"{', ...' if len(known) > 8 else ''}. Name one of them, one of another dataset as"
                " dataset/slide, or say `train`."
            )
        return dataset, slide

    def features_inputs(
        self, name: str, encoder: Encoder, view: View | None = None
    ) -> dict[str, Any]:
        """What determines a frozen network's features of a dataset's patches, or of a view."""
        return {
            "patches": digest(self.view_inputs(name, view or self.patch_view)),
            "encoder": encoder.identity(),
            "code": code_hash(type(encoder).__module__),
            "device": self.settings.device.partition(":")[0],
        }

    def _view_keys(
        self, dataset: str, kind: str, method: str, parameters: Mapping[str, Any]
    ) -> dict[str, dict[str, str]]:
        """Return the keys of the views that a method declares; nothing where it declares none."""
        views = self.views_of(kind, method, parameters)
        keys = {name: digest(self.view_inputs(dataset, view)) for name, view in views.items()}
        return {"views": keys} if keys else {}

    def view_kind(self, view: View) -> str:
        """Return the kind of entry that holds a view as methods see it."""
        return self.cut_kind(view) if self.protocol.patches.stain == "none" else "stained"

    def cut_kind(self, view: View) -> str:
        """Return the kind of entry that holds what is cut by a view."""
        return "patches" if view == self.patch_view else "views"

    def has_view(self, name: str, view: View) -> bool:
        """Return whether the store has a view of a dataset."""
        key = digest(self.view_inputs(name, view))
        return self.workspace.store.has(self.view_kind(view), key)

    def has_cut(self, name: str, view: View) -> bool:
        """Return whether the store has what is cut by a view."""
        return self.workspace.store.has(self.cut_kind(view), digest(self.cut_inputs(name, view)))
