"""Which columns a protocol's ``scored_genes`` are."""

from __future__ import annotations

import pytest

from spared_bench.errors import ProtocolError
from spared_bench.protocol import Protocol
from spared_bench.trials.scores import scored_columns


def test_a_symbol_of_several_trained_genes_is_refused_and_their_ids_are_taken():
    ids = ["ENSG00000280987", "ENSG00000075624", "ENSG00000015479"]
    symbols = ["MATR3", "ACTB", "MATR3"]  # as GENCODE calls them

    def columns(*genes):
        named = {"name": "x", "version": 1, "scored_genes": list(genes)}
        return scored_columns(Protocol.model_validate(named), ids, symbols).tolist()

    with pytest.raises(ProtocolError, match="'MATR3' is the symbol of 2 genes here"):
        columns("ACTB", "MATR3")
    assert columns(ids[2], "ACTB") == [1, 2]
    assert columns(ids[0]) == [0]
