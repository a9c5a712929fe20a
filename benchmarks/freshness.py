"""Freshness: seconds from the producer's send to the row in Postgres, under a steady load, and after a pause."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from benchmarks.load import load
from benchmarks.measure import Percentiles, percentiles
from benchmarks.probes import SEND_EVERY_S, TABLES, Probe, Prober, latencies_s, recovered_after_s
from benchmarks.resources import Usage, sampled
from benchmarks.stack import Stack, fresh_home, running
from benchmarks.stages import StageTimes, watched
from lakehouse.settings import Settings

NORMAL_FACTOR: Final = 1.25
"""After a pause a median is normal again when it is at most so many times the one before."""

TABLE_OF_PAUSE: Final = "funnel_summary"
"""The last table that an event reaches, but for its user's score, which waits for more."""


@dataclass(frozen=True)
class Options:
    """What to measure; durations in seconds, rates in events/s."""

    rates: Sequence[int] = (100, 1_000, 5_000)
    seconds: float = 600.0
    """Measured at each rate, after the warm-up."""
    warm_up_s: float = 90.0
    """Probes of that time after the load's start count nowhere: the JVM is still compiling."""
    pause_s: float = 60.0
    """How long the writer is stopped, once; 0 for never."""
    pause_at: int = 1_000
    """The rate at which it is."""
    users_per_rate: int = 50
    """Users for each event/s: at 50 a user acts every 50 s on the average."""
    drain_limit_s: float = 300.0
    """Longest wait for the last probes, after the load has ended."""


QUICK: Final = Options(rates=(200,), seconds=15.0, warm_up_s=10.0, pause_s=5.0, pause_at=200)


@dataclass(frozen=True)
class AtRate:
    """One rate, on a stack of its own that began empty."""

    events_per_second: int
    sent_per_second: float
    users: int
    warm_up_s: float
    measured_s: float
    latency_s: Mapping[str, Percentiles | None]
    """For each table in Postgres; of the probes sent within the measured time."""
    missing: Mapping[str, int]
    """Probes that had not come at the end of the last wait."""
    drift_s: float | None
    """Median of the last third less that of the first, in funnel_summary: above 0 where the stack falls behind."""
    lag_events: int | None
    """Events in Kafka that were not in bronze, at the end of the measured time."""
    rows: Mapping[str, int]
    """Rows of each Delta table at the end."""
    stages: Mapping[str, StageTimes]
    usage: Usage


@dataclass(frozen=True)
class Pause:
    """The writer and its JVM stopped (SIGSTOP) and let go on (SIGCONT), under load."""

    events_per_second: int
    paused_s: float
    p50_before_s: float
    normal_s: float
    """What counts as normal afterwards."""
    recovered_after_s: float | None
    """From SIGCONT to the first probe from which on the median of ten seconds was normal; None: not while measured."""
    backlog_gone_after_s: float
    """From SIGCONT to the row of the last probe that was sent before it."""
    longest_s: float
    """The longest latency of a probe, those sent during the pause included."""
    missing: int


@dataclass(frozen=True)
class Freshness:
    probe_every_s: float
    table_of_pause: str
    rates: tuple[AtRate, ...]
    pause: Pause | None


def measure(options: Options, settings: Settings, work: Path, say: Callable[[str], None]) -> Freshness:
    """Each rate on a fresh stack under ``work``; the pause right after the measured time of its rate."""
    rates: list[AtRate] = []
    pause: Pause | None = None
    for rate in options.rates:
        found, paused = _on_stack(options, rate, settings, work, say, {})
        say(f"{rate:,} events/s: {in_words(found)}")
        rates.append(found)
        pause = paused or pause
    return Freshness(SEND_EVERY_S, TABLE_OF_PAUSE, tuple(rates), pause)


def at_rate(
    options: Options,
    rate: int,
    settings: Settings,
    work: Path,
    say: Callable[[str], None],
    variables: Mapping[str, str],
) -> AtRate:
    """One rate, on a fresh stack that these ``variables`` set up."""
    return _on_stack(options, rate, settings, work, say, variables)[0]


def _on_stack(
    options: Options,
    rate: int,
    settings: Settings,
    work: Path,
    say: Callable[[str], None],
    variables: Mapping[str, str],
) -> tuple[AtRate, Pause | None]:
    with fresh_home(work, f"freshness-{rate}") as home, running(home, variables) as stack:
        say(f"{rate:,} events/s: warming up for {options.warm_up_s:g} s, then {options.seconds:g} s")
        return _at_rate(stack, rate, options, settings, say)


def _at_rate(
    stack: Stack, rate: int, options: Options, settings: Settings, say: Callable[[str], None]
) -> tuple[AtRate, Pause | None]:
    users = rate * options.users_per_rate
    with (
        load(stack.endpoints.kafka, settings.topic, rate, users) as generator,
        Prober(stack.endpoints, settings.topic) as prober,
    ):
        prober.wait_until(time.monotonic() + options.warm_up_s)
        began = time.monotonic()
        with sampled(stack, generator.pid) as samples, watched(stack) as stages:
            prober.wait_until(began + options.seconds)
        ended = time.monotonic()
        lag = stack.writer().get("lag_events")
        rows = stack.writer().get("tables", {})
        measured = [probe for probe in prober.probes if began <= probe.sent < ended]
        prober.wait_for(measured, options.drain_limit_s)  # before a pause holds up the last of them
        stopped_at = resumed_at = ended
        if options.pause_s and rate == options.pause_at:
            say(f"{rate:,} events/s: the writer is stopped for {options.pause_s:g} s")
            with stopped(stack):
                stopped_at = time.monotonic()
                prober.wait_until(stopped_at + options.pause_s)
            resumed_at = time.monotonic()
            prober.wait_until(resumed_at + max(15.0, 1.5 * options.pause_s))
        prober.stop_sending()
        sent = generator.stop()
        prober.wait_for(prober.probes, options.drain_limit_s)
    found = AtRate(
        events_per_second=rate,
        sent_per_second=round(sent.per_second, 1),
        users=users,
        warm_up_s=options.warm_up_s,
        measured_s=round(ended - began, 1),
        latency_s={table: percentiles(latencies_s(measured, table)) for table in TABLES},
        missing={table: sum(table not in probe.seen for probe in measured) for table in TABLES},
        drift_s=_drift_s(measured, TABLE_OF_PAUSE),
        lag_events=lag,
        rows=rows,
        stages=stages.summary(),
        usage=samples.usage(),
    )
    before = found.latency_s[TABLE_OF_PAUSE]
    if resumed_at == ended or before is None:
        return found, None
    later = [probe for probe in prober.probes if probe.sent >= stopped_at]
    held_up = [probe for probe in later if probe.sent < resumed_at]
    normal_s = before.p50 * NORMAL_FACTOR
    recovered = recovered_after_s(later, TABLE_OF_PAUSE, resumed_at, normal_s)
    return found, Pause(
        events_per_second=rate,
        paused_s=round(resumed_at - stopped_at, 1),
        p50_before_s=before.p50,
        normal_s=round(normal_s, 3),
        recovered_after_s=None if recovered is None else round(recovered, 1),
        backlog_gone_after_s=round(
            max((p.seen[TABLE_OF_PAUSE] - resumed_at for p in held_up if TABLE_OF_PAUSE in p.seen), default=0.0), 1
        ),
        longest_s=round(max(latencies_s(later, TABLE_OF_PAUSE), default=0.0), 1),
        missing=sum(TABLE_OF_PAUSE not in probe.seen for probe in later),
    )


def in_words(at_rate: AtRate) -> str:
    """The percentiles of each table."""
    return "; ".join(
        f"{table} {'none came' if p is None else f'p50 {p.p50:.2f} s, p95 {p.p95:.2f} s, p99 {p.p99:.2f} s'}"
        for table, p in at_rate.latency_s.items()
    )


def _drift_s(probes: Sequence[Probe], table: str) -> float | None:
    third = len(probes) // 3
    first, last = percentiles(latencies_s(probes[:third], table)), percentiles(latencies_s(probes[-third:], table))
    return None if first is None or last is None else round(last.p50 - first.p50, 3)


@contextmanager
def stopped(stack: Stack) -> Iterator[None]:
    """The writer and all its children stand still within the block."""
    writer = psutil.Process(stack.pids()["writer"])
    processes = [writer, *writer.children(recursive=True)]
    for process in processes:
        process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for process in reversed(processes):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGCONT)
