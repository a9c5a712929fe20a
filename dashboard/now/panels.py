"""The parts of the page. What users or servers wrote is shown as text only: in tables, charts and ``st.text``."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import polars as pl
import streamlit as st

from dashboard.figures import figure, figures
from dashboard.now import charts
from dashboard.now.queries import MOST_USER_WINDOWS, TAIL_EVENTS, Activity, Figures, Now, Rate, Rates, Totals, Users
from dashboard.pipeline.panels import health
from dashboard.pipeline.queries import Pipeline
from dashboard.ranges import Span
from dashboard.words import COUNT, MOMENTS, PRICE, age, change, height, lag, minutes, moment, money, points, share

SOONEST_RATE = timedelta(seconds=10)
"""A window that has only just begun tells no rate yet."""


def no_data() -> None:
    with st.container(border=True):
        st.markdown(":material/hourglass_empty: **No events yet.** As soon as there are some, they appear here.")
        st.caption("Simulate some, or replay a file of your own, from a shell:")
        st.code("lakehouse produce --events 10000\nlakehouse replay FILE", language="shell", wrap_lines=True)


def freshness(pipeline: Pipeline) -> None:
    """How the pipeline does in one line, and how old the numbers are."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        health(pipeline)
        told = [f"Data as of {moment(pipeline.newest_event)} UTC"] if pipeline.newest_event else []
        if pipeline.mirrored_at:
            told.append(f"last change {age(pipeline.read_at - pipeline.mirrored_at)} ago")
        if behind := lag(pipeline.lag_events, pipeline.lag_seconds):
            told.append(f"lag {behind}")
        if told:
            st.caption(" · ".join(told))
        st.page_link("views/pipeline.py", label="Pipeline", icon=":material/arrow_forward:", icon_position="right")


def activity(now: Now, users: Users | None) -> None:
    """Totals, rates, events over time and the funnel of the chosen span."""
    found = now.activity
    if found is None or now.extent is None:
        return
    if not found.totals.found.events:
        with st.container(border=True):
            st.markdown("**No events in this range.**")
            st.caption(f"The data reaches from {moment(now.extent.start)} to {moment(now.extent.end)} UTC.")
        return
    _figures(found, users)
    left, right = st.columns([2, 1], gap="medium")
    with left:
        _over_time(found, now.pipeline)
        if users is not None and users.by_day is not None:
            _active_days(users.by_day)
    with right:
        _funnel(found.totals.found)
        _rates(found.rates, now.pipeline.newest_event)


def latest(found: pl.DataFrame, *, of_types: bool) -> None:
    """The latest events of the range, of some types or of all."""
    if found.is_empty():
        st.caption(
            f"None of these types is among the newest {TAIL_EVENTS:,} events of this range that Postgres keeps."
            if of_types
            else "No single events of this range are kept in Postgres; the counts above are complete."
        )
        return
    st.dataframe(
        found,
        hide_index=True,
        placeholder="—",
        height=height(found.height),
        column_config={
            "event_time": st.column_config.DatetimeColumn("Event time (UTC)", **MOMENTS),
            "event_type": "Type",
            "user_id": "User",
            "session_id": "Session",
            "product_id": "Product",
            "category": "Category",
            "price": st.column_config.NumberColumn("Price", format=PRICE),
            "currency": "Currency",
            "quantity": st.column_config.NumberColumn("Quantity", format=COUNT),
            "kafka_timestamp": st.column_config.DatetimeColumn("Received (UTC)", **MOMENTS),
        },
        alt="The latest events of the range",
    )


def _figures(found: Activity, users: Users | None) -> None:
    """Each with its change against the same time before; without one where nothing is there to compare with."""
    totals, within, before = found.totals.found, found.totals.within, found.totals.before
    with figures():
        for label, name in (
            ("Events", "events"),
            ("Views", "views"),
            ("Adds to cart", "carts"),
            ("Purchases", "purchases"),
        ):
            figure(label, getattr(totals, name), _changed(found.totals, name))
        rate = points(within.purchases, within.views, before.purchases, before.views) if within and before else None
        figure("View to purchase", share(totals.purchases, totals.views), rate, "Purchases for each view, by events")
        _users_figure(users)
        _session_figures(found)
        newest = found.rates.all_types
        figure(
            "Events/s",
            f"{found.rates.per_second(newest):,.2f}",
            change(newest.complete, newest.before),
            f"In the last whole window, {_to(found.rates.windows.complete)} UTC, against the window before it",
        )
    compared = found.totals.comparison
    if compared is None:
        st.caption("No changes are shown: the data does not reach back over the same time before.")
    else:
        st.caption(f"Changes compare {_to(compared.within)} with the same time before, {_to(compared.before)} UTC.")


def _changed(figures: Figures[Any], name: str) -> str | int | None:
    if figures.within is None or figures.before is None:
        return None
    return change(getattr(figures.within, name), getattr(figures.before, name))


def _users_figure(users: Users | None) -> None:
    if users is None:
        figure("Active users", "—", explained="Postgres did not count them in time; choose a shorter range.")
    elif users.counted is not None:
        counted = users.counted
        figure("Active users", counted.found, change(counted.within, counted.before), "Users with an event, exact")
    elif users.by_day is not None and not users.by_day.is_empty():
        mean = users.by_day["users"].sum() / len(users.by_day)
        figure("Active users a day", round(mean), explained="Mean over the days with an event, exact for each day")
    elif users.by_day is not None:
        figure("Active users a day", "—", explained="No day of this range is counted yet.")
    else:
        figure(
            "Active users",
            "—",
            explained=f"Counted over up to {MOST_USER_WINDOWS:,} windows of users, of a day at most; of longer ranges "
            "by the day, where Postgres has the cohorts. Choose a shorter range.",
        )


def _session_figures(found: Activity) -> None:
    sessions = found.sessions
    if sessions is None:
        why = "Sessions are not in this Postgres yet; start the stack again with this release."
        figure("Sessions", "—", explained=why)
        figure("Revenue", "—", explained=why)
        return
    hours = f"of the whole hours {_to(sessions.span)} UTC"
    revenue = sessions.found.revenue
    told = f"Sessions that began in them, {hours}"
    figure("Sessions", sessions.found.sessions, _changed(sessions, "sessions"), told)
    figure(
        "Revenue",
        money(revenue),
        _changed(sessions, "revenue"),
        "No purchase has a price" if revenue is None else f"Purchases, in the events' currency, {hours}",
    )


def _to(span: Span) -> str:
    same_day = span.start.date() == span.end.date()
    end = f"{span.end:%H:%M}" if same_day else f"{span.end:%Y-%m-%d %H:%M}"
    return f"{span.start:%Y-%m-%d %H:%M} to {end}"


def _over_time(found: Activity, pipeline: Pipeline) -> None:
    st.subheader("Events over time", anchor=False)
    st.caption(f"{moment(found.span.start)} to {moment(found.span.end)} UTC · a bar is {minutes(found.minutes)}")
    st.echarts_chart(
        charts.events_over_time(found, pipeline.watermark),
        height=340,
        key="events_over_time",
        alt="Events over time, by event type",
    )
    if pipeline.watermark is None:
        st.caption("Faint bars are not final: there is no watermark yet, and late events are still expected.")
    elif pipeline.watermark < found.span.end:
        st.caption(
            f"Faint bars are not final: the watermark has come to {moment(pipeline.watermark)} UTC, and windows that "
            "end after it still expect late events."
        )


def _active_days(by_day: pl.DataFrame) -> None:
    st.subheader("Active users by day", anchor=False)
    if by_day.is_empty():
        st.caption("No day of this range is counted yet.")
        return
    st.echarts_chart(
        charts.active_days(by_day), height=200, key="active_days", alt="Distinct users with an event, by day"
    )


def _funnel(totals: Totals) -> None:
    st.subheader("Funnel", anchor=False)
    st.caption("Events of each step; in brackets, the share of the step before")
    st.echarts_chart(charts.funnel(totals), height=210, key="funnel", alt="Funnel from view to purchase")


def _rates(found: Rates, newest_event: datetime | None) -> None:
    """Of the last whole window, against the one before it; and of the window that still fills, said to be so."""
    windows = found.windows
    st.subheader("Rates", anchor=False)
    st.caption(
        f"Of the last whole window, {_to(windows.complete)} UTC; the change is against the window before it"
        + ("" if windows.open is None else f". Not final: so far since {windows.open.start:%H:%M}")
    )
    if not found.by_type:
        st.caption("No events in these windows.")
        return
    filled = _filled(windows.open, newest_event)
    st.dataframe(
        [_rate_row(rate, found, filled) for rate in (found.all_types, *found.by_type)],
        hide_index=True,
        placeholder="—",
        height=height(1 + len(found.by_type)),
        column_config={
            "Events/s": st.column_config.NumberColumn(format="%,.2f"),
            "Events/min": st.column_config.NumberColumn(format="%,.1f"),
            "Change": st.column_config.NumberColumn(format="%+.1f %%"),
            "So far/s": st.column_config.NumberColumn(
                format="%,.2f", help="Events of the window that still fills, by the time since it began; not final"
            ),
        },
        alt="Events per second and per minute, by event type",
    )


def _rate_row(rate: Rate, found: Rates, filled: timedelta | None) -> dict[str, Any]:
    per_second = found.per_second(rate)
    return {
        "Type": rate.event_type,
        "Events/s": per_second,
        "Events/min": 60 * per_second,
        "Change": 100 * (rate.complete - rate.before) / rate.before if rate.before else None,
        "So far/s": rate.so_far / filled.total_seconds() if filled else None,
    }


def _filled(still_open: Span | None, newest_event: datetime | None) -> timedelta | None:
    """How long the open window has been filling, by the newest event; None where that tells nothing yet."""
    if still_open is None or newest_event is None:
        return None
    filled = min(newest_event - still_open.start, still_open.length)
    return filled if filled >= SOONEST_RATE else None
