"""The first page: what users do now, and how the pipeline does; it refreshes itself."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import streamlit as st

from dashboard import panels
from dashboard.database import Unavailable
from dashboard.queries import read_extent, read_now
from dashboard.ranges import Range, Span
from lakehouse.endpoints import Endpoints
from lakehouse.errors import LakehouseError
from lakehouse.home import Home
from lakehouse.settings import Settings, load_settings

EARLIEST, LATEST = datetime(1990, 1, 1), datetime(2100, 1, 1)  # noqa: DTZ001 (the widget knows no zone)


def page() -> None:
    st.header("Now", anchor=False)
    try:
        settings = load_settings()
    except LakehouseError as error:
        panels.broken("The settings cannot be read.", error)
        return
    choice, custom = _choose(settings)
    # A fragment: it runs again by itself, and leaves the rest of the page, its inputs included, as it is.
    st.fragment(_live, run_every=settings.dashboard_refresh_s)(settings, choice, custom)


def _live(settings: Settings, choice: Range, custom: Span | None) -> None:
    """Everything below the choice of the range; each run starts anew, so it recovers from whatever was away."""
    again = f"This page tries again every {settings.dashboard_refresh_s:g} s."
    try:
        dsn = _dsn(settings)
        now = read_now(dsn, choice, custom, settings.window_minutes)
    except Unavailable as error:
        panels.broken(f"Postgres is away. `lakehouse status` shows what runs. {again}", error)
        return
    except LakehouseError as error:
        panels.broken(f"There is nothing to read from. {again}", error)
        return
    panels.freshness(now.pipeline)
    if now.activity is None:
        panels.no_data()
    else:
        panels.activity(now)
    panels.pipeline(now.pipeline)
    if now.activity is not None and now.activity.totals.events:
        panels.latest(now.activity)


def _choose(settings: Settings) -> tuple[Range, Span | None]:
    """The range, kept in the page's address; for a custom one its span, where both ends are given in order."""
    chosen = st.segmented_control(
        "Range",
        list(Range),
        default=Range.HOUR,
        required=True,
        key="range",
        bind="query-params",
        label_visibility="collapsed",
        help="Of event time, counted back from the newest data",
    )
    choice = Range(chosen or Range.HOUR)
    return choice, _custom(settings) if choice is Range.CUSTOM else None


def _custom(settings: Settings) -> Span | None:
    # Suggested once: an input whose suggestion moves on with the data would move under the person's hands.
    last = st.session_state.setdefault("suggested_end", _newest(settings))
    first, until = st.columns(2, width=480)
    ends = [
        place.datetime_input(
            label,
            value=value.astimezone(UTC).replace(tzinfo=None),
            min_value=EARLIEST,
            max_value=LATEST,
            step=timedelta(minutes=settings.window_minutes),
            key=key,
            bind="query-params",
        )
        for place, label, value, key in (
            (first, "From (UTC)", last - timedelta(hours=1), "from"),
            (until, "Until (UTC), exclusive", last, "until"),
        )
    ]
    if ends[0] is None or ends[1] is None:
        return None
    span = Span(ends[0].replace(tzinfo=UTC), ends[1].replace(tzinfo=UTC))
    if span.length <= timedelta(0):
        st.warning("The range must end after it begins; all data is shown.", icon=":material/date_range:")
        return None
    return span


def _newest(settings: Settings) -> datetime:
    """Where the data ends, to suggest a custom range; what is wrong, if anything, is said below."""
    try:
        extent = read_extent(_dsn(settings))
    except LakehouseError:
        extent = None
    return extent.end if extent else datetime.now(UTC)


def _dsn(settings: Settings) -> str:
    """Read at each refresh: a stack that is started anew may answer elsewhere."""
    return Endpoints.load(Home(settings.home)).postgres_reader


page()
