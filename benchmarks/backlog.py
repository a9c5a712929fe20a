"""A backlog: the same topic taken by the lakehouse, by the plain design, by a bare reader and by the peers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import polars as pl

from benchmarks.backlog_topic import Backlog, Filled, fill, funnel_of, wrong_rows
from benchmarks.contenders import contender
from benchmarks.contenders.contender import Contender, Outcome, module
from benchmarks.contenders.peers import PEERS, install
from benchmarks.contenders.session import fetch_driver
from benchmarks.measure import Repeated, repeated
from benchmarks.stack import fresh_home
from lakehouse.contracts import FunnelSummary
from lakehouse.embedded.environment import child_environment
from lakehouse.embedded.services import services
from lakehouse.errors import LakehouseError
from lakehouse.home import Home
from lakehouse.settings import Settings

OURS: Final = Contender(
    "lakehouse",
    module("benchmarks.contenders.ours"),
    "Kafka to bronze, silver, duplicates, quarantine, both gold tables and the three mirrors in Postgres, each event "
    "once; from the writer ready to the last row committed",
)
PLAIN: Final = Contender(
    "plain",
    module("benchmarks.contenders.plain"),
    "Spark, two queries (availableNow): from_json, JDBC append to raw_events; watermark, 10-minute windows, JDBC "
    "append; from the session ready to both queries ended",
)
LIMIT: Final = Contender(
    "limit",
    module("benchmarks.contenders.limit"),
    "Spark, one query (availableNow) that reads and parses the topic and writes nothing; from the session ready to "
    "its end",
)


@dataclass(frozen=True)
class Options:
    """What to measure."""

    backlog: Backlog = field(default_factory=Backlog)
    repeats: int = 3
    """Each contender is run so often, each time with an empty home and an empty Postgres; in turns."""
    limit_s: float = 3_600.0
    """Longest run of one contender."""
    only: tuple[str, ...] = ()
    """Names of contenders; empty for all."""


QUICK: Final = Options(Backlog(events=50_000, users=10_000), repeats=1, limit_s=300.0)


@dataclass(frozen=True)
class Contest:
    """All runs of one contender."""

    name: str
    what: str
    seconds: Repeated | None
    events_per_second: Repeated | None
    """Messages of the topic by the seconds."""
    peak_memory_mib: float
    """Of the contender's own processes; Kafka and Postgres are the same for all and not in it."""
    others_cores: float
    """Cores that were kept busy by nobody of these, in the run in which it was most."""
    counted: int | None
    """Events in its windows; the truth is ``events`` of the topic. None for who counts none."""
    error: str | None
    """Why a run failed, in one line."""


@dataclass(frozen=True)
class Proof:
    """Whether the lakehouse's result is right, after each of its runs."""

    runs: int
    audits: int
    audits_that_agree: int
    balances: int
    """In each audit (`lakehouse audit --full`)."""
    wrong_balances: tuple[str, ...]
    gold_rows: int
    gold_rows_expected: int
    gold_rows_wrong: int
    """Against an independent count from the messages sent, in the worst run; see backlog_topic.wrong_rows."""
    is_right: bool
    """Every run was done, audited and counted, and nothing was wrong in any."""


@dataclass(frozen=True)
class BacklogResult:
    topic: Filled
    contests: tuple[Contest, ...]
    times_plain: float | None
    """The plain design's median time by the lakehouse's: above 1 where the lakehouse is quicker."""
    share_of_limit: float | None
    """The lakehouse's events/s by those of a bare reader."""
    proof: Proof | None
    rows: Mapping[str, int]
    """Rows of each Delta table."""
    stage_seconds: Mapping[str, float]
    """Of the lakehouse's first run: how long each stage was at work; the mirrors beside the tables."""


@dataclass(frozen=True)
class _Run:
    outcome: Outcome
    gold: tuple[int, int, int] | None
    """Rows, rows expected, rows wrong."""


def measure(options: Options, settings: Settings, work: Path, say: Callable[[str], None]) -> BacklogResult:
    """Fills a topic once, then lets every contender take it, ``repeats`` times in turns."""
    fetch_driver(settings)
    contenders, missing = _contenders(options.only, work / "peers", say)
    truth = work / "backlog-truth.parquet"
    runs: dict[str, list[_Run]] = {each.name: [] for each in contenders}
    with fresh_home(work, "backlog-kafka") as home:
        kafka_only = settings.model_copy(update={"home": home.root, "kafka_port": 0})
        with services(kafka_only, {"kafka"}) as endpoints:
            filled = fill(endpoints.kafka, settings, options.backlog, truth)
            say(f"{filled.messages:,} messages in {filled.seconds:g} s, {filled.events:,} distinct valid events")
            for turn in range(options.repeats):
                for each in contenders:
                    run = _run(each, settings, endpoints.kafka, truth, work, options.limit_s)
                    runs[each.name].append(run)
                    say(f"{turn + 1}/{options.repeats} {each.name}: {_in_words(run.outcome, filled)}")
    truth.unlink(missing_ok=True)
    contests = [_contest(each, [run.outcome for run in runs[each.name]], filled) for each in contenders]
    seconds = {contest.name: contest.seconds for contest in contests}
    ours = runs.get(OURS.name, [])
    told = ours[0].outcome.told if ours else {}
    return BacklogResult(
        topic=filled,
        contests=(*contests, *missing),
        times_plain=_ratio(seconds.get(PLAIN.name), seconds.get(OURS.name)),
        share_of_limit=_ratio(seconds.get(LIMIT.name), seconds.get(OURS.name)),
        proof=_proof(ours) if ours else None,
        rows=told.get("rows", {}),
        stage_seconds=told.get("stage_seconds", {}),
    )


def _contenders(
    only: tuple[str, ...], environments: Path, say: Callable[[str], None]
) -> tuple[list[Contender], list[Contest]]:
    """Those who can run, and an account of each peer that cannot."""
    names = [each.name for each in (OURS, PLAIN, LIMIT, *PEERS)]
    if unknown := set(only) - set(names):
        raise LakehouseError(f"there is no contender {sorted(unknown)[0]!r}; there are {', '.join(names)}")
    contenders = [each for each in (OURS, PLAIN, LIMIT) if each.name in (only or names)]
    missing: list[Contest] = []
    for peer in PEERS:
        if peer.name not in (only or names):
            continue
        try:
            contenders.append(install(peer, environments))
        except LakehouseError as error:
            say(f"{peer.name}: {error}")
            missing.append(Contest(peer.name, peer.what, None, None, 0.0, 0.0, None, str(error)))
    return contenders, missing


def _run(each: Contender, settings: Settings, kafka: str, truth: Path, work: Path, limit_s: float) -> _Run:
    """One run with a home and a Postgres of its own."""
    with fresh_home(work, f"backlog-{each.name.replace(' ', '-')}") as home:
        own = settings.model_copy(update={"home": home.root, "kafka_bootstrap": kafka, "postgres_port": 0})
        with services(own, {"kafka", "postgres"}) as endpoints:
            environment = {
                **child_environment(own),
                "KAFKA": kafka,
                "TOPIC": settings.topic,
                "POSTGRES_DSN": endpoints.postgres_owner,
            }
            outcome = contender.run(each, environment, home.logs, limit_s)
        gold = _gold(home, truth) if each is OURS and outcome.error is None else None
    return _Run(outcome, gold)


def _gold(home: Home, truth: Path) -> tuple[int, int, int]:
    """Rows of gold, rows that an independent count has, and how many of them are wrong."""
    expected = funnel_of(truth)
    found = pl.read_delta(str(home.table(FunnelSummary.name))).select(expected.columns)
    found = found.with_columns(pl.col("window_start").dt.cast_time_unit("us").dt.convert_time_zone("UTC"))
    return found.height, expected.height, wrong_rows(found, expected)


def _contest(each: Contender, outcomes: list[Outcome], filled: Filled) -> Contest:
    seconds = [outcome.seconds for outcome in outcomes if outcome.seconds is not None]
    counted = [outcome.told["counted"] for outcome in outcomes if "counted" in outcome.told]
    return Contest(
        name=each.name,
        what=each.what,
        seconds=repeated(seconds) if seconds else None,
        events_per_second=repeated([filled.messages / s for s in seconds]) if seconds else None,
        peak_memory_mib=max((outcome.peak_memory_mib for outcome in outcomes), default=0.0),
        others_cores=max((outcome.others_cores for outcome in outcomes), default=0.0),
        counted=counted[0] if counted else None,
        error=next((outcome.error for outcome in outcomes if outcome.error), None),
    )


def _proof(runs: list[_Run]) -> Proof:
    audits: list[Mapping[str, Any]] = [run.outcome.told["audit"] for run in runs if "audit" in run.outcome.told]
    golds = [run.gold for run in runs if run.gold is not None]
    worst = max(golds, key=lambda gold: gold[2], default=(0, 0, 0))
    agreeing = sum(bool(audit["agrees"]) for audit in audits)
    return Proof(
        runs=len(runs),
        audits=len(audits),
        audits_that_agree=agreeing,
        balances=max((audit["balances"] for audit in audits), default=0),
        wrong_balances=tuple(sorted({name for audit in audits for name in audit["wrong"]})),
        gold_rows=worst[0],
        gold_rows_expected=worst[1],
        gold_rows_wrong=worst[2],
        is_right=len(runs) == agreeing == len(golds) and worst[2] == 0,
    )


def _ratio(over: Repeated | None, under: Repeated | None) -> float | None:
    return None if over is None or under is None else round(over.median / under.median, 3)


def _in_words(outcome: Outcome, filled: Filled) -> str:
    if outcome.seconds is None:
        return f"failed: {outcome.error}"
    return f"{outcome.seconds:.1f} s, {filled.messages / outcome.seconds:,.0f} events/s"
