"""Who comes again: cohorts of users by the day or week of their first event."""

from __future__ import annotations

from typing import Final

import streamlit as st

from dashboard.frame import page, panel
from dashboard.retention import panels
from dashboard.retention.queries import Unit, read_retention
from lakehouse.settings import Settings

# How many cohorts can be looked at. (A comment, for Streamlit would write a string onto the page.)
LENGTHS: Final = {Unit.WEEK: (8, 12, 26), Unit.DAY: (14, 30, 60)}
DEFAULTS: Final = {Unit.WEEK: 12, Unit.DAY: 30}


def body(settings: Settings) -> None:
    unit, length = _chosen()
    panel(settings, live, unit, length, settings.cohorts_interval_s)


def live(dsn: str, unit: Unit, length: int, interval_s: float) -> None:
    """Everything below the inputs, of one look at the mirror."""
    panels.retention(read_retention(dsn, unit, length), interval_s)


def _chosen() -> tuple[Unit, int]:
    """The unit and how many cohorts, both kept in the page's address."""
    with st.container(horizontal=True, gap="medium"):
        unit = Unit(
            st.segmented_control(
                "Cohorts by",
                list(Unit),
                default=Unit.WEEK,
                required=True,
                key="unit",
                bind="query-params",
                help="Of the first event; weeks begin on Mondays, days at midnight, UTC",
            )
            or Unit.WEEK
        )
        length = st.segmented_control(
            f"Last {unit}s",
            LENGTHS[unit],
            default=DEFAULTS[unit],
            required=True,
            key=f"{unit}s",
            bind="query-params",
            help=f"How many {unit}s are shown, counted back from the newest data",
        )
    return unit, length or DEFAULTS[unit]


page("Retention", body)
