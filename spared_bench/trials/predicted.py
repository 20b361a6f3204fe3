"""What a trained method predicts of slides, asked the same way wherever it is asked."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from spared_bench.contracts import checked_output
from spared_bench.trials.seeding import seed_everything
from spared_bench.trials.withheld import predicting

if TYPE_CHECKING:
    from spared_bench.data import Slides
    from spared_bench.prediction import Prediction


def predicted(method: Any, slides: Slides, name: str, seed: int) -> Prediction:
    """Return the prediction of a trained method, in the order of the slides' spots and genes.

    The global generators are seeded before: a method may draw from them (noise, dropout that is
    left on), and then predicts the same at every call, whatever was drawn in its training.

    Parameters
    ----------
    method : Predictor
    slides : Slides
        Without expression.
    name : str
        Of the method, for errors.
    seed : int
        That of its training.

    Raises
    ------
    WithheldError
        If it asks for measured expression.
    PluginError, DivergedError
        See ``checked_output``.
    """
    seed_everything(seed)
    given = replace(slides, adata=slides.adata.copy())  # a method may write into its own
    with predicting(slides):
        answer = method.predict(slides)
    return checked_output(answer, given, name)
