"""Rounds: who has a turn, and when one that failed has another."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from lakehouse.errors import EngineLost, LakehouseError, Unavailable
from lakehouse.runner import Runner, Turn, one_line
from lakehouse.stages import Lane, Stage

DEADLINE_S = 10.0


@dataclass
class Clock:
    now: float = 1_000.0

    def __call__(self) -> float:
        return self.now


class Scripted(Stage):
    """A stage with ``batches`` to take; each run answers with the next of ``answers``, raised if an error."""

    def __init__(self, name: str, batches: int = 0, answers: Sequence[BaseException | None] = ()) -> None:
        super().__init__(cast(Any, None))
        self.name = name
        self.batches = batches
        self.runs = self.hastened = 0
        self._answers = list(answers)

    def open(self) -> None: ...

    def has_work(self) -> bool:
        return self.batches > 0

    def hasten(self) -> None:
        self.hastened += 1

    def run(self) -> None:
        self.runs += 1
        answer = self._answers.pop(0) if self._answers else None
        if answer is not None:
            raise answer
        self.batches -= 1


@dataclass
class Rounds:
    """A runner of ``stages`` with a clock that only the test moves."""

    stages: list[Stage]
    clock: Clock = field(default_factory=Clock)
    told: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.runner = Runner(self.stages, 0.0, lambda: None, self.told.append, clock=self.clock)


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_a_turn_is_handed_on_in_the_order_in_which_it_was_asked_for() -> None:
    turn = Turn()
    served: list[int] = []

    def ask(number: int) -> None:
        with turn:
            served.append(number)

    threads = []
    with turn:
        for number in range(20):
            threads.append(threading.Thread(target=ask, args=(number,)))
            threads[-1].start()
            until(lambda asked=number + 2: turn._next_ticket == asked)  # type: ignore[misc]
        assert served == []
    for thread in threads:
        thread.join(DEADLINE_S)

    assert served == list(range(20))


def test_a_turn_is_handed_on_after_an_error() -> None:
    turn = Turn()
    with pytest.raises(ValueError, match="a job"), turn:
        raise ValueError("a job")

    with turn:
        pass


class Hanging(Scripted):
    """A stage whose runs do not return before `answered` is set, as while a server is silent."""

    def __init__(self, name: str, lane: Lane) -> None:
        super().__init__(name, 1)
        self.lane = lane
        self.answered = threading.Event()

    def run(self) -> None:
        super().run()
        self.answered.wait(DEADLINE_S)


def test_a_stage_that_hangs_holds_up_its_own_lane_only() -> None:
    scores, mirror, bronze = Hanging("scores", Lane.scores), Hanging("mirror", Lane.mirrors), Scripted("bronze", 3)
    runner = Runner([bronze, mirror, scores], 0.0, lambda: None, lambda _: None)
    loop = threading.Thread(target=runner.loop)
    loop.start()
    try:
        until(lambda: bool(scores.runs and mirror.runs and bronze.runs == 3))
        mirror.answered.set()
        until(lambda: mirror.state.state == "idle")
        assert scores.state.state == "running"
    finally:
        runner.stopping.set()
        scores.answered.set()
        loop.join(DEADLINE_S)
    assert not loop.is_alive()


def test_a_job_has_its_turn_between_two_rounds_of_a_busy_loop() -> None:
    stage = Scripted("bronze", batches=10**9)
    runner = Runner([stage], 0.0, lambda: None, lambda _: None)
    loop = threading.Thread(target=runner.loop)
    loop.start()
    try:
        with runner.turn:
            runs = stage.runs
            time.sleep(0.02)
            assert stage.runs == runs
        until(lambda: stage.runs > runs)
    finally:
        runner.stopping.set()
        loop.join(DEADLINE_S)
    assert not loop.is_alive()


def test_stages_with_work_run_in_their_order_and_idle_ones_do_not() -> None:
    ran: list[str] = []

    class Noting(Scripted):
        def run(self) -> None:
            ran.append(self.name)
            super().run()

    rounds = Rounds([Noting("bronze", 1), Noting("silver"), Noting("gold", 2)])

    assert rounds.runner.round() is True
    assert ran == ["bronze", "gold"]
    assert rounds.runner.round() is True
    assert rounds.runner.round() is False
    assert ran == ["bronze", "gold", "gold"]


def test_a_stage_with_an_interval_takes_more_at_once_and_is_waited_for() -> None:
    rare = Scripted("user_days", 3)
    rare.interval_s = 5.0
    rounds = Rounds([rare])
    ran_at = []

    while not rounds.runner.caught_up:
        if rounds.runner.round():
            ran_at.append(rounds.clock.now - 1_000)
        rounds.clock.now += 1.5

    assert ran_at == [0, 6, 12]


def test_stages_of_one_interval_stay_in_one_round_however_long_they_take() -> None:
    rounds = Rounds([])

    class Slow(Scripted):
        def run(self) -> None:
            super().run()
            rounds.clock.now += 0.2

    first, second = Slow("user_days", 3), Slow("churn_features", 3)
    first.interval_s = second.interval_s = 5.0
    rounds.runner.stages = [first, second]

    for _ in range(3):
        rounds.runner.round()
        assert first.runs == second.runs
        rounds.clock.now += 4.6  # 5 s since the first one began, and not since the second one did

    assert first.runs == 3


def test_who_waits_makes_stages_run_without_their_intervals() -> None:
    rare = Scripted("user_days", 3)
    rare.interval_s = 5.0
    rounds = Rounds([rare])

    with rounds.runner.hurry():
        assert rare.hastened == 1
        while rounds.runner.round():
            pass
        assert rounds.runner.caught_up

    rare.batches = 1
    assert rounds.runner.round() is False


def test_in_a_hurry_a_stage_with_an_interval_lets_the_others_work_off_their_backlog() -> None:
    often, rare, rarer = Scripted("gold", 3), Scripted("user_days", 9), Scripted("churn_features", 9)
    rare.interval_s = rarer.interval_s = 5.0
    rounds = Rounds([often, rare, rarer])
    runs = []

    with rounds.runner.hurry():
        for _ in range(5):
            rounds.runner.round()
            runs.append((often.runs, rare.runs, rarer.runs))

    assert runs == [(1, 1, 1), (2, 1, 1), (3, 1, 1), (3, 2, 2), (3, 3, 3)]


def test_a_stage_that_comes_very_rarely_and_takes_long_does_not_hold_back_one_that_comes_often() -> None:
    rounds = Rounds([])

    class Slow(Scripted):
        def run(self) -> None:
            super().run()
            rounds.clock.now += 2.0

    often, rare = Scripted("user_days", 9), Slow("retention", 9)
    often.interval_s, rare.interval_s = 5.0, 300.0
    rounds.runner.stages = [often, rare]

    rounds.runner.round()
    rounds.clock.now += 3.0
    rounds.runner.round()

    assert (often.runs, rare.runs) == (2, 1)


def test_a_stage_that_goes_on_has_its_next_turn_in_the_next_round_and_then_waits_by_all_that_it_took() -> None:
    rounds = Rounds([])

    class InThreeTurns(Scripted):
        @property
        def goes_on(self) -> bool:
            return self.runs % 3 != 0

        def run(self) -> None:
            super().run()
            rounds.clock.now += 2.0

    rounds.runner.stages = [slow := InThreeTurns("retention", 9)]
    slow.interval_s = 5.0
    began = rounds.clock.now

    for _ in range(4):
        rounds.runner.round()

    assert slow.runs == 3
    assert slow.state.due_at == began + 4.0 + 60.0


def test_a_stage_with_an_interval_that_takes_long_comes_more_rarely() -> None:
    rounds = Rounds([])

    class Slow(Scripted):
        def run(self) -> None:
            super().run()
            rounds.clock.now += 2.0

    rounds.runner.stages = [slow := Slow("churn_features", 3)]
    slow.interval_s = 5.0
    ran_at = []

    while not rounds.runner.caught_up:
        now = rounds.clock.now
        if rounds.runner.round():
            ran_at.append(now - 1_000)
        rounds.clock.now += 1.0

    assert ran_at == [0, 20, 40]


def test_a_stage_that_failed_does_not_wait_for_its_interval() -> None:
    rare = Scripted("user_days", 1, answers=[LakehouseError("disk is full")])
    rare.interval_s = 5.0
    rounds = Rounds([rare])

    rounds.runner.round()
    rounds.clock.now += 1
    rounds.runner.round()

    assert (rare.runs, rare.batches) == (2, 0)


def test_a_failing_stage_waits_longer_each_time_while_the_others_go_on() -> None:
    broken = Scripted("gold", 1, answers=[LakehouseError("disk is full")] * 9)
    steady = Scripted("silver", 1_000)
    rounds = Rounds([broken, steady])
    rounds.runner.attempts = 99
    waits = []

    for _ in range(9):
        rounds.runner.round()
        runs = broken.runs
        waits.append(broken.state.retry_at - rounds.clock.now)
        rounds.clock.now = broken.state.retry_at - 0.001
        rounds.runner.round()
        assert broken.runs == runs
        rounds.clock.now = broken.state.retry_at

    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert steady.runs == 18
    assert rounds.told[0] == "gold: failed (1), again in 1 s: disk is full"


def test_a_failure_is_told_until_it_is_over() -> None:
    stage = Scripted("gold", 1, answers=[LakehouseError("disk is full"), LakehouseError("disk is full")])
    rounds = Rounds([stage])

    rounds.runner.round()
    since = stage.state.since
    assert (stage.state.state, stage.state.error, stage.state.failures) == ("waiting", "disk is full", 1)

    rounds.clock.now += 1
    rounds.runner.round()
    assert stage.state.since == since is not None

    rounds.clock.now += 2
    rounds.runner.round()
    assert (stage.state.state, stage.state.error, stage.state.failures, stage.state.since) == ("idle", None, 0, None)
    assert rounds.told[-1] == "gold: goes on after 2 failures"


def test_a_batch_that_nobody_can_take_stops_its_stage_and_says_so() -> None:
    poisoned = Scripted("silver", 1, answers=[ValueError("no such thing")] * 99)
    steady = Scripted("gold", 1_000)
    rounds = Rounds([poisoned, steady])
    rounds.runner.attempts = 3

    for _ in range(10):
        rounds.runner.round()
        rounds.clock.now += 1_000

    assert poisoned.runs == 3
    assert steady.runs == 10
    assert poisoned.state.state == "stopped"
    assert poisoned.state.error == (
        "stopped after 3 attempts: ValueError: no such thing; when that is mended, start the stack again"
    )
    assert rounds.told[-1] == f"silver: {poisoned.state.error}"
    assert not rounds.runner.caught_up


def test_an_outage_is_waited_for_without_a_limit() -> None:
    cut_off = Scripted("raw_events", 1, answers=[Unavailable("Postgres does not answer")] * 50)
    rounds = Rounds([cut_off])
    rounds.runner.attempts = 3

    for _ in range(51):
        rounds.runner.round()
        rounds.clock.now += 1_000

    assert (cut_off.runs, cut_off.state.state, cut_off.state.error) == (51, "idle", None)


def test_attempts_are_counted_anew_after_a_success() -> None:
    stage = Scripted("gold", 3, answers=[ValueError("a"), ValueError("b"), None, ValueError("c"), ValueError("d")])
    rounds = Rounds([stage])
    rounds.runner.attempts = 3

    for _ in range(6):
        rounds.runner.round()
        rounds.clock.now += 1_000

    assert stage.state.state == "idle"


def test_a_stage_waits_for_an_obstacle_to_go_and_goes_on_at_once() -> None:
    stage, other = Scripted("bronze", 5), Scripted("gold", 5)
    rounds = Rounds([stage, other])
    in_the_way = ["the disk is full"]
    rounds.runner.obstacle = lambda asked: in_the_way[0] if in_the_way and asked is stage else None

    rounds.runner.round()
    rounds.runner.round()

    assert (stage.runs, other.runs) == (0, 2)
    assert (stage.state.state, stage.state.error) == ("waiting", "the disk is full")
    assert stage.state.since is not None
    assert not rounds.runner.caught_up

    in_the_way.clear()
    rounds.runner.round()

    assert stage.runs == 1
    assert (stage.state.state, stage.state.error, stage.state.since) == ("idle", None, None)
    assert rounds.told == ["bronze: waits: the disk is full", "bronze: goes on"]


def test_what_fails_of_an_obstacle_is_said_to_fail_of_it() -> None:
    in_the_way: list[str] = []

    class Filling(Scripted):
        def run(self) -> None:
            in_the_way.append("the disk is full")
            raise OSError("write error 28 in block 7")

    stage = Filling("bronze", 1)
    rounds = Rounds([stage])
    rounds.runner.obstacle = lambda _: in_the_way[0] if in_the_way else None

    rounds.runner.round()

    assert (stage.state.error, stage.state.attempts) == ("the disk is full", 0)


def test_a_stage_that_cannot_say_whether_it_has_work_has_failed() -> None:
    class Blind(Scripted):
        def has_work(self) -> bool:
            raise LakehouseError("Kafka does not answer")

    stage = Blind("bronze")

    assert Rounds([stage]).runner.round() is False
    assert stage.state.error == "Kafka does not answer"


def test_a_lost_engine_ends_the_rounds() -> None:
    lost = Scripted("silver", 1, answers=[EngineLost("the JVM has gone")])
    last = Scripted("gold", 1)

    with pytest.raises(EngineLost):
        Rounds([lost, last]).runner.loop()

    assert last.runs == 0


def test_a_stage_that_fails_without_an_engine_is_not_tried_again() -> None:
    running = [True]

    class Refused(Scripted):
        def run(self) -> None:
            running[0] = False
            raise ConnectionRefusedError("py4j")

    rounds = Rounds([Refused("silver", 1)])
    rounds.runner.engine_runs = lambda: running[0]

    with pytest.raises(EngineLost, match="JVM has ended"):
        rounds.runner.loop()

    assert rounds.told == []


def test_a_lost_engine_is_noticed_without_work() -> None:
    rounds = Rounds([Scripted("silver")])
    rounds.runner.engine_runs = lambda: False

    with pytest.raises(EngineLost):
        rounds.runner.loop()


def test_caught_up_means_nothing_to_take_and_nothing_failed() -> None:
    stage = Scripted("gold", 1, answers=[LakehouseError("disk is full")])
    rounds = Rounds([Scripted("silver"), stage])
    assert not rounds.runner.caught_up

    rounds.runner.round()
    stage.batches = 0  # what it failed at may be half done
    assert not rounds.runner.caught_up

    rounds.clock.now += 1
    rounds.runner.round()
    assert rounds.runner.caught_up


def test_who_waits_for_a_round_is_told_how_many_are_done() -> None:
    done = 0

    def after_round() -> None:
        nonlocal done
        done += 1
        if done == 3:
            runner.stopping.set()

    runner = Runner([Scripted("bronze", 100)], 0.0, after_round, lambda _: None)
    assert runner.wait_for_round(0, 0.0) == 0
    runner.loop()

    assert runner.wait_for_round(2, DEADLINE_S) == 3


def test_an_error_becomes_one_line_with_its_kind_unless_it_is_our_own() -> None:
    assert one_line(ValueError("bad\n  at org.apache.spark")) == "ValueError: bad"
    worker = "An exception was thrown:\nTraceback (most recent call last):\n  File x\nImportError: no pyarrow\n\nJVM"
    assert one_line(ValueError(worker)) == "ValueError: ImportError: no pyarrow"
    assert one_line(ValueError()) == "ValueError: ValueError"
    assert one_line(LakehouseError("disk is full")) == "disk is full"
    assert len(one_line(ValueError("x" * 10_000))) == 500
