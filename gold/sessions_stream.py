"""From silver into sessions' days, and from their changes into the ordered funnel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from functools import partial

import polars as pl
import pyarrow as pa

from gold.days_stream import DaysStage
from gold.remake import SESSION_DAYS, SESSION_FUNNEL, Remake
from gold.session_days import merged
from gold.session_funnel import SUMS, change, net
from lakehouse.commits import Commit
from lakehouse.contracts import SessionDays, SessionFunnel
from lakehouse.dialects import Dialect
from lakehouse.faultpoints import reach
from lakehouse.follow import Follower
from lakehouse.frames import Frame, apply, arrow_schema, empty, keys_of, to_arrow, union
from lakehouse.stages import Context, utc_now
from lakehouse.store import Merge

D, F = SessionDays, SessionFunnel


class SessionDaysStage(DaysStage):
    """Sessions' days: the rows that a batch touches are read, added up by the pure function, and put back.

    Which value of a dimension is the earliest is nothing that both engines say alike in SQL.
    """

    name = "sessions"
    targets = (SessionDays,)
    layer = SESSION_DAYS
    fault_point = "before-session-days-commit"

    def add(self, days: Frame, dates: Sequence[date], commit: Commit) -> None:
        store, settings = self.context.store, self.context.settings
        there = store.of(D, keys_of(days, D), _on(D.date, dates))
        together = apply(union(there, days), partial(merged, settings=settings), arrow_schema(D), by=[D.user_id])
        store.merge(D, together, _replace(dates), commit)


class SessionFunnelStage(Follower):
    """The ordered funnel: what the changed rows of sessions' days were is taken away, what they are is added.

    So what an update costs is of the sessions that changed, and not of the day, and a session whose first event turns
    out to be earlier moves to its hour with all that it counts.
    """

    name = "ordered_funnel"
    origin = SessionDays
    targets = (SessionFunnel,)
    batches_at_once = DaysStage.batches_at_once
    last: Commit | None = None

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.interval_s = context.settings.churn_interval_s

    def reached(self) -> int:
        self.last = self.context.store.last_commit(F)
        self.state.rows = self.context.store.rows(F)
        return -1 if self.last is None or self.last.source_version is None else self.last.source_version

    def take(self, first: int, last: int) -> None:
        """One merge under a transaction id."""
        store = self.context.store
        began = utc_now()
        versions = store.versions(D, first, last)
        if not any(version.changes_rows for version in versions):
            return
        if versions[-1].is_rebuild:  # a range of its own
            self.last = Remake(self.context, SESSION_FUNNEL, self.last).at_once(versions[-1])
            self.state.rows = store.rows(F)
            return
        changed = self._change(store.changes(D, first, last))
        generation = 0 if self.last is None else self.last.generation
        rows_in = sum(version.rows for version in versions)
        commit = Commit(self.name, generation, last, source_version=last, rows_in=rows_in)
        reach("before-session-funnel-commit")
        if changed.num_rows:
            dates = sorted(set(changed[str(F.date)].to_pylist()))
            store.merge(F, store.committable(changed), _add(dates), commit)
        else:
            store.append(F, empty(F), commit)
        self.last = commit
        self.state.taken(commit, began)
        self.state.rows = store.rows(F)

    def _change(self, feed: Frame) -> pa.Table:
        """What is to be added: few rows, whatever the batch."""
        parts = apply(feed, change, arrow_schema(F))
        parts = parts if isinstance(parts, pa.Table) else parts.toArrow()
        return to_arrow(net([pl.DataFrame(parts)]))


def _on(column: str, dates: Sequence[date], of: str = "") -> Callable[[Dialect], str]:
    """Rows of ``dates``, which are partitions."""
    return lambda dialect: f"{of}{column} IN ({', '.join(dialect.date(day) for day in dates)})"


def _replace(dates: Sequence[date]) -> Merge:
    return Merge(
        keys=[str(column) for column in D.key],
        bounds=_on(D.date, dates, of="t."),
        update=lambda _: {str(column): f"s.{column}" for column in D.columns()},
    )


def _add(dates: Sequence[date]) -> Merge:
    """Sums are added; of an hour whose sessions have all turned out to begin in another one no row is left."""
    return Merge(
        keys=[str(column) for column in (*F.key, *F.partition_by)],
        bounds=_on(F.date, dates, of="t."),
        update=lambda _: {
            **{str(column): f"t.{column} + s.{column}" for column in SUMS},
            str(F.revenue): f"CAST(t.{F.revenue} + s.{F.revenue} AS DECIMAL(38,4))",
        },
        removes=f"t.{F.sessions} + s.{F.sessions} = 0",
    )
