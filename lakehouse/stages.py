"""A stage of the pipeline: what takes its turn in a round.

Each layer is a stage, and each mirror. Its target is the truth about how far it has come: the newest commit, or the
ledger's newest row, names the generation, the batch and the position in the source.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

from pyspark.sql import SparkSession

from lakehouse.commits import Commit
from lakehouse.contracts import Table
from lakehouse.endpoints import Endpoints
from lakehouse.home import Home
from lakehouse.settings import Settings
from lakehouse.store import TableStore

RECENT_BATCHES = 1_000


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
    limit: Callable[[type[Table]], int | None] = lambda _: None
    """The last version of a table that stages may read; None where all may be read."""


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
    as_of: datetime | None = None
    """Whatever had reached its source by then, it has taken."""
    failures: int = 0
    """In a row, outages of a server among them."""
    attempts: int = 0
    """Failures in a row at what the stage itself does."""
    retry_at: float = field(default=0.0, repr=False)
    due_at: float = field(default=0.0, repr=False)
    """When it may run again, by the runner's clock."""
    took_s: float = field(default=0.0, repr=False)
    """How long the runs took since it last had to wait for its interval."""
    recent: deque[tuple[int, int]] = field(default_factory=lambda: deque(maxlen=RECENT_BATCHES), repr=False)
    """Rows, and refused rows, of the newest batches since the start, oldest first."""

    def taken(self, commit: Commit, began: datetime) -> None:
        """Notes a batch that has been committed."""
        self.batch_id = commit.batch_id
        self.batch_rows = commit.rows_in
        self.batch_seconds = (utc_now() - began).total_seconds()
        self.recent.append((commit.rows_in, commit.rows_refused))
        self.rows += commit.rows_out
        self.watermark = commit.watermark or self.watermark


class Lane(StrEnum):
    """Stages of one lane take turns; lanes run beside each other."""

    tables = "tables"
    """What computes and commits to Delta tables: one micro-batch at a time."""
    mirrors = "mirrors"
    """What waits for Postgres most of its time: where that is away or slow, no table waits for it."""
    scores = "scores"
    """What waits for the API as well: where that is away or slow, no other mirror waits for it."""


class Stage(ABC):
    """One stage; a round asks each in turn whether there is work, and lets it do what is there."""

    name: str
    lane: Lane = Lane.tables
    origin: type[Table] | None = None
    """The table that it reads; None for Kafka."""
    targets: tuple[type[Table], ...] = ()
    """The tables that it writes and others read."""
    position: int | None = None
    """The last version of ``origin`` that it has taken wholly, -1 for none; None while that is not known."""
    interval_s: float = 0.0
    """Least time from one run's start to the next, for a stage that is cheaper when it takes more at once."""
    took_all: bool = True
    """Whether its last run took all that was there when it began."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.state = StageState()

    @property
    def goes_on(self) -> bool:
        """Whether it may run in the next round, whatever the interval: its last run left a part of the work to it, or
        found nothing to work on yet."""
        return False

    @abstractmethod
    def open(self) -> None:
        """Reads from the target how far it has come. Called once, before the first round."""

    @abstractmethod
    def has_work(self) -> bool:
        """Whether the source holds something that is not in the target yet; cheap."""

    @abstractmethod
    def run(self) -> None:
        """Takes what is there. Raises what went wrong; the runner records it and comes again."""

    def has_taken(self, version: int) -> bool:
        """Whether nothing that ``origin`` held at ``version`` is left for it to do."""
        return self.position is not None and self.position >= version

    def hasten(self) -> None:  # noqa: B027 (most stages look in every round)
        """Somebody waits for it from now on: what it asks only now and then, it asks before it says that it is done."""

    def close(self) -> None:  # noqa: B027 (most stages hold nothing)
        """Ends what the stage holds, between rounds."""


def utc_now() -> datetime:
    return datetime.now(UTC)
