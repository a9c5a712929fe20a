"""What is done for the tables between two rounds, one small step at a time, and by `lakehouse maintain` at once."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from itertools import chain
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
    _pass: deque[Iterator[Outcome]] = field(default_factory=deque)
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
        if not self._pass and now < self._next_look:
            return
        try:
            if self._pass:
                if next(self._pass[0], None) is None:
                    self._pass.popleft()
            else:
                self._look(now)
        except Exception as error:
            self._failed(error, now)

    def _failed(self, error: Exception, now: datetime) -> None:
        """Goes on with the next part of a pass: on a full disk compaction fails, and VACUUM is what helps."""
        if self._pass:
            self._pass.popleft()
        self._next_look = now + RETRY_INTERVAL
        said, self.error = self.error, one_line(error)
        if said != self.error:
            self.log(f"upkeep: failed, again in {RETRY_INTERVAL.seconds} s: {self.error}")

    def _look(self, now: datetime) -> None:
        interval = self.store.settings.maintain_interval_minutes
        if interval and now >= self._next_pass:
            self._pass.extend(self._parts(TABLES, dry_run=False))
            self._next_pass = now + timedelta(minutes=interval)
            return
        for table in TABLES:
            version = self.store.version(table)
            if version - self._looked_into.get(table.name, -LOOK_COMMITS) < LOOK_COMMITS:
                continue
            if self._compact(table, set()) is not None:
                self.error = None
                return  # it is looked into again at the next round, for there may be more to do
            self._looked_into[table.name] = version
        self.error = None
        self._next_look = now + LOOK_INTERVAL
        if now >= self._next_roll_call:
            self._next_roll_call = now + ROLL_CALL_INTERVAL
            self.held_by = tuple(hold for table in TABLES for hold in self.holds(table))

    # -- all of it ----------------------------------------------------------------------------------------

    def steps(self, tables: Sequence[type[Table]], *, dry_run: bool = False) -> Iterator[Outcome]:
        """Does, one step for each outcome that is asked for, what is to be done for ``tables``."""
        return chain.from_iterable(self._parts(tables, dry_run=dry_run))

    def _parts(self, tables: Sequence[type[Table]], *, dry_run: bool) -> Iterator[Iterator[Outcome]]:
        """What is to be done, in this order for each table:

        1. the daily snapshots that are due, which need versions that expire;
        2. the removal of what no version within the horizon needs;
        3. compaction, whose old files stay for as long as those versions.

        A kill between any two leaves work for the next time and nothing half done.
        """
        for table in tables:
            for snapshots in self.snapshots:
                if snapshots.origin is table:
                    yield self._take(snapshots, dry_run=dry_run)
            yield self._expire(table, dry_run=dry_run)
            yield self._compact_all(table, dry_run=dry_run)

    def _take(self, snapshots: DailySnapshots, *, dry_run: bool) -> Iterator[SnapshotTaken]:
        for day in snapshots.due():
            yield SnapshotTaken(snapshots.origin.name, day, None if dry_run else snapshots.take(day))
        if not dry_run:
            snapshots.expire()

    def _compact_all(self, table: type[Table], *, dry_run: bool) -> Iterator[PartitionCompacted]:
        tried: set[Partition] = set()
        while (compacted := self._compact(table, tried, dry_run=dry_run)) is not None:
            yield compacted

    def _compact(
        self, table: type[Table], tried: set[Partition], *, dry_run: bool = False
    ) -> PartitionCompacted | None:
        """Compacts the partition that needs it most; ``tried`` takes those where no more can be done."""
        opened = self.store.at_head(table)
        while (step := next_compaction(opened, self.tiers, self.clock(), tried)) is not None:
            done = None if dry_run else compact(opened, step)
            if done is None or not done.removed:
                tried.add(step.partition)
            if done is None or done.removed:
                return PartitionCompacted(table.name, step, done)
        return None

    def _expire(self, table: type[Table], *, dry_run: bool) -> Iterator[HistoryExpired]:
        if held_by := self.holds(table):
            yield HistoryExpired(table.name, Expired(), held_by)
            return
        taken = [each.position for each in self._readers if each.origin is table and each.position is not None]
        opened, path = self.store.at_head(table), Path(self.store.path(table))
        yield HistoryExpired(table.name, expire(opened, path, self.horizon, taken, dry_run=dry_run), ())
