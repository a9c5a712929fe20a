"""Days of gold made anew from the table before, a day at a time, and put in the place of those that are there."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

import polars as pl

from gold.session_days import session_days
from gold.session_funnel import session_funnel
from gold.user_days import user_days
from gold.windows import funnel_summary, funnel_windows
from lakehouse.commits import REBUILT, Commit
from lakehouse.contracts import (
    FunnelSummary,
    FunnelWindows,
    SessionDays,
    SessionFunnel,
    SilverEvents,
    Table,
    UserDays,
)
from lakehouse.deltalog import Version
from lakehouse.frames import to_arrow
from lakehouse.rebuild.staging import StagingStore, staging
from lakehouse.rebuild.swap import perform, plan
from lakehouse.settings import DIMENSION_COLUMNS, Settings
from lakehouse.stages import Context
from lakehouse.store import TableStore

G, S = FunnelSummary, SilverEvents
READ: Final = (S.user_id, S.event_type, S.event_time, S.session_id, S.price, S.quantity)

Compute = Callable[[pl.DataFrame, Settings], pl.DataFrame]
"""A table's rows of one day, of all rows of that day in the table before."""


@dataclass(frozen=True)
class Layer:
    """Tables that one stage writes, in the order of its commits, each partitioned by the day of the events."""

    stage: str
    tables: Mapping[type[Table], Compute]
    origin: type[Table] = S
    """The table before; its first partition column is the day."""
    read: Sequence[str] = READ
    """The columns of ``origin`` that are needed."""

    @property
    def day(self) -> str:
        return str(self.origin.partition_by[0])

    def compared(self, table: type[Table]) -> tuple[str, ...]:
        """The columns that do not tell of the run."""
        return tuple(column for column in table.columns() if column not in OF_THE_RUN)


OF_THE_RUN: Final = (G.late_events, G.is_final)

FUNNEL: Final = Layer(
    "gold",
    {
        FunnelWindows: funnel_windows,
        FunnelSummary: lambda events, settings: funnel_summary(events, None, settings),
    },
)
USER_DAYS: Final = Layer("user_days", {UserDays: lambda events, settings: user_days(events, settings.session_ids_cap)})
SESSION_DAYS: Final = Layer("sessions", {SessionDays: session_days}, read=(*READ, *DIMENSION_COLUMNS, S.properties))
SESSION_FUNNEL: Final = Layer(
    "ordered_funnel",
    {SessionFunnel: lambda days, _: session_funnel(days)},
    origin=SessionDays,
    read=SessionDays.columns(),
)


@dataclass(frozen=True)
class Remake:
    """Makes days of ``layer`` anew; ``last`` is its stage's newest account."""

    context: Context
    layer: Layer
    last: Commit | None

    def at_once(self, rebuilt: Version, offsets: Mapping[str, int] | None = None) -> Commit:
        """The days that a rebuild of the table before has touched, as of that version: by who writes, between two
        commits."""
        days = {date.fromisoformat(files[self.layer.day]) for files in rebuilt.touched}
        return self.of_days(days, rebuilt.number, offsets)

    def of_days(self, days: Collection[date], version: int, offsets: Mapping[str, int] | None = None) -> Commit:
        """``days`` as of ``version`` of the table before: by who writes, between two commits."""
        with staging(self.context.store, tuple(self.layer.tables)) as staged:
            self.stage(staged, days, version)
            return self.swap(staged, days, version, offsets)

    def stage(
        self,
        staged: StagingStore,
        days: Iterable[date],
        version: int,
        progress: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Computes ``days`` of that ``version`` of the table before into the staged tables, in the place of what they
        hold of them."""
        layer = self.layer
        for day in sorted(days):
            progress(f"{layer.origin.name} → {layer.stage}: {day}")
            before = staged.scan(layer.origin, version).filter(pl.col(layer.day) == day).select(layer.read).collect()
            for table, compute in layer.tables.items():
                number = staged.version(table) + 1
                account = Commit("staged", number, 0, marker="a day")
                staged.delete(table, lambda d, t=table, on=day: f"{t.partition_by[0]} = {d.date(on)}", account)  # type: ignore[misc]
                rows = self._of_the_run(compute(before, staged.settings), table, day)
                if rows.height:
                    staged.append(table, to_arrow(rows), account)

    def swap(
        self,
        staged: StagingStore,
        days: Collection[date] | Mapping[type[Table], Collection[date]],
        version: int,
        offsets: Mapping[str, int] | None = None,
    ) -> Commit:
        """Puts the staged ``days`` in the place of those that are there, in one commit for each table; with it the
        table before is taken up to ``version``."""
        last = self.last
        generation = 0 if last is None else last.generation
        commit = Commit(
            self.layer.stage,
            generation + 1,
            version,
            offsets=offsets if offsets is not None else {} if last is None else last.offsets,
            source_version=version,
            watermark=None if last is None else last.watermark,
            finalized=None if last is None else last.finalized,
            marker=REBUILT,
        )
        if G in self.layer.tables and commit.finalized is not None:  # some may have become so since they were staged
            final, until = {str(G.is_final): "true"}, commit.finalized
            staged.update(G, lambda d: f"{G.window_end} <= {d.timestamp(until)} AND NOT {G.is_final}", final, commit)
        swaps = []
        for table in self.layer.tables:
            of_table = days[table] if isinstance(days, Mapping) else days
            swaps.append(plan(self.context.store, staged, table, {(day,) for day in of_table}, commit))
        perform(self.context.store, staged, swaps)
        return swaps[-1].commit

    def _of_the_run(self, rows: pl.DataFrame, table: type[Table], day: date) -> pl.DataFrame:
        """``rows`` with what the run has found out about their windows: it is not in silver."""
        if table is not G:
            return rows
        store: TableStore = StagingStore(self.context.store.home, self.context.settings, self.context.spark)
        before = store.scan(G).filter(pl.col(G.window_date) == day).select(*G.key, G.late_events).collect()
        finalized = None if self.last is None else self.last.finalized
        is_final = pl.lit(value=False) if finalized is None else pl.col(G.window_end) <= finalized
        late = pl.col(G.late_events).fill_null(0)
        known = rows.drop(G.late_events).join(before, on=G.key, how="left")
        return known.with_columns(late, is_final.alias(G.is_final)).select(*G.columns())
