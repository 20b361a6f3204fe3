"""What spared-bench reads to know the method; nothing heavy is imported here."""

from spared_bench import PredictorSpec, hookimpl


@hookimpl
def spared_bench_predictors():
    model = "two_views_model:TwoViews"
    return [PredictorSpec("two-views", model, summary="The spot and the tissue around it")]
