"""What predictors return: arrays in order, tables by name, and nothing with holes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from spared_bench.contracts import checked_prediction
from spared_bench.errors import PluginError


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
