"""The parts of the page."""

from __future__ import annotations

from datetime import date, timedelta

import polars as pl
import streamlit as st

from dashboard.figures import figure, figures
from dashboard.now.panels import freshness, no_data
from dashboard.retention import charts
from dashboard.retention.grid import active, average, grid
from dashboard.retention.queries import Cells, Retention, Unit
from dashboard.words import COUNT, age, height, moment

STREAM = "retention"
"""The stream that makes cohorts of users' days."""


def retention(found: Retention, interval_s: float) -> None:
    """The whole of the page below its inputs."""
    freshness(found.pipeline)
    if found.cells is None:
        if found.has_events:
            _not_yet(interval_s)
        else:
            no_data()
        return
    cells, watermark = found.cells, found.pipeline.watermark
    of_cohorts = grid(cells, watermark)
    averages = average(of_cohorts)
    _figures(cells, of_cohorts, averages)
    _heat_map(found, cells, of_cohorts)
    left, right = st.columns(2, gap="medium")
    with left:
        _average(averages, cells.unit)
    with right:
        _active(cells, active(cells, watermark))
    _numbers(cells, of_cohorts)


def _not_yet(interval_s: float) -> None:
    with st.container(border=True):
        st.markdown(":material/hourglass_empty: **There are events, and no cohorts yet.**")
        st.caption(
            "They are made of all users' days together, and appear here once there are some: after some seconds. From "
            f"then on they are made anew every {interval_s:g} s (`LAKEHOUSE_COHORTS_INTERVAL_S`)."
        )


def _figures(cells: Cells, of_cohorts: pl.DataFrame, averages: pl.DataFrame) -> None:
    own = of_cohorts.filter(pl.col("period") == 0)
    shares = dict(averages.select("period", "share").iter_rows())
    with figures():
        figure("New users", int(own["users"].sum()))
        for period in (1, 7 if cells.unit is Unit.DAY else 4):
            told = f"{shares[period]:.1%}".replace("%", " %") if period in shares else "—"
            figure(
                f"Back after {_count(period, cells.unit)}",
                told,
                explained="Of the users of all cohorts shown whose period is final",
            )


def _heat_map(found: Retention, cells: Cells, of_cohorts: pl.DataFrame) -> None:
    unit = cells.unit
    st.subheader("Cohorts", anchor=False)
    st.caption(
        f"A row is the users whose first event fell into one {unit}"
        + (", from Monday (UTC)" if unit is Unit.WEEK else " (UTC)")
        + f"; a cell is the share of them, in %, with an event so many {unit}s later."
    )
    cohorts = of_cohorts["cohort"].n_unique()
    st.echarts_chart(
        charts.heat_map(of_cohorts, unit),
        height=charts.heat_map_height(cohorts),
        key="cohorts",
        alt=f"Share of each cohort that came again, by {unit}s since its first; the table below has the numbers",
    )
    st.caption(_not_final(found, cells))
    behind = next((stream.lag_seconds for stream in found.pipeline.streams if stream.stream == STREAM), None)
    if behind:
        st.caption(f"Cohorts are {age(timedelta(seconds=behind))} behind: they are made anew from time to time.")


def _not_final(found: Retention, cells: Cells) -> str:
    watermark = found.pipeline.watermark
    if watermark is None:
        return "Faint cells are not final: there is no watermark yet, and late events are still expected."
    end = cells.last + timedelta(days=cells.unit.days)
    if watermark.date() >= end:
        return f"All cells are final: the watermark has come to {moment(watermark)} UTC."
    return (
        f"Faint cells are not final: their {cells.unit} ends after {moment(watermark)} UTC, where the watermark is, "
        "and more users may still act in it. Averages leave them out."
    )


def _average(averages: pl.DataFrame, unit: Unit) -> None:
    st.subheader("Average retention", anchor=False)
    if averages.filter(pl.col("period") > 0).is_empty():
        st.caption(f"No cohort has a {unit} behind it yet, after its own, that is final.")
        return
    st.caption(f"Share of the users who came again so many {unit}s later, of all cohorts shown: larger ones count more")
    st.echarts_chart(
        charts.average(averages, unit),
        height=300,
        key="average",
        alt=f"Average retention by {unit}s since the first event, weighted by the cohorts' sizes",
    )


def _active(cells: Cells, by_unit: pl.DataFrame) -> None:
    st.subheader("Active users", anchor=False)
    st.caption(
        f"Distinct users with an event in each {cells.unit}; the new ones are its cohort, the returning ones are of "
        "earlier cohorts, of whatever age"
    )
    st.echarts_chart(
        charts.active_users(by_unit), height=300, key="active", alt=f"New and returning users by {cells.unit}"
    )


def _numbers(cells: Cells, of_cohorts: pl.DataFrame) -> None:
    st.subheader("Numbers", anchor=False)
    st.caption(f"Users of each cohort with an event so many {cells.unit}s later")
    wide = of_cohorts.select("cohort", "period", "users").pivot("period", index="cohort", values="users").sort("cohort")
    periods = [name for name in wide.columns if name != "cohort"]
    whole = {name: st.column_config.NumberColumn(_column(name), format=COUNT) for name in periods}
    st.dataframe(
        wide,
        hide_index=True,
        placeholder="",
        height=height(wide.height),
        column_config={"cohort": st.column_config.DateColumn("Cohort", format="YYYY-MM-DD", pinned=True), **whole},
        alt="Users of each cohort by period",
    )
    st.download_button(
        "CSV",
        of_cohorts.insert_column(0, pl.lit(cells.unit.value).alias("unit")).write_csv(),
        file_name=_file_name(cells.unit, cells.last),
        mime="text/csv",
        icon=":material/download:",
        on_click="ignore",
        help="One line for each cohort and period: users, size of the cohort, share, and whether it is final",
    )


def _column(period: str) -> str:
    return "Users" if period == "0" else period


def _file_name(unit: Unit, last: date) -> str:
    return f"retention-by-{unit}-{last}.csv"


def _count(number: int, unit: Unit) -> str:
    return f"{number} {unit}" + ("s" if number > 1 else "")
