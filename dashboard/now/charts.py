"""The charts, as ECharts options. ECharts shows names and labels as text, so whatever users sent stays text."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import polars as pl

from dashboard.legend import BELOW_PX, legend
from dashboard.now.queries import Activity, Totals
from dashboard.ranges import ANCHOR
from dashboard.words import share, shortened
from lakehouse import event

OTHER = "other types"
OPEN_OPACITY = 0.45
_FUNNEL = (event.VIEW, event.ADD_TO_CART, event.PURCHASE)


def events_over_time(activity: Activity, watermark: datetime | None) -> dict[str, Any]:
    """Stacked bars, one colour an event type; faint where the bar holds a window that is not final yet."""
    buckets = list(_buckets(activity))
    length = timedelta(minutes=activity.minutes)
    is_open = [watermark is None or start + length > watermark for start in buckets]
    series = []
    for name, counts in _by_type(activity.by_type):
        values = [{"value": counts.get(start, 0)} for start in buckets]
        for value, still_open in zip(values, is_open, strict=True):
            if still_open:
                value["itemStyle"] = {"opacity": OPEN_OPACITY}  # type: ignore[assignment]
        series.append({"name": name, "type": "bar", "stack": "events", "barCategoryGap": "12%", "data": values})
    return {
        "animation": False,  # a refresh every few seconds would dance
        "tooltip": {"trigger": "axis", "axisPointer": {"type": "shadow"}, "confine": True},
        "legend": legend(str(bars["name"]) for bars in series),
        "grid": {"left": 8, "right": 16, "top": 16, "bottom": BELOW_PX, "containLabel": True},
        "xAxis": {
            "type": "category",
            "data": [_label(start, activity) for start in buckets],
            "axisLabel": {"hideOverlap": True},
        },
        "yAxis": {"type": "value", "minInterval": 1},
        "series": series,
    }


def funnel(totals: Totals, longest: int = 0) -> dict[str, Any]:
    """Three bars, each with its count and its share of the step before. ``longest``: the count of the longest bar of
    another funnel beside it, for both to be of one scale."""
    steps = [
        ("View", totals.views, f"{totals.views:,}"),
        ("Add to cart", totals.carts, _of(totals.carts, totals.views)),
        ("Purchase", totals.purchases, _of(totals.purchases, totals.carts)),
    ]
    widest = max(1, longest, *(count for _, count, _ in steps))
    return {
        "animation": False,
        "grid": {"left": 8, "right": 8, "top": 8, "bottom": 8, "containLabel": True},
        "xAxis": {"type": "value", "show": False, "max": widest * 1.6},  # room for the label of the longest bar
        "yAxis": {
            "type": "category",
            "inverse": True,
            "data": [name for name, _, _ in steps],
            "axisTick": {"show": False},
            "axisLine": {"show": False},
        },
        "series": [
            {
                "type": "bar",
                "barWidth": "62%",
                "data": [
                    {"value": count, "label": {"show": True, "position": "right", "formatter": text}}
                    for _, count, text in steps
                ],
            }
        ],
    }


def active_days(by_day: pl.DataFrame) -> dict[str, Any]:
    """A bar for each day that has users; ``by_day`` is date, users."""
    return {
        "animation": False,
        "tooltip": {"trigger": "axis", "axisPointer": {"type": "shadow"}, "confine": True},
        "grid": {"left": 8, "right": 16, "top": 16, "bottom": 8, "containLabel": True},
        "xAxis": {"type": "category", "data": [f"{day:%Y-%m-%d}" for day in by_day["date"]]},
        "yAxis": {"type": "value", "minInterval": 1},
        "series": [{"name": "Active users", "type": "bar", "data": by_day["users"].to_list()}],
    }


def _of(count: int, before: int) -> str:
    return f"{count:,}  ({share(count, before)})" if before else f"{count:,}"


def _buckets(activity: Activity) -> Iterator[datetime]:
    """The starts of all bars of the span, those without events too."""
    length = timedelta(minutes=activity.minutes)
    start = activity.span.start - (activity.span.start - ANCHOR) % length
    first = activity.by_type["bucket"].min()
    if isinstance(first, datetime):
        start = min(start, first)
    while start < activity.span.end:
        yield start
        start += length


def _by_type(by_type: pl.DataFrame) -> Iterator[tuple[str, dict[datetime, int]]]:
    """Name and counts by bucket for each type: the funnel's first, then by name, the rarer ones together last.

    Not by frequency: two types that change places would change their colours at a refresh.
    """
    groups = {key[0]: rows for key, rows in by_type.group_by("place")}
    names: set[str] = set()
    for rows in sorted(groups.values(), key=lambda rows: _rank(rows["event_type"][0])):
        kind = rows["event_type"][0]
        name = _unique(OTHER if kind is None else shortened(kind) or "(blank)", names)
        names.add(name)
        yield name, dict(zip(rows["bucket"], rows["num_events"], strict=True))


def _rank(kind: str | None) -> tuple[int, str]:
    if kind is None:
        return len(_FUNNEL) + 1, ""
    return (_FUNNEL.index(kind), kind) if kind in _FUNNEL else (len(_FUNNEL), kind)


def _unique(name: str, taken: set[str]) -> str:
    """ECharts knows a series by its name: two long types that begin alike are numbered."""
    candidate, number = name, 2
    while candidate in taken:
        candidate, number = f"{name} ({number})", number + 1
    return candidate


def _label(start: datetime, activity: Activity) -> str:
    if activity.minutes >= 1440:
        return f"{start:%Y-%m-%d}"
    return f"{start:%H:%M}" if activity.span.length <= timedelta(days=1) else f"{start.day} {start:%b %H:%M}"
