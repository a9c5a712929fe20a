"""The parts of the page. What users or servers wrote is shown as text only: in tables, charts and ``st.text``."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Literal

import streamlit as st

from dashboard.now import charts
from dashboard.now.queries import Activity, Now
from dashboard.pipeline.queries import Pipeline, Stream
from dashboard.words import age, minutes, moment, share
from lakehouse.contracts import SIMULATED_MODEL

SILENT_AFTER = timedelta(seconds=30)
"""The streams report every second: one that has not for so long has stopped."""

_MOMENTS: dict[str, Any] = {"format": "YYYY-MM-DD HH:mm:ss", "timezone": "UTC"}


def no_data() -> None:
    with st.container(border=True):
        st.markdown(":material/hourglass_empty: **No events yet.** As soon as there are some, they appear here.")
        st.caption("Simulate some, or replay a file of your own, from a shell:")
        st.code("lakehouse produce --events 10000\nlakehouse replay FILE", language="shell")


def freshness(pipeline: Pipeline) -> None:
    """How the pipeline does in one badge, and how old the numbers are."""
    label, color, icon = _health(pipeline)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.badge(label, color=color, icon=icon)
        told = [f"Data as of {moment(pipeline.newest_event)} UTC"] if pipeline.newest_event else []
        if pipeline.mirrored_at:
            told.append(f"last change {age(pipeline.read_at - pipeline.mirrored_at)} ago")
        if told:
            st.caption(" · ".join(told))


def activity(now: Now) -> None:
    """Totals, events over time and the funnel of the chosen span."""
    found = now.activity
    if found is None or now.extent is None:
        return
    if not found.totals.events:
        with st.container(border=True):
            st.markdown("**No events in this range.**")
            st.caption(f"The data reaches from {moment(now.extent.start)} to {moment(now.extent.end)} UTC.")
        return
    _totals(found)
    left, right = st.columns([2, 1], gap="medium")
    with left:
        _over_time(found, now.pipeline)
    with right:
        _funnel(found)


def pipeline(found: Pipeline) -> None:
    """A row for each stream, and in words what is wrong with those that wait."""
    st.subheader("Pipeline", anchor=False)
    if not found.streams:
        st.caption("No stream has reported yet. `lakehouse status` shows whether the writer runs.")
        return
    rates = _rates(found)
    st.dataframe(
        [_row(stream, rates[stream.stream]) for stream in _in_order(found.streams)],
        hide_index=True,
        placeholder="—",
        column_config={
            "Rows/s": st.column_config.NumberColumn(format="localized", help="Since the last refresh of this page"),
            "Lag": st.column_config.TextColumn(width=140),
            "Rows": st.column_config.NumberColumn(format="localized"),
            "Watermark": st.column_config.DatetimeColumn("Watermark (UTC)", **_MOMENTS),
            "Reported": st.column_config.DatetimeColumn("Reported (UTC)", **_MOMENTS),
        },
        alt="The streams of the pipeline: state, rate, lag, watermark and last error",
    )
    for stream in found.streams:
        if stream.error:
            with st.container(border=True, gap="xxsmall"):
                st.text(
                    f"{stream.stream} · {stream.state}" + (f" since {moment(stream.since)} UTC" if stream.since else "")
                )
                st.text(stream.error)
    if found.scored_by is not None and found.scored_by.startswith(SIMULATED_MODEL):
        st.caption("Churn scores are by a model of simulated data, until `lakehouse train` makes one of yours.")
    elif found.scored_by is not None:
        st.text(f"Churn scores are by model {found.scored_by}.")


def latest(found: Activity) -> None:
    st.subheader("Latest events", anchor=False)
    if found.latest.is_empty():
        st.caption("No single events of this range are kept in Postgres any more; the counts above are complete.")
        return
    st.dataframe(
        found.latest,
        hide_index=True,
        placeholder="—",
        column_config={
            "event_time": st.column_config.DatetimeColumn("Event time (UTC)", **_MOMENTS),
            "event_type": "Type",
            "user_id": "User",
            "session_id": "Session",
            "product_id": "Product",
            "category": "Category",
            "price": st.column_config.NumberColumn("Price", format="%.2f"),
            "currency": "Currency",
            "quantity": "Quantity",
            "kafka_timestamp": st.column_config.DatetimeColumn("Received (UTC)", **_MOMENTS),
        },
        alt="The latest events of the range",
    )


def _totals(found: Activity) -> None:
    totals = found.totals
    figures = (
        ("Events", totals.events),
        ("Views", totals.views),
        ("Adds to cart", totals.carts),
        ("Purchases", totals.purchases),
    )
    with st.container(horizontal=True, gap="small"):
        for label, count in figures:
            st.metric(label, count, format="localized", border=True, width=150)


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


def _funnel(found: Activity) -> None:
    totals = found.totals
    st.subheader("Funnel", anchor=False)
    st.caption("Events of each step; in brackets, the share of the step before")
    st.echarts_chart(charts.funnel(totals), height=210, key="funnel", alt="Funnel from view to purchase")
    st.metric("View to purchase", share(totals.purchases, totals.views), width="stretch")


def _health(pipeline: Pipeline) -> tuple[str, Literal["green", "orange", "red", "gray"], str]:
    if pipeline.reported_at is None:
        return "No report yet", "gray", ":material/hourglass_empty:"
    silent = pipeline.read_at - pipeline.reported_at
    if silent > SILENT_AFTER:
        return f"No report for {age(silent)}", "orange", ":material/pause_circle:"
    failing = sum(1 for stream in pipeline.streams if stream.error)
    if failing:
        return ("1 stream waits" if failing == 1 else f"{failing} streams wait"), "red", ":material/error:"
    return "Running", "green", ":material/check_circle:"


_ORDER = ("bronze", "silver", "gold", "user_days", "churn_features", "sessions", "ordered_funnel")


def _in_order(streams: tuple[Stream, ...]) -> list[Stream]:
    """The way of an event; the mirrors come last."""
    return sorted(streams, key=lambda s: (_ORDER.index(s.stream) if s.stream in _ORDER else len(_ORDER), s.stream))


def _row(stream: Stream, rate: float | None) -> dict[str, Any]:
    return {
        "Stream": stream.stream,
        "State": stream.state,
        "Rows/s": rate,
        "Last batch": _last_batch(stream),
        "Lag": _lag(stream),
        "Rows": stream.rows_total,
        "Watermark": stream.watermark,
        "Last error": stream.error,
        "Reported": stream.updated_at,
    }


def _last_batch(stream: Stream) -> str | None:
    if stream.last_batch_rows is None:
        return None
    took = "" if stream.last_batch_seconds is None else f" in {stream.last_batch_seconds:.2f} s"
    return f"{stream.last_batch_rows:,} rows{took}"


def _lag(stream: Stream) -> str | None:
    told = [f"{stream.lag_events:,} events"] if stream.lag_events is not None else []
    if stream.lag_seconds is not None:
        told.append(f"{stream.lag_seconds:,.1f} s")
    return " · ".join(told) or None


def _rates(found: Pipeline) -> dict[str, float | None]:
    """Rows a second of each stream since it was last looked at here; None at the first look, or after its restart."""
    before: dict[str, Stream] = st.session_state.get("streams", {})
    known: dict[str, float | None] = st.session_state.get("rates", {})
    rates: dict[str, float | None] = {}
    for stream in found.streams:
        earlier = before.get(stream.stream)
        if earlier is None or stream.rows_total < earlier.rows_total:
            rates[stream.stream] = None
        elif stream.updated_at == earlier.updated_at:
            rates[stream.stream] = known.get(stream.stream)
        else:
            seconds = (stream.updated_at - earlier.updated_at).total_seconds()
            rates[stream.stream] = round((stream.rows_total - earlier.rows_total) / seconds, 1)
    st.session_state["streams"] = {stream.stream: stream for stream in found.streams}
    st.session_state["rates"] = rates
    return rates
