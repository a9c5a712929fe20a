"""The charts, as ECharts options."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import polars as pl

from dashboard.verdicts.queries import LAYERS, Trend


def pass_rates(trend: pl.DataFrame, shown: Trend) -> dict[str, Any]:
    """A line for each layer: the share of its verdicts in each bar that were met, in percent; with gaps where nothing
    was judged."""
    bars = _bars(trend["bar"], shown.bar)
    series = []
    for layer in sorted(trend["layer"].unique(), key=_place):
        counts = {row["bar"]: row for row in trend.filter(pl.col("layer") == layer).iter_rows(named=True)}
        values = [
            round(100 * found["met"] / found["judged"], 2) if (found := counts.get(bar)) else None for bar in bars
        ]
        series.append({"name": layer, "type": "line", "data": values, "symbolSize": 7, "showSymbol": len(bars) < 40})
    lowest = min(value for each in series for value in each["data"] if value is not None)
    return {
        "animation": False,  # a refresh every few seconds would dance
        "tooltip": {"trigger": "axis", "confine": True},
        "legend": {"type": "scroll", "bottom": 0, "left": "center"},
        "grid": {"left": 8, "right": 16, "top": 16, "bottom": 44, "containLabel": True},
        "xAxis": {
            "type": "category",
            "data": [f"{bar:%d %b %H:%M}" if shown is Trend.DAY else f"{bar:%Y-%m-%d}" for bar in bars],
            "axisLabel": {"hideOverlap": True},
        },
        # From the ten below the lowest: a line at 99.8 of 0 to 100 looks like 100.
        "yAxis": {
            "type": "value",
            "min": max(0, int(lowest // 10) * 10 - (0 if lowest % 10 else 10)),
            "max": 100,
            "axisLabel": {"formatter": "{value} %"},
        },
        "series": series,
    }


def refusals(over_time: pl.DataFrame, bar_minutes: int, other: str) -> dict[str, Any]:
    """Stacked bars, a colour for each reason: refused rows by the broker's time; ``other`` comes last."""
    bars = _bars(over_time["bar"], timedelta(minutes=bar_minutes))
    days = bar_minutes >= 1440
    series = []
    for reason in sorted(over_time["reason"].unique(), key=lambda name: (name == other, name)):
        counts = dict(over_time.filter(pl.col("reason") == reason).select("bar", "rows").iter_rows())
        data = [counts.get(bar, 0) for bar in bars]
        series.append({"name": reason, "type": "bar", "stack": "rows", "barCategoryGap": "12%", "data": data})
    return {
        "animation": False,
        "tooltip": {"trigger": "axis", "axisPointer": {"type": "shadow"}, "confine": True},
        "legend": {"type": "scroll", "bottom": 0, "left": "center"},
        "grid": {"left": 8, "right": 16, "top": 16, "bottom": 44, "containLabel": True},
        "xAxis": {
            "type": "category",
            "data": [f"{bar:%Y-%m-%d}" if days else f"{bar:%d %b %H:%M}" for bar in bars],
            "axisLabel": {"hideOverlap": True},
        },
        "yAxis": {"type": "value", "minInterval": 1},
        "series": series,
    }


def _bars(starts: pl.Series, length: timedelta) -> list[datetime]:
    """The starts of all bars from the first to the last of ``starts``, those without anything too."""
    known = starts.to_list()
    first, last = min(known), max(known)
    return [first + n * length for n in range((last - first) // length + 1)]


def _place(layer: str) -> tuple[int, str]:
    return (LAYERS.index(layer) if layer in LAYERS else len(LAYERS), layer)
