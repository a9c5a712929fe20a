"""What the validator costs the stream: freshness and throughput with it, without it, and behind a gate, in one run."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from benchmarks import freshness
from benchmarks.backlog_topic import Backlog, fill
from benchmarks.freshness import AtRate
from benchmarks.stack import fresh_home, running
from lakehouse.settings import Settings

ARRANGEMENTS: Final[Mapping[str, Mapping[str, str]]] = {
    "off": {"LAKEHOUSE_QUALITY_VALIDATOR": "false"},
    "on": {},
    "gate": {"LAKEHOUSE_QUALITY_GATES": "silver.events"},
}
"""``gate``: the layers after silver.events read only as far as it was judged."""
OF_THROUGHPUT: Final = ("off", "on")


@dataclass(frozen=True)
class Options:
    """What to measure; seconds."""

    rate: int = 1_000
    seconds: float = 60.0
    warm_up_s: float = 90.0
    repeats: int = 2
    """Each arrangement is run so often, in turns, each time on a stack of its own that began empty."""
    backlog: Backlog = field(default_factory=lambda: Backlog(events=1_000_000, hours=24.0))
    drain_limit_s: float = 1_800.0


QUICK: Final = Options(
    rate=200, seconds=15.0, warm_up_s=10.0, repeats=1, backlog=Backlog(events=20_000, hours=2.0, users=2_000)
)


@dataclass(frozen=True)
class Arrangement:
    name: str
    variables: Mapping[str, str]
    runs: tuple[AtRate, ...]
    backlog_s: tuple[float, ...]
    """From the writer's going on until the backlog was drained, each run; empty where that was not measured."""


@dataclass(frozen=True)
class Validation:
    events_per_second: int
    backlog_messages: int
    arrangements: tuple[Arrangement, ...]


def measure(options: Options, settings: Settings, work: Path, say: Callable[[str], None]) -> Validation:
    """Freshness of each arrangement in turns; then a backlog, with the validator and without."""
    runs: dict[str, list[AtRate]] = {name: [] for name in ARRANGEMENTS}
    backlogs: dict[str, list[float]] = {name: [] for name in ARRANGEMENTS}
    of_freshness = freshness.Options(
        rates=(options.rate,), seconds=options.seconds, warm_up_s=options.warm_up_s, pause_s=0.0
    )
    for turn in range(options.repeats):
        for name, variables in ARRANGEMENTS.items():
            at_rate = freshness.at_rate(of_freshness, options.rate, settings, work, say, variables)
            runs[name].append(at_rate)
            say(f"{turn + 1}/{options.repeats} {name}: {freshness.in_words(at_rate)}")
    for turn in range(options.repeats):
        for name in OF_THROUGHPUT:
            seconds = _drained(options, settings, work, ARRANGEMENTS[name])
            backlogs[name].append(seconds)
            say(f"{turn + 1}/{options.repeats} {name}: {options.backlog.events:,} events in {seconds:g} s")
    return Validation(
        options.rate,
        options.backlog.events,
        tuple(
            Arrangement(name, variables, tuple(runs[name]), tuple(backlogs[name]))
            for name, variables in ARRANGEMENTS.items()
        ),
    )


def _drained(options: Options, settings: Settings, work: Path, variables: Mapping[str, str]) -> float:
    """A backlog that came while the writer stood still: from its going on to the last row committed."""
    with fresh_home(work, "validation") as home, running(home, variables) as stack:
        with freshness.stopped(stack):
            fill(stack.endpoints.kafka, settings, options.backlog, work / "validation-truth.parquet")
        began = time.monotonic()
        stack.drain(options.drain_limit_s)
        seconds = time.monotonic() - began
    (work / "validation-truth.parquet").unlink(missing_ok=True)
    return round(seconds, 2)
