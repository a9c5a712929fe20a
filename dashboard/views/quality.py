"""How far the tables can be trusted: verdicts, what was refused, and the books."""

from __future__ import annotations

import streamlit as st

from dashboard.frame import page, panel, panel_of_tables
from dashboard.verdicts import panels
from dashboard.verdicts.queries import Trend, read_verdicts
from lakehouse.endpoints import Endpoints
from lakehouse.home import Home
from lakehouse.settings import Settings


def body(settings: Settings) -> None:
    home = Home(settings.home)
    has_run = home.endpoints.exists()
    panel(settings, verdicts, home, settings.quality_validator, is_whole=has_run)
    if not has_run:  # the panel says so, and has the page run again once one has
        return
    st.subheader("Pass rates", anchor=False)
    chosen = st.segmented_control(
        "How far back",
        list(Trend),
        default=Trend.DAY,
        required=True,
        key="trend",
        bind="query-params",
        label_visibility="collapsed",
        help="Counted back from the newest verdict",
    )
    panel(settings, panels.trend, Trend(chosen or Trend.DAY))
    st.subheader("Refused rows", anchor=False)
    panel_of_tables(settings, panels.quarantine)
    st.fragment(panels.books)(home)
    panels.more(Endpoints.load(home).quality)


def verdicts(dsn: str, home: Home, is_on: bool, *, is_whole: bool) -> None:
    if not is_whole:
        st.rerun()
    found = read_verdicts(dsn, home)
    panels.summary(found, is_on)
    panels.tables(found)
    panels.not_met(found)
    panels.decisions(found)


page("Quality", body)
