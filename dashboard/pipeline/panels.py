"""The parts of the page. What users or servers wrote is shown as text only: in tables, charts and ``st.text``."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Literal

import polars as pl
import streamlit as st

from dashboard.pipeline import charts
from dashboard.pipeline.history import LAYERS, MIRRORS, by_layer, newest_rate, rates, shares
from dashboard.pipeline.queries import Course, Pipeline, Since, Stream
from dashboard.words import COUNT, MOMENTS, age, height, lag, moment
from lakehouse.contracts import SIMULATED_MODEL

SILENT_AFTER = timedelta(seconds=30)
"""The streams report every second: one that has not for so long has stopped."""

BYTES_OF_A_MB = 1_000_000
"""All sizes in one unit, so that they are compared at a glance."""

_ERROR = "Last error"
_ORDER = ("bronze", "silver", "gold", "user_days", "churn_features", "sessions", "ordered_funnel", "retention")


def health(pipeline: Pipeline) -> None:
    """How the pipeline does, in one badge."""
    label, color, icon = _health(pipeline)
    st.badge(label, color=color, icon=icon)


def streams(found: Course, since: Since) -> None:
    """A row for each stream, in words what is wrong with those that wait, and how they did."""
    pipeline = found.pipeline
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        health(pipeline)
        if pipeline.reported_at:
            told = f"Reported {age(pipeline.read_at - pipeline.reported_at)} ago"
            behind = lag(pipeline.lag_events, pipeline.lag_seconds)
            st.caption(told + (f" · lag {behind}" if behind else ""))
    if not pipeline.streams:
        st.caption("No stream has reported yet. `lakehouse status` shows whether the writer runs.")
        return
    rated = rates(found.history, timedelta(minutes=since.bucket_minutes))
    ordered = _in_order(pipeline.streams)
    table = [_row(stream, newest_rate(rated, stream.stream)) for stream in ordered]
    st.dataframe(
        table,
        hide_index=True,
        placeholder="—",
        height=height(len(table)),
        column_order=[name for name in table[0] if name != _ERROR or any(row[name] for row in table)],
        column_config={
            "Rows/s": st.column_config.NumberColumn(
                format="%,.1f", help=f"In the newest {since.bucket_minutes} min that were reported"
            ),
            "Lag": st.column_config.TextColumn(width=140),
            "Rows": st.column_config.NumberColumn(format=COUNT),
            "Watermark": st.column_config.DatetimeColumn("Watermark (UTC)", **MOMENTS),
            "Reported": st.column_config.DatetimeColumn("Reported (UTC)", **MOMENTS),
        },
        alt="The streams of the pipeline: state, rate, lag, watermark and last error",
    )
    for stream in ordered:
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
    _course(rated, [stream.stream for stream in ordered])


def late(found: pl.DataFrame) -> None:
    """What came when the watermark had passed it, by the window that it belongs to."""
    st.subheader("Late events", anchor=False)
    if found.is_empty():
        st.caption("No events yet.")
        return
    late_events, events = found["late_events"].sum(), found["num_events"].sum()
    st.caption(
        f"Of the windows since {moment(found['bucket'][0])} UTC, by event time: {late_events:,} of {events:,} events "
        "were older than the watermark when they came. Each is counted in its own window all the same."
    )
    if not late_events:
        return
    share = found.select("bucket", share=100 * pl.col("late_events") / pl.col("num_events"))
    st.echarts_chart(
        charts.lines(share, {"share": "Late"}, "% of events"),
        height=240,
        key="late_events",
        alt="Share of events that came late, by window",
    )


def tables(found: pl.DataFrame) -> None:
    """How large each Delta table is."""
    st.subheader("Tables", anchor=False)
    if found.is_empty():
        st.caption("No table has been made yet.")
        return
    st.caption("At the newest version; older versions within the horizon take more, see `lakehouse maintain --dry-run`")
    st.dataframe(
        found.with_columns(pl.col("bytes") / BYTES_OF_A_MB),
        hide_index=True,
        height=height(found.height),
        column_config={
            "table": "Table",
            "version": st.column_config.NumberColumn("Version", format=COUNT),
            "rows": st.column_config.NumberColumn("Rows", format=COUNT),
            "files": st.column_config.NumberColumn("Files", format=COUNT),
            "bytes": st.column_config.NumberColumn("Size", format="%,.1f MB"),
        },
        alt="The Delta tables: version, rows, files and size",
    )


def stack(found: dict[str, Any] | None) -> None:
    """The services that run, what is wrong, and who keeps history from being removed."""
    st.subheader("Services", anchor=False)
    if found is None:
        st.caption("No stack runs under this home; start it with `lakehouse up`.")
        return
    st.dataframe(
        [_service(service) for service in found["services"]],
        hide_index=True,
        placeholder="—",
        column_config={
            "Memory": st.column_config.NumberColumn("Memory (MiB)", format="%,.0f", help="Shared pages in parts"),
            "Restarts": st.column_config.NumberColumn(format=COUNT, help="After it had died, since the start"),
        },
        alt="The services: state, how long, memory and restarts",
    )
    writer = found["writer"] or {}
    upkeep = writer.get("upkeep") or {}
    problems = [found["problem"], *(writer.get("alarms") or []), upkeep.get("error")]
    for problem in filter(None, problems):
        with st.container(border=True, gap="xxsmall"):
            st.badge("Alarm", color="red", icon=":material/error:")
            st.text(problem)
    st.subheader("Horizon", anchor=False)
    holds = upkeep.get("held_by") or []
    if not holds:
        st.caption("No reader keeps old versions from being removed.")
    for hold in holds:
        st.text(hold["reason"])


def _course(rated: pl.DataFrame, names: list[str]) -> None:
    if rated["bucket"].n_unique() < 2:
        st.caption("Rates and lag over time appear here once the streams have reported for two minutes.")
        return
    chosen = st.multiselect(
        "Streams",
        names,
        key="streams",
        bind="query-params",
        placeholder="All, by layer",
        width=480,
        help="Choose some to see each of them; a layer's streams are added up in Rate, and else the slowest counts",
    )
    shown, of = (rated, chosen) if chosen else (by_layer(rated), _layers(names))
    each = "stream" if chosen else "layer"
    left, right = st.columns(2, gap="medium")
    with left:
        st.subheader("Rate", anchor=False)
        st.caption(f"Rows a second that each {each} wrote")
        _chart(shown, of, "per_second", "rows/s", "rates", f"Rows/s by {each}")
        st.subheader("Time of a batch", anchor=False)
        st.caption(f"Seconds of the longest batch of each {each}; no point where there was none")
        _chart(shown, of, "batch_seconds", "s, longest", "batches", f"Longest batch in seconds, by {each}", points=True)
    with right:
        st.subheader("Lag", anchor=False)
        st.caption(f"Seconds that each {each} was behind, at the most")
        _chart(shown, of, "lag_seconds", "s, longest", "lags", f"Longest lag in seconds, by {each}")
        st.subheader("Copies and refusals", anchor=False)
        _shares(shares(rated))


def _chart(
    rows: pl.DataFrame, names: list[str], column: str, unit: str, key: str, alt: str, *, points: bool = False
) -> None:
    st.echarts_chart(charts.by_name(rows, names, column, unit, points=points), height=300, key=key, alt=alt)


def _shares(found: pl.DataFrame) -> None:
    if found.is_empty():
        st.caption("No message came between two reports of this time.")
        return
    st.caption("Of the messages that came: how many were copies, and how many were refused")
    st.echarts_chart(
        charts.lines(found, {"duplicates": "Duplicates", "refused": "Refused"}, "% of messages"),
        height=300,
        key="shares",
        alt="Shares of messages that were duplicates, and that were refused",
    )


def _layers(names: list[str]) -> list[str]:
    """The layers that these streams are of, in the order of theirs; the mirrors come last."""
    found = dict.fromkeys(LAYERS.get(name, MIRRORS) for name in names)
    return [layer for layer in found if layer != MIRRORS] + [MIRRORS] * (MIRRORS in found)


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


def _in_order(found: tuple[Stream, ...]) -> list[Stream]:
    """The way of an event; the mirrors come last."""
    return sorted(found, key=lambda s: (_ORDER.index(s.stream) if s.stream in _ORDER else len(_ORDER), s.stream))


def _row(stream: Stream, rate: float | None) -> dict[str, Any]:
    return {
        "Stream": stream.stream,
        "State": stream.state,
        "Rows/s": rate,
        "Last batch": _last_batch(stream),
        "Lag": lag(stream.lag_events, stream.lag_seconds),
        "Rows": stream.rows_total,
        "Watermark": stream.watermark,
        _ERROR: stream.error,
        "Reported": stream.updated_at,
    }


def _last_batch(stream: Stream) -> str | None:
    if stream.last_batch_rows is None:
        return None
    took = "" if stream.last_batch_seconds is None else f" in {stream.last_batch_seconds:.2f} s"
    return f"{stream.last_batch_rows:,} rows{took}"


def _service(service: dict[str, Any]) -> dict[str, Any]:
    since = service["since"] and moment(datetime.fromisoformat(service["since"]))
    return {
        "Service": service["name"],
        "State": service["state"],
        "Up for": None if service["uptime_s"] is None else age(timedelta(seconds=service["uptime_s"])),
        "Since (UTC)": since,
        "Memory": service["memory_mib"],
        "Restarts": service["restarts"],
    }
