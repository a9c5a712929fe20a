"""A funnel told apart, by session or by user: two periods, and the values of a dimension."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import polars as pl
import streamlit as st

from dashboard.download import as_csv
from dashboard.funnel import charts
from dashboard.words import COUNT, MONEY, PER_CENT


@dataclass(frozen=True)
class Counted:
    """What goes through the steps."""

    column: str
    """That counts them in a table of values."""
    label: str


SESSIONS: Final = Counted("sessions", "Sessions")
USERS: Final = Counted("users", "Users")

_RATIOS: Final = ("conversion", "view_to_cart", "cart_to_purchase")

Steps = Sequence[tuple[str, int]]
"""The name of each step, all first, and how many came to it."""


def differences(this: Steps, other: Steps, counted: Counted) -> None:
    """The steps of both periods in a table."""
    mine, theirs = counted.label, f"Other {counted.label.lower()}"
    shares = ("Share", "Other share", "Of all", "Other of all")
    st.dataframe(
        difference_rows(this, other, counted),
        hide_index=True,
        placeholder="—",
        column_config={name: st.column_config.NumberColumn(format=COUNT) for name in (mine, theirs)}
        | {name: st.column_config.NumberColumn(format=PER_CENT) for name in shares}
        | {
            name: st.column_config.NumberColumn(f"{name} (points)", format="%+.1f", help="This period less the other")
            for name in ("Difference", "Difference of all")
        },
        alt="Steps of both periods, with the differences in percentage points",
    )


def difference_rows(this: Steps, other: Steps, counted: Counted) -> list[dict[str, Any]]:
    """A row for each step: shares of the step before, and of all, in per cent; differences in points."""
    found = []
    pairs = list(zip(this, other, strict=True))
    (_, all_now), (_, all_then) = pairs[0]
    for number, ((name, now), (_, then)) in enumerate(pairs):
        row: dict[str, Any] = {"Step": name, counted.label: now, f"Other {counted.label.lower()}": then}
        (_, now_before), (_, then_before) = pairs[max(0, number - 1)]
        for label, wholes, difference in (
            ("Share", (now_before, then_before), "Difference"),
            ("Of all", (all_now, all_then), "Difference of all"),
        ):
            mine, theirs = (_per_cent(part, whole) for part, whole in zip((now, then), wholes, strict=True))
            row[label], row[f"Other {label.lower()}"] = mine, theirs
            row[difference] = None if mine is None or theirs is None else mine - theirs
        found.append(row)
    return found


def by_value(values: pl.DataFrame, counted: Counted, key: str) -> None:
    """A chart, a table and a file of ``values``; ``key`` tells them from others on the page.

    Columns: place, value (null: all values after the most frequent ones together; empty: without a value), num_values,
    ``counted.column``, viewed, carted, purchased, seconds_to_purchase; for sessions bought and revenue, too.
    """
    st.echarts_chart(
        charts.by_value(values, counted.column),
        height=charts.by_value_height(values),
        key=key,
        alt=f"Conversion of the most frequent values, with their {counted.column}",
    )
    rest = values.filter(pl.col("value").is_null())
    if not rest.is_empty():
        st.caption(
            f"The {len(values) - 1:,} most frequent values (`LAKEHOUSE_FUNNEL_VALUES_CAP`); the "
            f"{rest['num_values'].item():,} others count together."
        )
    rows = _value_rows(values, counted)
    st.dataframe(
        rows.with_columns(pl.col(_RATIOS) * 100),
        hide_index=True,
        placeholder="—",
        column_config={
            "value": st.column_config.TextColumn("Value", pinned=True, width="medium"),
            counted.column: st.column_config.NumberColumn(counted.label, format=COUNT),
            "viewed": st.column_config.NumberColumn("With a view", format=COUNT),
            "carted": st.column_config.NumberColumn("Then a cart", format=COUNT),
            "purchased": st.column_config.NumberColumn("Then a purchase", format=COUNT),
            "conversion": st.column_config.NumberColumn("Conversion", format=PER_CENT),
            "view_to_cart": st.column_config.NumberColumn("View to cart", format=PER_CENT),
            "cart_to_purchase": st.column_config.NumberColumn("Cart to purchase", format=PER_CENT),
            "minutes_to_purchase": st.column_config.NumberColumn(
                "Mean time to purchase (min)", format="%,.1f", help="From the first view"
            ),
            "bought": st.column_config.NumberColumn("With a purchase, in any order", format=COUNT),
            "revenue": st.column_config.NumberColumn("Revenue", format=MONEY),
        },
        alt="Steps and conversion by value",
    )
    st.download_button(
        "CSV",
        data=as_csv(rows),
        key=f"{key}_csv",
        file_name="funnel-by-value.csv",
        mime="text/csv",
        icon=":material/download:",
        on_click="ignore",
        help="The table above",
    )


def _value_rows(values: pl.DataFrame, counted: Counted) -> pl.DataFrame:
    def ratio(part: str, whole: str) -> pl.Expr:
        return pl.when(pl.col(whole) > 0).then(pl.col(part) / pl.col(whole))

    seconds = ratio("seconds_to_purchase", "purchased")
    return values.select(
        pl.Series("value", [charts.named(value) for value in values["value"]], dtype=pl.String),
        counted.column,
        "viewed",
        "carted",
        "purchased",
        ratio("purchased", counted.column).alias("conversion"),
        ratio("carted", "viewed").alias("view_to_cart"),
        ratio("purchased", "carted").alias("cart_to_purchase"),
        (seconds / 60).alias("minutes_to_purchase"),
        *(name for name in ("bought", "revenue") if name in values.columns),
    )


def _per_cent(part: int, whole: int) -> float | None:
    return 100 * part / whole if whole else None
