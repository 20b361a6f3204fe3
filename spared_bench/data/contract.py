"""The two contracts of AnnData, raw slide and prepared dataset, and their checks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from spared_bench.errors import ContractError, CoordinateError, CountsError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anndata import AnnData

COUNTS = "counts"
EXPRESSION = "expression"
PREFILLED = "prefilled"
TARGET = "target"
MASK = "mask"
SPATIAL = "spatial"
EXPRESSED = "expressed_fraction"
LABEL = "label"
DEPTH = "depth"
CLASSES = "classes"
KNOWN = "known"
SAMPLE = "sample_id"
ORDER = "order"
SPATIAL_3D = "spatial_3d"
SECTIONS = "sections"
PREPARED_LAYERS = (COUNTS, EXPRESSION, PREFILLED, TARGET, MASK)
PREPARED_OBS = ("slide_id", "patient_id", "split", "array_row", "array_col")
PREPARED_VAR = ("gene_name", "gene_length_bp", "moran_i", EXPRESSED)
SLIDE_FACTS = ("image_path", "image_scale", "spot_diameter_px", "um_per_px")


def validate_counts(matrix: Any, where: str) -> None:
    """Check that a matrix holds raw counts: finite, whole and not negative.

    Parameters
    ----------
    matrix : ndarray or scipy sparse matrix
    where : str
        What to call the matrix in a message, e.g. ``"X of slide 'A1'"``.

    Raises
    ------
    CountsError
        Naming the first offending value.
    """
    values = np.asarray(matrix.data if hasattr(matrix, "tocsr") else matrix)
    if values.dtype.kind not in "iufb":
        raise CountsError(f"{where} holds {values.dtype}; raw counts must be numbers.")
    if values.dtype.kind == "f":
        if not np.isfinite(values).all():
            raise CountsError(f"{where} holds nan or infinite values; raw counts are finite.")
        if not np.array_equal(values, np.floor(values)):
            odd = float(values[values != np.floor(values)].flat[0])
            raise CountsError(
                f"{where} holds fractions ({odd:.4g}, for example), so it is normalised or"
                " log-transformed. Raw counts are whole numbers: pass the layer that holds them."
            )
    if values.size and values.min() < 0:
        raise CountsError(
            f"{where} holds negative values ({float(values.min()):.4g}), so it is scaled or"
            " centred. Raw counts are not negative: pass the layer that holds them."
        )


def validate_normalised(matrix: Any, where: str) -> None:
    """Check values of a source that publishes no raw counts: finite, and not negative.

    Raises
    ------
    CountsError
    """
    values = np.asarray(matrix.data if hasattr(matrix, "tocsr") else matrix)
    if not np.isfinite(values).all() or (values.size and values.min() < 0):
        raise CountsError(
            f"{where} holds negative, nan or infinite values. It is declared to be normalised,"
            " which may leave fractions, and not scaled or centred."
        )


def validate_labels(labels: Any, classes: Sequence[str], where: str) -> None:
    """Check the labels of spots: text, each of them a class or empty (unlabelled).

    Parameters
    ----------
    labels : Series or sequence
    classes : sequence of str
        Those that the dataset declares (``DatasetSpec.classes``).
    where : str
        What to call them in a message.

    Raises
    ------
    ContractError
        Naming the first label that is none of them.
    """
    for label in dict.fromkeys(labels):
        if not isinstance(label, str):
            raise ContractError(
                f"{where} holds {label!r}, a {type(label).__name__}; expected text, and '' where a"
                " spot has no label."
            )
        if label and label not in classes:
            hint = did_you_mean(label, classes)
            raise ContractError(
                f"{where} holds {label!r}, which is no class of the dataset."
                f"{f' {hint}' if hint else ''} Its classes are: {', '.join(classes)}. Correct the"
                " label, or name it among `classes`."
            )


def validate_raw_slide(
    slide: AnnData, slide_id: str, raw_counts: bool = True, classes: Sequence[str] = ()
) -> None:
    """Check one raw slide against the contract of this module.

    Parameters
    ----------
    slide : AnnData
        What a reader returned.
    slide_id : str
        For the messages.
    raw_counts : bool
        False for a dataset that declares normalised values (``DatasetSpec.raw_counts``).
    classes : sequence of str
        Those of the dataset; where it has none, labels are not looked at.

    Raises
    ------
    CountsError, CoordinateError, ContractError
    """
    name = f"slide {slide_id!r}"
    if slide.n_obs == 0 or slide.n_vars == 0:
        raise CountsError(f"{name} is empty: {slide.n_obs} spots x {slide.n_vars} genes.")
    check = validate_counts if raw_counts else validate_normalised
    check(slide.X, f"X of {name}")
    for axis, names in (("gene", slide.var_names), ("spot", slide.obs_names)):
        if not names.is_unique:
            twice = names[names.duplicated()][0]
            raise CountsError(
                f"{name} names {axis} {twice!r} more than once. Use unique ids, or add up the"
                " duplicates in the reader (`spared_bench.readers.merge_duplicated_genes`)."
            )
    missing = [key for key in ("array_row", "array_col") if key not in slide.obs]
    if missing:
        raise ContractError(f"{name} lacks obs columns {missing}; found {list(slide.obs.columns)}.")
    if classes and LABEL in slide.obs:
        validate_labels(slide.obs[LABEL], classes, f"obs['label'] of {name}")
    if SPATIAL not in slide.obsm:
        raise CoordinateError(
            f"{name} has no obsm['spatial']: spot centres (x, y) in full-resolution pixels."
            f" Found obsm keys {list(slide.obsm)}."
        )
    coordinates = np.asarray(slide.obsm[SPATIAL])
    if coordinates.shape != (slide.n_obs, 2):
        raise CoordinateError(
            f"{name}: obsm['spatial'] must have shape ({slide.n_obs}, 2), found"
            f" {coordinates.shape}."
        )
    if not np.isfinite(coordinates.astype(np.float64)).all():
        raise CoordinateError(f"{name}: obsm['spatial'] holds nan or infinite coordinates.")
    facts = slide.uns.get("slide")
    lacking = [key for key in SLIDE_FACTS if not isinstance(facts, dict) or key not in facts]
    if lacking:
        raise ContractError(f"{name} lacks {lacking} in uns['slide'].")
    if not float(facts["spot_diameter_px"]) > 0 or not float(facts["image_scale"]) > 0:
        raise ContractError(
            f"{name}: spot_diameter_px and image_scale in uns['slide'] must be positive, found"
            f" {facts['spot_diameter_px']} and {facts['image_scale']}."
        )


def validate_prepared(adata: AnnData) -> None:
    """Check a prepared dataset against the contract of this module.

    Raises
    ------
    ContractError
        Naming the missing key, or the entry that contradicts another.
    """
    for what, container, wanted in (
        ("layers", adata.layers, PREPARED_LAYERS),
        ("obs", adata.obs, PREPARED_OBS),
        ("var", adata.var, PREPARED_VAR),
        ("obsm", adata.obsm, (SPATIAL,)),
        ("uns", adata.uns, ("spared_bench",)),
    ):
        missing = [key for key in wanted if key not in container]
        if missing:
            raise ContractError(
                f"This AnnData is no prepared dataset: {what} lacks {missing}; found"
                f" {sorted(map(str, container.keys()))}. `spared-bench data prepare` makes one."
            )
    raw_counts = adata.uns["spared_bench"].get("raw_counts", True)
    check = validate_counts if raw_counts else validate_normalised
    check(adata.layers[COUNTS], "layers['counts']")
    mask = np.asarray(adata.layers[MASK])
    if mask.dtype != bool:
        raise ContractError(f"layers['mask'] must be bool, found {mask.dtype}.")
    for layer in (EXPRESSION, PREFILLED, TARGET):
        if not np.isfinite(np.asarray(adata.layers[layer])).all():
            raise ContractError(f"layers[{layer!r}] holds nan or infinite values.")
    if np.asarray(adata.layers[TARGET])[~mask].any():
        raise ContractError("layers['target'] is not 0 at an unmeasured entry (mask False).")
    classes = tuple(map(str, adata.uns["spared_bench"].get(CLASSES, ())))
    if LABEL in adata.obs:
        validate_labels(adata.obs[LABEL].astype(object), classes, "obs['label']")
    unknown = set(adata.obs["split"]) - {"train", "val", "test"}
    if unknown:
        raise ContractError(f"obs['split'] holds {sorted(unknown)}; expected train, val or test.")
