"""Rounds: bronze, silver, gold, one after the other, as fast as there is work and idle when there is none.

On one machine queries that run at once spend their time waiting for each other: p50 of freshness was 19 s against 2 s
for rounds. The end of a round is a consistent cut; between two rounds jobs that change tables take their turn. The
mirrors, which mostly wait for Postgres, go round in a lane of their own beside it, and so do the scores, which wait for
the API.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from lakehouse.errors import EngineLost, LakehouseError, Unavailable
from lakehouse.stages import Lane, Stage, utc_now

FIRST_RETRY_S = 1.0
LONGEST_RETRY_S = 60.0
LONGEST_OUTAGE_RETRY_S = 10.0
"""To ask a server whether it is back costs nothing; what waits for it should not wait much longer than it was away."""
IDLE_POLL_S = 0.1
LARGEST_SHARE = 0.1
"""Of the time, for all stages of one least interval: where they take long they come more rarely, and take more at once.
What comes every few minutes and takes seconds does not hold back what comes every few seconds."""

BESIDE = (Lane.mirrors, Lane.scores)
"""The lanes that have a thread of their own."""

_TRACEBACK = "Traceback (most recent call last):"

WAITING = "waiting"
"""The state of a stage that will be tried again."""
STOPPED = "stopped"
"""The state of a stage that will not, before the next start."""


class Turn:
    """A lock that is handed on in the order in which it was asked for; ``threading.Lock`` may starve the jobs."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._next_ticket = 0
        self._serving = 0

    def __enter__(self) -> None:
        with self._condition:
            ticket = self._next_ticket
            self._next_ticket += 1
            self._condition.wait_for(lambda: self._serving == ticket)

    def __exit__(self, *_: object) -> None:
        with self._condition:
            self._serving += 1
            self._condition.notify_all()


@dataclass
class Runner:
    """Drives the stages; ``after_round`` is called with the turn still held."""

    stages: Sequence[Stage]
    interval_s: float
    """Least time from one round's start to the next."""
    after_round: Callable[[], None]
    log: Callable[[str], None]
    engine_runs: Callable[[], bool] = lambda: True
    """Whether Spark's JVM is there: without it a stage fails in any of many ways, and none of them heals."""
    obstacle: Callable[[Stage], str | None] = lambda _: None
    """Why a stage may not run now, as one sentence; None where it may. Cheap, asked before each turn."""
    attempts: int = 8
    """Failures in a row after which a stage is not tried again: what fails so often does not mend by itself, and a
    batch that nobody can take must be seen. Outages do not count: they end."""
    clock: Callable[[], float] = time.monotonic
    turn: Turn = field(default_factory=Turn)
    stopping: threading.Event = field(default_factory=threading.Event)
    rounds: int = 0
    _in_a_hurry: int = 0
    _commits: int = 0
    """Runs of stages that are done: what wakes the lanes beside."""
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def loop(self) -> None:
        """Rounds until ``stopping`` is set. Raises EngineLost where Spark has gone."""
        beside = [threading.Thread(target=self._go_round, args=(lane,), name=lane) for lane in BESIDE]
        for thread in beside:
            thread.start()
        try:
            while not self.stopping.is_set():
                began = self.clock()
                with self.turn:
                    worked = self.round()
                    self.after_round()
                with self._changed:
                    self.rounds += 1
                    self._changed.notify_all()
                least = IDLE_POLL_S if not worked else 0.0 if self._in_a_hurry else self.interval_s
                self.stopping.wait(max(0.0, least - (self.clock() - began)))
        finally:
            self.stopping.set()
            with self._changed:
                self._changed.notify_all()
            for thread in beside:
                thread.join()

    def _go_round(self, lane: Lane) -> None:
        """The rounds of a lane beside: as soon as a table has been committed to, and at least at every idle poll."""
        while not self.stopping.is_set():
            seen = self._commits
            if not self.round(lane):
                with self._changed:
                    self._changed.wait_for(lambda seen=seen: self._commits != seen, IDLE_POLL_S)  # type: ignore[misc]

    def round(self, lane: Lane = Lane.tables) -> bool:
        """One turn of each stage of ``lane`` that has work and is not waiting to be tried again; whether one worked.

        Raises EngineLost, in the lane that needs Spark.
        """
        self._require_engine(lane)
        worked = busy = False
        rare: list[Stage] = []
        took: dict[float, float] = {}
        now = self.clock()  # of the round: stages of one interval stay in one round, each behind the one it reads
        for stage in self.stages:
            if stage.lane is not lane:
                continue
            if self.stopping.is_set():
                break
            if self.clock() < stage.state.retry_at:
                continue
            if (reason := self.obstacle(stage)) is not None:
                self._hold(stage, reason)
                continue
            try:
                began = utc_now()
                if stage.has_work():
                    if now < stage.state.due_at and (busy or not self._in_a_hurry):
                        continue
                    stage.state.state = "running"
                    started = self.clock()
                    stage.run()
                    stage.state.took_s += self.clock() - started
                    if stage.interval_s and not stage.goes_on:
                        rare.append(stage)
                        took[stage.interval_s] = took.get(stage.interval_s, 0.0) + stage.state.took_s
                        stage.state.took_s = 0.0
                    else:
                        busy = True
                    worked = True
                    with self._changed:
                        self._commits += 1
                        self._changed.notify_all()
                if stage.took_all:
                    stage.state.as_of = began
                self._recovered(stage)
            except EngineLost:
                raise
            except Exception as error:
                self._require_engine(lane, error)
                self._failed(stage, error)
        for stage in rare:
            stage.state.due_at = now + max(stage.interval_s, took[stage.interval_s] / LARGEST_SHARE)
        return worked

    def wait_for_round(self, after: int, timeout_s: float) -> int:
        """Waits until more than ``after`` rounds are done, or the time is up; returns how many are."""
        with self._changed:
            self._changed.wait_for(lambda: self.rounds > after or self.stopping.is_set(), timeout_s)
            return self.rounds

    @contextmanager
    def hurry(self) -> Iterator[None]:
        """Meanwhile rounds follow each other at once, and stages with a least interval run whenever no other had work:
        someone waits for them."""
        with self._changed:
            self._in_a_hurry += 1
        for stage in self.stages:
            stage.hasten()
        try:
            yield
        finally:
            with self._changed:
                self._in_a_hurry -= 1

    @property
    def caught_up(self) -> bool:
        """Whether no stage has anything left to take: to be asked with the turn held."""
        return all(not stage.state.failures and not stage.has_work() for stage in self.stages)

    def _require_engine(self, lane: Lane, error: Exception | None = None) -> None:
        if lane is Lane.tables and not self.engine_runs():
            raise EngineLost("Spark's JVM has ended") from error

    def _recovered(self, stage: Stage) -> None:
        if stage.state.failures:
            self.log(f"{stage.name}: goes on after {stage.state.failures} failures")
        elif stage.state.error is not None:
            self.log(f"{stage.name}: goes on")
        stage.state.failures = stage.state.attempts = 0
        stage.state.error = None
        stage.state.since = None
        stage.state.state = "idle"

    def _hold(self, stage: Stage, reason: str) -> None:
        state = stage.state
        if state.since is None:
            self.log(f"{stage.name}: waits: {reason}")
        state.since = state.since or utc_now()
        state.error = reason
        state.state = WAITING

    def _failed(self, stage: Stage, error: Exception) -> None:
        state = stage.state
        if (reason := self.obstacle(stage)) is not None:  # then what it failed with came of that
            error = Unavailable(reason)
        state.failures += 1
        state.attempts += not isinstance(error, Unavailable)
        state.since = state.since or utc_now()
        state.error = one_line(error)
        if state.attempts >= self.attempts:
            state.state = STOPPED
            state.error = (
                f"stopped after {state.attempts} attempts: {state.error}; when that is mended, start the stack again"
            )
            state.retry_at = math.inf
            self.log(f"{stage.name}: {state.error}")
            return
        state.state = WAITING
        longest = LONGEST_OUTAGE_RETRY_S if isinstance(error, Unavailable) else LONGEST_RETRY_S
        pause = min(FIRST_RETRY_S * 2 ** (state.failures - 1), longest)
        state.retry_at = self.clock() + pause
        self.log(f"{stage.name}: failed ({state.failures}), again in {pause:g} s: {state.error}")


def one_line(error: BaseException) -> str:
    """The reason of ``error`` in one line, without the engine's stack."""
    lines = str(error).strip().split("\n")
    if _TRACEBACK in lines:  # of one of Spark's Python workers: its last line, which is not indented, is the reason
        lines = [line for line in lines[lines.index(_TRACEBACK) + 1 :] if line and not line.startswith(" ")] or lines
    text = lines[0] or type(error).__name__
    return text if isinstance(error, LakehouseError) else f"{type(error).__name__}: {text}"[:500]
