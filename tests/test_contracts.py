"""What predictors return: arrays in order, tables by name, and nothing with holes."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from decimal import Decimal
from functools import wraps

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch

from spared_bench.contracts import (
    checked_completion,
    checked_output,
    checked_prediction,
    completion_of,
    lacking,
)
from spared_bench.errors import DivergedError, PluginError, SparedBenchError
from spared_bench.prediction import Prediction
from spared_bench.trials.predicted import predicted


@pytest.fixture
def blind(tiny_slides):
    return tiny_slides.test.without_expression()


@pytest.fixture
def values(blind, rng):
    return rng.normal(size=(len(blind), blind.n_genes)).astype(np.float32)


def table(values, slides):
    return pd.DataFrame(values, slides.adata.obs_names, slides.gene_names)


def test_a_table_in_another_order_is_put_in_that_of_the_slides(blind, values, rng):
    given = table(values, blind)
    rows, columns = rng.permutation(len(blind)), rng.permutation(blind.n_genes)
    for other in (given, given.iloc[rows], given.iloc[:, columns], given.iloc[rows, columns]):
        np.testing.assert_array_equal(checked_prediction(other, blind, "x"), values)


def test_a_numbered_axis_of_a_table_is_taken_in_order_and_the_other_by_name(blind, values):
    np.testing.assert_array_equal(checked_prediction(pd.DataFrame(values), blind, "x"), values)
    mixed = table(values, blind).iloc[::-1].set_axis(range(blind.n_genes), axis=1)
    np.testing.assert_array_equal(checked_prediction(mixed, blind, "x"), values)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda given: given.rename(columns={given.columns[0]: "odd"}), "'odd'.*none of them"),
        (lambda given: given.iloc[:-1], "rows are not the .* spots: .*lacking"),
        (lambda given: given.iloc[[0, *range(len(given) - 1)]], "more than once"),
        (lambda given: given.set_axis(range(len(given), 0, -1)), "rows are not the"),
        (lambda given: given.T, "rows are not the"),
    ],
)
def test_a_table_with_other_names_is_refused_and_not_taken_by_position(
    blind, values, change, message
):
    with pytest.raises(PluginError, match=message):
        checked_prediction(change(table(values, blind)), blind, "x")


def test_a_table_with_a_hole_is_diverged_as_an_array_is(blind, values):
    values[0, 0] = np.nan
    for given in (values, table(values, blind)):
        with pytest.raises(Exception, match="predicts nan"):
            checked_prediction(given, blind, "x")


def test_a_masked_array_is_refused_where_it_is_masked_and_taken_where_it_is_not(blind, values):
    whole = np.ma.masked_array(values)
    np.testing.assert_array_equal(checked_prediction(whole, blind, "x"), values)
    whole[2, 1] = np.ma.masked
    with pytest.raises(PluginError, match=r"masked array with 1 masked entries.*filled"):
        checked_prediction(whole, blind, "x")


@pytest.fixture
def full(blind, values, rng):
    """Means, variances and probabilities of the two classes of the tiny slides."""
    share = rng.random(len(blind)).astype(np.float32)
    return Prediction(values, np.abs(values), np.stack([share, 1 - share], axis=1))


def test_a_prediction_keeps_its_parts_and_a_plain_array_has_means_alone(blind, values, full):
    found = checked_output(full, blind, "x")
    np.testing.assert_array_equal(found.mean, values)
    np.testing.assert_array_equal(found.variance, np.abs(values))
    np.testing.assert_allclose(found.classes, full.classes, atol=1e-6)
    plain = checked_output(values, blind, "x")
    assert (plain.variance, plain.classes) == (None, None)


def test_the_parts_of_a_prediction_may_be_tables_in_another_order(blind, full):
    order = [3, 1, 0, 2, 5, 4]
    variance = table(full.variance, blind).iloc[::-1, order]
    classes = pd.DataFrame(full.classes, blind.adata.obs_names, ["bright", "dark"])
    given = Prediction(full.mean, variance, classes[["dark", "bright"]])
    found = checked_output(given, blind, "x")
    np.testing.assert_array_equal(found.variance, full.variance)
    np.testing.assert_allclose(found.classes, full.classes, atol=1e-6)


@pytest.mark.parametrize(
    ("part", "change", "message"),
    [
        ("variance", lambda v: v - 9, r"Predictor 'x' returned a variance that is negative"),
        ("variance", lambda v: v[:, 1:], r"'x' returned shape \(40, 5\) for the variance"),
        ("variance", lambda v: v * np.nan, r"'x' predicts nan or infinite .* for the variance"),
        ("variance", lambda v: v.astype(str), r"'x' returned values of type .* for the variance"),
        ("classes", lambda c: c * 2, r"'x' returned probabilities .* do not sum to 1"),
        ("classes", lambda c: c * 3 - 1, r"'x' returned a negative probability"),
        ("classes", lambda c: c[:, :1], r"shape \(40, 1\) for the classes; .*bright, dark"),
        ("classes", lambda c: c / 0, "nan or infinite values for the classes"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:invalid value")
def test_a_part_that_cannot_be_is_refused_by_the_name_of_its_method(
    blind, full, part, change, message
):
    with pytest.raises(SparedBenchError, match=message):
        checked_output(replace(full, **{part: change(getattr(full, part))}), blind, "x")


def test_probabilities_of_a_dataset_without_classes_are_refused(blind, full):
    blind.adata.uns["spared_bench"]["classes"] = []
    with pytest.raises(PluginError, match="the dataset declares none"):
        checked_output(full, blind, "x")


def test_nothing_and_a_bare_pair_are_told_what_to_return(blind, values):
    with pytest.raises(PluginError, match=r"'x' returned None; .*Does `predict` lack a `return`"):
        checked_output(None, blind, "x")
    with pytest.raises(PluginError, match=r"is a `Prediction\(mean, variance\)`"):
        checked_output((values, values), blind, "x")


@pytest.mark.filterwarnings("error")
def test_a_variance_beyond_the_range_of_float32_is_infinite_and_warns_of_nothing(blind, values):
    with pytest.raises(DivergedError, match="infinite values for the variance"):
        checked_output(Prediction(values, np.full(values.shape, 1e300)), blind, "x")


@pytest.fixture
def filled(tiny_slides):
    slides = tiny_slides.train
    return slides, np.where(slides.mask, slides.target, np.float32(0.5)).astype(np.float32)


def test_a_completion_is_taken_by_name_where_it_has_names(filled, rng):
    slides, values = filled
    given = table(values, slides)
    rows, columns = rng.permutation(len(given)), rng.permutation(slides.n_genes)
    for other in (values, given, given.iloc[rows, columns], np.ma.masked_array(values)):
        np.testing.assert_array_equal(checked_completion(other, slides, "x"), values)
    with pytest.raises(PluginError, match=r"Completer 'x' returned a DataFrame .*lacking"):
        checked_completion(given.iloc[:-1], slides, "x")


def test_a_completion_with_masked_entries_is_refused(filled):
    slides, values = filled
    assert not slides.mask.all()
    with pytest.raises(PluginError, match=r"Completer 'x' returned a masked array.*filled"):
        checked_completion(np.ma.masked_array(values, ~slides.mask), slides, "x")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda values: None, r"Completer 'x' returned None; .*`complete` lack a `return`"),
        (lambda values: values + 0j, "returned values of type complex64"),
        (lambda values: values.T, "returned shape"),
        (lambda values: "filled", "values of type <U6"),
    ],
)
def test_a_completion_that_is_no_table_of_numbers_is_refused(filled, change, message):
    slides, values = filled
    with pytest.raises(PluginError, match=message):
        checked_completion(change(values), slides, "x")


class Rewrites:
    """A completer that writes into the slides that it gets, and returns what it finds there."""

    def __init__(self, layer, values):
        self.layer, self.values = layer, values

    def complete(self, slides):
        slides.adata.layers[self.layer] = self.values
        return np.where(slides.mask, slides.target, 0.5)


def test_measured_entries_are_those_of_before_a_completer_wrote_into_its_slides(filled):
    slides, values = filled
    for rewrites in (
        Rewrites("target", slides.target + 5),
        Rewrites("mask", np.zeros_like(slides.mask)),
    ):
        own = replace(slides, adata=slides.adata.copy())
        with pytest.raises(PluginError, match="'x' changed measured entries"):
            completion_of(rewrites, own, "x")
    own = replace(slides, adata=slides.adata.copy())
    noted = Rewrites("note", np.zeros(slides.mask.shape))
    np.testing.assert_array_equal(completion_of(noted, own, "x"), values)


def test_names_are_those_of_before_a_method_turned_its_slides_round(blind, filled, values):
    class Turns:
        def predict(self, slides):
            slides.adata._inplace_subset_var(np.arange(slides.n_genes)[::-1])
            slides.adata._inplace_subset_obs(np.arange(len(slides))[::-1])
            return table(values[::-1, ::-1], slides)

        def complete(self, slides):
            slides.adata._inplace_subset_var(np.arange(slides.n_genes)[::-1])
            return table(completed[:, ::-1], slides)

    np.testing.assert_array_equal(predicted(Turns(), blind, "x", 0).mean, values)
    slides, completed = filled
    own = replace(slides, adata=slides.adata.copy())
    np.testing.assert_array_equal(completion_of(Turns(), own, "x"), completed)


@pytest.mark.parametrize("text", ["1_5", " 7 ", b"3"])
def test_text_among_numbers_is_refused_and_not_read_as_a_number(blind, values, filled, text):
    given = values.astype(object)
    given[1, 2] = text
    for each in (given, table(given, blind)):
        with pytest.raises(PluginError, match=f"Predictor 'x' returned the text {text!r}"):
            checked_prediction(each, blind, "x")
    slides, completed = filled
    completed = completed.astype(object)
    completed[1, 2] = text
    with pytest.raises(PluginError, match=f"Completer 'x' returned the text {text!r}"):
        checked_completion(completed, slides, "x")


def test_numbers_of_python_are_numbers(blind, values):
    given = np.vectorize(Decimal, otypes=[object])(values.round(3).astype(float))
    found = checked_prediction(given, blind, "x")
    np.testing.assert_allclose(found, values.round(3), rtol=1e-6)


def test_rows_that_have_names_are_found_by_them_too(blind, values, rng):
    given = table(values, blind).iloc[:, rng.permutation(blind.n_genes)]
    shuffled = rng.permutation(len(blind))
    for rows in (list, tuple):
        series = rows(given.iloc[row] for row in shuffled)
        np.testing.assert_array_equal(checked_prediction(series, blind, "x"), values)
    plain = [pd.Series(row) for row in values]
    np.testing.assert_array_equal(checked_prediction(plain, blind, "x"), values)
    plain[0] = pd.Series(values[0], [f"odd{gene}" for gene in range(blind.n_genes)])
    with pytest.raises(PluginError, match="odd0"):
        checked_prediction(plain, blind, "x")


def test_a_hole_in_a_row_of_a_list_is_found(blind, values):
    rows = [np.ma.masked_less(row, np.inf if number == 1 else -np.inf)
            for number, row in enumerate(values)]  # fmt: skip
    with pytest.raises(PluginError, match=rf"with {blind.n_genes} masked entries"):
        checked_prediction(rows, blind, "x")
    rows[1] = np.ma.MaskedArray(values[1])
    np.testing.assert_array_equal(checked_prediction(rows, blind, "x"), values)


def other_tables(values, slides):
    """Yield tables of other libraries, rows and columns turned round."""
    turned = table(values, slides).iloc[::-1, ::-1]
    with suppress(ImportError):
        import xarray

        yield xarray.DataArray(turned, dims=("spot", "gene"))
    with suppress(ImportError):
        import pyarrow

        yield pyarrow.Table.from_pandas(turned, preserve_index=False)
    with suppress(ImportError):
        import dask.dataframe

        yield dask.dataframe.from_pandas(turned.reset_index(drop=True), npartitions=2)
    yield anndata.AnnData(turned)


def test_a_table_of_another_library_is_not_taken_by_position(blind, values, filled):
    for given in other_tables(values, blind):
        with pytest.raises(PluginError, match="a table whose names are not read"):
            checked_prediction(given, blind, "x")
    slides, complete = filled
    for given in other_tables(complete, slides):
        with pytest.raises(PluginError, match="a table whose names are not read"):
            checked_completion(given, slides, "x")


@pytest.mark.parametrize("form", ["csr_array", "coo_array", "coo_matrix", "lil_matrix"])
def test_a_sparse_matrix_is_said_to_be_one(blind, values, form):
    with pytest.raises(PluginError, match=rf"returned a sparse {form}; .*\.toarray\(\)"):
        checked_output(getattr(scipy.sparse, form)(values), blind, "x")


def test_a_tensor_is_taken_as_a_network_gives_it(blind, values, filled):
    """With its graph, in half precision, or row by row: whoever forgets `no_grad` is no failure."""
    tensor = torch.tensor(values, requires_grad=True)
    for given in (tensor, tensor * 1, list(tensor), torch.nn.Parameter(tensor)):
        np.testing.assert_array_equal(checked_output(given, blind, "x").mean, values)
    half = checked_output(tensor.bfloat16(), blind, "x").mean
    np.testing.assert_array_equal(half, torch.tensor(values).bfloat16().float().numpy())
    with pytest.raises(PluginError, match=r"is no array of numbers|expected numbers"):
        checked_output(tensor + 1j, blind, "x")


def test_a_huge_array_is_refused_by_its_shape_before_it_is_copied(blind):
    huge = np.broadcast_to(np.float64(0), (10**9, 10**9))
    with pytest.raises(PluginError, match=r"returned shape \(1000000000, 1000000000\); expected"):
        checked_prediction(huge, blind, "x")


def test_a_method_is_called_as_its_wrapper_is_and_not_as_what_that_wraps():
    """Decorators that hand a logger or a device on give what they wrap further arguments."""

    def logged(method, train, val, context, log):
        log.append(train)

    class Decorated:
        @wraps(logged)
        def fit(self, train, val, context):
            return logged(self, train, val, context, log=[])

        def predict(self, slides):
            return slides

    assert lacking("predictor", Decorated()) == ""
