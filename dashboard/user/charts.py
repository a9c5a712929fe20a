"""The user's scores over time, as an ECharts option."""

from __future__ import annotations

from typing import Any

import polars as pl

from dashboard.churn.charts import DAYS, threshold
from dashboard.words import shortened


def scores_over_time(history: pl.DataFrame, line_at: float | None) -> dict[str, Any]:
    """The probability in per cent, a series for each model; a score holds until the next.

    ``history``: as_of, churn_probability, model_version, in any order. ``line_at``: the threshold, where there is one.
    """
    series: list[dict[str, Any]] = [
        {
            "name": f"model {shortened(str(version))}",
            "type": "line",
            "step": "end",
            "symbolSize": 7,
            "data": [
                [f"{as_of:%Y-%m-%dT%H:%M:%S}", round(100 * probability, 2)]
                for as_of, probability in rows.sort("as_of").select("as_of", "churn_probability").iter_rows()
            ],
        }
        for (version,), rows in history.sort("as_of").group_by("model_version", maintain_order=True)
    ]
    if series and line_at is not None:
        series[-1]["markLine"] = threshold(line_at, "yAxis")
    return {
        "animation": False,
        "tooltip": {"trigger": "axis", "confine": True},
        "legend": {"type": "scroll", "bottom": 0, "left": "center"},
        "grid": {"left": 8, "right": 90, "top": 16, "bottom": 44, "containLabel": True},
        "xAxis": DAYS,
        "yAxis": {"type": "value", "min": 0, "max": 100, "axisLabel": {"formatter": "{value} %"}},
        "series": series,
    }
