"""What a method predicts for a slide is the same in its run and when the slide is given anew."""

from __future__ import annotations

import numpy as np
import pytest

import spared_bench


@pytest.mark.parametrize("dataset", ["mob_demo", "her2st_demo"])  # staggered; on a smaller image
def test_the_tested_slide_given_anew_gets_the_predictions_of_the_run(dataset, tmp_path):
    # Which go by colours, by the array, and by the slide's name.
    methods = ["linear-probe", "hist2st-gat", "shuffled"]
    report = spared_bench.run(
        datasets=[dataset],
        completers=["none"],
        predictors=methods,
        parameters={"hist2st-gat": {"lr": 0.01}},
        workspace=tmp_path,
        device="cpu",
        track=False,
        figures=False,
        board=False,
    )
    for method in methods:
        measured = report.predictions(method)
        bare = measured.copy()  # as people make a file smaller
        for library in bare.uns["spatial"].values():
            library["images"] = {}
        for given in (measured, bare):
            again = spared_bench.predict(report.result(method), given, workspace=tmp_path)
            np.testing.assert_allclose(
                again.layers["predicted"], measured.layers["predicted"], rtol=1e-5, atol=1e-5
            )
            assert list(again.uns["spatial"]) == list(measured.uns["spatial"])
            assert set(again.obs["slide_id"]) == set(measured.uns["spatial"])
