"""Costs: what an event costs in each stage, by how many a micro-batch takes, and in bytes; what Postgres takes alone.

From these the plan past one machine is computed: see benchmarks.scale.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.contenders import contender
from benchmarks.contenders.contender import Contender, module
from benchmarks.measure import Repeated, repeated
from benchmarks.sizes import DeltaSize
from benchmarks.stack import fresh_home
from lakehouse.embedded.environment import child_environment
from lakehouse.embedded.services import services
from lakehouse.errors import LakehouseError
from lakehouse.settings import Settings

DELTA_RS: Final = "delta-rs"
SPARK: Final = "spark"
"""Parts are named by who commits. On a cluster it is Spark."""


@dataclass(frozen=True)
class Options:
    """What to measure. Sizes are pairs: messages that a round takes, and how many such rounds."""

    sizes: Sequence[tuple[int, int]] = ((1_000, 12), (10_000, 8), (50_000, 4), (200_000, 4))
    spark_sizes: Sequence[tuple[int, int]] = ((2_000, 3), (200_000, 2))
    """Fewer, since each takes seconds."""
    warm_up: int = 20
    """Rounds of the smallest size that are not timed; where Spark commits, a tenth of them."""
    rate: int = 1_000
    """Messages for each second of event time."""
    users: int = 50_000
    postgres_rows: int = 200_000
    """In one transaction, where Postgres is asked alone."""
    postgres_repeats: int = 3
    parts: Sequence[str] = (DELTA_RS, SPARK)
    limit_s: float = 1_800.0


QUICK: Final = Options(
    sizes=((500, 3), (5_000, 3)),
    spark_sizes=((500, 1), (5_000, 1)),
    warm_up=5,
    users=5_000,
    postgres_rows=5_000,
    postgres_repeats=1,
)


@dataclass(frozen=True)
class Round:
    """One round: messages that were in Kafka are in every table and in Postgres."""

    messages: int
    seconds: float
    stages: Mapping[str, Sequence[float]]
    """For each stage the rows that it took, and the seconds that it took for them; mirrors beside the tables."""
    processor_s: Mapping[str, float]
    """Of the writer's Python, of Spark, Kafka and Postgres."""


@dataclass(frozen=True)
class Stored:
    """What all rounds of a part have left, before any maintenance by command."""

    messages: int
    message_bytes: int
    """Of keys and values."""
    kafka_bytes: int
    delta: Mapping[str, DeltaSize]
    postgres_bytes: Mapping[str, int]


@dataclass(frozen=True)
class Alone:
    """Rows/s of a mirror's transactions while nothing else runs, ledger and commit included."""

    rows: int
    copied: Repeated
    """New rows of ``raw_events``, by one connection."""
    copied_by_two: Repeated
    """By two connections at once, together."""
    inserted: Repeated
    """New rows of ``funnel_summary``."""
    updated: Repeated
    """Rows of ``funnel_summary`` that are there already."""


@dataclass(frozen=True)
class Part:
    """One engine."""

    name: str
    rounds: tuple[Round, ...]
    stored: Stored | None
    postgres: Alone | None
    """Asked once, by the first engine."""
    others_cores: float
    error: str | None


@dataclass(frozen=True)
class Costs:
    parts: tuple[Part, ...]


def measure(options: Options, settings: Settings, work: Path, say: Callable[[str], None]) -> Costs:
    """Each part with an empty home and a writer of its own."""
    if unknown := set(options.parts) - {DELTA_RS, SPARK}:
        raise LakehouseError(f"costs has no part {sorted(unknown)[0]!r}; it has {DELTA_RS}, {SPARK}")
    parts = []
    for name in options.parts:
        part = _part(name, options, settings, work)
        parts.append(part)
        say(f"{name}: {part.error or f'{len(part.rounds)} rounds'}")
    return Costs(tuple(parts))


def _part(name: str, options: Options, settings: Settings, work: Path) -> Part:
    sizes = options.sizes if name == DELTA_RS else options.spark_sizes
    plan = {
        "sizes": [list(size) for size in sizes],
        "warm_up": options.warm_up if name == DELTA_RS else max(1, options.warm_up // 10),
        "rate": options.rate,
        "users": options.users,
        "postgres_rows": options.postgres_rows if name == DELTA_RS else 0,
        "postgres_repeats": options.postgres_repeats,
    }
    with fresh_home(work, "costs") as home:
        own = settings.model_copy(
            update={"home": home.root, "kafka_port": 0, "postgres_port": 0, "commit_engine": name}
        )
        with services(own, {"kafka", "postgres"}):
            writer = Contender("costs", module("benchmarks.costs_run"), "", {"COSTS": json.dumps(plan)})
            outcome = contender.run(writer, child_environment(own), home.logs, options.limit_s)
    told = outcome.told
    return Part(
        name=name,
        rounds=tuple(Round(**found) for found in told.get("rounds", ())),
        stored=_stored(told["stored"]) if told.get("stored") else None,
        postgres=_alone(told["postgres"]) if told.get("postgres") else None,
        others_cores=outcome.others_cores,
        error=outcome.error,
    )


def _stored(told: Mapping[str, Any]) -> Stored:
    return Stored(**{**told, "delta": {name: DeltaSize(**size) for name, size in told["delta"].items()}})


def _alone(told: Mapping[str, Any]) -> Alone:
    kinds = [field.name for field in dataclasses.fields(Alone) if field.name != "rows"]
    return Alone(told["rows"], **{kind: repeated(told[kind]) for kind in kinds})
