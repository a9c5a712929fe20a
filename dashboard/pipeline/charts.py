"""The charts of the page, as ECharts options."""

from __future__ import annotations

from typing import Any

import polars as pl

COLOURS = 8
"""As many as the theme has; the lines after those are dashed, in the same colours again."""


def lines(rows: pl.DataFrame, columns: dict[str, str], unit: str) -> dict[str, Any]:
    """A line for each of ``columns`` (name of the column to name of the line) over ``bucket``; null is a gap."""
    return _over_time([_line(name, rows, column) for column, name in columns.items()], unit)


def by_stream(history: pl.DataFrame, streams: list[str], column: str, unit: str) -> dict[str, Any]:
    """A line of ``column`` for each of ``streams``, in their order."""
    series = [_line(stream, history.filter(pl.col("name") == stream), column) for stream in streams]
    for later in series[COLOURS:]:
        later["lineStyle"] = {"type": "dashed"}
    return _over_time(series, unit)


def _line(name: str, rows: pl.DataFrame, column: str) -> dict[str, Any]:
    moments, values = rows["bucket"].dt.epoch("ms"), rows[column].cast(pl.Float64).round(2)
    return {
        "name": name,
        "type": "line",
        "showSymbol": rows.height < 2,
        "connectNulls": False,
        "data": [[moment, value] for moment, value in zip(moments, values, strict=True)],
    }


def _over_time(series: list[dict[str, Any]], unit: str) -> dict[str, Any]:
    return {
        "animation": False,
        "useUTC": True,
        "tooltip": {"trigger": "axis", "confine": True},
        "legend": {"type": "scroll", "bottom": 0, "left": "center"},
        "grid": {"left": 8, "right": 16, "top": 32, "bottom": 44, "containLabel": True},
        "xAxis": {"type": "time", "axisLabel": {"hideOverlap": True}},
        "yAxis": {"type": "value", "name": unit, "nameTextStyle": {"align": "left"}, "min": 0},
        "series": series,
    }
