"""From silver into gold: aggregate the new events, add them to their windows, call old windows final."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial

import polars as pl
import pyarrow as pa
from pyspark.sql import functions as F

from gold.churn_features_stream import ChurnFeaturesStage
from gold.cohorts_stream import CohortsStage
from gold.remake import FUNNEL, Remake
from gold.sessions_stream import SessionDaysStage, SessionFunnelStage
from gold.user_days_stream import UserDaysStage
from gold.watermark import advance
from gold.windows import funnel_summary, funnel_windows, summed
from lakehouse.commits import Commit
from lakehouse.contracts import FunnelSummary, FunnelWindows, SilverEvents, Table
from lakehouse.dialects import EPOCH, Dialect, cover
from lakehouse.errors import LakehouseError
from lakehouse.faultpoints import reach
from lakehouse.follow import Follower
from lakehouse.frames import Frame, apply, arrow_schema, empty, to_arrow
from lakehouse.stages import Context, Stage, utc_now
from lakehouse.store import Merge

G, W = FunnelSummary, FunnelWindows
READ = (SilverEvents.user_id, SilverEvents.event_type, SilverEvents.event_time, SilverEvents.session_id)


def stages(context: Context) -> list[Stage]:
    return [
        GoldStage(context),
        UserDaysStage(context),
        ChurnFeaturesStage(context),
        SessionDaysStage(context),
        SessionFunnelStage(context),
        CohortsStage(context),
    ]


class GoldStage(Follower):
    """Adds each batch of new silver rows to the windows they fall into, once, however late they are."""

    name = "gold"
    origin = SilverEvents
    targets = (FunnelSummary, FunnelWindows)
    last: Commit | None = None

    def open(self) -> None:
        super().open()
        length = self._window_length()
        if length is not None and length != timedelta(minutes=self.context.settings.window_minutes):
            minutes = int(length.total_seconds() // 60)
            raise LakehouseError(
                f"LAKEHOUSE_WINDOW_MINUTES={self.context.settings.window_minutes}: gold under {self.context.home.root} "
                f"holds windows of {minutes} minutes, and two lengths in one table would count nothing right; "
                f"set it to {minutes}, or use another home"
            )

    def reached(self) -> int:
        """Where a batch stopped between the two tables, it is taken again to the same end: the first table then
        skips it by its transaction id."""
        store = self.context.store
        self.last = store.last_commit(G)
        windows = store.last_commit(FunnelWindows)
        position = -1 if self.last is None or self.last.source_version is None else self.last.source_version
        ahead = -1 if windows is None or windows.source_version is None else windows.source_version
        self.ends_at = ahead if ahead > position else None
        self.state.rows = store.rows(G)
        self.state.watermark = None if self.last is None else self.last.watermark
        return position

    def take(self, first: int, last: int) -> None:
        """One batch, in this order:

        1. the batch's events are aggregated by user and window, and by window and type;
        2. ``gold.funnel_windows`` gets its sums, then ``gold.funnel_summary``: with this commit, which carries the
           watermark, the batch counts as taken;
        3. windows that the watermark has passed are marked as final, in one UPDATE that is safe to do again.
        """
        settings, store = self.context.settings, self.context.store
        began = utc_now()
        versions = store.versions(SilverEvents, first, last)
        if not any(version.changes_rows for version in versions):
            return
        if versions[-1].is_rebuild:  # a range of its own
            made = Remake(self.context, FUNNEL, self.last).at_once(versions[-1])
            self.last = made
            self.state.rows = store.rows(G)
            return
        generation, before, finalized = 0, None, None
        if self.last is not None:
            generation, before, finalized = self.last.generation, self.last.watermark, self.last.finalized
        events = store.inserted(SilverEvents, first, last, READ)
        totals = self._totals(events)
        total = sum(totals[str(W.num_events)].to_pylist())
        commit = Commit(
            self.name, generation, last, source_version=last, rows_in=total, watermark=before, finalized=finalized
        )
        starts = sorted(set(totals[str(W.window_start)].to_pylist()))
        if not starts:  # rows were changed or removed, and none came
            store.append(G, empty(G), commit)
        else:
            store.merge(W, store.committable(totals), _add_windows(starts), commit)
            reach("between-gold-merges")
            by_user = apply(
                events, partial(funnel_summary, watermark=before, settings=settings), arrow_schema(G), by=[G.user_id]
            )
            with store.gathered(by_user, total) as summary:
                commit = commit.with_(watermark=advance(before, _newest_by_user(summary), settings))
                store.merge(G, summary, _add_summary(starts, settings.session_ids_cap), commit)
        reach("before-gold-finalize")
        self.last = self._finalize(commit)
        self.state.taken(self.last, began)
        self.state.rows = store.rows(G)  # a merge adds fewer than it takes

    def _window_length(self) -> timedelta | None:
        """Of the windows that gold holds; None for an empty one."""
        one = self.context.store.scan(W).select(pl.col(W.window_end) - pl.col(W.window_start)).head(1).collect()
        found: timedelta | None = one.item() if one.height else None
        return found

    def _totals(self, events: Frame) -> pa.Table:
        """``gold.funnel_windows`` of the batch: few rows, whatever the batch."""
        parts = apply(events, partial(funnel_windows, settings=self.context.settings), arrow_schema(W))
        parts = parts if isinstance(parts, pa.Table) else parts.toArrow()
        return to_arrow(summed(pl.DataFrame(parts)))

    def _finalize(self, commit: Commit) -> Commit:
        """Marks every window that ended by the watermark and is not marked yet."""
        until = commit.watermark
        if until is None or (commit.finalized is not None and not self._window_ends_within(commit.finalized, until)):
            return commit
        since = commit.finalized
        commit = commit.with_(finalized=until)

        def passed(dialect: Dialect) -> str:
            condition = f"{G.window_end} <= {dialect.timestamp(until)} AND NOT {G.is_final}"
            if since is None:
                return condition
            # Whatever ended before was marked then; a late event's new window is marked by the merge's own rows.
            first_day = (since - timedelta(days=1)).date()
            return f"{G.window_date} >= {dialect.date(first_day)} AND {condition}"

        self.context.store.update(G, passed, {str(G.is_final): "true"}, commit)
        return commit

    def _window_ends_within(self, after: datetime, until: datetime) -> bool:
        length = timedelta(minutes=self.context.settings.window_minutes)
        return (until - EPOCH) // length > (after - EPOCH) // length


def _newest_by_user(summary: Frame) -> list[datetime]:
    """The newest event time of each user in a batch's rows, aware."""
    user, last = str(G.user_id), str(G.last_event_time)
    if isinstance(summary, pa.Table):
        newest = pl.DataFrame(summary.select([user, last])).group_by(user).agg(pl.col(last).max())
        return [EPOCH + timedelta(microseconds=micros) for micros in newest[last].to_physical()]
    rows = summary.groupBy(user).agg(F.max(last).alias(last)).select(last).collect()
    return [row[0].astimezone(UTC) for row in rows]


def _add_windows(starts: Sequence[datetime]) -> Merge:
    return _additive(FunnelWindows, starts, {str(FunnelWindows.num_events): "t.num_events + s.num_events"})


def _add_summary(starts: Sequence[datetime], cap: int) -> Merge:
    """Counts are added, first and last times are the least and greatest, sessions are a union of sets."""
    union = "array_sort(array_union(t.session_ids, s.session_ids))"
    ids = f"CASE WHEN t.sessions_capped THEN t.session_ids ELSE {union} END"
    sums = (G.num_views, G.num_add_to_cart, G.num_purchases, G.num_events, G.late_events)
    return _additive(
        G,
        starts,
        {
            **{str(column): f"t.{column} + s.{column}" for column in sums},
            str(G.first_event_time): "least(t.first_event_time, s.first_event_time)",
            str(G.last_event_time): "greatest(t.last_event_time, s.last_event_time)",
            str(G.session_ids): ids,
            str(G.sessions): f"CAST(cardinality({ids}) AS BIGINT)",
            str(G.sessions_capped): f"t.sessions_capped OR cardinality({union}) >= {cap}",
        },
    )


def _additive(table: type[Table], starts: Sequence[datetime], update: dict[str, str]) -> Merge:
    """A merge by key, bounded by the batch's windows: by their days, which are partitions, and by their times."""
    days = sorted({start.date() for start in starts})

    def bounds(dialect: Dialect) -> str:
        dates = ", ".join(dialect.date(day) for day in days)
        ranges = cover([(start, start) for start in starts])
        return f"t.window_date IN ({dates}) AND ({dialect.within('t.window_start', ranges)})"

    return Merge(
        keys=[str(column) for column in (*table.key, *table.partition_by)], bounds=bounds, update=lambda _: update
    )
