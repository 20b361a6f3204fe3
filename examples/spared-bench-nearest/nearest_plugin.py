"""What spared-bench reads to know the predictor; nothing heavy is imported here."""

from spared_bench import PredictorSpec, hookimpl


@hookimpl
def spared_bench_predictors():
    return [
        PredictorSpec(
            "nearest",
            "nearest_model:Nearest",
            summary="Mean expression of the training spots of the most similar colours",
            search={"n_neighbours": (5, 20)},
        )
    ]
