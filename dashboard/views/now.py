"""The first page: what users do now, against the same time before."""

from __future__ import annotations

import streamlit as st

from dashboard.choice import choose_range
from dashboard.database import Unavailable
from dashboard.extent import read_extent
from dashboard.frame import further_panel, page, panel
from dashboard.now import panels
from dashboard.now.queries import Now, Users, read_latest, read_now, read_users
from dashboard.ranges import Range, Span
from lakehouse.settings import Settings


def body(settings: Settings) -> None:
    choice, custom = choose_range(settings)
    panel(settings, live, choice, custom, settings.window_minutes)
    further_panel(settings, tail, choice, custom, settings.event_types)


def live(dsn: str, choice: Range, custom: Span | None, window_minutes: int) -> None:
    """Everything but the single events, of one look at the mirrors."""
    now = read_now(dsn, choice, custom, window_minutes)
    panels.freshness(now.pipeline)
    if now.activity is None:
        panels.no_data()
    else:
        panels.activity(now, _users(dsn, now, window_minutes))


def tail(dsn: str, choice: Range, custom: Span | None, types: tuple[str, ...]) -> None:
    """The latest events, apart from the rest: choosing a type draws nothing else anew."""
    if read_extent(dsn) is None:
        return
    st.subheader("Latest events", anchor=False)
    chosen = st.multiselect(
        "Types",
        types,
        key="types",
        bind="query-params",
        placeholder="All types",
        width=480,
        help="Latest events of these types only",
    )
    panels.latest(read_latest(dsn, choice, custom, tuple(chosen)), of_types=bool(chosen))


def _users(dsn: str, now: Now, window_minutes: int) -> Users | None:
    """None where counting them takes longer than Postgres is given: the page does without."""
    if now.activity is None or now.extent is None:
        return None
    try:
        return read_users(dsn, now.activity.span, now.extent, window_minutes)
    except Unavailable:
        return None


page("Now", body)
