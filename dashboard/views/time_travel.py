"""The tables as they were: at a version, at a moment, at the end of a day; beside what they are now."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import StrEnum

import streamlit as st

from dashboard.choice import EARLIEST, LATEST, choose_range
from dashboard.frame import page, panel_of_tables
from dashboard.ranges import Range
from dashboard.time_travel import panels
from dashboard.time_travel.comparison import BY_NAME
from dashboard.time_travel.moments import AtEndOf, AtMoment, AtVersion, When, snapshot_of, suggested
from lakehouse.contracts import FunnelWindows
from lakehouse.home import Home
from lakehouse.settings import Settings


class By(StrEnum):
    """How a state is named; the value is the label."""

    MOMENT = "Moment"
    VERSION = "Version"
    DAY = "End of a day"


def body(settings: Settings) -> None:
    name, when = _choose(settings)
    choice, custom = choose_range(settings, Range.DAY)
    panel_of_tables(settings, panels.travel, name, when, choice, custom, settings.gold_snapshot_days)


def _choose(settings: Settings) -> tuple[str, When | None]:
    names = list(BY_NAME)
    left, middle, right = st.columns(3)
    name = left.selectbox("Table", names, index=names.index(FunnelWindows.name), key="table", bind="query-params")
    ways = list(By) if snapshot_of(BY_NAME[name]) is not None else [By.MOMENT, By.VERSION]
    by = middle.segmented_control(
        "As of",
        ways,
        default=By.MOMENT,
        required=True,
        key="as_of",
        bind="query-params",
        help="Versions are kept for LAKEHOUSE_TIME_TRAVEL_HOURS; gold as of the end of each day for longer",
    )
    return name, {By.VERSION: _version, By.DAY: _day}.get(By(by or By.MOMENT), _moment)(right, settings, name)


def _moment(place: st.delta_generator.DeltaGenerator, settings: Settings, name: str) -> When | None:
    # Suggested once: an input whose suggestion moves on with the data would move under the person's hands.
    if "suggested_moment" not in st.session_state:
        st.session_state["suggested_moment"] = suggested(Home(settings.home), BY_NAME[name])
    found = place.datetime_input(
        "Moment (UTC)",
        value=st.session_state["suggested_moment"].replace(tzinfo=None),
        min_value=EARLIEST,
        max_value=LATEST,
        step=timedelta(minutes=1),
        key="moment",
        bind="query-params",
        help="When commits were made, by the clock of the machine; not event time",
    )
    return None if found is None else AtMoment(found.replace(tzinfo=UTC))


def _version(place: st.delta_generator.DeltaGenerator, _: Settings, __: str) -> When | None:
    found = place.number_input(
        "Version",
        min_value=0,
        value=None,
        step=1,
        key="version",
        bind="query-params",
        placeholder="as in the history below",
        help="A commit of the table; the history below lists them",
    )
    return None if found is None else AtVersion(int(found))


def _day(place: st.delta_generator.DeltaGenerator, _: Settings, __: str) -> When | None:
    found = place.date_input(
        "End of the day (UTC)",
        value=datetime.now(UTC).date() - timedelta(days=1),
        min_value=EARLIEST.date(),
        max_value=LATEST.date(),
        key="day",
        bind="query-params",
        format="YYYY-MM-DD",
    )
    return AtEndOf(found) if found else None


page("Time travel", body)
