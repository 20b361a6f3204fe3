"""Slides of one description against each other, before any of them is learned from."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from spared_bench.errors import ContractError, CountsError, ImageError, did_you_mean
from spared_bench.keys.hashing import file_digest
from spared_bench.protocol import Processing
from spared_bench.sources.no_genes import require_one_organism
from spared_bench.sources.same_spots import Prints, prints_of, shares_spots
from spared_bench.words import counted

if TYPE_CHECKING:
    from anndata import AnnData

    from spared_bench.sources.description import Description

_LOST = 0.1  # of the counts: other versions of an annotation lack some per cent
_SHARP_PX = 112  # of a spot: half of what networks see
_COARSER = 2.0
_FEW = 0.05  # of spots: capture areas of one scan may touch, and do not lie on each other


_PRINTED = "`gene_list` of `parameters`"


@dataclass(frozen=True)
class _Pictured:
    """The image of a slide, and where its spots lie on it."""

    slide_id: str
    path: Path
    centres: np.ndarray
    pitch: float


class Compared:
    """What was seen of the slides so far.

    Parameters
    ----------
    organism : str
        Declared for all of them.
    """

    def __init__(self, organism: str) -> None:
        self._organism = organism
        self._slide_of: dict[str, str] = {}
        self.prints: dict[str, Prints] = {}  # by slide, ``same_spots.prints_of``
        self._hashes: set[int] = set()  # all of these
        self._genes: set[str] | None = None
        self._sums: dict[str, dict[str, float]] = {}  # of counts, by slide and gene
        self._listed: dict[str, None] = {}
        self._pictured: list[_Pictured] = []
        self._spot_px: dict[str, float] = {}  # by slide, on its image
        self._labelled: list[tuple[str, Path, set[str]]] = []

    def add(self, slide_id: str, slide: AnnData) -> None:
        """Compare a further slide.

        Raises
        ------
        CountsError
            If it has the counts of an earlier one, or of a part of its spots, in whatever order, or
            no gene that the earlier ones share; or if its genes are of two organisms.
        DataError
            If its genes look like those of another organism.
        """
        from spared_bench.processing.annotation import TABLES, annotate

        names = list(map(str, slide.var_names))
        known = self._organism in TABLES  # by symbol or id
        ids = list(annotate(names, self._organism).genes["gene_id"]) if known else names
        genes = set(ids)
        if known:
            require_one_organism(names, self._organism)
        same = self._slide_of.setdefault(_print_of(slide), slide_id)
        if same != slide_id:
            raise CountsError(
                f"it has the counts of slide {same!r}, all of them: one is a copy of the other, so"
                " that what is tested could be learned by heart. Name each slide once."
            )
        self._require_own_spots(slide_id, slide)
        shared = genes if self._genes is None else genes & self._genes
        if not shared:
            raise CountsError(
                f"it has none of the genes that the slides before it share: {min(genes)!r}, for"
                f" example, and not {min(self._genes or ())!r}. A dataset is of genes that all its"
                " slides have."
            )
        self._genes = shared
        sums = np.asarray(slide.X.sum(axis=0, dtype=np.float64)).ravel()
        self._sums[slide_id] = dict(zip(ids, sums.tolist(), strict=True))
        self._listed |= dict.fromkeys(slide.uns["slide"].get("listed_genes", ()))

    def _require_own_spots(self, slide_id: str, slide: AnnData) -> None:
        prints = prints_of(slide, self._organism)
        hashes = np.concatenate([*prints.values()]).tolist()
        others = {} if self._hashes.isdisjoint(hashes) else self.prints
        same = next((name for name, one in others.items() if shares_spots(one, prints)), None)
        if same is not None:
            raise CountsError(
                f"spots of it have the counts of spots of slide {same!r}, gene by gene: one is a"
                " part of the other, or both are of one slide (all genes and a choice of them, or"
                " bins of two sizes), so that what is tested could be learned by heart. Name each"
                " slide, or each part of it, once."
            )
        self.prints[slide_id] = prints
        self._hashes.update(hashes)

    def lost_counts(self) -> list[str]:
        """Return a sentence for each slide of which many counts are of genes that not all have."""
        shared = self._genes or set()
        told = []
        for slide_id, sums in self._sums.items():
            total = sum(sums.values())
            lost = sum(n for gene, n in sums.items() if gene not in shared) / total
            if lost <= _LOST:
                continue
            lacking = {
                other: len(sums.keys() - its.keys())
                for other, its in self._sums.items()
                if other != slide_id
            }
            other = max(lacking, key=lambda name: lacking[name])
            told.append(
                f"Slide {slide_id!r}: {lost:.0%} of its counts are of genes that not all slides"
                f" have: slide {other!r} lacks {lacking[other]:,} of its {len(sums):,}, and"
                f" {len(shared):,} are left. Genes are chosen of these, and depths, by which counts"
                " are divided, are over them alone. Leave that slide out, or make it another"
                " dataset, unless this is meant."
            )
        return told

    def require_listed(self, described: Description) -> None:
        """Compare the genes that description and slides list with those that all slides have.

        Of a printed list (``gene_list``), what is there is taken, as preparation does.

        Raises
        ------
        CountsError
            If one is lacking, with the nearest name; of a printed list, if all are.
        """
        from spared_bench.processing.annotation import annotate

        settings = Processing(from_dataset=True).for_dataset(described.spec())
        wanted = {
            "`genes` of `parameters`": settings.genes,
            "`further_genes` of `parameters`": settings.further_genes,
            _PRINTED: settings.listed_genes if settings.gene_list else (),
            "The file of `genes` of its slides": self._listed,
        }
        if not any(wanted.values()):
            return
        names = annotate(sorted(self._genes or ()), self._organism).genes
        known = {*names["gene_id"], *names["gene_name"].astype(str)}
        for key, genes in wanted.items():
            lacking = [gene for gene in genes if gene not in known]
            if not lacking or (key == _PRINTED and len(lacking) < len(genes)):
                continue
            told = (
                f"{key} names {counted(len(genes), 'gene')}, of which"
                f" {len(lacking)} {'is' if len(lacking) == 1 else 'are'} not among the"
                f" {len(names):,} that all slides have: {', '.join(lacking[:5])}."
            )
            near = did_you_mean(lacking[0], known)
            raise CountsError(" ".join(filter(None, [told, near, "Correct or remove these."])))

    def add_image(self, slide_id: str, slide: AnnData) -> None:
        """Compare where the spots of a further slide lie with the slides that have its image.

        Several capture areas may lie on one scan, where spots of one are not on those of another.

        Raises
        ------
        ImageError
            If its spots lie on an image of the same content where those of an earlier slide do.
        """
        from scipy.spatial import cKDTree

        from spared_bench.data import SPATIAL
        from spared_bench.readers.lattice import nearest_px

        facts = slide.uns["slide"]
        self._spot_px[slide_id] = float(facts["spot_diameter_px"]) * float(facts["image_scale"])
        centres = np.asarray(slide.obsm[SPATIAL], np.float64) * float(facts["image_scale"])
        # A lone spot is known by its diameter alone.
        pitch = nearest_px(centres) or float(facts["spot_diameter_px"] * facts["image_scale"])
        found = _Pictured(slide_id, Path(facts["image_path"]), centres, pitch)
        for other in self._pictured:
            if not same_content(found.path, other.path):
                continue
            near = cKDTree(other.centres).query(centres)[0] < min(pitch, other.pitch)
            if near.mean() > _FEW:
                raise ImageError(
                    f"its image {found.path} is that of slide {other.slide_id!r}"
                    f"{'' if found.path == other.path else f', {other.path}'}, and"
                    f" {int(near.sum())} of its {len(centres)} spots lie where spots of that slide"
                    " do: one piece of tissue cannot be both. Name the image of each slide;"
                    " capture areas of one scan may share it, where their spots lie apart."
                )
        self._pictured.append(found)

    def unlike_images(self) -> list[str]:
        """Return a sentence where images show spots much coarser on one slide than on another.

        As where one has the scan and another what Space Ranger reduced of it.
        """
        if len(self._spot_px) < 2:
            return []
        coarse = min(self._spot_px, key=lambda name: self._spot_px[name])
        fine = max(self._spot_px, key=lambda name: self._spot_px[name])
        low, high = self._spot_px[coarse], self._spot_px[fine]
        if low >= _SHARP_PX or high < _COARSER * low:
            return []
        return [
            f"Images differ in resolution: a spot is {low:.3g} px wide on that of slide {coarse!r}"
            f" and {high:.3g} px on that of slide {fine!r}. Patches of both are made equally large,"
            " so that those of the first are blurred, and what is learned on sharp ones may not"
            " hold for them. Give images of one resolution: `image` takes the scan of a slide."
        ]

    def add_labels(self, slide_id: str, slide: AnnData, table: Path) -> None:
        """Compare whom a table labels with the slides before that have the same table.

        Raises
        ------
        ContractError
            If one row of it would label spots of two slides, as barcodes of Visium do.
        """
        from spared_bench.data import LABEL

        spots = set(slide.obs_names[slide.obs[LABEL].to_numpy() != ""])
        for other, path, others in self._labelled:
            if spots & others and same_content(table, path):
                raise ContractError(
                    f"its labels {table} are those of slide {other!r}, and"
                    f" {min(spots & others)!r}, for example, is a spot of both: whose label that is"
                    " cannot be told. Name a table of its own for each slide."
                )
        self._labelled.append((slide_id, table, spots))


def same_content(path: Path, other: Path) -> bool:
    """Return whether two files are one, by whatever link, or equal in every byte."""
    if path.samefile(other):
        return True
    return path.stat().st_size == other.stat().st_size and file_digest(path) == file_digest(other)


def _print_of(slide: AnnData) -> str:
    """Return a fingerprint of counts that the order of spots and genes does not change."""
    by_gene = np.asarray(slide.X.sum(axis=0, dtype=np.float64)).ravel()
    by_spot = np.asarray(slide.X.sum(axis=1, dtype=np.float64)).ravel()
    found = hashlib.sha256(np.sort(by_spot).tobytes())
    for gene in np.argsort(slide.var_names.astype(str)):
        found.update(f"{slide.var_names[gene]}\t{by_gene[gene]}\n".encode())
    return found.hexdigest()
