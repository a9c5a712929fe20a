"""The validator beside the stream: every row is judged once, whenever it dies, and whatever else is wrong."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import polars as pl
import pytest

from lakehouse.contracts import PIPELINE, BronzeEvents, QualityResults, SilverEvents
from lakehouse.embedded.environment import child_environment
from lakehouse.embedded.waiting import until
from lakehouse.endpoints import Endpoints
from lakehouse.errors import LakehouseError
from lakehouse.gatekeeper import Gatekeeper
from lakehouse.home import Home
from lakehouse.jobs import JobServer
from lakehouse.settings import Settings
from lakehouse.stages import utc_now
from lakehouse.writer import Writer
from quality.record import record_quality
from quality.rows import TableReader
from quality.validator import ATTEMPTS, Validator
from quality.verdicts import Run, Severity, Verdict, followed, run_to_json
from tests.quality.lake import Lake, message

LIMIT_S = 180.0
BEGAN = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Records:
    """The writer's side: one that keeps verdicts, and does nothing else."""

    def __init__(self, lake: Lake) -> None:
        self.gatekeeper = Gatekeeper(lake.store)
        self.gatekeeper.open()
        runner = SimpleNamespace(turn=threading.Lock())
        self._writer = cast(Writer, SimpleNamespace(runner=runner, gatekeeper=self.gatekeeper))

    def job(self, name: str, arguments: Mapping[str, Any], progress: Callable[[str], None]) -> Any:
        assert name == "record_quality"
        return record_quality(self._writer, arguments, progress)

    def __call__(self, runs: Sequence[Run]) -> None:
        self.job("record_quality", {"runs": [run_to_json(run) for run in runs]}, lambda _: None)


class Counts:
    """Counts the rows that a range brought, and cannot judge tables that it is told to fail on."""

    def __init__(self, lake: Lake) -> None:
        self.home = lake.home
        self.fails_on: set[str] = set()
        self.silent: set[str] = set()

    def new(self, table_name: str, first: int, last: int, now: datetime | None = None) -> Run:  # noqa: ARG002
        if table_name in self.fails_on:
            raise LakehouseError(f"version {first} is not kept any more")
        table = next(table for table in PIPELINE if table.name == table_name)
        rows = TableReader(self.home, table).new_rows(first, last, table.key).num_rows
        return self.run(followed(table_name, first, last), table_name, "new", first, last, rows)

    def at_rest(self, table_name: str, version: int, now: datetime) -> Run:
        run_id = f"{table_name}/{now.isoformat()}"
        return self.run(run_id, table_name, "full", version, version, 0, ok=table_name not in self.silent)

    def mirror(self, table_name: str, endpoints: Endpoints) -> Run:
        raise NotImplementedError

    @staticmethod
    def run(run_id: str, table: str, mode: Any, first: int, last: int, rows: int, *, ok: bool = True) -> Run:
        verdict = Verdict("messages_come", "type", None, Severity.alarm, "Why.", ok)
        return Run(run_id, table, mode, first, last, rows, utc_now(), 0.1, [verdict])


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(Home(tmp_path).make(), Settings(home=tmp_path))


def views(lake: Lake, minutes: range) -> None:
    for minute in minutes:
        lake.bring(message("view", BEGAN + timedelta(minutes=minute), user=f"u{minute}"))


def ranges(lake: Lake, table: str) -> list[tuple[int, int, int]]:
    """First and last version and rows of each run that follows a table, in order."""
    rows = lake.store.scan(QualityResults).filter(pl.col("table_name") == table, pl.col("mode") == "new")
    found = rows.select("first_version", "last_version", "num_rows").unique().sort("first_version")
    return found.collect().rows()


def validator(lake: Lake, told: list[str] | None = None) -> tuple[Validator, Counts, Records]:
    inspector, records = Counts(lake), Records(lake)
    made = Validator(lake.store, inspector, records, (told if told is not None else []).append)
    made.open()
    return made, inspector, records


def test_new_rows_are_judged_in_capped_ranges_and_nothing_without_them(lake: Lake) -> None:
    lake.store = type(lake.store)(lake.home, lake.settings.model_copy(update={"quality_max_rows": 2}), lake.store.spark)
    views(lake, range(5))
    looks, _, _ = validator(lake)

    more = [looks.look([SilverEvents]) for _ in range(4)]

    assert more == [True, True, False, False]
    assert ranges(lake, "silver.events") == [(0, 2, 2), (3, 4, 2), (5, 5, 1)]


def test_a_table_that_cannot_be_judged_is_said_once_passed_over_and_keeps_no_other_waiting(lake: Lake) -> None:
    views(lake, range(2))
    told: list[str] = []
    looks, inspector, _ = validator(lake, told)
    inspector.fails_on = {"silver.events"}

    for _ in range(ATTEMPTS):
        looks.look([SilverEvents, BronzeEvents])

    assert ranges(lake, "bronze.user_events") == [(0, 2, 2)]
    assert ranges(lake, "silver.events") == [(0, 2, 0)]
    why = "version 0 is not kept any more"
    assert told == [
        f"silver.events: could not be judged: {why}",
        f"silver.events: versions 0 to 2 are passed over: {why}",
    ]
    inspector.fails_on = set()
    views(lake, range(2, 3))
    looks.look([SilverEvents])
    assert ranges(lake, "silver.events") == [(0, 2, 0), (3, 3, 1)]


def test_versions_that_are_gone_are_jumped_over_with_a_run_that_says_so(lake: Lake) -> None:
    views(lake, range(4))
    for version in range(3):
        (Path(lake.store.path(SilverEvents)) / "_delta_log" / f"{version:020}.json").unlink()
    told: list[str] = []
    looks, _, records = validator(lake, told)

    assert looks.look([SilverEvents])
    assert not looks.look([SilverEvents])

    assert ranges(lake, "silver.events") == [(0, 2, 0), (3, 4, 2)]
    assert told == ["silver.events: versions 0 to 2 are passed over: they were removed before they were judged"]
    assert records.gatekeeper.standing.validated == {"silver.events": 4}


def test_a_table_that_gets_nothing_is_told_of_once_until_something_comes(lake: Lake) -> None:
    views(lake, range(1))
    looks, inspector, records = validator(lake)
    looks.look([BronzeEvents])
    now = utc_now()

    def later(minutes: int) -> int:
        looks.clock = lambda: now + timedelta(minutes=minutes)
        looks.look_at_rest()
        return lake.store.version(QualityResults)

    assert later(0) == later(2) == 1
    inspector.silent = {"bronze.user_events"}
    assert later(3) == later(4) == 2
    assert [str(each) for each in records.gatekeeper.standing.alarms()] == [
        "bronze.user_events, version 1: messages_come is not met: Why"
    ]

    views(lake, range(1, 2))
    looks.look([BronzeEvents])
    assert records.gatekeeper.standing.alarms() == []


@pytest.fixture
def served(lake: Lake) -> Iterator[Lake]:
    """A lake whose writer answers, as in a stack; one window of a shop is in it."""
    views(lake, range(6))
    Endpoints("", "", "", "", "", "", "http://127.0.0.1:0").save(lake.home)
    with JobServer(lake.home, Records(lake).job):
        yield lake


class Process:
    """`python -m quality.validator`, judging as fast as it can."""

    def __init__(self, lake: Lake, fault_point: str | None = None) -> None:
        settings = Settings(home=lake.home.root, quality_interval_s=0.2, quality_port=0, fault_point=fault_point)
        self.log = lake.home.logs / "validator.log"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "quality.validator"],
                env={**os.environ, **child_environment(settings)},
                stdout=log,
                stderr=log,
            )

    def ended(self) -> int:
        try:
            return self.process.wait(LIMIT_S)
        finally:
            self.process.kill()


@pytest.mark.slow
def test_killed_before_and_after_recording_it_judges_every_row_once(served: Lake) -> None:
    assert Process(served, "before-quality-record").ended() == -signal.SIGKILL
    assert served.store.rows(QualityResults) == 0

    assert Process(served, "after-quality-record").ended() == -signal.SIGKILL
    recorded = served.store.rows(QualityResults)
    assert recorded > 0

    running = Process(served)
    views(served, range(6, 9))

    def judged() -> bool:
        heads = {table.name: served.store.version(table) for table in (BronzeEvents, SilverEvents)}
        return all(found and found[-1][1] == heads[name] for name in heads if (found := ranges(served, name)) or True)

    assert until(judged, LIMIT_S), running.log.read_text()[-3_000:]
    running.process.terminate()
    assert running.ended() == 0, running.log.read_text()[-3_000:]
    for table in (BronzeEvents, SilverEvents):
        runs = ranges(served, table.name)
        assert [first for first, _, _ in runs] == [0, *(last + 1 for _, last, _ in runs[:-1])]
        assert sum(rows for _, _, rows in runs) == 9
        assert served.store.scan(QualityResults).select(QualityResults.key).collect().is_duplicated().any() is False
