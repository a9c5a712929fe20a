"""From users' days into cohorts: all of them made anew from time to time, and what is not as it was committed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import polars as pl
import pyarrow as pa

from gold.cohorts import READ, changed, cohorts, summed
from lakehouse.commits import Commit
from lakehouse.contracts import Cohorts, UserDays
from lakehouse.faultpoints import reach
from lakehouse.follow import Follower
from lakehouse.frames import apply, arrow_schema, empty, to_arrow
from lakehouse.stages import Context, utc_now
from lakehouse.store import Merge, all_rows

C, D = Cohorts, UserDays
ROWS_AT_ONCE: Final = 1_000_000
"""Users' days in memory at a time, about. More are counted in parts of the users; each part reads two columns of all:
of 4,380,000 in 0.25 s, of the 0.8 s that each part took."""


@dataclass(frozen=True)
class Count:
    """A count of all users' days that is under way."""

    version: int
    """Of users' days."""
    began: datetime
    parts: Iterator[pl.DataFrame]
    """The cells of the users that are still to be counted, of some of them each."""
    counted: list[pl.DataFrame] = field(default_factory=list)


class CohortsStage(Follower):
    """Makes ``gold.cohorts`` anew from the whole of ``gold.user_days`` as of a version, at most once an interval; for
    the first time as soon as there are days.

    Nothing is remembered, so it is right after late events, which move a user to an earlier cohort, and after rebuilds
    and erasures. A part of the users is counted in each turn, so that the others do not wait for all of them; the last
    turn commits. A version that is taken again leads to the same cells; its commit needs no transaction id that would
    have to be skipped, and has the table's own version for one, which is always new.
    """

    name = "retention"  # the mirror of its table is the stream named cohorts
    origin = UserDays
    targets = (Cohorts,)

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.interval_s = context.settings.cohorts_interval_s
        self._count: Count | None = None
        self._none_yet = False
        """Whether the last count was of no days, and costs as good as nothing: the table is there before them."""

    @property
    def goes_on(self) -> bool:
        return self._count is not None or self._none_yet

    def reached(self) -> int:
        last = self.context.store.last_commit(C)
        self.state.rows = self.context.store.rows(C)
        return -1 if last is None or last.source_version is None else last.source_version

    def run(self) -> None:
        try:
            if self._count is None:
                self._count = self._begin(self._readable())
            part = next(self._count.parts, None)
            if part is not None:
                self._count.counted.append(part)
            else:
                self._commit(self._count)
                if self.took_all:
                    self.state.as_of = self._count.began
                self.position, self._count = self._count.version, None
            self.took_all = False  # what came since it began is not counted
        except BaseException:
            self.position = self._count = None
            raise

    def take(self, first: int, last: int) -> None:  # noqa: ARG002 (what came between is of no account)
        """As of ``last``, all in one turn."""
        count = self._begin(last)
        count.counted.extend(count.parts)
        self._commit(count)

    def remake(self) -> int:
        """Makes all cells anew, whatever was taken before; returns how many were not as they are now."""
        self.position = self._count = None
        version = self._readable()
        self.take(0, version)
        self.position = version
        return self.state.batch_rows

    def _begin(self, version: int) -> Count:
        return Count(version, utc_now(), self._parts(version))

    def _parts(self, version: int) -> Iterator[pl.DataFrame]:
        store = self.context.store
        if not store.delta_rs_commits(0) and store.rows(D, version):  # a cluster, which bounds its memory itself
            parts = apply(store.read(D, version=version).select(*READ), cohorts, arrow_schema(C), by=[D.user_id])
            yield pl.DataFrame(parts if isinstance(parts, pa.Table) else parts.toArrow())
            return
        days = store.scan(D, version).select(READ)
        slices = -(-store.rows(D, version) // ROWS_AT_ONCE) or 1
        part = pl.col(D.user_id).hash(seed=0) % slices
        for number in range(slices):
            yield cohorts(days.filter(part == number).collect(engine="streaming"))

    def _commit(self, count: Count) -> None:
        """The cells that are not as they were. One that has no users any more stays, with none: so one commit is all,
        and nobody reads half of it."""
        store = self.context.store
        before = store.scan(C).collect()
        rows = to_arrow(changed(before, summed(pl.concat(count.counted))))
        account = Commit(self.name, 0, store.version(C), source_version=count.version, rows_in=rows.num_rows)
        reach("before-cohorts-commit")
        if rows.num_rows:
            store.merge(C, store.committable(rows), REPLACE, account)
        else:
            store.append(C, empty(C), account)
        self.state.taken(account, count.began)
        self.state.rows = store.rows(C)
        self._none_yet = self.state.rows == 0


REPLACE: Final = Merge(
    keys=[str(column) for column in C.key], bounds=all_rows, update=lambda _: {str(C.users): f"s.{C.users}"}
)
