"""Running the full stack in the foreground until it is asked to stop."""

from __future__ import annotations

import os
import time
from dataclasses import replace

from lakehouse.doors import spoken_in_plain
from lakehouse.embedded import logs, screen
from lakehouse.embedded.console import out as console
from lakehouse.embedded.livestate import live_lines, read_writer
from lakehouse.embedded.locks import Held, Holder, holding, is_shared
from lakehouse.embedded.runstate import Phase, StackState
from lakehouse.embedded.services import prepare
from lakehouse.embedded.signals import StopRequest
from lakehouse.embedded.stack import plan_stack
from lakehouse.embedded.supervisor import Event, Interrupted, Supervisor
from lakehouse.errors import LakehouseError
from lakehouse.home import Home
from lakehouse.obstacles import despite_full_disk
from lakehouse.settings import Settings

STEP_S = 0.1
"""A death is noticed within this time."""

DETACHED_LOG = "up.log"
"""Where `up --detach` writes; it only grows while the stack runs, so the stack bounds it too."""


def run_stack(settings: Settings, simulate: bool) -> None:
    """Starts everything, tells how it goes, and stops everything in order on Ctrl-C, SIGTERM or SIGHUP.

    Raises LakehouseError where the home is in use, a port is taken, there is too little disk, or a service
    does not start or stay up; whatever had been started is stopped by then.
    """
    home = Home(settings.home).make()
    if is_shared(home.services_lock):
        raise LakehouseError(
            f"services of {home.root} run that were started one by one, by `lakehouse run`; end them first, or name "
            "another home with --home"
        )
    try:
        with holding(home.supervisor_lock, "stack"), StopRequest() as stop:
            _Run(settings, home, simulate, stop).run()
    except Held as held:
        raise LakehouseError(say_held(home, held.holder)) from None


def say_held(home: Home, holder: Holder | None) -> str:
    if holder and holder.role == "command":
        return (
            f"another lakehouse command (pid {holder.pid}) runs its own servers under {home.root}; wait until it has "
            "ended, or name another home with --home"
        )
    who = f" (pid {holder.pid})" if holder else ""
    return (
        f"a stack{who} runs under {home.root} already; see `lakehouse status`, end it with `lakehouse down`, or name "
        "another home with --home"
    )


class _Run:
    """One run, under the lock."""

    def __init__(self, settings: Settings, home: Home, simulate: bool, stop: StopRequest) -> None:
        self._settings = settings
        self._home = home
        self._simulate = simulate
        self._stop = stop
        self._state = StackState(os.getpid(), "starting", time.time(), ())
        self._supervisor = Supervisor(settings, home, self._tell, lambda: stop.asked)

    def run(self) -> None:
        self._state.save(self._home)
        try:
            prepare(self._home)
            self._start()
            self._watch()
        except Interrupted:
            console.print("asked to stop before everything was up")
        finally:
            self._end()

    def _start(self) -> None:
        began = time.monotonic()
        console.print(f"lakehouse under {self._home.root}")
        with screen.step("prepared"), self._stop.at_once():
            plan = plan_stack(self._settings, self._home, self._simulate)
        for sentence in spoken_in_plain(self._settings):
            console.print(sentence, markup=False)
        plan.endpoints.save(self._home)
        self._supervisor.start(plan.services)
        self._note("running")
        console.print(f"ready in {time.monotonic() - began:.1f} s")
        screen.tell_addresses(plan.endpoints, self._home)
        console.print("stop with Ctrl-C or `lakehouse down`")

    def _watch(self) -> None:
        with screen.live_line() as show:
            while not self._stop.asked:
                self._supervisor.step()
                self._note("running")
                with despite_full_disk():
                    logs.rotate(self._home.logs / DETACHED_LOG, self._settings.log_max_mb)
                    show(lambda: live_lines(read_writer(self._home)))
                time.sleep(STEP_S)

    def _end(self) -> None:
        began = time.monotonic()
        self._note("stopping")
        self._supervisor.stop()
        self._home.endpoints.unlink(missing_ok=True)
        StackState.remove(self._home)
        console.print(f"stopped in {time.monotonic() - began:.1f} s")

    def _tell(self, event: Event) -> None:
        with despite_full_disk():
            screen.tell_event(event)
        self._note(self._state.phase)

    def _note(self, phase: Phase) -> None:
        """Saves the state where it has changed."""
        state = replace(self._state, phase=phase, services=tuple(self._supervisor.statuses()))
        if state != self._state:
            with despite_full_disk():
                state.save(self._home)
                self._state = state
