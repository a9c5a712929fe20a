"""Each fault that has a name: what goes on, what waits, what a person is told, and that all of it arrives once."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from lakehouse.embedded.waiting import until
from tests.faults.check import COUNTED, check
from tests.faults.disk import MB, why_not_mountable
from tests.faults.faults import drain, make_topic_anew
from tests.faults.messages import Kind, Message, Truth, events
from tests.faults.plan import Step
from tests.faults.world import World, opened
from tests.pipeline.judge import summarise

pytestmark = pytest.mark.long

LIMIT_S = 90.0
SEED = 20260202
MIRRORS = ("raw_events", "funnel_windows", "funnel_summary", "churn_prediction")
AWAY_S = 120.0
LEAST_FREE_MB = 100

Status = dict[str, Any]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    settings = {
        "LAKEHOUSE_STAGE_ATTEMPTS": "4",
        "LAKEHOUSE_QUARANTINE_CEILING": "0.3",
        "LAKEHOUSE_QUARANTINE_WINDOW_EVENTS": "200",
        "LAKEHOUSE_MIN_FREE_DISK_MB": str(LEAST_FREE_MB),
    }
    with opened(tmp_path_factory.mktemp("named"), SEED, settings) as world:
        produce(world)
        check(world)
        yield world


def produce(world: World, kind: Kind = Kind.SHUFFLED, count: int = 200) -> None:
    world.flow.add(world.messages.batch(kind, count))


def told(world: World, condition: Callable[[Status], object]) -> Status:
    """What `status --json` says as soon as ``condition`` holds of it."""
    last: Status = {}

    def holds() -> bool:
        last.clear()
        last.update(world.status() or {})
        return bool(last.get("writer") and condition(last))

    assert until(holds, LIMIT_S, tick_s=0.3), json.dumps(last, indent=1)
    return last


def stream(status: Status, name: str) -> dict[str, Any]:
    found: dict[str, Any] = status["writer"]["streams"][name]
    return found


def waits(*names: str) -> Callable[[Status], bool]:
    return lambda status: all(stream(status, name)["state"] == "waiting" for name in names)


def gold_is_what_was_produced(world: World) -> bool:
    return world.shop.gold().equals(summarise(events(world.flow.produced), COUNTED))


def silver_has_all_of_bronze(status: Status) -> bool:
    rows = status["writer"]["tables"]
    outcomes = (rows[f"silver.{name}"] for name in ("events", "duplicates", "quarantine"))
    return bool(rows["bronze.user_events"] == sum(outcomes))


@contextmanager
def away(world: World, service: str) -> Iterator[None]:
    """The service is killed, and nobody brings it back for the duration."""
    supervisor, process = world.supervisor(), world.service(service)
    supervisor.send_signal(signal.SIGSTOP)
    try:
        process.kill()
        yield
    finally:
        supervisor.send_signal(signal.SIGCONT)


def test_postgres_away_holds_up_its_mirrors_only(world: World) -> None:
    began = datetime.now(UTC)
    with away(world, "postgres"):
        produce(world)
        assert until(lambda: gold_is_what_was_produced(world), LIMIT_S, tick_s=0.3)
        status = told(world, waits(*MIRRORS))
        in_words = world.shop.run("status").stdout
        refused = world.shop.run("drain", "--timeout", "3", code=1).stderr
        asked = world.shop.run(
            "sql", "SELECT sum(num_events) AS events FROM gold.funnel_summary", "--format", "csv"
        ).stdout

    for name in MIRRORS:
        assert stream(status, name)["error"].startswith("Postgres at 127.0.0.1:")
        assert "does not answer" in stream(status, name)["error"]
        assert datetime.fromisoformat(stream(status, name)["since"]) > began
    assert {stream(status, name)["error"] for name in ("bronze", "silver", "gold")} == {None}
    assert status["writer"]["state"] == "waiting"
    assert "raw_events waiting since" in in_words
    assert refused.splitlines()[-1].startswith("lakehouse: drain: not done after 3 s; ")
    assert "raw_events: Postgres at 127.0.0.1:" in refused
    assert asked.split() == ["events", str(len(events(world.flow.produced)))]
    check(world)


def test_a_broker_away_holds_up_bronze_only(world: World) -> None:
    produce(world)
    world.flow.settle(LIMIT_S)
    with away(world, "kafka"):
        status = told(world, lambda status: waits("bronze")(status) and silver_has_all_of_bronze(status))
        produce(world)

    assert stream(status, "bronze")["error"].startswith("Kafka at 127.0.0.1:")
    assert stream(status, "bronze")["error"].endswith("events wait there until it does")
    others = ("silver", "gold", *MIRRORS)
    assert {stream(status, name)["error"] for name in others} == {None}
    check(world)


@pytest.mark.parametrize("lasts_s", [0.0, AWAY_S])
def test_the_api_away_while_events_flow_holds_up_the_scores_only(world: World, lasts_s: float) -> None:
    began = datetime.now(UTC)
    with away(world, "api"):
        produce(world)
        status = told(world, lambda status: waits("churn_prediction")(status) and silver_has_all_of_bronze(status))
        while datetime.now(UTC) - began < timedelta(seconds=lasts_s):
            produce(world, count=50)
            time.sleep(1.0)  # how long the fault lasts, not a wait for something

    assert stream(status, "churn_prediction")["error"].startswith("the API at http://127.0.0.1:")
    assert "does not answer" in stream(status, "churn_prediction")["error"]
    assert datetime.fromisoformat(stream(status, "churn_prediction")["since"]) > began
    others = (name for name in status["writer"]["streams"] if name != "churn_prediction")
    assert {stream(status, name)["error"] for name in others} == {None}
    told(world, lambda status: answers(f"{status['addresses']['api']}/healthz"))
    check(world)  # every user's score is of the latest features, and the books agree


def test_a_table_that_cannot_be_written_holds_up_its_stage_which_goes_on_by_itself(world: World) -> None:
    with read_only(world.home.tables / "gold" / "funnel_windows"):
        produce(world)
        status = told(world, waits("gold"))

    assert "Read-only file system" in stream(status, "gold")["error"]
    assert {stream(status, name)["error"] for name in ("bronze", "silver", "raw_events")} == {None}
    check(world)


def test_a_stage_that_fails_again_and_again_stops_with_an_alarm_and_a_restart_mends_it(world: World) -> None:
    with read_only(world.home.tables / "gold" / "funnel_windows"):
        produce(world)
        status = told(world, lambda status: stream(status, "gold")["state"] == "stopped")
        refused = world.shop.run("drain", code=1).stderr
        in_words = world.shop.run("status").stdout

    error = stream(status, "gold")["error"]
    assert error.startswith("stopped after 4 attempts: ")
    assert error.endswith("; when that is mended, start the stack again")
    assert status["writer"]["state"] == "alarm"
    assert status["writer"]["alarms"] == [f"gold: {error}"]
    assert "ALARM: gold: stopped after 4 attempts" in in_words
    assert "lakehouse: drain: gold: stopped after 4 attempts" in refused

    world.shop.run("down")
    shutil.rmtree(world.home.checkpoints / "bronze")
    world.up()

    assert "bronze: generation 1 begins after batch" in (world.home.logs / "writer.log").read_text()
    check(world)


def test_a_second_run_on_the_home_is_refused(world: World) -> None:
    said = world.shop.run("up", code=1).stderr

    assert said.startswith(f"lakehouse: a stack (pid {world.supervisor().pid}) runs under {world.home.root} already")


def test_a_topic_made_anew_is_read_as_a_new_source(world: World) -> None:
    make_topic_anew(world, Step("make topic anew"))
    produce(world)

    check(world)

    assert (
        "topic user_events was made anew: it is read from its beginning" in (world.home.logs / "writer.log").read_text()
    )


def test_a_nearly_full_disk_stops_every_table_until_there_is_room(world: World) -> None:
    disk = world.disk
    if disk is None:
        pytest.skip(f"no disk can be mounted here: {world.no_disk}")
    drain(world)
    disk.fill(leave_bytes=LEAST_FREE_MB // 2 * MB)
    try:
        produce(world)
        status = told(world, waits("bronze"))
    finally:
        disk.free()

    said = stream(status, "bronze")["error"]
    assert said.startswith(f"the disk of {world.home.root} has ")
    assert said.endswith(f"LAKEHOUSE_MIN_FREE_DISK_MB={LEAST_FREE_MB}; nothing is written until there is more")
    check(world)


def test_a_disk_that_is_full_tears_no_table_and_needs_no_hand_once_there_is_room(world: World) -> None:
    disk = world.disk
    if disk is None:
        pytest.skip(f"no disk can be mounted here: {world.no_disk}")
    supervisor, broker = world.supervisor().pid, world.service("kafka")
    disk.fill()
    try:
        produce(world)
        assert until(lambda: not broker.is_running(), LIMIT_S)
        status = told(world, lambda status: status["problem"])
    finally:
        disk.free()

    assert status["problem"].startswith(f"the disk of {world.home.root} is full (0 MB left)")
    check(world)
    assert world.supervisor().pid == supervisor


def test_too_many_refusals_raise_an_alarm_until_they_are_over(world: World) -> None:
    produce(world, Kind.MALFORMED, 300)
    status = told(world, lambda status: status["writer"]["state"] == "alarm")
    (alarm,) = status["writer"]["alarms"]
    assert "of the last" in alarm
    assert "events were refused, more than LAKEHOUSE_QUARANTINE_CEILING=0.3" in alarm

    produce(world, Kind.IN_ORDER, 400)

    told(world, lambda status: status["writer"]["state"] == "running")
    check(world)


def test_a_changed_schema_stops_nothing_and_loses_nothing(world: World) -> None:
    """Of three producers one is old, one has new fields and other types, one sends what is no value any more."""
    at = datetime(2025, 6, 1, 12, 0, tzinfo=UTC)
    old = message("schema-1", at, user_id="42", timestamp=round(at.timestamp() * 1000))
    new = message(
        "schema-2",
        at + timedelta(minutes=1),
        event_id="schema-2",
        user_id=42,
        price="19.90",
        quantity="2",
        session_id=7,
        device={"os": "ios", "version": [17, 1]},
        consent=True,
    )
    broken = [
        refused("schema-3", at, product_id={"sku": "schema-3"}),
        refused("schema-4", at, session_id=["a", "b"]),
        refused("schema-5", at, price={"amount": 5}),
    ]

    world.flow.add([old, new, *broken])
    check(world)

    silver = world.shop.delta("silver.events").filter(pl.col("product_id").is_in(["schema-1", "schema-2"]))
    first, second = silver.sort("product_id").to_dicts()
    assert (first["user_id"], second["user_id"]) == ("42", "42")
    assert first["properties"] is None
    assert json.loads(second["properties"]) == {"device": {"os": "ios", "version": [17, 1]}, "consent": True}
    assert (second["price"], second["quantity"], second["session_id"]) == (Decimal("19.9000"), 2, "7")
    quarantine = world.shop.delta("silver.quarantine")
    kept = quarantine.filter(pl.col("value").is_in([message.value for message in broken]))
    assert sorted(kept["reasons"].explode()) == ["wrong_type:price", "wrong_type:product_id", "wrong_type:session_id"]


def message(tag: str, at: datetime, **fields: Any) -> Message:
    body = {"event_type": "view", "timestamp": at.isoformat(), "product_id": tag, "user_id": "42"} | fields
    session = body.get("session_id")
    truth = Truth(tag, str(body["user_id"]), "view", at, None if session is None else str(session))
    return Message(b"42", json.dumps(body).encode(), truth)


def refused(tag: str, at: datetime, **fields: Any) -> Message:
    return Message(b"42", message(tag, at, **fields).value, None)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 (an address of our own)
            return bool(answer.status == 200)
    except OSError:
        return False


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """The folder as on a file system that has gone read-only."""
    reason = why_not_mountable(folder.parents[2] / "probe")
    if reason:
        pytest.skip(f"nothing can be mounted here: {reason}")
    subprocess.run(["mount", "--bind", folder, folder], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", folder], check=True)
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)
