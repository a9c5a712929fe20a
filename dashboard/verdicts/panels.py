"""The parts of the page. What users, producers or servers wrote is shown as text only: in tables and ``st.text``."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Literal

import polars as pl
import streamlit as st

from dashboard.download import as_csv
from dashboard.frame import broken
from dashboard.verdicts import charts
from dashboard.verdicts.books import Books, Ledger, ledger
from dashboard.verdicts.queries import Judge, State, TableState, Trend, Verdict, Verdicts, read_trend
from dashboard.verdicts.seen import told
from dashboard.words import COUNT, age, height, moment
from lakehouse.errors import LakehouseError
from lakehouse.home import Home

SILENT_AFTER: Final = timedelta(seconds=60)
"""The writer says every second how it does: one that has not for so long has stopped."""
BEHIND_AFTER: Final = timedelta(minutes=5)
"""Rows that wait longer for a verdict are worth a word."""

Color = Literal["green", "orange", "red", "gray"]

_DECISION: Final = "Decision"
_UNJUDGED: Final = "could not be judged"
_LABELS: Final[dict[str, Literal["red", "orange", "yellow", "green", "gray"]]] = {
    State.HALT: "red",
    State.ALARM: "red",
    State.WARN: "orange",
    State.ACCEPTED: "yellow",
    State.MET: "green",
    State.NOT_JUDGED: "gray",
    _UNJUDGED: "gray",
}
_MOMENTS: Final[dict[str, Any]] = {"format": "YYYY-MM-DD HH:mm:ss", "timezone": "UTC"}


def summary(found: Verdicts, is_on: bool) -> None:
    """How the tables stand in one badge, and how old that is. ``is_on``: whether the settings let a validator run."""
    label, color, icon = _standing(found)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.badge(label, color=color, icon=icon)
        if found.judged_at is not None:
            st.caption(
                f"Last judged at {moment(found.judged_at)} UTC, {age(found.read_at - found.judged_at)} ago"
                + _behind(found.judge)
            )
    if not is_on or (found.judge is not None and not found.judge.is_on):
        st.info(
            "The validator is switched off (`LAKEHOUSE_QUALITY_VALIDATOR`): nothing new is judged. "
            "`lakehouse quality run` judges once.",
            icon=":material/pause_circle:",
        )
    elif found.judged_at is None:
        with st.container(border=True):
            st.markdown(":material/hourglass_empty: **No verdict yet.** Rows are judged soon after they come.")
            st.caption("It takes some seconds to start. Without events there is nothing to judge: simulate some.")
            st.code("lakehouse produce --events 10000", language="shell", wrap_lines=True)
    for halt in found.halts:
        with st.container(border=True, gap="xxsmall"):
            st.markdown(":red[:material/front_hand:] **What comes after a table has stopped until somebody decides.**")
            st.text(f"{halt.table_name}, versions {halt.first_version} to {halt.last_version}")
            st.code(_remedies(halt.table_name, halt.run_id), language="shell", wrap_lines=True)


def tables(found: Verdicts) -> None:
    """A row for each table, layer by layer."""
    st.subheader("Tables by layer", anchor=False)
    lag = {} if found.judge is None else found.judge.lag
    st.dataframe(
        [_table_row(table, lag.get(table.name)) for table in found.tables],
        hide_index=True,
        placeholder="—",
        height=height(len(found.tables)),
        column_config={
            "State": _states(),
            "Met": st.column_config.TextColumn(help="Of the newest verdicts on each expectation of the table"),
            "Behind": st.column_config.TextColumn(
                help="Versions that have not been judged, and how long the oldest of them has waited; "
                "a dash where the writer does not tell on this machine"
            ),
            "Rows": st.column_config.NumberColumn("Rows judged", format=COUNT, help="By the newest run that had rows"),
            "Judged": st.column_config.DatetimeColumn("Judged (UTC)", **_MOMENTS),
            "Version": st.column_config.NumberColumn(format="%d", help="Up to which it was judged by its newest run"),
        },
        alt="The tables of each layer: state, expectations met, how far the judge is behind",
    )
    if found.judge is not None and found.read_at - found.judge.at > SILENT_AFTER:
        st.caption(f"How far the judge is behind is as of {moment(found.judge.at)} UTC: the writer has stopped since.")


def not_met(found: Verdicts) -> None:
    """Each expectation that fails now, with what was seen."""
    st.subheader("Not met now", anchor=False)
    if not found.not_met:
        st.caption("Every expectation was met when it was last judged." if found.judged_at else "Nothing was judged.")
        return
    listed = [_verdict_row(verdict) for verdict in found.not_met]
    st.dataframe(
        listed,
        hide_index=True,
        placeholder="—",
        height=height(len(listed)),
        column_order=[name for name in listed[0] if name != _DECISION or any(row[name] for row in listed)],
        column_config={
            "State": _states(),
            "Not met since": st.column_config.TextColumn("Not met since (UTC)"),
            "Expected": st.column_config.TextColumn(width="large"),
        },
        alt="The expectations that are not met now: severity, what was observed, what was expected, since when",
    )
    with st.expander("All that was seen, with keys of rows that fail", icon=":material/list:"):
        _in_full(found.not_met)


def _in_full(verdicts: Sequence[Verdict]) -> None:
    """What was seen as the judge keeps it, to be read and to be taken away."""
    full = pl.DataFrame(
        [_full_row(verdict) for verdict in verdicts],
        schema_overrides={"Keys of some that fail": pl.List(pl.String)},  # where none has any, too
        infer_schema_length=None,
    )
    st.dataframe(
        full,
        hide_index=True,
        placeholder="—",
        height=height(full.height),
        column_config={
            "Observed": st.column_config.TextColumn(width="large"),
            "Rows that fail": st.column_config.NumberColumn(format=COUNT),
            "Of rows": st.column_config.NumberColumn("Of rows judged", format=COUNT),
            "Keys of some that fail": st.column_config.ListColumn(width="large"),
        },
        alt="The expectations that are not met now: the run, what was observed as JSON, keys of rows that fail",
    )
    st.download_button(
        "CSV",
        data=as_csv(full.with_columns(pl.col("Keys of some that fail").list.join("\n"))),
        file_name="not-met.csv",
        mime="text/csv",
        icon=":material/download:",
        on_click="ignore",
        help="The table above",
    )


def decisions(found: Verdicts) -> None:
    """What was decided about runs that halted."""
    st.subheader("Decisions", anchor=False)
    if found.decisions.is_empty():
        st.caption("Nobody has had to decide: no run has halted, or none of them was decided about.")
        return
    st.dataframe(
        found.decisions,
        hide_index=True,
        placeholder="—",
        column_config={
            "run_id": "Run",
            "decision": st.column_config.TextColumn(
                "Decision", help="accepted: the rows as they are; rebuilt: the layer was made anew"
            ),
            "decided_at": st.column_config.DatetimeColumn("Decided (UTC)", **_MOMENTS),
            "note": "Why",
        },
        alt="Decisions about runs that halted the layers after a table",
    )


def trend(dsn: str, chosen: Trend) -> None:
    """The share of verdicts that were met, by layer."""
    found = read_trend(dsn, chosen)
    if found.is_empty():
        st.caption("Nothing was judged yet.")
        return
    bar = "hour" if chosen is Trend.DAY else "day"
    st.caption(f"Share of the verdicts of each {bar} that were met; up to the newest, by when it was judged (UTC)")
    st.echarts_chart(
        charts.pass_rates(found, chosen),
        height=280,
        key="pass_rates",
        alt="Pass rates over time, a line for each layer",
    )


def quarantine(home: Home) -> None:
    """What was refused, by reason, over time, and a few of the rows."""
    from dashboard.verdicts.quarantine import EXAMPLES, OTHER, read_refused

    try:
        found = read_refused(home)
    except LakehouseError as error:
        broken("What was refused cannot be read here.", error)
        return
    if not found.rows:
        st.caption("Nothing was refused.")
        return
    part = "" if found.rows == found.all_rows else f", the newest of {found.all_rows:,}"
    st.caption(
        f"{found.rows:,} rows{part}; {found.resolved:,} of them have been replaced by a corrected one. A row counts "
        "for each of its reasons; times are the broker's (UTC)."
    )
    left, right = st.columns([2, 1], gap="medium")
    with left:
        st.echarts_chart(
            charts.refusals(found.over_time, found.bar_minutes, OTHER),
            height=280,
            key="refusals",
            alt="Refused rows over time, by reason",
        )
    with right:
        st.dataframe(
            found.reasons,
            hide_index=True,
            height=height(found.reasons.height),
            column_config={
                "reason": "Reason",
                "rows": st.column_config.NumberColumn("Rows", format=COUNT),
                "open": st.column_config.NumberColumn("Open", format=COUNT, help="Not replaced yet"),
                "first": st.column_config.DatetimeColumn("First (UTC)", **_MOMENTS),
                "last": st.column_config.DatetimeColumn("Last (UTC)", **_MOMENTS),
            },
            alt="Reasons for which rows were refused",
        )
    st.caption(f"The newest {EXAMPLES} of each reason. All of them, and how to send them again corrected:")
    st.dataframe(
        found.examples,
        hide_index=True,
        placeholder="—",
        height=height(found.examples.height),
        column_config={
            "reason": "Reason",
            "received": st.column_config.DatetimeColumn("Received (UTC)", **_MOMENTS),
            "coordinates": "Source/partition/offset",
            "value": st.column_config.TextColumn("Message", width="large"),
            "resolved_by": "Replaced by",
        },
        alt="The newest refused rows of each reason",
    )
    st.code("lakehouse quarantine list\nlakehouse quarantine show --limit 20", language="shell", wrap_lines=True)


def books(home: Home) -> None:
    """The button that has the writer draw up the books, and the newest that it drew up."""
    st.subheader("The books", anchor=False)
    st.caption(
        "Whether nothing was lost and nothing came twice, from Kafka to Postgres: each side of a balance is counted on "
        "its own. It reads every table beside the stream, so only when asked."
    )
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        asked = st.button("Check the books", icon=":material/balance:", key="check_books")
        full = st.checkbox("All of them", key="full_books", help="Not only what came since the last that agreed; slow")
    of_home = ledger(home)
    if asked:
        _draw_up(home, of_home, full)
    if of_home.newest is None:
        st.caption("Not checked yet from here.")
    else:
        _show(of_home.newest)


def _draw_up(home: Home, of_home: Ledger, full: bool) -> None:
    with st.status("Asking the writer …") as status:
        try:
            of_home.draw_up(home, full, lambda step: status.update(label=f"Counting: {step} …"))
        except LakehouseError as error:
            status.update(label="The books were not drawn up", state="error", expanded=True)
            st.text(str(error))
        else:
            status.update(label="Drawn up", state="complete")


def _show(found: Books) -> None:
    wrong = sum(not balance.agrees for balance in found.balances)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        if wrong:
            st.badge(f"{wrong} of {len(found.balances)} do not agree", color="red", icon=":material/error:")
        else:
            st.badge(f"All {len(found.balances)} balances agree", color="green", icon=":material/check_circle:")
        scope = "all" if found.full else "since the last that agreed"
        told = f"Checked at {moment(found.at)} UTC, {scope}"
        st.caption(told if found.lag is None else f"{told} · {found.lag:,} events were in Kafka only")
    st.dataframe(
        [
            {
                "Agrees": balance.agrees,
                "Balance": balance.name,
                "One side": balance.left,
                "Count": balance.left_value,
                "Other side": balance.right,
                "Its count": balance.right_value,
                "Note": balance.note or None,
            }
            for balance in sorted(found.balances, key=lambda balance: balance.agrees)
        ],
        hide_index=True,
        placeholder="—",
        height=height(len(found.balances)),
        alt="The books: both sides of each balance, and whether they agree",
    )


def more(data_docs: str) -> None:
    """Where there is more: Data Docs, and the report."""
    st.subheader("More", anchor=False)
    if data_docs.startswith(("http://", "https://")):
        st.link_button(
            "Data Docs", data_docs, icon=":material/open_in_new:", help="Each run as Great Expectations shows it"
        )
    else:
        st.caption("There are no Data Docs: they are served where a validator runs.")
    st.caption("One page for others, with tracking outages, verdicts, refusals and late events:")
    st.code("lakehouse quality report --out quality.html", language="shell", wrap_lines=True)


def _standing(found: Verdicts) -> tuple[str, Color, str]:
    states = [table.state for table in found.tables]
    if State.HALT in states:
        return "Halted", "red", ":material/front_hand:"
    for state, color, icon in (
        (State.ALARM, "red", ":material/error:"),
        (State.WARN, "orange", ":material/warning:"),
        (State.ACCEPTED, "orange", ":material/warning:"),
    ):
        if count := states.count(state):
            return f"{count} table{'s' if count > 1 else ''}: {state}", color, icon  # type: ignore[return-value]
    if State.MET in states:
        return "All met", "green", ":material/check_circle:"
    return "Not judged yet", "gray", ":material/hourglass_empty:"


def _states() -> Any:
    return st.column_config.MultiselectColumn(options=list(_LABELS), color=list(_LABELS.values()))


def _behind(judge: Judge | None) -> str:
    waits = [] if judge is None else [seconds for _, seconds in judge.lag.values() if seconds is not None]
    if not waits or timedelta(seconds=max(waits)) < BEHIND_AFTER:
        return ""
    return f" · rows wait for a verdict for {age(timedelta(seconds=max(waits)))}"


def _remedies(table_name: str, run_id: str) -> str:
    layer = table_name.split(".")[0]
    rebuild = f"\n# or, with its cause mended:\nlakehouse rebuild {layer}" if layer in ("silver", "gold") else ""
    return f"lakehouse quality accept {run_id}{rebuild}"


def _table_row(table: TableState, lag: tuple[int, float | None] | None) -> dict[str, Any]:
    return {
        "Layer": table.layer,
        "Table": table.name,
        "State": [str(table.state)],
        "Met": f"{table.met} of {table.judged}" if table.judged else None,
        "Behind": None if lag is None else _lag(*lag),
        "Judged": table.judged_at,
        "Rows": table.num_rows,
        "Version": table.last_version,
    }


def _lag(versions: int, seconds: float | None) -> str:
    if versions <= 0:
        return "nothing"
    waited = "" if seconds is None else f" · {age(timedelta(seconds=seconds))}"
    return f"{versions:,} version{'s' if versions > 1 else ''}{waited}"


def _verdict_row(verdict: Verdict) -> dict[str, Any]:
    decision = verdict.decision
    return {
        "State": [_UNJUDGED if verdict.success is None else str(verdict.state)],
        "Table": verdict.table_name,
        "Expectation": verdict.expectation,
        "Observed": told(verdict.observed, verdict.examples) if verdict.error is None else verdict.error,
        "Expected": verdict.description,
        "Not met since": _since(verdict.since, verdict.is_longer),
        _DECISION: None if decision is None else f"{decision.decision} at {moment(decision.decided_at)}",
    }


def _full_row(verdict: Verdict) -> dict[str, Any]:
    return {
        "Table": verdict.table_name,
        "Expectation": verdict.expectation,
        "Observed": verdict.observed,
        "Rows that fail": verdict.unexpected_count,
        "Of rows": verdict.num_rows,
        "Keys of some that fail": list(verdict.examples),
        "Run": verdict.run_id,
        "Versions": _versions(verdict),
        "Expected": verdict.description,
    }


def _since(since: datetime | None, is_longer: bool) -> str | None:
    if since is None:
        return None
    return f"{moment(since)} or earlier" if is_longer else moment(since)


def _versions(verdict: Verdict) -> str:
    if verdict.mode == "full":
        return f"all at {verdict.last_version}"
    if verdict.first_version >= verdict.last_version:
        return str(verdict.last_version)
    return f"{verdict.first_version} to {verdict.last_version}"
