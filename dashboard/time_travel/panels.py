"""The parts of the page. What users or producers wrote is shown as text only: in tables."""

from __future__ import annotations

from typing import Any, Final, Literal

import streamlit as st

from dashboard.figures import figure, figures
from dashboard.frame import broken
from dashboard.lake import TIMES, TooMuch, table_folder
from dashboard.now.charts import funnel
from dashboard.now.queries import Totals as Steps
from dashboard.ranges import Range, Span, resolve
from dashboard.time_travel import moments
from dashboard.time_travel.comparison import (
    ADDED,
    BY_NAME,
    CHANGED,
    REMOVED,
    Comparison,
    Totals,
    extent_of,
    read_changes,
    read_totals,
)
from dashboard.time_travel.history import NEWEST, Entry, read_history
from dashboard.time_travel.moments import AtVersion, Then, When
from dashboard.time_travel.statements import command, sql_now, sql_then
from dashboard.words import COUNT, height, moment
from lakehouse.errors import LakehouseError
from lakehouse.home import Home
from lakehouse.maintenance.log import Log

_LABELS: Final[dict[str, Literal["green", "orange", "red"]]] = {ADDED: "green", CHANGED: "orange", REMOVED: "red"}
_MOMENTS: Final[dict[str, Any]] = {"format": "YYYY-MM-DD HH:mm:ss", "timezone": "UTC"}


def travel(home: Home, name: str, when: When | None, choice: Range, custom: Span | None, keep_days: int) -> None:
    """The table ``name`` then and now, what changed, the commands that say the same, and its history."""
    table = BY_NAME[name]
    try:
        folder = table_folder(home, table)
        head = Log(folder).commits()[-1]
    except LakehouseError as error:
        broken("The table cannot be read here.", error)
        return
    except IndexError:
        st.caption("The table has no version yet.")
        return
    if when is None:
        st.info("Name a version: the history below has them.", icon=":material/history:")
    else:
        try:
            then = moments.resolve(home, table, when, keep_days)
            extent = extent_of(home, name, head)
            span = None if extent is None else resolve(choice, extent, custom)
            _compared(home, name, then, head, span)
        except LakehouseError as error:
            broken("This state cannot be shown.", error)
    _history(read_history(folder, head), name)


def _compared(home: Home, name: str, then: Then, head: int, span: Span | None) -> None:
    table = BY_NAME[name]
    newest = moments.resolve(home, table, AtVersion(head), 0)
    found = read_totals(home, name, then, head, span)
    if span is not None:
        st.caption(f"Rows whose {TIMES[table]} is from {moment(span.start)} to {moment(span.end)} UTC")
    _totals(found)
    left, right = st.columns(2, gap="medium")
    longest = max(count for totals in (found.then, found.now) for count in _steps(totals))
    for place, title, state, totals in ((left, "Then", then, found.then), (right, "Now", newest, found.now)):
        with place:
            st.subheader(title, anchor=False)
            st.caption(state.said[0].upper() + state.said[1:])
            _funnel(totals, title, longest)
    _changes(home, name, then, head, span)
    st.subheader("The same by command", anchor=False)
    st.caption("Then, and now; from a shell. In the address of this page stands what was chosen, so it can be shared.")
    st.code(command(sql_then(table, then, span)), language="shell", wrap_lines=True)
    st.code(command(sql_now(table, head, span)), language="shell", wrap_lines=True)


def _totals(found: Comparison) -> None:
    st.dataframe(
        [
            {"Counted": label, "Then": before, "Now": after, "Difference": after - before}
            for (label, before), (_, after) in zip(_figures(found.then), _figures(found.now), strict=True)
        ],
        hide_index=True,
        column_config={
            "Then": st.column_config.NumberColumn(format=COUNT),
            "Now": st.column_config.NumberColumn(format=COUNT),
            "Difference": st.column_config.NumberColumn(format=COUNT),
        },
        alt="What the rows count, then and now",
    )


def _figures(found: Totals) -> list[tuple[str, int]]:
    if found.events is None:
        return [("Rows", found.rows)]
    return [
        ("Rows", found.rows),
        ("Events", found.events),
        ("Views", found.views or 0),
        ("Adds to cart", found.carts or 0),
        ("Purchases", found.purchases or 0),
    ]


def _steps(found: Totals) -> tuple[int, int, int]:
    return found.views or 0, found.carts or 0, found.purchases or 0


def _funnel(found: Totals, title: str, longest: int) -> None:
    if found.events is None:
        return
    st.echarts_chart(
        funnel(Steps(found.events, *_steps(found)), longest),
        height=180,
        key=f"funnel_{title.lower()}",
        alt=f"{title}: funnel from view to purchase",
    )


def _changes(home: Home, name: str, then: Then, head: int, span: Span | None) -> None:
    st.subheader("What changed", anchor=False)
    try:
        found = read_changes(home, name, then, head, span)
    except TooMuch as error:
        with st.container(border=True):
            st.markdown("**Too much to be compared row by row.**")
            st.text(str(error))
        return
    if not found.total:
        st.caption("Nothing: both states have the same rows here.")
        return
    with figures():
        for label, count in (("Added", found.added), ("Changed", found.changed), ("Removed", found.removed)):
            figure(f"Rows {label.lower()}", count)
    shown = found.examples.height
    st.caption(f"By key ({', '.join(BY_NAME[name].key)})" + ("" if shown == found.total else f"; {shown} of them:"))
    st.dataframe(
        [{"Change": [kind], "Key": key, "What": what} for kind, key, what in found.examples.iter_rows()],
        hide_index=True,
        height=height(shown),
        column_config={
            "Change": st.column_config.MultiselectColumn(
                width="small", options=list(_LABELS), color=list(_LABELS.values())
            ),
            "Key": st.column_config.TextColumn(width="medium"),
            "What": st.column_config.TextColumn("From then to now", width="large"),
        },
        alt="Rows that were added, removed or changed between then and now",
    )


def _history(entries: list[Entry], name: str) -> None:
    st.subheader("History", anchor=False)
    st.caption(f"The newest {len(entries):,} commits to {name}" if len(entries) >= NEWEST else f"All commits to {name}")
    st.dataframe(
        [_entry_row(entry) for entry in entries],
        hide_index=True,
        placeholder="—",
        height=height(len(entries)),
        column_config={
            "Version": st.column_config.NumberColumn(format="%d"),
            "Committed": st.column_config.DatetimeColumn("Committed (UTC)", **_MOMENTS),
            "By": st.column_config.TextColumn(help="The stage that wrote it, or what upkeep did"),
            "Rows in": st.column_config.NumberColumn(format=COUNT, help="Read from the source"),
            "Rows out": st.column_config.NumberColumn(format=COUNT, help="Written"),
            "Copies": st.column_config.NumberColumn(format=COUNT),
            "Refused": st.column_config.NumberColumn(format=COUNT),
            "Source version": st.column_config.NumberColumn(format="%d", help="Up to which the source is in"),
            "Watermark": st.column_config.DatetimeColumn("Watermark (UTC)", **_MOMENTS),
        },
        alt="The table's history: version, time, operation, who wrote it, and its account of the rows",
    )


def _entry_row(entry: Entry) -> dict[str, Any]:
    account = entry.account
    return {
        "Version": entry.version,
        "Committed": entry.committed_at,
        "Operation": entry.operation,
        "By": entry.by,
        "Rows in": None if account is None else account.rows_in,
        "Rows out": None if account is None else account.rows_out,
        "Copies": None if account is None else account.rows_duplicate,
        "Refused": None if account is None else account.rows_refused,
        "Source version": None if account is None else account.source_version,
        "Watermark": None if account is None else account.watermark,
        "Batch": None if account is None else f"{account.batch_id} of generation {account.generation}",
        "Marker": None if account is None else account.marker,
        "Engine": entry.engine,
    }
