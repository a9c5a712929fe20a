"""A backlog taken by a Spark cluster, with one worker and with more, and on a laptop's settings beside it.

Everything runs on this machine: what the workers gain, the brokers, Postgres and the driver have to give.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psutil

from benchmarks.backlog import OURS
from benchmarks.backlog_topic import Backlog, Filled, fill
from benchmarks.contenders import contender
from benchmarks.others import INTERVAL_S
from benchmarks.stack import fresh_home
from lakehouse.embedded.environment import child_environment
from lakehouse.embedded.rehearsal import Rehearsal, rehearsal
from lakehouse.settings import Settings
from lakehouse.submit.alone import alone

LAPTOP: Final = "laptop"
PARTS: Final[Mapping[str, int]] = {LAPTOP: 0, "1 worker": 1, "2 workers": 2}
"""How many workers each part has, of one core each; none: Spark is local, and small batches are delta-rs's."""


@dataclass(frozen=True)
class Options:
    """What to measure."""

    backlog: Backlog = field(default_factory=lambda: Backlog(events=200_000, users=20_000))
    partitions: int = 16
    """Of the topic, on three brokers."""
    parts: tuple[str, ...] = tuple(PARTS)
    limit_s: float = 1_800.0
    """Longest run of one part."""


QUICK: Final = Options(Backlog(events=20_000, users=5_000), limit_s=300.0)


@dataclass(frozen=True)
class Part:
    """One run: from a writer that is ready to the last row in Postgres."""

    name: str
    workers: int
    topic: Filled
    seconds: float | None
    """None where it failed."""
    cores: Mapping[str, float]
    """Cores kept busy meanwhile, from the start of the writer to the end of its books, by each kind of process."""
    others_cores: float
    """By nobody of these."""
    stage_seconds: Mapping[str, float]
    """How long each stage was at work; the mirrors beside the tables."""
    audit: Mapping[str, Any]
    """Of `audit --full` afterwards: ``agrees``, ``balances``, ``wrong``; empty where it failed."""
    error: str | None
    """Why it failed, in one line."""


@dataclass(frozen=True)
class ClusterResult:
    parts: tuple[Part, ...]


def measure(options: Options, settings: Settings, work: Path, say: Callable[[str], None]) -> ClusterResult:
    """Each part on servers of its own that begin empty, with the same events."""
    parts = []
    for name in options.parts:
        parts.append(_part(name, options, settings, work))
        say(f"{name}: {_in_words(parts[-1])}")
    return ClusterResult(tuple(parts))


def _part(name: str, options: Options, settings: Settings, work: Path) -> Part:
    workers, truth = PARTS[name], work / "cluster-truth.parquet"
    topic = settings.model_copy(update={"topic_partitions": options.partitions})
    with fresh_home(work, "cluster-servers") as own, fresh_home(work, "cluster-home") as home:
        servers_home = topic.model_copy(update={"home": own.root})
        with rehearsal(servers_home, workers=workers) as servers:
            filled = fill(servers.kafka, topic, options.backlog, truth)
            truth.unlink()
            ours = topic.model_copy(update={"home": home.root, **_addresses(servers, workers)})
            with alone(ours), _busy(servers) as cores:
                outcome = contender.run(OURS, child_environment(ours), home.logs, options.limit_s)
    return Part(
        name=name,
        workers=workers,
        topic=filled,
        seconds=outcome.seconds,
        cores=cores,
        others_cores=outcome.others_cores,
        stage_seconds=outcome.told.get("stage_seconds", {}),
        audit=outcome.told.get("audit", {}),
        error=outcome.error,
    )


def _addresses(servers: Rehearsal, workers: int) -> dict[str, str]:
    found = {"kafka_bootstrap": servers.kafka, "postgres_dsn": servers.postgres}
    return {**found, "spark_master": servers.cluster.address} if workers else found


@contextmanager
def _busy(servers: Rehearsal) -> Iterator[dict[str, float]]:
    """The cores that each kind of process kept busy; filled at the end of the block."""
    found: dict[str, float] = {}
    latest: dict[tuple[str, int, float], float] = {}

    def look() -> None:
        for kind, process in _processes(servers):
            with contextlib.suppress(psutil.Error):
                times = process.cpu_times()
                latest[kind, process.pid, process.create_time()] = times.user + times.system

    look()
    before, began, done = dict(latest), time.monotonic(), threading.Event()

    def run() -> None:
        while not done.wait(INTERVAL_S):  # again and again, for a process that has ended can be asked nothing
            look()

    thread = threading.Thread(target=run, name="busy", daemon=True)
    thread.start()
    try:
        yield found
    finally:
        done.set()
        thread.join()
        seconds: defaultdict[str, float] = defaultdict(float)
        for key, at_last in latest.items():
            seconds[key[0]] += at_last - before.get(key, 0.0)
        found |= {kind: round(taken / (time.monotonic() - began), 2) for kind, taken in sorted(seconds.items())}


def _processes(servers: Rehearsal) -> Iterator[tuple[str, psutil.Process]]:
    """Everything below this process, by its kind."""
    left = {process.pid: process for process in psutil.Process(os.getpid()).children(recursive=True)}
    for status in servers.supervisor.statuses():
        process = left.pop(status.pid or 0, None)
        if process is None:
            continue
        kind = status.name.rstrip("-0123456789")
        yield kind, process
        with contextlib.suppress(psutil.Error):
            for child in process.children(recursive=True):
                left.pop(child.pid, None)
                yield "executors" if kind == "spark-worker" else kind, child
    for process in left.values():
        with contextlib.suppress(psutil.Error):
            yield "driver: Spark" if process.name() == "java" else "driver: Python", process


def _in_words(part: Part) -> str:
    if part.seconds is None:
        return f"failed: {part.error}"
    books = "agree" if part.audit.get("agrees") else "DO NOT AGREE"
    return f"{part.seconds:.1f} s, {part.topic.messages / part.seconds:,.0f} events/s; the books {books}; {part.cores}"
