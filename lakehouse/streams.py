"""A stage that is a Structured Streaming query, for a source that only Spark follows: Kafka.

Spark's checkpoint is used as long as it agrees with the target table; where it is lost, older or ahead, the next
generation begins right behind what the table holds.
"""

from __future__ import annotations

import threading
import time
from abc import abstractmethod
from contextlib import AbstractContextManager, suppress

from py4j.protocol import Py4JError
from pyspark.errors import StreamingQueryException
from pyspark.sql import DataFrame
from pyspark.sql.streaming.query import StreamingQuery

from lakehouse.checkpoints import Checkpoint
from lakehouse.commits import Commit
from lakehouse.contracts import Table
from lakehouse.embedded.waiting import until
from lakehouse.errors import EngineLost
from lakehouse.faultpoints import reach
from lakehouse.frames import Frame
from lakehouse.stages import Context, Stage, utc_now

BATCH_LIMIT_S = 10.0
"""A batch that Spark has not begun to read by then is not waited for: what the source seemed to hold is not for it."""


class Turnstile:
    """Lets one micro-batch of a query through in each turn of its stage.

    The query is held at the end of its batch, after the table's commit and before Spark's own commit log, until the
    stage has its next turn: only then does Spark plan the next batch, with all that has arrived by then. A query that
    was started anew for each turn took 0.4 s before it read anything. In a backlog it is not held there: it reads the
    next batch while other stages have their turns, and is held before it commits that.
    """

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._granted = False
        self._inside = False
        self._closed = False

    def grant(self) -> None:
        with self._condition:
            self._granted = True
            self._condition.notify_all()

    def withdraw(self) -> bool:
        """Takes an unused turn back; False where a batch is using it."""
        with self._condition:
            self._granted = False
            return not self._inside

    def close(self) -> None:
        with self._condition:
            self._closed = True
            self._condition.notify_all()

    def enter(self) -> None:
        """Before a batch is committed, in the query's thread; raises EngineLost where the turnstile was closed."""
        with self._condition:
            self._condition.wait_for(lambda: self._granted or self._closed)
            if self._closed:
                raise EngineLost("the stream was stopped between two batches")
            self._granted = False
            self._inside = True

    def leave(self) -> None:
        """After a batch, done or failed, whether or not it had its turn."""
        with self._condition:
            self._inside = False
            self._condition.notify_all()

    def hold(self) -> None:
        """At the end of a batch, in the query's thread, until the next turn or the end."""
        with self._condition:
            self._condition.wait_for(lambda: self._granted or self._closed)

    def wait_for_batch(self, limit_s: float) -> bool:
        """Whether the batch of the turn that was granted is done; waits for it."""
        with self._condition:
            return self._condition.wait_for(lambda: not self._granted and not self._inside, limit_s)


class QueryStage(Stage):
    """A stage that is a Structured Streaming query with ``foreachBatch``: one capped batch in each round."""

    target: type[Table]
    reads_ahead: bool = False
    """Whether the next batch is read before its turn: so much is left that none is made smaller by that."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.generation = 0
        self.last: Commit | None = None
        self._query: StreamingQuery | None = None
        self._turnstile = Turnstile()
        self._error: BaseException | None = None
        self._reading = False
        """Whether Spark has begun a batch that waits for no turn yet."""

    # -- what a layer says -------------------------------------------------------------------------------

    @abstractmethod
    def source(self, after: Commit | None) -> DataFrame:
        """The streaming source. ``after`` is where a new generation begins; it is only read by a new checkpoint."""

    @abstractmethod
    def gathered(self, rows: DataFrame) -> AbstractContextManager[Frame]:
        """One micro-batch, in the form that its committer takes; nothing is committed.

        Where delta-rs commits, it has been read from the source then; Spark reads it as it commits.
        """

    @abstractmethod
    def process(self, rows: Frame, commit: Commit) -> Commit:
        """Commits one micro-batch; ``commit`` names it. Returns the account that the target's commit carries."""

    # -- how it runs -------------------------------------------------------------------------------------

    @property
    def checkpoint(self) -> Checkpoint:
        return Checkpoint(self.context.home.checkpoints / self.name / f"gen-{self.generation}")

    def open(self) -> None:
        self.last = self.context.store.last_commit(self.target)
        self.generation = 0 if self.last is None else self.last.generation
        self.state.rows = self.context.store.rows(self.target)
        if not self.checkpoint.agrees_with(self.last):
            self.begin_generation()

    def begin_generation(self) -> None:
        """Leaves the checkpoint behind and goes on right after what the target's newest commit holds.

        Nothing is written for it: until the new generation's first commit a restart finds the old one at the head
        of the table, finds its checkpoint unusable again, and does the same once more.
        """
        self._end_query()
        if self.last is None:
            self.checkpoint.remove()
            return
        self.generation = self.last.generation + 1
        self.checkpoint.remove()
        reach("between-generation-steps")
        self.context.log(f"{self.name}: generation {self.generation} begins after batch {self.last.batch_id}")

    def run(self) -> None:
        self._turnstile.grant()
        try:
            if self._query is not None and not self._query.isActive:
                self._query = None  # what it failed at between two turns may be over
            if self._query is None:
                self._query = self._start()
            began = time.monotonic()
            while not self._turnstile.wait_for_batch(0.1):
                ended = self._query.awaitTermination(0.01)  # type: ignore[arg-type]  # it takes fractions of a second
                late = time.monotonic() - began > BATCH_LIMIT_S and not self._reading
                if ended or (late and self._turnstile.withdraw()):
                    self.took_all = False
                    break
            if self._error is not None:
                self._query.awaitTermination()
        except StreamingQueryException as error:
            self._query = None
            self._turnstile.withdraw()
            raise (self._error or error) from None
        except Py4JError as error:
            self._query = None
            raise EngineLost(f"Spark's JVM does not answer: {error}") from error

    def _start(self) -> StreamingQuery:
        self._error = None
        after = self.last if self.last is not None and self.last.generation != self.generation else None
        return (
            self.source(after)
            .writeStream.queryName(self.name)
            .trigger(processingTime="0 seconds")
            .option("checkpointLocation", str(self.checkpoint.path))
            .foreachBatch(self._on_batch)
            .start()
        )

    def _on_batch(self, rows: DataFrame, batch_id: int) -> None:
        began, turnstile = utc_now(), self._turnstile
        self._reading = True
        try:
            with self.gathered(rows) as gathered:
                read = utc_now() - began
                self._reading = False
                turnstile.enter()
                began = utc_now() - read  # what it waited for its turn is not its own
                self.last = self.process(gathered, Commit(self.name, self.generation, batch_id))
                self.state.taken(self.last, began)
        except BaseException as error:
            self._error = error  # before the turn ends: who waits for it looks then
            raise
        finally:
            self._reading = False
            turnstile.leave()
        if not self.reads_ahead:
            turnstile.hold()

    def _end_query(self) -> None:
        """At once; a batch that Spark has planned is left behind."""
        if self._query is None:
            return
        self._turnstile.close()
        with suppress(StreamingQueryException, Py4JError):
            self._query.stop()
        self._query = None
        self._turnstile = Turnstile()

    def close(self) -> None:
        """Ends the query, after Spark has noted its last batch: without that it would do it again, and skip it."""
        self._turnstile.close()
        if self._query is not None:
            try:
                done = self.last.batch_id if self.last is not None else -1
                until(lambda: self.checkpoint.committed >= done or not self._query, 5.0)
                self._query.stop()
            except (StreamingQueryException, Py4JError):
                pass
            self._query = None
