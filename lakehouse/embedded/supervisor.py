"""Starts services in the order of their needs, watches over them, brings back what dies, stops all in reverse."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal

from lakehouse.embedded import logs
from lakehouse.embedded.process import Child, Service, say_exit
from lakehouse.embedded.waiting import TICK_S, until
from lakehouse.errors import LakehouseError
from lakehouse.home import Home
from lakehouse.obstacles import despite_full_disk, full_disk
from lakehouse.settings import Settings

State = Literal["waiting", "starting", "up", "done", "down", "stopped"]
"""``waiting`` for what it needs, ``starting`` until healthy, ``up``; a task is ``done``; ``down`` between a
death and the restart."""

HEALTH_INTERVAL_S = 0.2
LOG_CHECK_INTERVAL_S = 5.0


@dataclass(frozen=True)
class Event:
    """Something a person wants to be told."""

    service: str
    kind: Literal["up", "done", "failed", "died", "waits", "restarting", "stopped", "killed"]
    seconds: float
    """Since the start (up, done, failed), to the restart (died), that the stop took (stopped, killed)."""
    text: str = ""
    """Of a death or a failure: how it ended and the tail of its log, or what it waits for."""


class ServiceFailed(LakehouseError):
    """A service did not start, or died more often than its policy forgives."""


class Interrupted(Exception):
    """``stop_asked`` said so while services were being started."""


@dataclass
class _Run:
    """A service with what has become of it."""

    service: Service
    state: State = "waiting"
    child: Child | None = None
    since: float = 0.0
    """time.time() of the change to the present state."""
    deaths: list[float] = field(default_factory=list)
    """time.monotonic() of the deaths that the policy still counts."""
    restarts: int = 0
    restart_at: float = 0.0
    asked_health: float = 0.0

    def become(self, state: State) -> None:
        self.state = state
        self.since = time.time()


@dataclass(frozen=True)
class ServiceStatus:
    """What `lakehouse status` tells of a service."""

    name: str
    state: State
    pid: int | None
    since: float
    """Unix time of the change to this state."""
    restarts: int


class Supervisor:
    """Runs services for as long as it is stepped; one thread, the one that has made it.

    ``tell`` is called with each Event. ``stop_asked`` is looked at while it waits.
    """

    def __init__(
        self,
        settings: Settings,
        home: Home,
        tell: Callable[[Event], None],
        stop_asked: Callable[[], bool] = lambda: False,
    ) -> None:
        self._settings = settings
        self._home = home
        self._tell = tell
        self._stop_asked = stop_asked
        self._runs: list[_Run] = []
        self._logs_checked = time.monotonic()

    def start(self, services: Iterable[Service]) -> None:
        """Starts each service as soon as those before it are up, and returns when all are, those in the background
        left out.

        Raises ServiceFailed where one dies or is not healthy within the setting start_timeout_s, and
        Interrupted; what has been started by then still runs until ``stop``.
        """
        new = [_Run(service) for service in services]
        self._runs += new
        known = {run.service.name for run in self._runs}
        if unknown := {name for run in new for name in run.service.after} - known:
            raise ValueError(f"services that nobody starts are waited for: {sorted(unknown)}")
        awaited = [run for run in new if not run.service.background]
        while any(run.state not in ("up", "done") for run in awaited):
            if self._stop_asked():
                raise Interrupted
            for run in new:
                self._advance(run)
            time.sleep(TICK_S)

    def step(self) -> None:
        """Looks at every service once: call it several times a second. Raises ServiceFailed."""
        for run in self._runs:
            if run.service.background:
                self._let_end(run)
            else:
                self._watch(run)
        if time.monotonic() - self._logs_checked > LOG_CHECK_INTERVAL_S:
            self._logs_checked = time.monotonic()
            for run in self._runs:
                if run.child:
                    with despite_full_disk():
                        logs.rotate(run.child.log, self._settings.log_max_mb)

    def stop(self) -> None:
        """Stops what runs: the last started first, each after those that need it have ended."""
        while running := [run for run in self._runs if run.child is not None]:
            needed = {name for run in running for name in self._needs(run.service)}
            self._stop_together([run for run in running if run.service.name not in needed] or running)

    def statuses(self) -> list[ServiceStatus]:
        return [
            ServiceStatus(run.service.name, run.state, run.child.pid if run.child else None, run.since, run.restarts)
            for run in self._runs
            if not run.service.task
        ]

    def _advance(self, run: _Run) -> None:
        """Takes a service that is being started for the first time a step further."""
        if run.service.background:
            self._let_end(run)
        elif run.state == "waiting" and self._ready(run.service):
            self._launch(run)
        elif run.state == "starting" and run.child:
            code = run.child.exit_code
            if run.service.task and code == 0:
                self._arrive(run, "done")
            elif code is not None:
                raise ServiceFailed(f"{run.service.name} ended with {say_exit(code)}{_quote(run.child)}")
            elif not run.service.task and self._healthy(run):
                self._arrive(run, "up")
            elif time.monotonic() - run.child.started > self._settings.start_timeout_s:
                raise ServiceFailed(self._say_late(run.service, run.child))
        elif run.state == "up":
            self._watch(run)

    def _watch(self, run: _Run) -> None:
        """Notes a death at once, and brings the service back when its backoff is over."""
        if run.state == "down" and time.monotonic() >= run.restart_at:
            if full_disk(self._home.root):
                return  # it would end at its first write
            run.restarts += 1
            self._tell(Event(run.service.name, "restarting", 0.0))
            self._launch(run)
        elif run.child and run.state in ("up", "starting") and run.child.exit_code is not None:
            self._bury(run, run.child, f"ended with {say_exit(run.child.exit_code)}")
        elif run.child and run.state == "starting":
            if self._healthy(run):
                self._arrive(run, "up")
            elif time.monotonic() - run.child.started > self._settings.start_timeout_s:
                self._bury(run, run.child, f"was not healthy {self._settings.start_timeout_s:g} s after its restart")

    def _let_end(self, run: _Run) -> None:
        """Takes a task in the background a step further: it is done however it ends."""
        if run.state == "waiting" and self._ready(run.service):
            self._launch(run)
        elif run.child and run.child.exit_code == 0:
            self._arrive(run, "done")
        elif run.child and run.child.exit_code is not None:
            text = f"ended with {say_exit(run.child.exit_code)}{_quote(run.child)}"
            self._tell(Event(run.service.name, "failed", time.monotonic() - run.child.started, text))
            run.child.reap()
            run.child = None
            run.become("done")

    def _needs(self, service: Service) -> set[str]:
        """All that a service needs while it runs, by way of tasks that are done too."""
        by_name = {run.service.name: run.service for run in self._runs}
        direct = {*service.after, *service.uses} & by_name.keys()
        return direct.union(*(self._needs(by_name[name]) for name in direct))

    def _ready(self, service: Service) -> bool:
        there = {run.service.name for run in self._runs if run.state in ("up", "done")}
        return there.issuperset(service.after)

    def _launch(self, run: _Run) -> None:
        run.child = Child(run.service, self._home, self._settings.log_max_mb)
        run.become("starting")

    def _healthy(self, run: _Run) -> bool:
        if time.monotonic() - run.asked_health < HEALTH_INTERVAL_S:
            return False
        healthy = run.service.healthy()
        run.asked_health = time.monotonic()
        return healthy

    def _arrive(self, run: _Run, state: Literal["up", "done"]) -> None:
        assert run.child is not None  # noqa: S101 (only a started one arrives)
        run.become(state)
        self._tell(Event(run.service.name, state, time.monotonic() - run.child.started))
        if state == "done":
            run.child.reap()
            run.child = None

    def _bury(self, run: _Run, child: Child, how: str) -> None:
        """After a death: plans the restart, or gives up beyond the policy's limit."""
        policy, now = run.service.restart, time.monotonic()
        child.reap()
        run.child = None
        run.become("down")
        run.deaths = [death for death in run.deaths if now - death < policy.within_s] + [now]
        text = f"{how}{_quote(child)}"
        if full := full_disk(self._home.root):
            run.deaths.pop()  # no fault of its own
            run.restart_at = now
            self._tell(Event(run.service.name, "waits", 0.0, f"{how}: {full}"))
            return
        if len(run.deaths) > policy.limit:
            raise ServiceFailed(
                f"{run.service.name} {text}\nthat was its death no. {len(run.deaths)} within {policy.within_s:g} s, "
                "so it is not brought back"
            )
        backoff = policy.backoff_s(len(run.deaths))
        run.restart_at = now + backoff
        self._tell(Event(run.service.name, "died", backoff, text))

    def _stop_together(self, runs: list[_Run]) -> None:
        began = time.monotonic()
        children = [(run, run.child) for run in runs if run.child]
        for _, child in children:
            child.ask_to_stop()
        for run, child in children:
            left = run.service.stop_timeout_s - (time.monotonic() - began)
            ended = until(lambda child=child: child.exit_code is not None, max(0.0, left))  # type: ignore[misc]
            child.reap()
            run.child = None
            run.become("stopped")
            self._tell(Event(run.service.name, "stopped" if ended else "killed", time.monotonic() - began))

    def _say_late(self, service: Service, child: Child) -> str:
        return (
            f"{service.name} was not healthy after {self._settings.start_timeout_s:g} s (LAKEHOUSE_START_TIMEOUT_S)"
            f"{_quote(child)}"
        )


def _quote(child: Child) -> str:
    tail = child.tail
    where = f"; its log is {child.log}"
    return f"{where} and ends with:\n{tail}" if tail else f"{where} (nothing in it)"
