"""From silver into a table of days: aggregate the new events, and add them to the days there are."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import ClassVar

import polars as pl
import pyarrow as pa
from pyspark.sql import functions as F

from gold.remake import Layer, Remake
from lakehouse.commits import Commit
from lakehouse.contracts import SilverEvents, Table, UserDays
from lakehouse.deltalog import Version
from lakehouse.faultpoints import reach
from lakehouse.follow import Follower
from lakehouse.frames import Frame, apply, arrow_schema, empty
from lakehouse.maintenance.log import Log
from lakehouse.stages import Context, utc_now

DATE, NUM_EVENTS = str(UserDays.date), str(UserDays.num_events)


class DaysStage(Follower):
    """Adds each batch of new silver rows to the days that they belong to, once, however late they are."""

    origin = SilverEvents
    layer: ClassVar[Layer]
    """Of one table, each row of which counts the events (``num_events``) of a user on a day (``date``)."""
    fault_point: ClassVar[str]
    batches_at_once = 4  # silver's come meanwhile, while it waits for its interval; and it reads few of their columns
    last: Commit | None = None

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.interval_s = context.settings.churn_interval_s

    @abstractmethod
    def add(self, days: Frame, dates: Sequence[date], commit: Commit) -> None:
        """Adds ``days``, which are of ``dates``, to those that are there, under the commit's transaction id."""

    @property
    def table(self) -> type[Table]:
        return self.targets[0]

    def reached(self) -> int:
        self.last = self.context.store.last_commit(self.table)
        self.state.rows = self.context.store.rows(self.table)
        return -1 if self.last is None or self.last.source_version is None else self.last.source_version

    def run(self) -> None:
        if self.position == -1 and Log(Path(self.context.store.path(SilverEvents))).oldest() > 0:
            self.position = self._take_all()
        super().run()

    def take(self, first: int, last: int) -> None:
        """One merge under a transaction id; its account names the Kafka offsets up to which events are counted."""
        store = self.context.store
        began = utc_now()
        versions = store.versions(SilverEvents, first, last)
        if not any(version.changes_rows for version in versions):
            return
        if versions[-1].is_rebuild:  # a range of its own
            account = self._account(versions)
            self.last = Remake(self.context, self.layer, self.last).at_once(versions[-1], offsets=account.offsets)
            self.state.rows = store.rows(self.table)
            return
        days = self._days(store.inserted(SilverEvents, first, last, self.layer.read))
        with store.gathered(days, sum(version.rows for version in versions)) as new:
            counted = _events_by_date(new)
            commit = self._account(versions).with_(rows_in=sum(counted.values()))
            reach(self.fault_point)
            if counted:
                self.add(new, sorted(counted), commit)
            else:  # rows were changed or removed, and none came
                store.append(self.table, empty(self.table), commit)
        self.last = commit
        self.state.taken(commit, began)
        self.state.rows = store.rows(self.table)

    def _days(self, events: Frame) -> Frame:
        compute, settings = self.layer.tables[self.table], self.context.settings
        return apply(events, lambda rows: compute(rows, settings), arrow_schema(self.table), by=[SilverEvents.user_id])

    def _take_all(self) -> int:
        """For a home that is older than this table, whose first versions are not kept: all that silver holds, in one
        commit. Returns silver's version."""
        store, began = self.context.store, utc_now()
        version, silver = store.version(SilverEvents), store.last_commit(SilverEvents)
        offsets = {} if silver is None else silver.offsets
        if store.delta_rs_commits(0):  # a day at a time
            of_day = store.scan(SilverEvents, version).select(SilverEvents.event_date).unique().collect()
            commit = Remake(self.context, self.layer, None).of_days(list(of_day.to_series()), version, offsets)
        else:
            commit = Commit(self.name, 0, version, offsets=offsets, source_version=version)
            days = self._days(store.read(SilverEvents).select(*self.layer.read))
            store.append(self.table, days, commit)
        self.last = commit
        self.state.taken(commit, began)
        self.state.rows = store.rows(self.table)
        return version

    def _account(self, versions: Sequence[Version]) -> Commit:
        last = versions[-1].number
        generation, offsets = (0, {}) if self.last is None else (self.last.generation, dict(self.last.offsets))
        for version in versions:
            offsets |= {} if version.account is None else version.account.offsets
        return Commit(self.name, generation, last, offsets=offsets, source_version=last)


def _events_by_date(days: Frame) -> dict[date, int]:
    if isinstance(days, pa.Table):
        return dict(pl.DataFrame(days.select([DATE, NUM_EVENTS])).group_by(DATE).sum().iter_rows())
    return {row[0]: row[1] for row in days.groupBy(DATE).agg(F.sum(NUM_EVENTS)).collect()}
