"""From silver into users' days: aggregate the new events by user and day, and add them to the days there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from functools import partial
from pathlib import Path

import polars as pl
import pyarrow as pa
from pyspark.sql import functions as F

from gold.remake import USER_DAYS, Remake
from gold.user_days import MOST, user_days
from lakehouse.commits import Commit
from lakehouse.contracts import SilverEvents, UserDays
from lakehouse.deltalog import Version
from lakehouse.dialects import Dialect
from lakehouse.faultpoints import reach
from lakehouse.follow import Follower
from lakehouse.frames import Frame, apply, arrow_schema, empty, to_arrow
from lakehouse.maintenance.log import Log
from lakehouse.stages import Context, utc_now
from lakehouse.store import Merge

D = UserDays
READ = (
    SilverEvents.user_id,
    SilverEvents.event_type,
    SilverEvents.event_time,
    SilverEvents.session_id,
    SilverEvents.price,
    SilverEvents.quantity,
)


class UserDaysStage(Follower):
    """Adds each batch of new silver rows to the days of their users, once, however late they are."""

    name = "user_days"
    origin = SilverEvents
    targets = (UserDays,)
    batches_at_once = 4  # silver's come meanwhile, while it waits for its interval; and it reads few of their columns
    last: Commit | None = None

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.interval_s = context.settings.churn_interval_s

    def reached(self) -> int:
        self.last = self.context.store.last_commit(D)
        self.state.rows = self.context.store.rows(D)
        return -1 if self.last is None or self.last.source_version is None else self.last.source_version

    def run(self) -> None:
        if self.position == -1 and Log(Path(self.context.store.path(SilverEvents))).oldest() > 0:
            self.position = self._take_all()
        super().run()

    def take(self, first: int, last: int) -> None:
        """One merge under a transaction id; its account names the Kafka offsets up to which events are counted."""
        store, cap = self.context.store, self.context.settings.session_ids_cap
        began = utc_now()
        versions = store.versions(SilverEvents, first, last)
        if not any(version.changes_rows for version in versions):
            return
        if versions[-1].is_rebuild:  # a range of its own
            account = self._account(versions)
            self.last = Remake(self.context, USER_DAYS, self.last).at_once(versions[-1], offsets=account.offsets)
            self.state.rows = store.rows(D)
            return
        events = store.inserted(SilverEvents, first, last, READ)
        days = apply(events, partial(user_days, session_ids_cap=cap), arrow_schema(D), by=[D.user_id])
        with store.gathered(days, sum(version.rows for version in versions)) as new:
            counted = _events_by_date(new)
            commit = self._account(versions).with_(rows_in=sum(counted.values()))
            reach("before-user-days-commit")
            if counted:
                store.merge(D, new, _add_days(sorted(counted), cap), commit)
            else:  # rows were changed or removed, and none came
                store.append(D, empty(D), commit)
        self.last = commit
        self.state.taken(commit, began)
        self.state.rows = store.rows(D)

    def _take_all(self) -> int:
        """For a home that is older than this table, whose first versions are not kept: all that silver holds, a day at
        a time, in one commit. Returns silver's version."""
        store, began = self.context.store, utc_now()
        version, silver = store.version(SilverEvents), store.last_commit(SilverEvents)
        events = store.scan(SilverEvents)
        dates = events.select(SilverEvents.event_date).unique().collect().to_series()
        of_date = (events.filter(pl.col(SilverEvents.event_date) == day).select(READ).collect() for day in dates)
        cap = self.context.settings.session_ids_cap
        days = pl.concat([pl.DataFrame(empty(D)), *(user_days(each, cap) for each in of_date)])
        offsets = {} if silver is None else silver.offsets
        counted = int(days[D.num_events].sum())
        commit = Commit(self.name, 0, version, offsets=offsets, source_version=version, rows_in=counted)
        store.append(D, to_arrow(days), commit)
        self.last = commit
        self.state.taken(commit, began)
        self.state.rows = store.rows(D)
        return version

    def _account(self, versions: Sequence[Version]) -> Commit:
        last = versions[-1].number
        generation, offsets = (0, {}) if self.last is None else (self.last.generation, dict(self.last.offsets))
        for version in versions:
            offsets |= {} if version.account is None else version.account.offsets
        return Commit(self.name, generation, last, offsets=offsets, source_version=last)


def _events_by_date(days: Frame) -> dict[date, int]:
    day, events = str(D.date), str(D.num_events)
    if isinstance(days, pa.Table):
        return dict(pl.DataFrame(days.select([day, events])).group_by(day).sum().iter_rows())
    return {row[0]: row[1] for row in days.groupBy(day).agg(F.sum(events)).collect()}


def _add_days(dates: Sequence[date], cap: int) -> Merge:
    """`gold.user_days.merged` in SQL, bounded by the batch's days, which are partitions."""

    def bounds(dialect: Dialect) -> str:
        return f"t.{D.date} IN ({', '.join(dialect.date(day) for day in dates)})"

    def update(dialect: Dialect) -> Mapping[str, str]:
        ids = dialect.head(f"array_sort(array_union(t.{D.session_ids}, s.{D.session_ids}))", cap)
        most = f"CAST({MOST} AS DECIMAL(18,4))"
        return {
            **{
                str(column): f"t.{column} + s.{column}"
                for column in (D.num_views, D.num_add_to_cart, D.num_purchases, D.num_events)
            },
            str(D.first_event_time): f"least(t.{D.first_event_time}, s.{D.first_event_time})",
            str(D.last_event_time): f"greatest(t.{D.last_event_time}, s.{D.last_event_time})",
            str(D.last_purchase_time): f"greatest(t.{D.last_purchase_time}, s.{D.last_purchase_time})",
            str(D.revenue): f"CAST(least(t.{D.revenue} + s.{D.revenue}, {most}) AS DECIMAL(18,4))",
            str(D.active_hours): f"t.{D.active_hours} | s.{D.active_hours}",
            str(D.session_ids): ids,
            str(D.sessions): f"CAST(cardinality({ids}) AS BIGINT)",
            str(D.sessions_capped): f"cardinality({ids}) >= {cap}",
        }

    return Merge(keys=[str(column) for column in D.key], bounds=bounds, update=update)
