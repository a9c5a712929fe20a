"""The command that asks the lakehouse the same question: to be copied, changed and gone on with."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime
from typing import Final

from dashboard.lake import TIMES
from dashboard.ranges import Span
from dashboard.time_travel.moments import AtEndOf, AtMoment, Then, snapshot_of
from lakehouse.contracts import FunnelSummary, FunnelWindows, SilverEvents, Table

_TOTALS: Final = {
    FunnelWindows: "event_type, sum(num_events) AS num_events",
    SilverEvents: "event_type, count(*) AS num_events",
}
_SUMMED: Final = (
    FunnelSummary.num_events,
    FunnelSummary.num_views,
    FunnelSummary.num_add_to_cart,
    FunnelSummary.num_purchases,
)


def sql_then(table: type[Table], then: Then, span: Span | None) -> str:
    """The totals of the state that was asked for, in Spark SQL."""
    if isinstance(then.when, AtEndOf):
        snapshot = snapshot_of(table)
        source = table.name if snapshot is None else snapshot.view
        return _query(table, source, span, f"DATE '{then.when.day}' BETWEEN valid_from AND valid_until")
    if isinstance(then.when, AtMoment) and not then.is_newest:  # Spark refuses a moment after the newest commit
        return _query(table, f"{table.name} TIMESTAMP AS OF '{_literal(then.when.moment)}'", span)
    return _query(table, f"{table.name} VERSION AS OF {then.version}", span)


def sql_now(table: type[Table], version: int, span: Span | None) -> str:
    """The totals of ``version``."""
    return _query(table, f"{table.name} VERSION AS OF {version}", span)


def command(sql: str) -> str:
    """For a shell."""
    quoted = f'"{sql}"' if not set(sql) & set('"$`\\!') else shlex.quote(sql)
    return f"lakehouse sql {quoted}"


def _query(table: type[Table], source: str, span: Span | None, *conditions: str) -> str:
    names = {str(column) for column in table.columns()}
    selected = _TOTALS.get(table)
    grouped = " GROUP BY event_type" if selected is not None else ""
    if selected is None:
        counts_events = table in TIMES and {str(column) for column in _SUMMED} <= names
        sums = [f"sum({column}) AS {column}" for column in _SUMMED if counts_events]
        selected = ", ".join(["count(*) AS num_rows", *sums])
    where = " AND ".join([*conditions, *_within(table, span)])
    return f"SELECT {selected} FROM {source}{f' WHERE {where}' if where else ''}{grouped}"  # noqa: S608


def _within(table: type[Table], span: Span | None) -> list[str]:
    time = TIMES.get(table)
    if span is None or time is None:
        return []
    if time.type == "date":
        return [f"{time} BETWEEN DATE '{span.start.date()}' AND DATE '{span.last_day}'"]
    return [f"{time} >= TIMESTAMP '{_literal(span.start)}'", f"{time} < TIMESTAMP '{_literal(span.end)}'"]


def _literal(time: datetime) -> str:
    """In UTC, as the sessions of `lakehouse sql` read it."""
    return time.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds" if time.microsecond else "seconds")
