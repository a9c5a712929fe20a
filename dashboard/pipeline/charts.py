"""The charts of the page, as ECharts options."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import polars as pl

from dashboard.legend import BELOW_PX, legend

COLOURS: Final = 8
"""As many as the theme has; the lines after those are dashed, in the same colours again."""


def lines(rows: pl.DataFrame, columns: dict[str, str], unit: str) -> dict[str, Any]:
    """A line for each of ``columns`` (name of the column to name of the line) over ``bucket``; null is a gap."""
    return _over_time([_line(name, rows, column) for column, name in columns.items()], unit)


def by_name(
    rows: pl.DataFrame, names: Sequence[str], column: str, unit: str, *, points: bool = False
) -> dict[str, Any]:
    """A line of ``column`` for each of ``names``, in their order; null is a gap.

    ``points``: a point wherever there is a value, for what happens now and then, and may have no neighbour.
    """
    series = [_line(name, rows.filter(pl.col("name") == name), column, points=points) for name in names]
    for later in series[COLOURS:]:
        later["lineStyle"] = {"type": "dashed"}
    return _over_time(series, unit)


def _line(name: str, rows: pl.DataFrame, column: str, *, points: bool = False) -> dict[str, Any]:
    moments, values = rows["bucket"].dt.epoch("ms"), rows[column].cast(pl.Float64).round(2)
    return {
        "name": name,
        "type": "line",
        "symbolSize": 6,
        "showSymbol": points or rows.height < 2,
        "connectNulls": False,
        "data": [[moment, value] for moment, value in zip(moments, values, strict=True)],
    }


def _over_time(series: list[dict[str, Any]], unit: str) -> dict[str, Any]:
    return {
        "animation": False,
        "useUTC": True,
        "tooltip": {"trigger": "axis", "confine": True},
        "legend": legend(line["name"] for line in series),
        "grid": {"left": 8, "right": 16, "top": 32, "bottom": BELOW_PX, "containLabel": True},
        "xAxis": {"type": "time", "axisLabel": {"hideOverlap": True}},
        "yAxis": {"type": "value", "name": unit, "nameTextStyle": {"align": "left"}, "min": 0},
        "series": series,
    }
