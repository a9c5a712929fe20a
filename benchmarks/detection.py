"""Detection: what the validator finds of faults that are injected into a running stack, and how soon; and that it
finds nothing where nothing is wrong."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import psycopg2

from benchmarks.load import Load, load
from benchmarks.stack import Stack, fresh_home, running
from lakehouse.settings import Settings
from lakehouse.topic import ensure_topic
from producer.client import ConfluentSender
from producer.simulator import SimulatorConfig, simulate
from quality.suites.mirrors import RAW_EVENTS

POLL_S: Final = 0.5
DRAIN_LIMIT_S: Final = 600.0


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong, and the expectation that is to tell of it."""

    name: str
    what: str
    table: str
    expectation: str
    wrong: str | None = None
    """Of `benchmarks.wrong.WRONGS`, what becomes of each message; None where all is sent as it was."""
    truncates: str | None = None
    """The mirror that loses the rows of its newest day."""


FAULTS: Final = (
    Fault(
        "nulls",
        "one message in five names no user",
        "silver.events",
        "few_are_refused_or_copies",
        "users lost",
    ),
    Fault("missing prices", "no purchase has a price", "silver.events", "purchases_have_a_price", "prices lost"),
    Fault(
        "duplicates", "one message in three is sent twice", "silver.events", "few_are_refused_or_copies", "sent twice"
    ),
    Fault("type flood", "two searches come with every event", "silver.events", "no_type_floods", "flood"),
    Fault("lost type", "no add_to_cart is tracked", "silver.events", "no_type_dries_up", "no carts"),
    Fault(
        "clock skew",
        "one producer in ten is four minutes ahead",
        "silver.events",
        "clocks_are_not_ahead",
        "clock ahead",
    ),
    Fault("dead producer", "nothing is sent", "bronze.user_events", "messages_come", "silence"),
    Fault(
        "lost partition",
        "a day's partition of the mirror is emptied",
        RAW_EVENTS,
        "rows_in_mirror_are_those_in_delta",
        truncates="raw_events",
    ),
)


@dataclass(frozen=True)
class Options:
    """What to inject; durations in seconds, rates in events/s."""

    rate: int = 300
    users: int = 15_000
    history_hours: float = 3.0
    history_rate: float = 20.0
    """Of the events before, which say what is usual."""
    clean_s: float = 900.0
    """So long nothing is wrong, and nothing is to be found."""
    between_s: float = 75.0
    """Least time without a fault between two of them: two looks of the validator."""
    limit_s: float = 600.0
    """Longest wait for a finding, and for it to be over."""
    freshness_minutes: float = 2.0
    """`quality_freshness_minutes`: after so long silence is found."""
    mirrors_interval_s: float = 60.0
    """`quality_mirrors_interval_s`."""
    faults: tuple[str, ...] = ()
    """Names; empty for all."""


QUICK: Final = Options(clean_s=60.0, between_s=30.0, faults=("duplicates",))


@dataclass(frozen=True)
class Detected:
    """One fault, and what was found of it."""

    name: str
    what: str
    table: str
    expectation: str
    severity: str | None
    after_s: float | None
    """From the first wrong message, or the last one, to the verdict's row in Postgres; None where none came."""
    judged_after_s: float | None
    """To the beginning of the run that found it."""
    observed: str | None
    also: tuple[str, ...]
    """What else alarmed or halted meanwhile: table and expectation."""


@dataclass(frozen=True)
class Detection:
    clean_s: float
    clean_events: int
    """In bronze by then, those of the history among them."""
    clean_runs: int
    clean_rows: int
    """Judged, over all tables."""
    clean_verdicts: int
    false_alarms: tuple[str, ...]
    """What alarmed or halted while nothing was wrong."""
    warnings: tuple[str, ...]
    """What warned then."""
    faults: tuple[Detected, ...]


@dataclass(frozen=True)
class _Finding:
    table: str
    expectation: str
    severity: str
    started_at: datetime
    observed: str | None

    def __str__(self) -> str:
        return f"{self.table}: {self.expectation}"


def measure(options: Options, settings: Settings, work: Path, say: Callable[[str], None]) -> Detection:
    """All on one stack, one fault after the other, each of which begins when nothing is found any more."""
    own = {
        "LAKEHOUSE_QUALITY_FRESHNESS_MINUTES": str(options.freshness_minutes),
        "LAKEHOUSE_QUALITY_MIRRORS_INTERVAL_S": str(options.mirrors_interval_s),
    }
    faults = [fault for fault in FAULTS if fault.name in (options.faults or [each.name for each in FAULTS])]
    with fresh_home(work, "detection") as home, running(home, own) as stack:
        say(f"{_history(stack, options, settings):,} events of the {options.history_hours:g} hours before")
        stack.drain(DRAIN_LIMIT_S)
        with load(stack.endpoints.kafka, settings.topic, options.rate, options.users) as generator:
            began = datetime.now(UTC)
            say(f"{options.clean_s:g} s with nothing wrong")
            time.sleep(options.clean_s)
            found = _findings(stack, began)
            clean_events = _events(stack)
            runs, rows, verdicts = _judged(stack, began)
            for each in found:
                say(f"{each.severity}: {each} {each.observed or ''}")
            detected = []
            for fault in faults:
                _wait_for_quiet(stack, options, say)
                detected.append(_inject(stack, fault, generator, options))
                say(f"{fault.name}: {_in_words(detected[-1])}")
    return Detection(
        clean_s=options.clean_s,
        clean_events=clean_events,
        clean_runs=runs,
        clean_rows=rows,
        clean_verdicts=verdicts,
        false_alarms=_names(each for each in found if each.severity != "warn"),
        warnings=_names(each for each in found if each.severity == "warn"),
        faults=tuple(detected),
    )


def _history(stack: Stack, options: Options, settings: Settings) -> int:
    """Sends the events of the hours before at once."""
    ensure_topic(stack.endpoints.kafka, settings)
    now = datetime.now(UTC)
    config = SimulatorConfig(
        seed=1_000_000,
        users=options.users,
        rate=options.history_rate,
        start=now - timedelta(hours=options.history_hours),
        end=now,
    )
    sender = ConfluentSender(stack.endpoints.kafka, settings.topic)
    count = 0
    for simulated in simulate(config):
        sender.send(simulated.key, simulated.value)
        count += 1
    sender.flush()
    return count


def _inject(stack: Stack, fault: Fault, generator: Load, options: Options) -> Detected:
    """From the moment at which the fault begins until it is found, or the limit."""
    if fault.truncates:
        _truncate_newest_day(stack, fault.truncates)
    generator.becomes(fault.wrong or "")
    try:
        return _await(stack, fault, options)
    finally:
        generator.becomes("")


def _await(stack: Stack, fault: Fault, options: Options) -> Detected:
    began, clock = datetime.now(UTC), time.monotonic()
    while time.monotonic() - clock < options.limit_s:
        found = _findings(stack, began)
        hits = [each for each in found if each.table == fault.table and each.expectation == fault.expectation]
        if hits:
            others = [each for each in found if each.severity != "warn" and str(each) != str(hits[0])]
            return Detected(
                fault.name,
                fault.what,
                fault.table,
                fault.expectation,
                hits[0].severity,
                round(time.monotonic() - clock, 1),
                round((hits[0].started_at - began).total_seconds(), 1),
                hits[0].observed,
                _names(others),
            )
        time.sleep(POLL_S)
    missed = _names(each for each in _findings(stack, began) if each.severity != "warn")
    return Detected(fault.name, fault.what, fault.table, fault.expectation, None, None, None, None, missed)


def _events(stack: Stack) -> int:
    return int(stack.writer().get("tables", {}).get("bronze.user_events", 0))


def _wait_for_quiet(stack: Stack, options: Options, say: Callable[[str], None]) -> None:
    """Until every table was judged anew since the fault before was over, and nothing alarms or halts."""
    deadline = time.monotonic() + options.limit_s
    time.sleep(options.between_s)
    while time.monotonic() < deadline:
        alarms = stack.writer().get("alarms", [])
        if not alarms:
            return
        time.sleep(POLL_S)
    say(f"not over after {options.limit_s:g} s: {'; '.join(alarms)}")


def _truncate_newest_day(stack: Stack, mirror: str) -> None:
    with closing(psycopg2.connect(stack.endpoints.postgres_owner)) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = %s::regclass ORDER BY 1 DESC LIMIT 1",
            (mirror,),
        )
        ((partition,),) = cursor.fetchall()
        cursor.execute(f"TRUNCATE {partition}")
        connection.commit()


def _findings(stack: Stack, since: datetime) -> list[_Finding]:
    """What runs that began at or after ``since`` found not to be met, the oldest first."""
    query = (
        "SELECT table_name, expectation, severity, started_at, observed FROM quality_results "
        "WHERE started_at >= %s AND success = false ORDER BY started_at"
    )
    return [_Finding(*row) for row in _rows(stack, query, (since,))]


def _judged(stack: Stack, since: datetime) -> tuple[int, int, int]:
    """Runs, rows and verdicts."""
    query = (
        "SELECT count(*), coalesce(sum(num_rows), 0)::bigint, coalesce(sum(verdicts), 0)::bigint FROM "
        "(SELECT max(num_rows) AS num_rows, count(*) AS verdicts FROM quality_results WHERE started_at >= %s "
        "GROUP BY run_id) AS runs"
    )
    ((runs, rows, verdicts),) = _rows(stack, query, (since,))
    return runs, rows, verdicts


def _rows(stack: Stack, query: str, parameters: Sequence[object]) -> list[tuple[Any, ...]]:
    with closing(psycopg2.connect(stack.endpoints.postgres_reader)) as connection, connection.cursor() as cursor:
        cursor.execute(query, parameters)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows


def _names(found: Iterator[_Finding] | Sequence[_Finding]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(str(each) for each in found))


def _in_words(detected: Detected) -> str:
    if detected.after_s is None:
        return "not found"
    return f"found after {detected.after_s:g} s by {detected.table}: {detected.expectation} ({detected.severity})"
