"""The writer dies at each named point, is started again, and has lost nothing and taken nothing twice.

One home for all points, one after the other, with Kafka and Postgres kept running: the writer that has recovered from
one point is the one that dies at the next.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import polars as pl
import psycopg2
import pytest
from polars.testing import assert_frame_equal

from lakehouse.embedded.environment import child_environment
from lakehouse.embedded.waiting import until
from lakehouse.endpoints import Endpoints
from lakehouse.errors import LakehouseError
from lakehouse.faultpoints import POINTS
from lakehouse.home import Home
from lakehouse.jobs import call
from lakehouse.settings import Settings
from serving.migrate import migrate
from tests.faults.check import COUNTED
from tests.faults.flow import Flow
from tests.faults.messages import Kind, Messages, events
from tests.faults.writer_process import WriterProcess
from tests.pipeline.judge import churn_features, cohorts, session_funnel, summarise, user_days
from tests.pipeline.shop_stack import Shop

pytestmark = pytest.mark.long

SEED = 20260201
LIMIT_S = 120.0

ELSEWHERE = {"in-migration", "between-rebuild-commits", "before-quality-record", "after-quality-record"}
"""Points that no writer reaches by itself: they have tests of their own."""


class Bench:
    """A home whose writer is killed again and again."""

    def __init__(self, settings: Settings, endpoints: Endpoints, flow: Flow) -> None:
        self.settings = settings
        self.endpoints = endpoints
        self.home = Home(settings.home)
        self.shop = Shop(settings.home)
        self.flow = flow
        self._messages = Messages(SEED)
        self._next = self._spare()
        self.start()

    def start(self, fault_point: str = "") -> None:
        """Starts a writer with a point armed; returns before it is open."""
        self.writer, self._next = self._next, self._spare()
        self.writer.open(fault_point)

    def _spare(self) -> WriterProcess:
        return WriterProcess(self.settings, self.home.logs / "writer.log")

    def produce(self) -> None:
        """A batch with late events, copies and refused ones, all of it in Kafka on return."""
        self.flow.add(self._messages.batch(Kind.SHUFFLED, 200))
        self.flow.settle(LIMIT_S)

    def revive(self) -> None:
        """Has a running writer, started anew where it has ended."""
        if self.writer.exit_code is not None:
            self.start()

        def answers() -> bool:
            assert self.writer.exit_code is None, self.log
            try:
                return bool(call(self.home, "ping", timeout_s=2) == "pong")
            except LakehouseError:
                return False

        assert until(answers, LIMIT_S, tick_s=0.2), self.log

    def stop(self) -> None:
        if self.writer.exit_code is None:
            self.writer.ask_to_stop()
            self.writer.wait(LIMIT_S)

    def close(self) -> None:
        self.stop()
        self._next.ask_to_stop()
        self._next.wait(LIMIT_S)

    @property
    def log(self) -> str:
        return self.writer.log.read_text()[-6_000:]

    def assert_nothing_lost_nothing_twice(self) -> None:
        call(self.home, "drain", {"timeout_s": LIMIT_S}, timeout_s=LIMIT_S + 10)
        produced = events(self.flow.produced)
        expected = summarise(produced, COUNTED)
        assert_frame_equal(self.shop.gold(), expected)
        assert_frame_equal(self.shop.mirror(), expected)
        assert_frame_equal(self.shop.user_days(), user_days(produced, COUNTED))
        funnel = session_funnel(produced, COUNTED)
        assert_frame_equal(self.shop.session_funnel(), funnel)
        assert_frame_equal(self.shop.session_funnel_mirror(), funnel)
        features = self.shop.churn_features()
        assert features["user_id"].to_list() == sorted(set(produced["user_id"]))
        told = churn_features(produced, COUNTED, features.select("user_id", "as_of"))
        assert_frame_equal(features.select(told.columns), told)
        assert_frame_equal(self.shop.cohorts(), cohorts(produced))
        tags = self.shop.query("SELECT product_id AS tag FROM raw_events").get_column("tag").sort()
        assert tags.equals(produced.get_column("tag"))
        self._assert_each_message_in_one_table()

    def _assert_each_message_in_one_table(self) -> None:
        """Quicker than the audit, which is asked once at the end."""
        place = ("partition", "offset")
        bronze = self.shop.delta("bronze.user_events").select(place).sort(place)
        outcomes = ("silver.events", "silver.duplicates", "silver.quarantine")
        silver = pl.concat([self.shop.delta(table).select(place) for table in outcomes]).sort(place)
        sent = pl.DataFrame([at[:2] for at in self.flow.delivered], schema=bronze.schema, orient="row").sort(place)
        assert_frame_equal(bronze, sent)
        assert_frame_equal(silver, sent)


@pytest.fixture(scope="module")
def bench(endpoints: Endpoints, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    settings = Settings(
        home=tmp_path_factory.mktemp("killed") / "home",
        kafka_bootstrap=endpoints.kafka,
        topic="kill_points",
        allowed_lateness_minutes=0,
        cohorts_interval_s=0,  # so that a batch reaches them
        time_travel_hours=10 / 3600,  # so that there is something to vacuum
        compact_files=2,
        max_events_per_batch=150,  # so that there is a backlog: a batch is read while the one before it is taken
    )
    own = with_database(endpoints, "kill_points")
    own.save(Home(settings.home).make())
    migrate(own)
    with ExitStack() as held:
        bench = Bench(settings, own, held.enter_context(Flow(endpoints.kafka, settings.topic)))
        held.callback(bench.close)
        bench.revive()
        bench.produce()
        bench.assert_nothing_lost_nothing_twice()
        yield bench


def with_database(endpoints: Endpoints, name: str) -> Endpoints:
    """The same servers with a new, empty database."""
    with closing(psycopg2.connect(endpoints.postgres_owner)) as owner:
        owner.autocommit = True
        owner.cursor().execute(f"CREATE DATABASE {name}")
    roles = ("postgres_owner", "postgres_writer", "postgres_reader")
    return replace(
        endpoints, **{role: urlunsplit(urlsplit(getattr(endpoints, role))._replace(path=name)) for role in roles}
    )


def die_in_a_batch(bench: Bench, point: str) -> None:
    bench.writer.arm(point)
    bench.produce()


def die_at_a_new_generation(bench: Bench, point: str) -> None:
    bench.stop()
    shutil.rmtree(bench.home.checkpoints / "bronze")
    bench.produce()
    bench.start(point)


def die_while_stopping(bench: Bench, point: str) -> None:
    checkpoint = max((bench.home.checkpoints / "bronze").glob("gen-*"), key=lambda path: path.stat().st_mtime)

    def in_a_batch() -> bool:
        planned, done = ({path.name for path in (checkpoint / log).iterdir()} for log in ("offsets", "commits"))
        return bool(planned - done)

    bench.writer.arm(point)
    bench.produce()
    assert until(in_a_batch, LIMIT_S, tick_s=0.005), bench.log
    bench.writer.ask_to_stop()


def die_in_upkeep(bench: Bench, point: str) -> None:
    for _ in range(3):  # each leaves a small file more in a partition, and gold's the older ones it has replaced
        bench.produce()
        call(bench.home, "drain", {"timeout_s": LIMIT_S}, timeout_s=LIMIT_S)
    bench.writer.arm(point)
    with pytest.raises(LakehouseError, match="the writer"):
        call(bench.home, "maintain", {}, timeout_s=LIMIT_S)


WAYS: dict[str, Callable[[Bench, str], None]] = {
    "between-generation-steps": die_at_a_new_generation,
    "at-stop": die_while_stopping,
    "in-compaction": die_in_upkeep,
    "between-compaction-and-vacuum": die_in_upkeep,
    "in-vacuum": die_in_upkeep,
}


@pytest.mark.parametrize("point", [point for point in POINTS if point not in ELSEWHERE])
def test_a_writer_that_dies_there_goes_on_where_it_was(bench: Bench, point: str) -> None:
    bench.revive()

    WAYS.get(point, die_in_a_batch)(bench, point)

    assert bench.writer.wait(LIMIT_S) == -signal.SIGKILL, bench.log
    bench.revive()
    bench.assert_nothing_lost_nothing_twice()


def test_the_books_of_all_those_lives_balance(bench: Bench) -> None:
    bench.revive()

    books = call(bench.home, "audit", {"full": True}, timeout_s=LIMIT_S)

    assert books["agrees"], books


def test_a_migration_that_dies_is_made_whole_by_the_next(endpoints: Endpoints, tmp_path: Path) -> None:
    own = with_database(endpoints, "kill_points_migration")
    own.save(Home(tmp_path).make())
    dying = Settings(home=tmp_path, fault_point="in-migration")
    command, here = [sys.executable, "-m", "serving.migrate"], dict(os.environ)

    died = subprocess.run(command, env=here | child_environment(dying), capture_output=True, text=True, check=False)

    assert died.returncode == -signal.SIGKILL, died.stderr
    assert tables(own) == set()
    migrate(own)
    assert {"raw_events", "funnel_summary", "mirror_ledger"} <= tables(own)


def tables(endpoints: Endpoints) -> set[str]:
    with closing(psycopg2.connect(endpoints.postgres_owner)) as owner, owner.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        return {name for (name,) in cursor.fetchall()}
