"""A table then and now: totals, and which rows were added, removed and changed, by their key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final

import polars as pl
import streamlit as st

from dashboard.database import TEXT_SHOWN
from dashboard.lake import TIMES, TableAt, TooMuch, as_text, parts_for, table_at
from dashboard.ranges import Span
from dashboard.time_travel.moments import Then, read_then
from dashboard.words import shortened
from lakehouse import event
from lakehouse.contracts import PIPELINE, FunnelSummary, FunnelWindows, SilverEvents, Table
from lakehouse.home import Home
from lakehouse.scans import scan_files

BY_NAME: Final[Mapping[str, type[Table]]] = {table.name: table for table in PIPELINE}
"""The tables that can be looked back at."""
MOST_ROWS: Final = 1_000_000
"""Rows in files that are not the same then and now: more of them are not compared."""
PART_ROWS: Final = 250_000
"""About as many are in memory at a time, by their keys."""
EXAMPLES: Final = 20
"""Of each kind."""
MOST_COLUMNS: Final = 6
"""Of a row that was added or removed."""

FILE: Final = "path of the file"
MOST_FILES: Final = 100_000
"""Whose counts are remembered, at some 300 bytes each."""

_SUMS: Final = {event.VIEW: "num_views", event.ADD_TO_CART: "num_add_to_cart", event.PURCHASE: "num_purchases"}
ADDED, REMOVED, CHANGED = "added", "removed", "changed"


@dataclass(frozen=True)
class Totals:
    """Of the rows of a span."""

    rows: int
    events: int | None
    """None for a table that does not count events; so too the rest."""
    views: int | None = None
    carts: int | None = None
    purchases: int | None = None


@dataclass(frozen=True)
class Changes:
    """By key. ``examples``: columns kind, key, what; a few of each kind."""

    added: int
    removed: int
    changed: int
    examples: pl.DataFrame

    @property
    def total(self) -> int:
        return self.added + self.removed + self.changed


@dataclass(frozen=True)
class Comparison:
    """A table then and now."""

    then: Totals
    now: Totals


def extent_of(home: Home, name: str, version: int) -> Span | None:
    """From the first to after the last row of the table in event time, by the log's statistics; None without any."""
    return _extent(table_at(home, BY_NAME[name], version))


@st.cache_data(ttl=600, max_entries=40, show_spinner="Reading both states …")
def read_totals(home: Home, name: str, then: Then, now: int, span: Span | None) -> Comparison:
    """Of the table ``name`` then and at the version ``now``. Raises LakehouseError where one is not kept any more."""
    before, after = _both(home, name, then, now, span)
    with before.reading(), after.reading():
        return Comparison(totals_of(before, span), totals_of(after, span))


@st.cache_data(ttl=600, max_entries=40, show_spinner="Comparing both states, row by row …")
def read_changes(home: Home, name: str, then: Then, now: int, span: Span | None, most_rows: int = MOST_ROWS) -> Changes:
    """Of the table ``name`` between then and the version ``now``. Raises LakehouseError, and TooMuch."""
    before, after = _both(home, name, then, now, span)
    with before.reading(), after.reading():
        return changes_between(before, after, BY_NAME[name], span, most_rows)


def _both(home: Home, name: str, then: Then, now: int, span: Span | None) -> tuple[TableAt, TableAt]:
    table = BY_NAME[name]
    return read_then(home, table, then).within(span), table_at(home, table, now).within(span)


def totals_of(at: TableAt, span: Span | None) -> Totals:
    """Of its rows in ``span``, or of all.

    A file never changes, so what one holds is counted once and remembered: each look at a table that gets rows all the
    time reads the files that have come since, and those that ``span`` cuts.
    """
    whole, cut = at.split(span)
    by_file = [*_remembered(whole).values(), *_counted(cut.scan(span, FILE), at.table).values()]
    sums = [sum(counts) for counts in zip(*by_file, strict=True)] or [0] * len(_counts(at.table))
    return Totals(*sums) if len(sums) > 1 else Totals(sums[0], None)


def _remembered(at: TableAt) -> dict[str, tuple[int, ...]]:
    """`_counted` of all its rows."""
    known, paths = _known(), [str(path) for path in at.paths()]
    found = {path: known[path] for path in paths if path in known}
    unknown = [path for path in paths if path not in found]
    if unknown:
        nothing = (0,) * len(_counts(at.table))
        read = dict.fromkeys(unknown, nothing) | _counted(scan_files(at.table, unknown, FILE), at.table)
        if len(known) + len(read) > MOST_FILES:
            known.clear()
        known.update(read)
        found |= read
    return found


@st.cache_resource(max_entries=1, show_spinner=False)
def _known() -> dict[str, tuple[int, ...]]:
    """What the files hold that were read, by their paths; shared by all who look."""
    return {}


def _counted(rows: pl.LazyFrame, table: type[Table]) -> dict[str, tuple[int, ...]]:
    """For each file, its path in the column `FILE`, the `_counts` of its rows; without rows it is not there."""
    found = rows.group_by(FILE).agg(_counts(table)).collect(engine="streaming")
    return {path: tuple(int(count) for count in counts) for path, *counts in found.iter_rows()}


def _counts(table: type[Table]) -> list[pl.Expr]:
    """Rows; of a table that counts events, events, views, carts and purchases too: of a few columns."""
    names = {str(column) for column in table.columns()}
    count = pl.len().alias("rows")
    if table in TIMES and set(_SUMS.values()) <= names:  # a user's features count a lookback, each its own
        return [count, *(pl.col(column).sum() for column in (str(FunnelSummary.num_events), *_SUMS.values()))]
    if str(SilverEvents.event_type) not in names:
        return [count]
    kind = pl.col(SilverEvents.event_type)
    if str(FunnelWindows.num_events) not in names:
        return [count, pl.len().alias("events"), *((kind == step).sum().alias(step) for step in _SUMS)]
    events = pl.col(FunnelWindows.num_events)
    return [count, events.sum(), *(events.filter(kind == step).sum().alias(step) for step in _SUMS)]


def changes_between(
    before: TableAt,
    after: TableAt,
    table: type[Table],
    span: Span | None,
    most_rows: int = MOST_ROWS,
    part_rows: int = PART_ROWS,
) -> Changes:
    """By the key of ``table``, with the columns that both have. Only files that one of both has are read: a compaction
    moves rows, and changes none.

    Raises TooMuch.
    """
    old, new = before.apart_from(after), after.apart_from(before)
    if old.rows + new.rows > most_rows:
        shorter = "choose a shorter range, or a later state" if table in TIMES else "choose a later state"
        raise TooMuch(
            f"{table.name}: {old.rows + new.rows:,} rows lie in files that are not the same then and now, more than "
            f"the {most_rows:,} that are compared here; {shorter}"
        )
    key = [str(column) for column in table.key]
    others = [str(column) for column in table.columns() if str(column) not in key]
    count = parts_for(old.rows + new.rows, part_rows)
    parts = [
        _unlike(*pair, key, others)
        for pair in zip(old.parts(key, count, span), new.parts(key, count, span), strict=True)
    ]
    examples = [
        example
        for kind in (CHANGED, ADDED, REMOVED)
        for example in _examples(
            kind, pl.concat([part[kind][1] for part in parts]).sort(key).head(EXAMPLES), old, new, key, others, span
        )
    ]
    added, removed, changed = (sum(part[kind][0] for part in parts) for kind in (ADDED, REMOVED, CHANGED))
    schema = {"kind": pl.String, "key": pl.String, "what": pl.String}
    return Changes(added, removed, changed, pl.DataFrame(examples, schema, orient="row"))


def _unlike(
    old: pl.LazyFrame, new: pl.LazyFrame, key: list[str], others: list[str]
) -> dict[str, tuple[int, pl.DataFrame]]:
    """Of two states of some keys: how many rows of each kind, and the first of their keys."""
    then, now = (
        rows.select(*key, pl.struct(others).hash(seed=0).alias("print")).collect(engine="streaming")
        for rows in (old, new)
    )
    both = then.join(now.rename({"print": "now"}), on=key, how="full", coalesce=True)
    kinds = {
        CHANGED: both.filter(pl.col("print") != pl.col("now")),
        ADDED: both.filter(pl.col("print").is_null()),
        REMOVED: both.filter(pl.col("now").is_null()),
    }
    return {kind: (rows.height, rows.select(key).sort(key).head(EXAMPLES)) for kind, rows in kinds.items()}


def _examples(
    kind: str, keys: pl.DataFrame, old: TableAt, new: TableAt, key: list[str], others: list[str], span: Span | None
) -> list[tuple[str, str, str]]:
    if keys.is_empty():
        return []
    then, now = (_by_key(at, keys, key, others, span) for at in (old, new))
    found = []
    for each in keys.iter_rows():
        named = ", ".join(f"{name} {_text(value)}" for name, value in zip(key, each, strict=True))
        found.append((kind, named, _what(then.get(each), now.get(each))))
    return found


def _by_key(
    at: TableAt, keys: pl.DataFrame, key: list[str], others: list[str], span: Span | None
) -> dict[tuple[Any, ...], dict[str, Any]]:
    rows = at.scan(span).select(*key, *others).join(keys.lazy(), on=key, how="semi").collect(engine="streaming")
    return {tuple(row.pop(name) for name in key): row for row in rows.to_dicts()}


def _what(then: dict[str, Any] | None, now: dict[str, Any] | None) -> str:
    """The columns that are not the same, or what a row has that only one of both states has."""
    if then is not None and now is not None:
        unlike = [name for name in now if then[name] != now[name]]
        said = [f"{name} {_text(then[name])} → {_text(now[name])}" for name in unlike]
    else:
        row = then or now or {}
        said = [f"{name} {_text(value)}" for name, value in row.items() if value is not None][:MOST_COLUMNS]
    return shortened(", ".join(said), 3 * TEXT_SHOWN)


def _text(value: Any) -> str:
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}" + (f".{value:%f}".rstrip("0") if value.microsecond else "")
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, bytes):
        return shortened(as_text(value, TEXT_SHOWN) or "", TEXT_SHOWN // 2)
    return "—" if value is None else shortened(str(value), TEXT_SHOWN // 2)


def _extent(at: TableAt) -> Span | None:
    column = TIMES.get(at.table)
    if column is None or at.files.is_empty():
        return None
    if column.type == "date":
        days = at.files[f"partition.{column}"]
        first, last = days.min(), days.max()
        if not isinstance(first, date) or not isinstance(last, date):
            return None
        return Span(datetime.combine(first, time(), UTC), datetime.combine(last, time(), UTC) + timedelta(days=1))
    if f"min.{column}" not in at.files.columns:
        return None
    first, last = at.files[f"min.{column}"].min(), at.files[f"max.{column}"].max()
    if not isinstance(first, datetime) or not isinstance(last, datetime):
        return None
    ends = f"max.{FunnelWindows.window_end}"
    end = at.files[ends].max() if ends in at.files.columns else None
    until = end if isinstance(end, datetime) else last.replace(microsecond=0) + timedelta(seconds=1)
    return Span(first.replace(microsecond=0).astimezone(UTC), until.astimezone(UTC))
