"""Readers of the layouts in which people have their slides; each returns a raw slide.

``spared_bench.data.validate_raw_slide`` says what that is. ``uns["slide"]["repairs"]`` lists, in
sentences, what a reader left out or put right.
"""

from spared_bench.readers.anndata_file import read_anndata
from spared_bench.readers.genes import merge_duplicated_genes
from spared_bench.readers.legacy_st import read_legacy_st
from spared_bench.readers.space_ranger import read_space_ranger
from spared_bench.readers.spatial_data import read_spatialdata

__all__ = [
    "merge_duplicated_genes",
    "read_anndata",
    "read_legacy_st",
    "read_space_ranger",
    "read_spatialdata",
]
