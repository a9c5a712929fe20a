"""Growth: what a micro-batch costs as history grows, in events and in commits. It should cost the same."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from benchmarks.bronze_batches import Shape
from benchmarks.contenders import contender
from benchmarks.contenders.contender import Contender, module
from benchmarks.machine import commit
from benchmarks.measure import Slope, fit_slope
from benchmarks.stack import fresh_home
from lakehouse.embedded.environment import child_environment
from lakehouse.embedded.services import services
from lakehouse.errors import LakehouseError
from lakehouse.settings import Settings

LATE_SHARE: Final = 0.01

BY_EVENTS: Final = {"in order": 0.0, "1 % a week late": LATE_SHARE}
BY_COMMITS: Final = "commits"


@dataclass(frozen=True)
class Options:
    """What to measure."""

    events: int = 30_000_000
    """History to grow to."""
    step: int = 2_000_000
    """Events between two looks."""
    events_per_day: int = 100_000
    """Of event time: a month of lookback is full at 3,000,000, and 30,000,000 are ten months."""
    commits: Sequence[int] = (1_000, 3_000, 10_000, 30_000, 100_000)
    """Versions of each table to grow to."""
    large: int = 200_000
    """Events in a batch that makes history."""
    small: int = 3_000
    """Events in a micro-batch that is timed: two seconds' worth at 1,500 events/s."""
    small_batches: int = 20
    """At each look."""
    warm_up: int = 40
    """Micro-batches of a new process that are not timed: the JVM is still compiling."""
    parts: Sequence[str] = (*BY_EVENTS, BY_COMMITS)
    limit_s: float = 6 * 3_600.0
    """Longest run of one part."""


QUICK: Final = Options(
    events=150_000,
    step=50_000,
    commits=(200, 1_000),
    large=50_000,
    small=1_000,
    small_batches=4,
    warm_up=4,
    parts=("in order", BY_COMMITS),
)


@dataclass(frozen=True)
class Look:
    """What was found at one size of the history."""

    history: int
    """Events, or versions of each table, when the look began."""
    grown_s: float
    """What the step to it took; in events, the whole pipeline; in commits, only the making of log entries."""
    open_s: float | None
    """How long the writer took to open before it, Spark's session included; None where it was open already."""
    batch_s: tuple[float, ...]
    """Each micro-batch: from rows in bronze to rows in Postgres, all stages."""
    stage_s: Mapping[str, float]
    """Median of each stage in these."""
    rare_s: Mapping[str, float]
    """One run of each stage that comes at intervals of minutes, and so is in none of these."""
    upkeep_s: float
    """The longest pause for upkeep and reports between two of them."""
    files: Mapping[str, int]
    """Data files of each table's newest version."""
    log_files: Mapping[str, int]
    bytes: int
    """Of all tables on disk, old versions and logs included."""
    memory_mib: Mapping[str, float]
    """PSS of the writer's Python and of its JVM after the look."""


@dataclass(frozen=True)
class Part:
    """One way to grow."""

    name: str
    unit: str
    """Of the history: ``million events`` or ``thousand commits``."""
    step: int
    """Events between two looks."""
    looks: tuple[Look, ...]
    after_upkeep: Look | None
    """The last size again, after `lakehouse maintain`."""
    batch_slope: Slope | None
    """Seconds of a micro-batch, for each unit of history."""
    event_slope: Slope | None
    """Microseconds of an event while history is made, for each unit; None for commits."""
    memory_slope: Slope | None
    """MiB of the writer, Python and JVM, for each unit."""
    others_cores: float
    error: str | None
    measured: str
    """When and of which commit: each part may have been run by itself."""


@dataclass(frozen=True)
class Growth:
    parts: tuple[Part, ...]


def measure(options: Options, settings: Settings, work: Path, say: Callable[[str], None]) -> Growth:
    """Each part with an empty home and a writer of its own."""
    known = (*BY_EVENTS, BY_COMMITS)
    if unknown := [name for name in options.parts if name not in known]:
        raise LakehouseError(f"growth has no part {unknown[0]!r}; it has {', '.join(known)}")
    parts = []
    for name in options.parts:
        part = _part(name, options, settings, work, say)
        parts.append(part)
        say(f"{name}: {_in_words(part)}")
    return Growth(tuple(parts))


def _part(name: str, options: Options, settings: Settings, work: Path, say: Callable[[str], None]) -> Part:
    measured = f"{datetime.now(UTC).isoformat(timespec='seconds')}, commit {commit()}"
    shape = Shape(options.events_per_day, late_share=BY_EVENTS.get(name, 0.0))
    plan = {"options": dataclasses.asdict(options), "shape": dataclasses.asdict(shape), "commits": name == BY_COMMITS}
    with fresh_home(work, "growth") as home:
        own = settings.model_copy(update={"home": home.root, "kafka_port": 0, "postgres_port": 0})
        with services(own, {"kafka", "postgres"}):
            writer = Contender("growth", module("benchmarks.growth_run"), "", {"GROWTH": json.dumps(plan)})
            say(f"{name}: begins; its log is {home.logs}/growth.log")
            outcome = contender.run(writer, child_environment(own), home.logs, options.limit_s)
    looks = tuple(_look(told) for told in outcome.told.get("looks", ()))
    after = outcome.told.get("after_upkeep")
    unit, size = ("thousand commits", 1_000) if name == BY_COMMITS else ("million events", 1_000_000)
    at = [look.history / size for look in looks]
    return Part(
        name=name,
        unit=unit,
        step=options.step,
        looks=looks,
        after_upkeep=None if after is None else _look(after),
        batch_slope=fit_slope(
            [x for x, look in zip(at, looks, strict=True) for _ in look.batch_s],
            [seconds for look in looks for seconds in look.batch_s],
        ),
        event_slope=None
        if name == BY_COMMITS
        else fit_slope(at, [look.grown_s / options.step * 1_000_000 for look in looks]),
        memory_slope=fit_slope(at, [sum(look.memory_mib.values()) for look in looks]),
        others_cores=outcome.others_cores,
        error=outcome.error,
        measured=measured,
    )


def _look(told: dict[str, Any]) -> Look:
    return Look(**{**told, "batch_s": tuple(told["batch_s"])})


def _in_words(part: Part) -> str:
    if part.error:
        return f"failed: {part.error}"
    slope = part.batch_slope
    if slope is None:
        return "too few looks for a slope"
    return (
        f"a micro-batch takes {slope.median:.2f} s; {slope.per_unit * 1000:+.1f} ms for each {part.unit} "
        f"({slope.low * 1000:+.1f} to {slope.high * 1000:+.1f})"
    )
