"""The AnnData that readers and processing hand on, its checks, and the slides of a split.

Two contracts, both checked by a function whose errors say what is wrong:

*A raw slide* is what a dataset's reader returns: one slide, spots as rows.

=====================  ==========================================================================
``X``                  raw counts, sparse CSR; genes are unique. A dataset whose source publishes
                       normalised values only declares it (``DatasetSpec.raw_counts``)
``obs_names``          unique spot names
``obs``                ``array_row``, ``array_col``: position in the array; ``label``, optional:
                       a class that the dataset declares (``DatasetSpec.classes``), or ``""``
``obsm["spatial"]``    spot centres in full-resolution pixels, (x, y), float64
``uns["slide"]``       ``image_path`` (may be empty), ``image_scale`` (pixels of that image per
                       full-resolution pixel), ``spot_diameter_px``, ``um_per_px`` (0: unknown);
                       ``modality`` ("H&E" where not said), ``repairs`` (sentences)
=====================  ==========================================================================

*A prepared dataset* is all slides of a dataset after a protocol's processing.

==============================  =================================================================
``X``, ``layers["counts"]``     raw counts of the kept genes
``layers["expression"]``        normalised and logged, 0 where nothing was measured; which
                                normalisation stands in ``uns``
``layers["mask"]``              True where measured (counts > 0); only these entries are scored
``layers["prefilled"]``         ``expression`` after the median filter and batch correction
``layers["target"]``            ``prefilled`` at measured entries, 0 elsewhere
``obs``                         ``slide_id``, ``patient_id``, ``split``, ``array_row``,
                                ``array_col``; ``label`` where the dataset declares classes
``obsm["spatial"]``             as above
``obsm["depth"]``               (n_spots, 1): what the counts of a spot were divided by; hidden, as
                                the layers are, from those who predict
``obs`` of partial samples      ``sample_id``; ``order``, the place along z (-1: unknown);
                                ``known``, whether methods are given its expression
``obsm["spatial_3d"]``          of partial samples: x, y, z in um in the frame of the sample
``var``                         gene id as index; ``gene_name``, ``gene_length_bp`` (nan: unknown),
                                ``moran_i``; ``expressed_fraction``, the share of the spots that
                                chose the genes in which it was seen
``uns["spared_bench"]``         dataset, protocol, parameters, ``classes``, what was repaired or
                                dropped
==============================  =================================================================

The published library calls ``expression`` ``log1p``, ``prefilled`` ``c_d_log1p``, the layers of
completed values ``c_t_log1p``, and those with zeros at unmeasured entries ``noisy_c_d_log1p``.
"""

from __future__ import annotations

from spared_bench.data.contract import (
    CLASSES,
    COUNTS,
    DEPTH,
    EXPRESSED,
    EXPRESSION,
    KNOWN,
    LABEL,
    MASK,
    ORDER,
    PREFILLED,
    PREPARED_LAYERS,
    PREPARED_OBS,
    PREPARED_VAR,
    SAMPLE,
    SECTIONS,
    SLIDE_FACTS,
    SPATIAL,
    SPATIAL_3D,
    TARGET,
    validate_counts,
    validate_labels,
    validate_normalised,
    validate_prepared,
    validate_raw_slide,
)
from spared_bench.data.patches import DeferredPatches, Patches, open_patches
from spared_bench.data.slides import Encoder, Slides

__all__ = [
    "CLASSES",
    "COUNTS",
    "DEPTH",
    "EXPRESSED",
    "EXPRESSION",
    "KNOWN",
    "LABEL",
    "MASK",
    "ORDER",
    "PREFILLED",
    "PREPARED_LAYERS",
    "PREPARED_OBS",
    "PREPARED_VAR",
    "SAMPLE",
    "SECTIONS",
    "SLIDE_FACTS",
    "SPATIAL",
    "SPATIAL_3D",
    "TARGET",
    "DeferredPatches",
    "Encoder",
    "Patches",
    "Slides",
    "open_patches",
    "validate_counts",
    "validate_labels",
    "validate_normalised",
    "validate_prepared",
    "validate_raw_slide",
]
