"""A stage that follows the change feed of a Delta table, version by version, into Postgres.

The position is the ledger's newest row, written in the transaction of the rows, so there is no checkpoint that could
disagree with it: a Postgres restored from a backup is simply further behind. The feed is read by delta-rs. Spark's
``foreachBatch`` over the same feed was measured first: starting its query took 0.35 to 0.5 s for each of the three
mirrors in every round, where reading the versions of a round takes 20 ms.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg2
import pyarrow as pa
from deltalake import DeltaTable
from psycopg2.extensions import connection as Connection

from lakehouse.commits import Commit
from lakehouse.contracts import Table
from lakehouse.faultpoints import reach
from lakehouse.follow import Follower
from lakehouse.stages import Context, Lane, utc_now
from serving.mirror import truncate_mirror
from serving.postgres import connect, unreachable
from serving.sink import Applied, MirrorBatch, last_applied


class PostgresFollower(Follower):
    """Applies the versions of its table that the ledger does not have yet, each range in one transaction."""

    lane = Lane.mirrors

    def __init__(self, context: Context, name: str, origin: type[Table]) -> None:
        super().__init__(context)
        self.name = name
        self.origin = origin
        self._connection: Connection | None = None
        self._feed: DeltaTable | None = None
        """A handle of its own: the store's is at work in another thread."""

    @abstractmethod
    def apply(self, rows: pa.Table, batch: MirrorBatch) -> Applied:
        """Brings ``rows``, a range of the change feed, into the mirror, once."""

    def tidy(self) -> None:
        """What is left to do in Postgres once all versions are taken."""

    def open(self) -> None:
        """Nothing is asked of Postgres yet: where it is away, only the mirrors wait."""

    def run(self) -> None:
        with self.asking():
            super().run()
            self.tidy()

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Whatever goes wrong meanwhile, everything is asked for anew; raises Unavailable where Postgres is away."""
        try:
            yield
        except psycopg2.OperationalError as error:
            self.close()
            raise unreachable(self.context.endpoints.postgres_writer, error) from None
        except BaseException:
            self.close()
            raise

    def reached(self) -> int:
        last = last_applied(self.connected(), self.name)
        position = -1 if last is None or last.source_version is None else last.source_version
        if position > self.context.store.version(self.origin):
            self.context.log(f"{self.name}: Postgres is ahead of {self.origin.name}; it is mirrored again")
            truncate_mirror(self.connected(), self.name, self.name)
            return -1
        return position

    def take(self, first: int, last: int) -> None:
        began = utc_now()
        versions = self.context.store.versions(self.origin, first, last)
        if not any(version.changes_rows for version in versions):
            return
        batch = MirrorBatch(self.name, 0, last, last, made_anew=versions[-1].is_rebuild)
        applied = self.apply(self._changes(first, last), batch)
        reach("after-mirror-commit")
        self.state.taken(
            Commit(self.name, 0, last, source_version=last, rows_in=applied.rows, rows_out=applied.rows), began
        )

    def connected(self) -> Connection:
        """The connection of this stage, made when it is first asked for."""
        if self._connection is None:
            self._connection = connect(self.context.endpoints.postgres_writer, application_name=f"mirror {self.name}")
        return self._connection

    def _changes(self, first: int, last: int) -> pa.Table:
        """The change feed of the versions from ``first`` to ``last``, both included; the rows alone if all are new."""
        appended = self.context.store.appended(self.origin, first, last)
        if appended is not None:
            return appended
        if self._feed is None:
            self._feed = DeltaTable(self.context.store.path(self.origin))
        else:
            self._feed.update_incremental()
        return _without_views(pa.table(self._feed.load_cdf(starting_version=first, ending_version=last)))

    def close(self) -> None:
        """Forgets the connection and the position: both are asked for anew."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None
        self.position = None


def _without_views(rows: pa.Table) -> pa.Table:
    """delta-rs hands out string views, for which pyarrow has few kernels yet."""
    views = {pa.string_view(): pa.string(), pa.list_(pa.string_view()): pa.list_(pa.string())}
    return rows.cast(pa.schema([field.with_type(views.get(field.type, field.type)) for field in rows.schema]))
