"""A stage of the pipeline: what takes its turn in a round, and how a Structured Streaming query does.

Each layer is a stage. Its target table is the truth about how far it has come: the newest commit names the
generation, the batch and the position in the source. Spark's checkpoint is used as long as it agrees with the
table; where it is lost, older or ahead, the next generation begins right behind what the table holds.
"""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from py4j.protocol import Py4JError
from pyspark.errors import StreamingQueryException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.streaming.query import StreamingQuery

from lakehouse.checkpoints import Checkpoint
from lakehouse.commits import Commit
from lakehouse.contracts import Table
from lakehouse.endpoints import Endpoints
from lakehouse.errors import LakehouseError
from lakehouse.home import Home
from lakehouse.settings import Settings
from lakehouse.store import TableStore


@dataclass(frozen=True)
class Context:
    """What every stage is given."""

    settings: Settings
    home: Home
    endpoints: Endpoints
    spark: SparkSession
    store: TableStore
    log: Callable[[str], None]
    """Takes one line for the writer's log."""


@dataclass
class StageState:
    """What a stage says of itself; read by `status`."""

    state: str = "idle"
    rows: int = 0
    """Rows of the main target."""
    batch_id: int | None = None
    batch_rows: int = 0
    batch_seconds: float = 0.0
    watermark: datetime | None = None
    error: str | None = None
    since: datetime | None = None
    failures: int = 0
    retry_at: float = field(default=0.0, repr=False)


class EngineLost(Exception):
    """Spark's JVM has gone: the process must end, and be started anew."""


class Stage(ABC):
    """One stage; a round asks each in turn whether there is work, and lets it do what is there."""

    name: str
    origin: type[Table] | None = None
    """The table that it reads; None for Kafka."""
    position: int | None = None
    """The last version of ``origin`` that it has taken wholly, -1 for none; None while that is not known."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.state = StageState()

    @abstractmethod
    def open(self) -> None:
        """Reads from the target how far it has come. Called once, before the first round."""

    @abstractmethod
    def has_work(self) -> bool:
        """Whether the source holds something that is not in the target yet; cheap."""

    @abstractmethod
    def run(self) -> None:
        """Takes what is there. Raises what went wrong; the runner records it and comes again."""

    def close(self) -> None:  # noqa: B027 (most stages hold nothing)
        """Ends what the stage holds, between rounds."""


class Gate:
    """Lets one micro-batch of a query through per round; the query waits for the next round at the gate."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._open = False
        self._closed = False
        self.waiting = False

    def let_one_through(self) -> None:
        with self._condition:
            self._open = True
            self.waiting = False
            self._condition.notify_all()

    def close(self) -> None:
        with self._condition:
            self._closed = True
            self._condition.notify_all()

    def pass_through(self) -> None:
        """Called by the query's thread; raises EngineLost where the gate was closed meanwhile."""
        with self._condition:
            if not self._open:
                self.waiting = True
            self._condition.wait_for(lambda: self._open or self._closed)
            if self._closed:
                raise EngineLost("the stream was stopped between two batches")
            self._open = False


class QueryStage(Stage):
    """A stage that is a Structured Streaming query with ``availableNow`` and ``foreachBatch``.

    On a cluster the same source and batch function run as one continuous query for each layer.
    """

    target: type[Table]
    one_batch_a_round = False
    """Bronze only: takes one batch a round, so that a backlog reaches every table early and in capped steps."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.generation = 0
        self.last: Commit | None = None
        self._query: StreamingQuery | None = None
        self._gate = Gate()
        self._error: BaseException | None = None

    # -- what a layer says -------------------------------------------------------------------------------

    @abstractmethod
    def source(self, after: Commit | None) -> DataFrame:
        """The streaming source. ``after`` is where a new generation begins; it is only read by a new checkpoint."""

    @abstractmethod
    def process(self, rows: DataFrame, commit: Commit) -> Commit:
        """Commits one micro-batch; ``commit`` names it. Returns the account that the target's commit carries."""

    def recover(self, last: Commit) -> None:
        """Called before a new generation: removes what a half-done batch left in the side tables."""

    # -- how it runs -------------------------------------------------------------------------------------

    @property
    def checkpoint(self) -> Checkpoint:
        return Checkpoint(self.context.home.checkpoints / self.name / f"gen-{self.generation}")

    def open(self) -> None:
        self.last = self.context.store.last_commit(self.target)
        self.generation = 0 if self.last is None else self.last.generation
        self.state.rows = self.context.store.rows(self.target)
        if self.last is not None:
            self.state.watermark = self.last.watermark
        if not self.checkpoint.agrees_with(self.last):
            self.begin_generation()

    def begin_generation(self) -> None:
        """Leaves the checkpoint behind and goes on right after what the target's newest commit holds.

        Nothing is written for it: until the new generation's first commit a restart finds the old one at the head
        of the table, finds its checkpoint unusable again, and does the same once more.
        """
        if self.last is None:
            self.checkpoint.remove()
            return
        if self.last.partial:
            raise LakehouseError(
                f"{self.name}: its checkpoint is lost in the midst of version {(self.last.source_version or 0) + 1} "
                f"of its source, so {self.target.name} cannot be continued; move the checkpoint back to "
                f"{self.checkpoint.path}, or empty the table and its checkpoints to have it made again"
            )
        self.recover(self.last)
        self.generation = self.last.generation + 1
        self.checkpoint.remove()
        self.context.log(f"{self.name}: generation {self.generation} begins after batch {self.last.batch_id}")

    def run(self) -> None:
        self._error = None
        self._gate.let_one_through()
        if self._query is None:
            self._query = self._start()
        try:
            while not (self._gate.waiting and self.one_batch_a_round):
                if self._query.awaitTermination(0.05):  # type: ignore[arg-type]  # it takes fractions of a second
                    self._query = None
                    return
        except StreamingQueryException as error:
            self._query = None
            raise (self._error or error) from None
        except Py4JError as error:
            self._query = None
            raise EngineLost(f"Spark's JVM does not answer: {error}") from error

    def _start(self) -> StreamingQuery:
        after = self.last if self.last is not None and self.last.generation != self.generation else None
        return (
            self.source(after)
            .writeStream.queryName(self.name)
            .trigger(availableNow=True)
            .option("checkpointLocation", str(self.checkpoint.path))
            .foreachBatch(self._on_batch)
            .start()
        )

    def _on_batch(self, rows: DataFrame, batch_id: int) -> None:
        if self.one_batch_a_round:
            self._gate.pass_through()
        began = time.monotonic()
        try:
            commit = self.process(rows, Commit(self.name, self.generation, batch_id))
        except BaseException as error:
            self._error = error
            raise
        self.last = commit
        self.state.batch_id = batch_id
        self.state.batch_rows = commit.rows_in
        self.state.batch_seconds = time.monotonic() - began
        self.state.rows += commit.rows_out
        self.state.watermark = commit.watermark

    def close(self) -> None:
        """Ends a query that waits at the gate; its planned batch is done again at the next start."""
        self._gate.close()
        if self._query is not None:
            try:
                self._query.awaitTermination(10)
                self._query.stop()
            except (StreamingQueryException, Py4JError):
                pass
            self._query = None


class DeltaStage(QueryStage):
    """A stage whose source is another Delta table, followed by its versions."""

    origin: type[Table]
    position: int = -1

    def open(self) -> None:
        super().open()
        self.position = -1 if self.last is None or self.last.source_version is None else self.last.source_version

    def source(self, after: Commit | None) -> DataFrame:
        start = 0 if after is None or after.source_version is None else after.source_version + 1
        return (
            self.context.spark.readStream.format("delta")
            .option("startingVersion", start)
            .option("maxBytesPerTrigger", self.context.settings.max_bytes_per_batch)
            .load(self.context.store.path(self.origin))
        )

    def has_work(self) -> bool:
        return self.context.store.version(self.origin) > self.position

    def run(self) -> None:
        head = self.context.store.version(self.origin)
        super().run()
        # Commits that moved no rows (compaction) make no batch; the position is past them all the same.
        self.position = max(self.position, head)

    def read_up_to(self, commit: Commit) -> Commit:
        """``commit`` with the version of the source that it reads up to."""
        version, whole = self.checkpoint.source_version(commit.batch_id)
        return commit.with_(source_version=version if whole else version - 1, partial=not whole)


def utc_now() -> datetime:
    return datetime.now(UTC)
