"""The stream from silver into gold: aggregate the new events, add them to their windows, call old windows final."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from gold.watermark import advance
from gold.windows import funnel_summary, funnel_windows
from lakehouse.commits import Commit
from lakehouse.contracts import FunnelSummary, FunnelWindows, SilverEvents, Table
from lakehouse.dialects import Dialect, cover
from lakehouse.errors import LakehouseError
from lakehouse.faultpoints import reach
from lakehouse.stages import Context, DeltaStage, Stage
from lakehouse.store import Frame, Merge, empty

G = FunnelSummary


def stages(context: Context) -> list[Stage]:
    return [GoldStage(context)]


class GoldStage(DeltaStage):
    """Adds each batch of new silver rows to the windows they fall into, once, however late they are."""

    name = "gold"
    origin = SilverEvents
    target = FunnelSummary

    def process(self, rows: DataFrame, commit: Commit) -> Commit:
        """One micro-batch, in this order:

        1. the batch's events are aggregated by user and window, and by window and type;
        2. ``gold.funnel_windows`` gets its sums, then ``gold.funnel_summary``: with this commit, which carries the
           watermark, the batch counts as taken;
        3. windows that the watermark has passed are marked as final, in one UPDATE that is safe to do again.
        """
        settings, store = self.context.settings, self.context.store
        before = None if self.last is None else self.last.watermark
        finalized = None if self.last is None else self.last.finalized
        events = rows.persist()
        try:
            totals = funnel_windows(events, settings).toArrow()
            total = sum(totals[str(FunnelWindows.num_events)].to_pylist())
            commit = self.read_up_to(commit).with_(rows_in=total, finalized=finalized)
            starts = sorted(set(totals[str(FunnelWindows.window_start)].to_pylist()))
            if not starts:  # a commit of silver that brought only copies or refused rows
                commit = commit.with_(watermark=before)
                store.append(G, empty(G), commit)
                return commit
            store.merge(FunnelWindows, self._for_commit(totals), _add_windows(starts), commit)
            reach("between-gold-merges")
            with store.gathered(funnel_summary(events, before, settings), total) as summary:
                commit = commit.with_(watermark=advance(before, _newest_by_user(summary), settings))
                store.merge(G, summary, _add_summary(starts, settings.session_ids_cap), commit)
        finally:
            events.unpersist()
        reach("before-gold-finalize")
        return self._finalize(commit)

    def recover(self, last: Commit) -> None:
        """Refuses where a batch stopped between the two tables: under a new transaction id its windows would be added
        again. It takes a kill between the two commits and a lost checkpoint to come here."""
        windows = self.context.store.last_commit(FunnelWindows)
        if windows is not None and (windows.source_version or 0) > (last.source_version or 0):
            raise LakehouseError(
                f"gold: its checkpoint is lost, and {FunnelWindows.name} is a batch ahead of {G.name}; move the "
                f"checkpoint back to {self.checkpoint.path}, or empty both tables and gold's checkpoints"
            )

    def _for_commit(self, totals: pa.Table) -> Frame:
        if self.context.store.delta_rs_commits(totals.num_rows):
            return totals
        return self.context.spark.createDataFrame(totals)

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
        epoch = datetime(1970, 1, 1, tzinfo=UTC)
        return (until - epoch) // length > (after - epoch) // length


def _newest_by_user(summary: Frame) -> list[datetime]:
    """The newest event time of each user in a batch's rows, aware."""
    user, last = str(G.user_id), str(G.last_event_time)
    if isinstance(summary, pa.Table):
        newest: list[datetime] = pa.TableGroupBy(summary, user).aggregate([(last, "max")])[f"{last}_max"].to_pylist()
        return newest
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

    return Merge(keys=[str(column) for column in (*table.key, *table.partition_by)], bounds=bounds, update=update)
