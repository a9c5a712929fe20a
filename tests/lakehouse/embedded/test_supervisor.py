"""Processes that start, die, come back and stop; each a small shell script."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from lakehouse.embedded.process import RestartPolicy, Service
from lakehouse.embedded.supervisor import Event, Interrupted, ServiceFailed, Supervisor
from lakehouse.embedded.waiting import until
from lakehouse.home import Home
from lakehouse.settings import Settings, load_settings

LIMIT_S = 20.0
AT_ONCE = RestartPolicy(limit=2, within_s=60, first_backoff_s=0.0)


class Stage:
    """A supervisor whose events are kept."""

    def __init__(self, settings: Settings, home: Home) -> None:
        self.home = home
        self.events: list[Event] = []
        self.stop_asked = False
        self.supervisor = Supervisor(settings, home, self.events.append, lambda: self.stop_asked)

    def pid(self, name: str) -> int | None:
        return next(status.pid for status in self.supervisor.statuses() if status.name == name)

    def told(self, kind: str) -> list[str]:
        return [event.service for event in self.events if event.kind == kind]

    def step_until(self, condition: Callable[[], bool]) -> None:
        def step() -> bool:
            self.supervisor.step()
            return condition()

        assert until(step, LIMIT_S)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(home=tmp_path / "a home", start_timeout_s=LIMIT_S)


@pytest.fixture
def stage(settings: Settings) -> Iterator[Stage]:
    made = Stage(settings, Home(settings.home).make())
    yield made
    made.supervisor.stop()


def shell(
    name: str,
    script: str,
    *,
    healthy: Callable[[], bool] = lambda: True,
    after: tuple[str, ...] = (),
    task: bool = False,
    background: bool = False,
    restart: RestartPolicy = AT_ONCE,
    stop_timeout_s: float = 10.0,
) -> Service:
    return Service(
        name,
        ("/bin/sh", "-c", script),
        healthy=healthy,
        after=after,
        task=task,
        background=background,
        restart=restart,
        stop_timeout_s=stop_timeout_s,
    )


FOREVER = "while :; do sleep 0.1; done"


def test_services_start_in_the_order_of_their_needs_and_stop_in_reverse(stage: Stage, tmp_path: Path) -> None:
    made = tmp_path / "made"
    database = shell("database", f"touch '{made}'; {FOREVER}", healthy=made.exists)
    migrate = shell("migrate", f"test -e '{made}'", after=("database",), task=True)
    api = shell("api", FOREVER, after=("migrate",))

    stage.supervisor.start([api, migrate, database])
    stage.supervisor.stop()

    assert [(event.service, event.kind) for event in stage.events] == [
        ("database", "up"),
        ("migrate", "done"),
        ("api", "up"),
        ("api", "stopped"),
        ("database", "stopped"),
    ]


def test_one_that_waits_for_another_itself_starts_beside_it_and_ends_before_it(stage: Stage, tmp_path: Path) -> None:
    go = tmp_path / "go"
    broker = shell("broker", FOREVER, healthy=go.exists)
    writer = replace(shell("writer", f"touch '{go}'; {FOREVER}"), uses=("broker",))

    stage.supervisor.start([broker, writer])
    stage.supervisor.stop()

    assert stage.told("stopped") == ["writer", "broker"]


def test_one_beside_the_stream_stands_back(stage: Stage, tmp_path: Path) -> None:
    made = tmp_path / "made"
    validator = shell("validator", f"touch '{made}'; {FOREVER}", healthy=made.exists)

    stage.supervisor.start([replace(validator, niceness=5)])

    assert psutil.Process(stage.pid("validator")).nice() == min(psutil.Process().nice() + 5, 19)


def test_nobody_waits_for_a_task_in_the_background_and_its_failure_stops_nothing(stage: Stage, tmp_path: Path) -> None:
    go = tmp_path / "go"
    waits = f"until test -e '{go}'; do sleep 0.05; done"
    good = shell("good", waits, task=True, background=True)
    bad = shell("bad", f"{waits}; echo no such model; exit 3", task=True, background=True)

    stage.supervisor.start([good, bad, shell("api", FOREVER)])
    assert [event.service for event in stage.events] == ["api"]
    go.touch()
    stage.step_until(lambda: len(stage.events) == 3)

    (failure,) = (event for event in stage.events if event.kind == "failed")
    assert (failure.service, stage.told("done")) == ("bad", ["good"])
    assert "ended with exit status 3" in failure.text
    assert "no such model" in failure.text
    assert [status.name for status in stage.supervisor.statuses()] == ["api"]


def test_a_death_at_the_start_is_named_with_the_tail_of_its_log(stage: Stage) -> None:
    broken = shell("broken", "echo no such topic; exit 3", healthy=lambda: False)

    with pytest.raises(
        ServiceFailed, match=r"broken ended with exit status 3; its log is .*broken\.log(?s:.*)no such topic"
    ):
        stage.supervisor.start([broken])


def test_the_tail_is_of_this_run_only(stage: Stage) -> None:
    stage.home.logs.joinpath("quiet.log").write_text("what an earlier run said\n")

    with pytest.raises(ServiceFailed, match=r"quiet\.log \(nothing in it\)"):
        stage.supervisor.start([shell("quiet", "exit 1", healthy=lambda: False)])


def test_one_that_never_gets_healthy_is_given_up_on(tmp_path: Path) -> None:
    settings = load_settings(home=tmp_path, start_timeout_s=0.3)
    stage = Stage(settings, Home(tmp_path).make())

    with pytest.raises(ServiceFailed, match=r"deaf was not healthy after 0\.3 s"):
        stage.supervisor.start([shell("deaf", FOREVER, healthy=lambda: False)])
    stage.supervisor.stop()

    assert stage.told("stopped") == ["deaf"]


def test_a_start_can_be_interrupted(stage: Stage) -> None:
    stage.stop_asked = True
    with pytest.raises(Interrupted):
        stage.supervisor.start([shell("slow", FOREVER, healthy=lambda: False)])


def test_one_that_is_killed_is_reported_and_brought_back(stage: Stage) -> None:
    stage.supervisor.start([shell("writer", f"echo batch 7; {FOREVER}")])
    first = stage.pid("writer")
    assert first is not None
    os.kill(first, signal.SIGKILL)

    stage.step_until(lambda: stage.told("up") == ["writer", "writer"])

    death = next(event for event in stage.events if event.kind == "died")
    assert death.text.startswith("ended with signal SIGKILL")
    assert "batch 7" in death.text
    assert stage.pid("writer") != first
    assert [status.restarts for status in stage.supervisor.statuses()] == [1]


def test_one_that_keeps_dying_stops_the_stack(stage: Stage) -> None:
    stage.supervisor.start([shell("sick", "sleep 0.3; echo out of memory; exit 1")])

    with pytest.raises(ServiceFailed, match=r"(?s)sick ended.*out of memory.*death no\. 3 within 60 s"):
        stage.step_until(lambda: False)


def test_backoff_doubles_up_to_a_maximum() -> None:
    policy = RestartPolicy(first_backoff_s=1.0, max_backoff_s=5.0)

    assert [policy.backoff_s(deaths) for deaths in (1, 2, 3, 4, 5)] == [1, 2, 4, 5, 5]


def test_one_that_will_not_stop_is_killed_with_all_that_it_started(stage: Stage, tmp_path: Path) -> None:
    noted = tmp_path / "grandchild"
    stubborn = shell(
        "stubborn",
        f"trap '' TERM; (trap '' TERM; {FOREVER}) & echo $! > '{noted}.part'; mv '{noted}.part' '{noted}'; {FOREVER}",
        healthy=noted.exists,
        stop_timeout_s=0.3,
    )
    stage.supervisor.start([stubborn])
    grandchild = int(noted.read_text())

    stage.supervisor.stop()

    assert stage.told("killed") == ["stubborn"]
    assert until(lambda: gone(grandchild), LIMIT_S)


def test_a_log_beyond_its_size_is_rotated_at_the_start(stage: Stage, settings: Settings) -> None:
    log = stage.home.logs / "chatty.log"
    log.write_bytes(b"x" * (settings.log_max_mb * 1024 * 1024 + 1))

    stage.supervisor.start([shell("chatty", f"echo hello; {FOREVER}")])

    assert until(lambda: log.read_text() == "hello\n", LIMIT_S)
    assert log.with_name("chatty.log.1").stat().st_size > settings.log_max_mb * 1024 * 1024


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
