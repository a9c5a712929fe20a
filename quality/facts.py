"""What an expectation may know beyond the rows that it judges, gathered beforehand so that judging is pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import polars as pl

from quality.verdicts import Mode


@dataclass(frozen=True)
class Facts:
    """Times are in UTC. What is None is not known, and what depends on it is not judged."""

    mode: Mode = "new"
    """new: the rows are those that a range of versions brought; full: they are all of the table, or a part of it."""
    now: datetime | None = None
    """None where nobody expects events to come, as where no stack runs."""
    newest: datetime | None = None
    """The broker's time of the newest message in bronze."""
    waiting_since: datetime | None = None
    """When the table before this one got the oldest rows that are not in this one yet; None where all are."""
    accounts: pl.DataFrame | None = None
    """What each commit of the range says that it brought, and what it brought: `ACCOUNTS`."""
    history: pl.DataFrame | None = None
    """Events of every type in every window, of some days up to now: `HISTORY`."""
    complete_until: datetime | None = None
    """The watermark: hours that ended by then have all their events."""
    balances: pl.DataFrame | None = None
    """Two sides of a layer that must be equal: `BALANCES`."""
    repeated: pl.DataFrame | None = None
    """Keys that the table has more than once: its key, and ``copies``."""
    unknown: pl.DataFrame | None = None
    """Rows whose users or events are not in the table before: the table's key."""
    sizes: pl.DataFrame | None = None
    """Users of each cohort in its own period: ``unit``, ``cohort``, ``users``."""


ACCOUNTS = pl.Schema(
    {
        "version": pl.Int64,
        "rows_in": pl.Int64,
        "rows_out": pl.Int64,
        "rows_duplicate": pl.Int64,
        "rows_refused": pl.Int64,
        "rows_added": pl.Int64,
        "offsets_taken": pl.Int64,
    }
)
HISTORY = pl.Schema(
    [("window_start", pl.Datetime("us", "UTC")), ("event_type", pl.String()), ("num_events", pl.Int64())]
)
BALANCES = pl.Schema({"balance": pl.String, "expected": pl.Int64, "found": pl.Int64})
