"""Footprint: what the stack takes of memory and disk, and how long it takes to be there."""

from __future__ import annotations

import re
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import psycopg2

from benchmarks.backlog_topic import Backlog, Filled, fill
from benchmarks.measure import Repeated, repeated
from benchmarks.resources import Usage, sampled
from benchmarks.sizes import DeltaSize, bytes_below, delta_sizes, postgres_sizes
from benchmarks.stack import Stack, fresh_home, running
from lakehouse.embedded.up import DETACHED_LOG
from lakehouse.embedded.waiting import until
from lakehouse.endpoints import Endpoints
from lakehouse.errors import LakehouseError
from lakehouse.home import Home
from lakehouse.settings import Settings

LAST_MIRROR: Final = "funnel_summary"
FIRST_ROW_LIMIT_S: Final = 180.0


@dataclass(frozen=True)
class Options:
    """What to measure."""

    repeats: int = 3
    """Cold and warm starts, in turns."""
    idle_s: float = 60.0
    """How long the idle stack is watched."""
    backlog: Backlog = field(default_factory=Backlog)
    """What it then takes before its disk is looked at."""
    drain_limit_s: float = 3_600.0


QUICK: Final = Options(repeats=1, idle_s=10.0, backlog=Backlog(events=50_000, users=10_000), drain_limit_s=300.0)


@dataclass(frozen=True)
class Starts:
    """`lakehouse up --detach` with the simulator at its default rate; seconds from the call."""

    ready_s: Repeated
    """All services healthy: the command returns."""
    first_row_s: Repeated
    """The first transaction with rows of this run in the last mirror."""
    services_s: Mapping[str, float]
    """Median of each service, from its own start until healthy."""
    stop_s: Repeated
    """`lakehouse down`."""


@dataclass(frozen=True)
class Disk:
    """After a backlog was taken in large batches, before any maintenance."""

    topic: Filled
    delta: Mapping[str, DeltaSize]
    postgres_bytes: Mapping[str, int]
    kafka_bytes: int
    checkpoint_bytes: int


@dataclass(frozen=True)
class Footprint:
    cold: Starts
    """An empty home; the jars are in the cache."""
    warm: Starts
    """A home that has run before."""
    idle: Usage
    """No events at all."""
    loaded: Usage
    """While the backlog is taken."""
    disk: Disk


@dataclass(frozen=True)
class _Start:
    ready_s: float
    first_row_s: float
    services_s: Mapping[str, float]
    stop_s: float


def measure(options: Options, settings: Settings, work: Path, say: Callable[[str], None]) -> Footprint:
    """Starts, then one more stack that first idles and then takes a backlog."""
    cold: list[_Start] = []
    warm: list[_Start] = []
    for turn in range(options.repeats):
        with fresh_home(work, "footprint-start") as home:
            for name, starts in (("cold", cold), ("warm", warm)):
                start = _start(Stack(home))
                starts.append(start)
                say(
                    f"{turn + 1}/{options.repeats} {name}: ready in {start.ready_s:.1f} s, first row in Postgres "
                    f"after {start.first_row_s:.1f} s"
                )
    with fresh_home(work, "footprint") as home, running(home) as stack:
        say(f"idle for {options.idle_s:g} s")
        with sampled(stack) as idle:
            time.sleep(options.idle_s)
        filled = fill(stack.endpoints.kafka, settings, options.backlog, work / "footprint-truth.parquet")
        (work / "footprint-truth.parquet").unlink()
        say(f"takes {filled.messages:,} messages")
        with sampled(stack) as loaded:
            stack.drain(options.drain_limit_s)
        disk = Disk(
            topic=filled,
            delta=delta_sizes(home),
            postgres_bytes=postgres_sizes(stack.endpoints.postgres_owner),
            kafka_bytes=bytes_below(home.kafka),
            checkpoint_bytes=bytes_below(home.checkpoints),
        )
    return Footprint(_starts(cold), _starts(warm), idle.usage(), loaded.usage(), disk)


def _start(stack: Stack) -> _Start:
    """Starts the stack, waits for the first row of this run and stops it."""
    log = stack.home.logs / DETACHED_LOG
    before = log.stat().st_size if log.is_file() else 0
    with _first_row(stack.home) as first_row_s:
        ready_s = stack.up(simulate=True)
        first = first_row_s()
    began = time.monotonic()
    stack.down()
    return _Start(ready_s, first, _services(log.read_text()[before:]), time.monotonic() - began)


@contextmanager
def _first_row(home: Home) -> Iterator[Callable[[], float]]:
    """Yields a function that waits for the first row and tells the seconds to it since the block began."""
    began, moment = time.monotonic(), datetime.now(UTC)
    seen: list[float] = []

    def look() -> None:
        if until(lambda: _has_rows_since(home, moment), FIRST_ROW_LIMIT_S):
            seen.append(time.monotonic() - began)

    thread = threading.Thread(target=look, daemon=True)
    thread.start()

    def wait() -> float:
        thread.join()
        if not seen:
            raise LakehouseError(f"no row came into Postgres within {FIRST_ROW_LIMIT_S:g} s of the start")
        return seen[0]

    yield wait


def _has_rows_since(home: Home, moment: datetime) -> bool:
    try:
        address = Endpoints.load(home).postgres_reader
        with closing(psycopg2.connect(address)) as connection, connection.cursor() as cursor:
            cursor.execute(
                "SELECT EXISTS (SELECT FROM mirror_ledger WHERE query = %s AND rows > 0 AND applied_at > %s)",
                (LAST_MIRROR, moment),
            )
            return bool((cursor.fetchone() or (False,))[0])
    except (LakehouseError, psycopg2.Error):  # not up yet, or not migrated yet
        return False


def _services(said: str) -> Mapping[str, float]:
    """Seconds by service from the lines of `up`: ``✓ kafka      up     1.7 s``."""
    return {name: float(seconds) for name, seconds in re.findall(r"✓ (\w+) +(?:up|done) +([\d.]+) s", said)}


def _starts(starts: list[_Start]) -> Starts:
    names = sorted({name for start in starts for name in start.services_s})
    return Starts(
        ready_s=repeated([start.ready_s for start in starts]),
        first_row_s=repeated([start.first_row_s for start in starts]),
        services_s={
            name: round(statistics.median(start.services_s[name] for start in starts if name in start.services_s), 2)
            for name in names
        },
        stop_s=repeated([start.stop_s for start in starts]),
    )
