"""The conformance kit: what every plugin promises, as checks that anyone can run.

``spared-bench plugins check NAME`` runs them and prints a report. Under pytest, in a package of
one's own::

    import pytest
    from spared_bench.testing import predictor_checks

    @pytest.mark.parametrize("check", predictor_checks("my-method"), ids=str)
    def test_it_keeps_the_contract(check):
        check()

The data is made on the spot: four slides of 40 spots and 6 genes. A class may have an attribute
``tiny``, a dict of parameters with which it is small enough for that.
"""

from __future__ import annotations

from spared_bench.testing.checks import Check, CheckSkipped, Outcome, outcomes
from spared_bench.testing.completers import completer_checks
from spared_bench.testing.datasets import dataset_checks
from spared_bench.testing.predictors import predictor_checks
from spared_bench.testing.slides import TinySlides, tiny_slides, with_noise
from spared_bench.testing.views import with_views

__all__ = [
    "Check",
    "CheckSkipped",
    "Outcome",
    "TinySlides",
    "completer_checks",
    "dataset_checks",
    "outcomes",
    "predictor_checks",
    "tiny_slides",
    "with_noise",
    "with_views",
]
