"""The charts, as ECharts options; all text in them is ours."""

from __future__ import annotations

from datetime import date
from typing import Any, Final

import polars as pl

from dashboard.retention.queries import Unit

OPEN_OPACITY = 0.45
"""Of what is not final: faint, as on the other pages."""
MOST_LABELLED = 14
"""Periods beside each other whose cells still have room for a number."""
SCALE: Final = ("#deebf7", "#c6dbef", "#9ecae1", "#6baed6", "#4292c6")
"""ColorBrewer's Blues, of one hue and falling lightness, so that it is the same to every eye. Its ends are left out:
dark ink reads on all of it, and all of it stands out from a light page and from a dark one."""
INK: Final = "#0b1f33"

HEAT_HEAD_PX, HEAT_ROW_PX, HEAT_ROW_DENSE_PX = 104, 28, 16


def heat_map(grid: pl.DataFrame, unit: Unit) -> dict[str, Any]:
    """A row for each cohort, a column for each period, the colour the share; faint where it is not final."""
    cells = grid.filter(pl.col("size") > 0).select(
        pl.col("period").cast(pl.String),
        pl.col("cohort").cast(pl.String),
        (100 * pl.col("share")).round(1).alias("share"),
        "users",
        "size",
        "is_final",
        pl.format("{}", (100 * pl.col("share")).round(1)).str.replace("100.0", "100", literal=True).alias("told"),
    )
    labels = grid["period"].n_unique() <= MOST_LABELLED
    highest: float = cells.select(pl.col("share").filter(pl.col("period") != "0").max()).item() or 1.0
    shown = cells.drop("is_final")
    label = {"show": labels, "formatter": "{@told}", "color": INK, "fontSize": 11}
    # A faint cell takes on the page's colour, which may be dark: there a number needs a ground of its own.
    ground = {"opacity": 1, "backgroundColor": SCALE[0], "padding": [1, 2], "borderRadius": 2}
    series = {
        "type": "heatmap",
        "encode": {"x": "period", "y": "cohort", "value": "share"},
        "labelLayout": {"hideOverlap": True},
    }
    return {
        "animation": False,  # a refresh every few seconds would dance
        "dataset": [
            {"source": shown.filter(cells["is_final"])},
            {"source": shown.filter(~cells["is_final"])},
        ],
        "tooltip": {
            "confine": True,
            "formatter": f"{unit} of {{@cohort}}, {unit} {{@period}}<br/>{{@users}} of {{@size}} users, {{@told}} %",
        },
        "grid": {"left": 8, "right": 8, "top": 8, "bottom": 76, "containLabel": True},
        "xAxis": _category(grid["period"].unique().sort().cast(pl.String).to_list(), name=f"{unit}s since the first"),
        "yAxis": _category([str(day) for day in grid["cohort"].unique().sort()]) | {"inverse": True},
        "visualMap": {
            "type": "continuous",
            "dimension": 2,
            # The own period is the whole cohort: on its scale all others would look alike.
            "min": 0,
            "max": highest,
            "precision": 1,
            "text": [f"{highest} %", "0 %"],
            "inRange": {"color": list(SCALE)},
            "orient": "horizontal",
            "left": "center",
            "bottom": 0,
            "itemWidth": 12,
        },
        "series": [
            {**series, "name": "final", "datasetIndex": 0, "label": label},
            {
                **series,
                "name": "not final",
                "datasetIndex": 1,
                "label": label | ground,
                "itemStyle": {"opacity": OPEN_OPACITY},
            },
        ],
    }


def heat_map_height(cohorts: int) -> int:
    """In pixels."""
    return HEAT_HEAD_PX + cohorts * (HEAT_ROW_PX if cohorts <= MOST_LABELLED else HEAT_ROW_DENSE_PX)


def average(averages: pl.DataFrame, unit: Unit) -> dict[str, Any]:
    """The line of those who came again, from the first period after the own one."""
    points = averages.filter(pl.col("period") > 0).select(
        pl.col("period").cast(pl.String),
        (100 * pl.col("share")).round(2).alias("share"),
        "cohorts",
    )
    return {
        "animation": False,
        "dataset": {"source": points},
        "tooltip": {
            "trigger": "axis",
            "confine": True,
            "formatter": f"{unit} {{@period}}<br/>{{@share}} % of the users of {{@cohorts}} cohorts",
        },
        "grid": {"left": 8, "right": 16, "top": 16, "bottom": 28, "containLabel": True},
        "xAxis": _category(None, name=f"{unit}s since the first"),
        "yAxis": {"type": "value", "min": 0, "axisLabel": {"formatter": "{value} %"}},
        "series": [
            {"type": "line", "encode": {"x": "period", "y": "share"}, "showSymbol": len(points) <= MOST_LABELLED}
        ],
    }


def active_users(active: pl.DataFrame) -> dict[str, Any]:
    """Stacked bars of users who came first and users who came again; faint where it is not final."""
    series = [
        {
            "name": name,
            "type": "bar",
            "stack": "users",
            "barCategoryGap": "12%",
            "data": [
                {"value": users} if is_final else {"value": users, "itemStyle": {"opacity": OPEN_OPACITY}}
                for users, is_final in active.select(column, "is_final").iter_rows()
            ],
        }
        for name, column in (("new", "new"), ("returning", "returning"))
    ]
    days: list[date] = active["begin"].to_list()
    return {
        "animation": False,
        "tooltip": {"trigger": "axis", "axisPointer": {"type": "shadow"}, "confine": True},
        "legend": {"bottom": 0, "left": "center"},
        "grid": {"left": 8, "right": 16, "top": 16, "bottom": 36, "containLabel": True},
        "xAxis": _category([str(day) for day in days]),
        "yAxis": {"type": "value", "minInterval": 1},
        "series": series,
    }


def _category(data: list[str] | None, name: str | None = None) -> dict[str, Any]:
    axis: dict[str, Any] = {"type": "category", "axisLabel": {"hideOverlap": True}, "axisTick": {"show": False}}
    if data is not None:
        axis["data"] = data
    if name is not None:
        axis |= {"name": name, "nameLocation": "middle", "nameGap": 26}
    return axis
