"""From users' days into churn features: recompute the users whose days changed, and in turn those who are silent."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import date, datetime, timedelta
from functools import partial
from typing import Final

import polars as pl
import pyarrow as pa

from gold.churn_features import latest_features, remembered
from gold.user_days_stream import UserDaysStage
from lakehouse.commits import REBUILT, Commit
from lakehouse.contracts import ChurnFeatures, FunnelSummary, UserDays
from lakehouse.dialects import EPOCH, Dialect
from lakehouse.faultpoints import reach
from lakehouse.follow import Follower
from lakehouse.frames import Frame, apply, arrow_schema, count, empty, to_arrow, union
from lakehouse.stages import Context, utc_now
from lakehouse.store import Merge, all_rows

C, D = ChurnFeatures, UserDays
USERS_AT_ONCE: Final = 50_000
"""How many users' days are in memory at a time: each part is a commit that rewrites the files of its users."""
REFRESHED_AT_ONCE: Final = 10_000
"""Users of one turn of a refresh, for whom the other stages wait."""


class ChurnFeaturesStage(Follower):
    """Keeps the newest features of every user, as of gold's watermark.

    A row is made of the user's days of the lookback, as they are at the head of ``gold.user_days`` or as far as that
    may be read, of the days that have changed, and of the first and last times that the row before knew; and it
    replaces that one. So what an update costs does not grow with the history. A range of versions that is taken again,
    wholly or in part, leads to the same rows, and its commits need no transaction id that would have to be skipped:
    theirs is the table's own version, which is always a new one.
    """

    name = "churn_features"
    origin = UserDays
    targets = (ChurnFeatures,)
    batches_at_once = UserDaysStage.batches_at_once
    last: Commit | None = None

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.interval_s = context.settings.churn_interval_s
        self._refreshing_to: datetime | None = None
        self._gold: tuple[int, datetime | None] = (-1, None)
        """A version of gold and the watermark then: looking it up takes milliseconds, and is asked at every poll."""

    def reached(self) -> int:
        self.last = self.context.store.last_commit(C)
        self.state.rows = self.context.store.rows(C)
        return -1 if self.last is None or self.last.source_version is None else self.last.source_version

    def has_work(self) -> bool:
        return super().has_work() or self._refresh_until() is not None

    def run(self) -> None:
        super().run()
        if (until := self._refresh_until()) is not None:
            self._refresh(until)

    def take(self, first: int, last: int) -> None:
        """The users whose days the versions changed; with the commit of the last of them the range counts as taken."""
        store = self.context.store
        began = utc_now()
        versions = store.versions(UserDays, first, last)
        if not any(version.changes_rows for version in versions):
            return
        changed = {date.fromisoformat(file[D.date]) for version in versions for file in version.touched}
        users = store.changed(UserDays, first, last, [UserDays.user_id])
        commit = self._upsert_all(users, first - 1, last, None if versions[-1].is_rebuild else changed)
        self.state.taken(commit.with_(rows_in=count(users)), began)
        self.state.rows = store.rows(C)

    def remake(self, users: Frame) -> None:
        """The features of ``users`` from all their days, whatever was known of them; those without days go."""
        position = -1 if self.position is None else self.position
        self._upsert_all(users, position, position, None)

    def _upsert_all(self, users: Frame, before: int, after: int, changed: Collection[date] | None) -> Commit:
        """A part at a time; with the commit of the last one the version ``after`` of users' days counts as taken.

        ``changed`` is None where days were made anew: what was known before may not be so any more.
        """
        parts = _parts(users)
        for number, part in enumerate(parts, 1):
            account = self._account(after if number == len(parts) else before)
            if changed is None:
                account = account.with_(marker=REBUILT)
                self._remove_those_without_days(part, account.with_(source_version=before))
            commit = self._upsert(part, account, changed)
        return commit

    def _remove_those_without_days(self, users: Frame, account: Commit) -> None:
        store = self.context.store
        if not isinstance(users, pa.Table):
            return  # days are made anew only where delta-rs commits
        with_days = store.scan(D).select(D.user_id)
        had = store.scan(C).select(C.user_id).join(pl.DataFrame(users).lazy(), on=C.user_id, how="semi")
        gone = had.join(with_days, on=C.user_id, how="anti").unique().collect().to_series().to_list()
        if gone:
            names = ", ".join("'" + user.replace("'", "''") + "'" for user in gone)
            store.delete(C, lambda _: f"{C.user_id} IN ({names})", account)

    def _refresh_until(self) -> datetime | None:
        """Up to when features are to be made new of users who did not act; None where none are."""
        if self._refreshing_to is None and self.last is not None:
            watermark, hours = self._watermark(), self.context.settings.churn_refresh_hours
            since = self.last.refreshed
            if watermark is not None and (since is None or watermark - since >= timedelta(hours=hours)):
                self._refreshing_to = watermark
        return self._refreshing_to

    def _refresh(self, until: datetime) -> None:
        """Some of the users whose row is older than ``until``; with the commit of the last of them all are refreshed.

        After a kill it goes on with those that are still older.
        """
        users, is_last = self._older(until)
        account = self._account(-1 if self.position is None else self.position)
        self._upsert(users, account.with_(refreshed=until) if is_last else account)
        if is_last:
            self._refreshing_to = None

    def _older(self, until: datetime) -> tuple[Frame, bool]:
        """Users with a row older than ``until``, and whether they are all of them."""
        store = self.context.store
        if not store.delta_rs_commits(REFRESHED_AT_ONCE):
            return store.read(C, lambda dialect: f"{C.as_of} < {dialect.timestamp(until)}").select(C.user_id), True
        older = store.scan(C).filter(pl.col(C.as_of) < until).select(C.user_id).head(REFRESHED_AT_ONCE).collect()
        return to_arrow(older), older.height < REFRESHED_AT_ONCE

    def _upsert(self, users: Frame, account: Commit, changed: Collection[date] | None = ()) -> Commit:
        """``changed``: the days to look at, beside those of the lookback; None for all, and for nothing else."""
        store, number = self.context.store, count(users)
        account = account.with_(rows_in=number)
        if not number:
            store.append(C, empty(C), account)
        else:
            features = partial(
                latest_features,
                watermark=account.watermark or EPOCH,
                lookback_days=self.context.settings.churn_lookback_days,
            )
            if changed is None:
                days = store.of(D, users, version=self.context.limit(D))
            else:
                near = _on(changed, self._lookback_begins(account.watermark))
                days = store.of(D, users, near, self.context.limit(D))
                days = union(days, apply(store.of(C, users), remembered, arrow_schema(D)))
            found = apply(days, features, arrow_schema(C), by=[C.user_id])
            with store.gathered(found, number) as rows:
                reach("before-churn-features-commit")
                store.merge(C, rows, REPLACE, account)
        self.last = account
        return account

    def _lookback_begins(self, watermark: datetime | None) -> date:
        """Of a user whose cut is the watermark; for all others it begins later."""
        if watermark is None:
            return date.min
        return watermark.date() - timedelta(days=self.context.settings.churn_lookback_days)

    def _account(self, source_version: int) -> Commit:
        store, last, watermark = self.context.store, self.last, self._watermark()
        generation, refreshed = (0, watermark) if last is None else (last.generation, last.refreshed)
        return Commit(
            self.name,
            generation,
            store.version(C),
            source_version=source_version,
            watermark=watermark,
            refreshed=refreshed,
        )

    def _watermark(self) -> datetime | None:
        """Gold's; None before its first batch, and then a user's features are as of the user's newest event."""
        version = self.context.store.version(FunnelSummary)
        if version != self._gold[0]:
            gold = self.context.store.last_commit(FunnelSummary)
            self._gold = (version, None if gold is None else gold.watermark)
        return self._gold[1]


REPLACE: Final = Merge(
    keys=[str(column) for column in C.key],
    bounds=all_rows,
    update=lambda _: {str(column): f"s.{column}" for column in C.columns()},
)


def _on(days: Collection[date], since: date) -> Callable[[Dialect], str]:
    """Rows of ``days``, and of all days from ``since`` on."""

    def on(dialect: Dialect) -> str:
        before = sorted(day for day in days if day < since)
        others = f" OR {D.date} IN ({', '.join(dialect.date(day) for day in before)})" if before else ""
        return f"{D.date} >= {dialect.date(since)}{others}"

    return on


def _parts(users: Frame) -> list[Frame]:
    """``users`` in parts of a bounded number, at least one. Spark bounds its memory itself."""
    if not isinstance(users, pa.Table):
        return [users]
    starts = range(0, max(1, users.num_rows), USERS_AT_ONCE)
    return [users.slice(start, USERS_AT_ONCE) for start in starts]
