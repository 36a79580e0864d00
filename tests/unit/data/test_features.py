"""Values of features as the network reads them."""

from __future__ import annotations

import numpy as np

from bert4rec.data.features import Feature, Kind, network_values


def test_a_number_is_standardised_in_float64_and_rounded_once() -> None:
    price = Feature("price", Kind.NUMERIC, mean=0.1, scale=3.0)
    raw_V = np.array([np.nan, 1976.0, 2**53])
    standard_V = network_values(price, raw_V)
    assert standard_V.dtype == np.float32
    assert np.array_equal(standard_V, np.float32((raw_V - 0.1) / 3.0), equal_nan=True)


def test_value_rows_are_read_as_they_are() -> None:
    table_V = np.array([0, 2, 1], dtype=np.int32)
    assert network_values(Feature("color", Kind.CATEGORICAL, ["a", "b"]), table_V) is table_V
