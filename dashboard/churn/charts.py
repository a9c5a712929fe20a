"""The charts, as ECharts options. ECharts shows names and labels as text."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any, Final

from dashboard.churn.queries import BUCKETS, Day, Scores
from dashboard.scoring import Calibrated
from dashboard.words import shortened

AT_RISK: Final = "at risk"
NOT_AT_RISK: Final = "not at risk"
_GRID: Final = {"left": 8, "right": 24, "top": 28, "bottom": 44, "containLabel": True}
_LEGEND: Final = {"type": "scroll", "bottom": 0, "left": "center"}
DAYS: Final = {
    "type": "time",
    "minInterval": 24 * 3_600_000,
    "axisLabel": {"formatter": "{yyyy}-{MM}-{dd}", "hideOverlap": True},
}
"""An axis of days: of few of them hours would be marked, which nothing here is of."""
_PER_CENT: Final = {"type": "value", "min": 0, "max": 100, "axisLabel": {"formatter": "{value} %", "hideOverlap": True}}


def histogram(scores: Scores) -> dict[str, Any]:
    """A bar for each twentieth of the probability, those at risk in a colour of their own, and the threshold."""
    width = 100 // BUCKETS
    series: list[dict[str, Any]] = []
    for name, churned in ((NOT_AT_RISK, False), (AT_RISK, True)):
        counts = {bucket: users for bucket, verdict, users in scores.buckets if verdict is churned}
        bars = [[bucket * width + width / 2, counts.get(bucket, 0)] for bucket in range(BUCKETS)]
        series.append({"name": name, "type": "bar", "stack": "users", "barWidth": "92%", "data": bars})
    if scores.threshold is not None:
        series[-1]["markLine"] = threshold(scores.threshold, "xAxis")
    return {
        "animation": False,
        "tooltip": {"trigger": "axis", "axisPointer": {"type": "shadow"}, "confine": True},
        "legend": _LEGEND,
        "grid": _GRID,
        "xAxis": {**_PER_CENT, "interval": 10, "splitLine": {"show": False}},
        "yAxis": {"type": "value", "minInterval": 1},
        "series": series,
    }


def at_risk_by_day(days: tuple[Day, ...]) -> dict[str, Any]:
    """Users with a score and those at risk at the end of each day; a day without a change is as the one before.

    Where other models scored than on the day before, a line says which.
    """
    lines: list[dict[str, Any]] = [
        {
            "name": name,
            "type": "line",
            "step": "end",
            "symbolSize": 6,
            "data": [[f"{day.date:%Y-%m-%d}", users] for day, users in zip(days, counts, strict=True)],
        }
        for name, counts in (
            ("users scored", [day.users for day in days]),
            (AT_RISK, [day.at_risk for day in days]),
        )
    ]
    changes = [
        {"xAxis": f"{now.date:%Y-%m-%d}", "label": {"formatter": f"model {shortened(', '.join(now.models), 24)}"}}
        for before, now in pairwise(days)
        if now.models != before.models
    ]
    if changes:
        lines[-1]["markLine"] = {"silent": True, "symbol": "none", "lineStyle": {"type": "dotted"}, "data": changes}
    return {
        "animation": False,
        "tooltip": {"trigger": "axis", "confine": True},
        "legend": _LEGEND,
        "grid": _GRID,
        "xAxis": DAYS,
        "yAxis": {"type": "value", "minInterval": 1},
        "series": lines,
    }


def calibration(points: tuple[Calibrated, ...]) -> dict[str, Any]:
    """What was said of users with nearby scores, against the share of them that churned; on the diagonal both agree.

    From the ten below the lowest on: where most users churn, all points lie in a corner of the whole.
    """
    lowest = min((min(point.mean_score, point.churned) for point in points), default=0.0)
    least = max(0, math.floor(10 * lowest)) * 10
    axis = {**_PER_CENT, "min": least, "nameLocation": "middle", "nameGap": 28}
    return {
        "animation": False,
        "tooltip": {"trigger": "axis", "confine": True},
        "legend": _LEGEND,
        "grid": {**_GRID, "bottom": 64, "left": 28},
        "xAxis": {**axis, "name": "mean score"},
        "yAxis": {**axis, "name": "churned", "nameGap": 44},
        "series": [
            {
                "name": "share that churned",
                "type": "line",
                "symbolSize": 8,
                "data": [[round(100 * point.mean_score, 2), round(100 * point.churned, 2)] for point in points],
            },
            {
                "name": "perfect",
                "type": "line",
                "symbol": "none",
                "lineStyle": {"type": "dotted"},
                "data": [[least, least], [100, 100]],
            },
        ],
    }


def threshold(value: float, axis: str) -> dict[str, Any]:
    """A line across a chart of per cents where users begin to be called churned."""
    label = {"formatter": f"threshold {value:.0%}".replace("%", " %"), "position": "end"}
    return {"silent": True, "symbol": "none", "label": label, "data": [{axis: round(100 * value, 4)}]}
