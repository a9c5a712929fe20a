"""The charts, as ECharts options. ECharts shows names and labels as text, so whatever users sent stays text."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, Final

import polars as pl

from dashboard.words import share, shortened

OPEN_OPACITY: Final = 0.45
"""Of what is not final: faint, as on the other pages."""
OTHER_VALUES: Final = "other values"
UNKNOWN: Final = "unknown"
MOST_VALUE_BARS: Final = 20

_AXIS: Final = {"axisTick": {"show": False}, "axisLine": {"show": False}}


def funnel(steps: Sequence[tuple[str, int]], *, selectable: bool = False, longest: int = 0) -> dict[str, Any]:
    """A bar for each step, with its count and its share of the step before and of the first. ``longest``: the count of
    the longest bar of another funnel beside it, for both to be of one scale."""
    labels = [f"{steps[0][1]:,}"]
    for (_, count_before), (_, count) in pairwise(steps):
        labels.append(f"{count:,}\n{share(count, count_before)} · {share(count, steps[0][1])}")
    bars: dict[str, Any] = {
        "type": "bar",
        "barWidth": "62%",
        "data": [
            {"value": count, "label": {"show": True, "position": "right", "lineHeight": 14, "formatter": label}}
            for (_, count), label in zip(steps, labels, strict=True)
        ],
    }
    if selectable:
        bars |= {"selectedMode": "single", "cursor": "pointer"}
    return {
        "animation": False,  # a refresh every few seconds would dance
        "grid": {"left": 8, "right": 8, "top": 8, "bottom": 8, "containLabel": True},
        "xAxis": {"type": "value", "show": False, "max": max(1, longest, *(count for _, count in steps)) * 1.7},
        "yAxis": {"type": "category", "inverse": True, "data": [name for name, _ in steps], **_AXIS},
        "series": [bars],
    }


def time_to_purchase(bands: Sequence[tuple[str, int]]) -> dict[str, Any]:
    """A bar for each band of time, the shortest first."""
    return {
        "animation": False,
        "tooltip": {"trigger": "axis", "axisPointer": {"type": "shadow"}, "confine": True},
        "grid": {"left": 8, "right": 8, "top": 24, "bottom": 8, "containLabel": True},
        "xAxis": {
            "type": "category",
            "data": [label for label, _ in bands],
            "axisLabel": {"hideOverlap": True},
            "axisTick": {"show": False},
        },
        "yAxis": {"type": "value", "minInterval": 1},
        "series": [
            {
                "name": "purchases",
                "type": "bar",
                "barCategoryGap": "12%",
                "label": {"show": True, "position": "top"},
                "data": [count for _, count in bands],
            }
        ],
    }


def over_time(buckets: pl.DataFrame, minutes: int, watermark: datetime | None) -> dict[str, Any]:
    """Bars of sessions and a line of their conversion; faint where the bucket ends after the watermark."""
    length = timedelta(minutes=minutes)
    starts: list[datetime] = buckets["bucket"].to_list()
    bars: list[dict[str, Any]] = []
    line: list[dict[str, Any]] = []
    for start, sessions, purchased in buckets.select("bucket", "sessions", "purchased").iter_rows():
        faint = {"itemStyle": {"opacity": OPEN_OPACITY}} if watermark is None or start + length > watermark else {}
        bars.append({"value": sessions, **faint})
        line.append({"value": round(100 * purchased / sessions, 2) if sessions else None, **faint})
    return {
        "animation": False,
        "tooltip": {"trigger": "axis", "axisPointer": {"type": "shadow"}, "confine": True},
        "legend": {"bottom": 0, "left": "center"},
        "grid": {"left": 8, "right": 8, "top": 16, "bottom": 36, "containLabel": True},
        "xAxis": {
            "type": "category",
            "data": [_label(start, minutes, starts) for start in starts],
            "axisLabel": {"hideOverlap": True},
        },
        "yAxis": [
            {"type": "value", "minInterval": 1},
            {
                "type": "value",
                "min": 0,
                "axisLabel": {"formatter": "{value} %", "hideOverlap": True},
                "splitLine": {"show": False},
            },
        ],
        "series": [
            {"name": "sessions", "type": "bar", "barCategoryGap": "12%", "data": bars},
            {"name": "conversion, %", "type": "line", "yAxisIndex": 1, "symbolSize": 5, "data": line},
        ],
    }


def by_value(values: pl.DataFrame, whole: str) -> dict[str, Any]:
    """A bar of conversion for each of the most frequent values, with how many there are in the column ``whole``; the
    rest together comes last."""
    shown = pl.concat([values.filter(pl.col("value").is_not_null()).head(MOST_VALUE_BARS), _rest(values)])
    bars: list[dict[str, Any]] = [
        {
            "value": round(100 * purchased / count, 2) if count else 0,
            "label": {"show": True, "position": "right", "formatter": f"{share(purchased, count)} of {count:,}"},
        }
        for count, purchased in shown.select(whole, "purchased").iter_rows()
    ]
    highest = max((bar["value"] for bar in bars), default=0) or 1
    return {
        "animation": False,
        "grid": {"left": 8, "right": 8, "top": 8, "bottom": 8, "containLabel": True},
        "xAxis": {"type": "value", "show": False, "max": highest * 1.7},
        "yAxis": {
            "type": "category",
            "inverse": True,
            "data": [shortened(named(value), 24) or "(blank)" for value in shown["value"]],
            **_AXIS,
        },
        "series": [{"type": "bar", "barWidth": "62%", "data": bars}],
    }


def by_value_height(values: pl.DataFrame) -> int:
    """Pixels."""
    return 40 + 26 * min(len(values), MOST_VALUE_BARS + 1)


def named(value: str | None) -> str:
    """A value of a dimension, also the rest's and that of what has none."""
    return OTHER_VALUES if value is None else value or UNKNOWN


def _rest(values: pl.DataFrame) -> pl.DataFrame:
    """All that have no bar of their own, in one row without a value."""
    rest = pl.concat([values.filter(pl.col("value").is_not_null()).slice(MOST_VALUE_BARS), _last(values)])
    if rest.is_empty():
        return rest
    sums = [pl.col(name).sum() for name in values.columns if name not in ("place", "value")]
    return rest.select(pl.col("place").max(), pl.lit(None, pl.String).alias("value"), *sums).select(values.columns)


def _last(values: pl.DataFrame) -> pl.DataFrame:
    return values.filter(pl.col("value").is_null())


def _label(start: datetime, minutes: int, starts: Sequence[datetime]) -> str:
    if minutes >= 1440:
        return f"{start:%Y-%m-%d}"
    short = starts[-1] - starts[0] < timedelta(days=1)
    return f"{start:%H:%M}" if short else f"{start.day} {start:%b %H:%M}"
