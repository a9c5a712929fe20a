"""What is done for the tables between two rounds, one small step at a time, and by `lakehouse maintain` at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias

from lakehouse.contracts import SNAPSHOTS, TABLES, Table
from lakehouse.maintenance.compaction import Compacted, Compaction, Partition, Tiers, compact, next_compaction
from lakehouse.maintenance.expiry import Expired, expire
from lakehouse.maintenance.horizons import Hold, Reader, holds
from lakehouse.maintenance.snapshots import DailySnapshots, Taken
from lakehouse.runner import one_line
from lakehouse.stages import utc_now
from lakehouse.store import TableStore

LOOK_INTERVAL = timedelta(seconds=5)
"""How often the tables are looked at for a partition to compact."""
LOOK_COMMITS = 8
"""A table is looked into once it has so many new commits."""
ROLL_CALL_INTERVAL = timedelta(seconds=30)
"""How often every reader is asked what it has taken."""
FIRST_PASS = timedelta(minutes=5)
"""From the start to the first pass: meanwhile the streams catch up, and the mirrors learn what they have taken."""
RETRY_INTERVAL = timedelta(minutes=1)


@dataclass(frozen=True)
class SnapshotTaken:
    """A day of gold was copied; ``done`` is None in a dry run."""

    table: str
    day: date
    done: Taken | None


@dataclass(frozen=True)
class PartitionCompacted:
    """A partition was compacted; ``done`` is None in a dry run."""

    table: str
    step: Compaction
    done: Compacted | None


@dataclass(frozen=True)
class HistoryExpired:
    """What no version within the horizon needs was removed from a table; nothing where a reader holds it."""

    table: str
    removed: Expired
    held_by: tuple[Hold, ...]


Outcome: TypeAlias = SnapshotTaken | PartitionCompacted | HistoryExpired
"""What one step did."""


@dataclass
class Upkeep:
    """Keeps the tables of ``store``; ``streams`` are the stages, of which some read tables.

    Everything here is to be called by who writes, between two commits.
    """

    store: TableStore
    streams: Sequence[Reader]
    log: Callable[[str], None]
    clock: Callable[[], datetime] = utc_now
    held_by: tuple[Hold, ...] = ()
    """Who held a table's history when the tables were last looked at."""
    error: str | None = None
    """Why the last step failed, if it did."""
    _pass: Iterator[Outcome] | None = None
    _looked_into: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.snapshots = tuple(DailySnapshots(self.store, each, self.clock) for each in SNAPSHOTS)
        self.tiers = Tiers(many=self.store.settings.compact_files)
        self._next_look = self.clock() + LOOK_INTERVAL
        self._next_roll_call = self.clock() + ROLL_CALL_INTERVAL
        self._next_pass = self.clock() + FIRST_PASS

    @property
    def horizon(self) -> datetime:
        """How far back every version is kept, in UTC."""
        return self.clock() - timedelta(hours=self.store.settings.time_travel_hours)

    def holds(self, table: type[Table]) -> tuple[Hold, ...]:
        """The readers that need more of a table than the horizon keeps."""
        return tuple(holds(self.store, table, self._readers, self.horizon))

    def held_by_streams(self, table: type[Table]) -> tuple[Hold, ...]:
        """Those of them that are streams."""
        return tuple(holds(self.store, table, self.streams, self.horizon))

    @property
    def _readers(self) -> tuple[Reader, ...]:
        return (*self.streams, *self.snapshots)

    def state(self) -> dict[str, Any]:
        """For `status --json`."""
        return {"error": self.error, "held_by": [hold.as_document() for hold in self.held_by]}

    # -- a small step -------------------------------------------------------------------------------------

    def between_rounds(self) -> None:
        """Does at most one step. It never raises: what is wrong with upkeep must not stop a stream."""
        now = self.clock()
        try:
            if self._pass is not None:
                if next(self._pass, None) is None:
                    self._pass = None
            elif now >= self._next_look:
                self._look(now)
            else:
                return
            self.error = None
        except Exception as error:
            if self.error is None:
                self.log(f"upkeep: failed, again in {RETRY_INTERVAL.seconds} s: {one_line(error)}")
            self.error = one_line(error)
            self._pass = None
            self._next_look = now + RETRY_INTERVAL

    def _look(self, now: datetime) -> None:
        interval = self.store.settings.maintain_interval_minutes
        if interval and now >= self._next_pass:
            self._pass = self.steps(TABLES)
            self._next_pass = now + timedelta(minutes=interval)
            return
        for table in TABLES:
            version = self.store.version(table)
            if version - self._looked_into.get(table.name, -LOOK_COMMITS) < LOOK_COMMITS:
                continue
            if self._compact(table) is not None:
                return  # it is looked into again at the next round, for there may be more to do
            self._looked_into[table.name] = version
        self._next_look = now + LOOK_INTERVAL
        if now >= self._next_roll_call:
            self._next_roll_call = now + ROLL_CALL_INTERVAL
            self.held_by = tuple(hold for table in TABLES for hold in self.holds(table))

    # -- all of it ----------------------------------------------------------------------------------------

    def steps(self, tables: Sequence[type[Table]], *, dry_run: bool = False) -> Iterator[Outcome]:
        """Does, one step for each outcome that is asked for, what is to be done for ``tables``, in this order:

        1. the daily snapshots that are due, which need versions that expire;
        2. for each table compaction, whose old files stay for older versions;
        3. then the removal of what no version within the horizon needs, so that it finds what step 2 left long ago.

        A kill between any two leaves work for the next time and nothing half done.
        """
        for snapshots in self.snapshots:
            if snapshots.origin in tables:
                yield from self._take(snapshots, dry_run=dry_run)
        for table in tables:
            tried: set[Partition] = set()
            while (compacted := self._compact(table, tried, dry_run=dry_run)) is not None:
                yield compacted
            yield self._expire(table, dry_run=dry_run)

    def _take(self, snapshots: DailySnapshots, *, dry_run: bool) -> Iterator[SnapshotTaken]:
        for day in snapshots.due():
            yield SnapshotTaken(snapshots.origin.name, day, None if dry_run else snapshots.take(day))
        if not dry_run:
            snapshots.expire()

    def _compact(
        self, table: type[Table], tried: set[Partition] | None = None, *, dry_run: bool = False
    ) -> PartitionCompacted | None:
        """Compacts the partition that needs it most; ``tried`` takes those where no more can be done."""
        tried = set() if tried is None else tried
        opened = self.store.at_head(table)
        while (step := next_compaction(opened, self.tiers, self.clock(), tried)) is not None:
            done = None if dry_run else compact(opened, step)
            if done is None or not done.removed:
                tried.add(step.partition)
            if done is None or done.removed:
                return PartitionCompacted(table.name, step, done)
        return None

    def _expire(self, table: type[Table], *, dry_run: bool) -> HistoryExpired:
        held_by = self.holds(table)
        if held_by:
            return HistoryExpired(table.name, Expired(), held_by)
        taken = [each.position for each in self._readers if each.origin is table and each.position is not None]
        opened, path = self.store.at_head(table), Path(self.store.path(table))
        return HistoryExpired(table.name, expire(opened, path, self.horizon, taken, dry_run=dry_run), ())
