"""The funnel by a property that gold does not keep: from the events themselves, by gold's own functions.

A session's day is of one user and one day, so events are taken a day, and of a large day some of its users, at a time.
Imported lazily: deltalake and its Arrow take some 30 MB of the dashboard's process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

import polars as pl
import streamlit as st

from dashboard.funnel.queries import COUNTS
from dashboard.funnel.values import ranked
from dashboard.lake import ROWS, TableAt, TooMuch, of_newest, parts_for
from dashboard.ranges import Span, whole
from gold.session_days import session_days
from gold.session_funnel import session_funnel
from lakehouse.contracts import SessionFunnel as F
from lakehouse.contracts import SilverEvents as S
from lakehouse.home import Home
from lakehouse.scans import polars_schema
from lakehouse.settings import DIMENSION_COLUMNS, Settings

KEPT_FOR_S: Final = 600.0
MOST_EVENTS: Final = 2_000_000
"""Of the newest whole days of the range."""
PART_EVENTS: Final = 200_000
"""About as many are in memory at a time."""

DAY: Final = f"partition.{S.event_date}"
SUMS: Final = [*map(str, COUNTS), str(F.revenue)]


@dataclass(frozen=True)
class ByProperty:
    """Of the sessions that begin in a span of whole hours."""

    values: pl.DataFrame
    """As in `dashboard.funnel.queries.Sessions.by_value`."""
    span: Span
    """What was read of what was asked for: where it is shorter, the days before were too much."""
    events: int
    """That were read."""
    version: int
    """Of the table."""


@st.cache_data(ttl=KEPT_FOR_S, max_entries=10, show_spinner=False)
def read_by_property(
    home: Home,
    span: Span,
    name: str,
    most_values: int,
    _settings: Settings,
    _tell: Callable[[float, str], None],
    most_events: int = MOST_EVENTS,
    part_events: int = PART_EVENTS,
) -> ByProperty:
    """``_tell`` is told how far it is, from 0 to 1, and what is read next. Raises LakehouseError where the table is not
    here, and TooMuch where the last day alone has more than ``most_events``."""
    settings = _settings.model_copy(update={"funnel_dimensions": (name,)})
    return of_newest(
        home, S, lambda events: _by_property(events, span, name, most_values, settings, _tell, most_events, part_events)
    )


def _by_property(
    events: TableAt,
    span: Span,
    name: str,
    most_values: int,
    settings: Settings,
    tell: Callable[[float, str], None],
    most_events: int,
    part_events: int,
) -> ByProperty:
    files, read = _bounded(events, span, most_events)
    is_counted = [pl.col(F.dimension) == name, pl.col(F.hour) >= read.start, pl.col(F.hour) < read.end]
    parts, counted = list(_parts(files, part_events)), [_NOTHING]
    for number, (told, rows) in enumerate(parts):
        tell(number / len(parts), told)
        days = session_days(rows.select(_needed(name)).collect(engine="streaming"), settings)
        more = session_funnel(days).filter(is_counted).select(F.value, *SUMS)
        counted = [pl.concat([*counted, more]).group_by(F.value).agg(pl.col(SUMS).sum())]
    return ByProperty(_ranked(counted[0], most_values), read, files.rows, events.version)


_NOTHING: Final = pl.DataFrame(schema={name: polars_schema(F)[name] for name in (str(F.value), *SUMS)})


def _bounded(events: TableAt, span: Span, most_events: int) -> tuple[TableAt, Span]:
    """The files of the newest whole days of ``span`` that have at most ``most_events``, and what is left of it."""
    within = events.within(whole(span, timedelta(days=1)))
    if within.files.is_empty():
        return within, span
    by_day = (
        within.files.group_by(DAY)
        .agg(pl.col(ROWS).sum())
        .sort(DAY, descending=True)
        .with_columns(pl.col(ROWS).cum_sum().alias("so far"))
    )
    left = by_day.filter(pl.col("so far") > most_events)
    if left.is_empty():
        return within, span
    if left.height == by_day.height:
        raise TooMuch(
            f"{S.name} has {by_day[ROWS][0]:,} events of the last day of this range alone, more than the "
            f"{most_events:,} that are read for one look; declare the property in LAKEHOUSE_FUNNEL_DIMENSIONS, and it "
            "is counted as events come"
        )
    newest_left: date = left[DAY][0]
    begins = datetime.combine(newest_left, time(), UTC) + timedelta(days=1)
    kept = replace(within, files=within.files.filter(pl.col(DAY) > newest_left))
    return kept, Span(max(begins, span.start), span.end)


def _parts(events: TableAt, part_events: int) -> Iterator[tuple[str, pl.LazyFrame]]:
    """A name and the rows of each day, or of some users' of a day of more than ``part_events``: every session whole."""
    if events.files.is_empty():
        return
    for day in events.files[DAY].unique().sort():
        of_day = replace(events, files=events.files.filter(pl.col(DAY) == day))
        count = parts_for(of_day.rows, part_events)
        for number, rows in enumerate(of_day.parts([str(S.user_id)], count), 1):
            yield f"{day}" if count == 1 else f"{day}, part {number} of {count}", rows


def _ranked(counted: pl.DataFrame, most: int) -> pl.DataFrame:
    return ranked(counted, F.sessions, most).with_columns(pl.col(F.revenue).cast(pl.Float64))


def _needed(name: str) -> list[str]:
    columns = (S.user_id, S.session_id, S.event_time, S.event_type, S.price, S.quantity)
    return [*map(str, columns), name if name in DIMENSION_COLUMNS else str(S.properties)]
