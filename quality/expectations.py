"""Expectations that Great Expectations does not have, written as its own are: a metric, and an expectation on it.

Each judges single rows, so that a failure has a count and examples; a row in which a value is missing is left to the
expectations of completeness.
"""

from __future__ import annotations

from typing import Any, ClassVar

import pandas as pd
from great_expectations.execution_engine import PandasExecutionEngine
from great_expectations.expectations.expectation import (
    ColumnMapExpectation,
    ColumnPairMapExpectation,
    MulticolumnMapExpectation,
)
from great_expectations.expectations.metrics.map_metric_provider import (
    ColumnMapMetricProvider,
    ColumnPairMapMetricProvider,
    MulticolumnMapMetricProvider,
    column_condition_partial,
    column_pair_condition_partial,
    multicolumn_condition_partial,
)


class ColumnPairSecondsBetween(ColumnPairMapMetricProvider):  # type: ignore[misc]
    """Whether ``column_A`` - ``column_B`` lies between so many seconds, both included."""

    condition_metric_name = "column_pair_values.seconds_between"
    condition_domain_keys = ("batch_id", "table", "column_A", "column_B", "row_condition", "condition_parser")
    condition_value_keys = ("min_seconds", "max_seconds")

    @column_pair_condition_partial(engine=PandasExecutionEngine)  # type: ignore[untyped-decorator]
    def _pandas(
        cls,
        column_A: pd.Series[Any],
        column_B: pd.Series[Any],
        min_seconds: float | None,
        max_seconds: float | None,
        **_: Any,
    ) -> pd.Series[bool]:
        seconds = (_times(column_A) - _times(column_B)).dt.total_seconds()
        met = pd.Series(data=True, index=seconds.index)
        if min_seconds is not None:
            met &= seconds >= min_seconds
        if max_seconds is not None:
            met &= seconds <= max_seconds
        return met


class ExpectColumnPairSecondsToBeBetween(ColumnPairMapExpectation):  # type: ignore[misc]
    """Expect ``column_A`` to lie so many seconds after ``column_B``: at least ``min_seconds``, at most ``max_seconds``.

    Negative seconds are before it; None is no bound.
    """

    map_metric: ClassVar[str] = "column_pair_values.seconds_between"
    success_keys: ClassVar[tuple[str, ...]] = ("min_seconds", "max_seconds", "mostly", "ignore_row_if")
    args_keys: ClassVar[tuple[str, ...]] = ("column_A", "column_B", "min_seconds", "max_seconds")

    min_seconds: float | None = None
    max_seconds: float | None = None
    ignore_row_if: Any = "either_value_is_missing"


class ColumnTimesAligned(ColumnMapMetricProvider):  # type: ignore[misc]
    """Whether a time is a whole number of ``minutes`` after midnight UTC."""

    condition_metric_name = "column_values.aligned_to_minutes"
    condition_value_keys = ("minutes",)

    @column_condition_partial(engine=PandasExecutionEngine)  # type: ignore[untyped-decorator]
    def _pandas(cls, column: pd.Series[Any], minutes: int, **_: Any) -> pd.Series[bool]:
        times = _times(column)
        return times == times.dt.floor(f"{minutes}min")


class ExpectColumnTimesToBeAligned(ColumnMapExpectation):  # type: ignore[misc]
    """Expect each time in ``column`` to be a whole number of ``minutes``, which divide a day, after midnight UTC."""

    map_metric: ClassVar[str] = "column_values.aligned_to_minutes"
    success_keys: ClassVar[tuple[str, ...]] = ("minutes", "mostly")
    args_keys: ClassVar[tuple[str, ...]] = ("column", "minutes")

    minutes: int


class MulticolumnSumAtMostFirst(MulticolumnMapMetricProvider):  # type: ignore[misc]
    """Whether the sum of all columns but the first is at most the first."""

    condition_metric_name = "multicolumn_values.sum_at_most_first"
    condition_domain_keys = (
        "batch_id",
        "table",
        "column_list",
        "row_condition",
        "condition_parser",
        "ignore_row_if",
    )
    condition_value_keys = ()

    @multicolumn_condition_partial(engine=PandasExecutionEngine)  # type: ignore[untyped-decorator]
    def _pandas(cls, column_list: pd.DataFrame, **_: Any) -> pd.Series[bool]:
        return column_list.iloc[:, 1:].sum(axis=1) <= column_list.iloc[:, 0]


class ExpectMulticolumnSumToBeAtMostFirst(MulticolumnMapExpectation):  # type: ignore[misc]
    """Expect the first column of ``column_list`` to be at least the sum of the others, as a total of its parts."""

    map_metric: ClassVar[str] = "multicolumn_values.sum_at_most_first"
    success_keys: ClassVar[tuple[str, ...]] = ("mostly", "ignore_row_if")
    args_keys: ClassVar[tuple[str, ...]] = ("column_list",)

    ignore_row_if: Any = "any_value_is_missing"


def _times(column: pd.Series[Any]) -> pd.Series[Any]:
    """As times: of no rows at all pandas does not know the type."""
    return pd.to_datetime(column, utc=True)
