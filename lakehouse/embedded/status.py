"""Looking at a running stack from outside, and asking it to stop."""

from __future__ import annotations

import contextlib
import datetime
import os
import signal
import time
from dataclasses import dataclass
from typing import Any

import psutil

from lakehouse.alerts import current
from lakehouse.embedded import screen
from lakehouse.embedded.livestate import read_champion, read_writer
from lakehouse.embedded.locks import holder, is_shared
from lakehouse.embedded.runstate import StackState
from lakehouse.embedded.supervisor import ServiceStatus
from lakehouse.embedded.waiting import until
from lakehouse.endpoints import Endpoints
from lakehouse.errors import LakehouseError
from lakehouse.home import Home
from lakehouse.obstacles import full_disk


@dataclass(frozen=True)
class Report:
    """A running stack."""

    state: StackState | None
    """None for services that were started one by one: nobody watches over them all."""
    addresses: dict[str, str]
    """Empty while it is about to start."""
    writer: dict[str, Any] | None
    """What the writer says of itself; see lakehouse.home.Home.state."""
    champion: dict[str, Any] | None
    """What is said of the churn model that serves; see lakehouse.home.Home.champion_note."""

    def as_document(self, home: Home) -> dict[str, Any]:
        """For `status --json`."""
        writer = None if self.writer is None else dict(self.writer)
        alerts = current(home, datetime.datetime.now(datetime.UTC))
        quality = None if writer is None else writer.pop("quality", None)
        return {
            "running": True,
            "home": str(home.root),
            "phase": "running" if self.state is None else self.state.phase,
            "pid": None if self.state is None else self.state.pid,
            "since": None if self.state is None else _iso(self.state.since),
            "services": [] if self.state is None else [_service(service) for service in self.state.services],
            "addresses": self.addresses,
            "writer": writer,
            "quality": quality,
            "champion": self.champion,
            "alerts": [] if alerts is None else [str(firing) for firing in alerts.firing],
            "problem": full_disk(home.root),
        }


def look(home: Home) -> Report | None:
    """The stack that runs under the home, or None."""
    running = holder(home.supervisor_lock)
    if running is not None and running.role == "stack":
        state = StackState.load(home)
        if state is None or state.pid != running.pid:
            state = StackState(running.pid, "starting", time.time(), ())
    elif is_shared(home.services_lock):
        state = None
    else:
        return None
    try:
        addresses = screen.addresses(Endpoints.load(home), home)
    except LakehouseError:
        addresses = {}
    return Report(state, addresses, read_writer(home), read_champion(home))


def stop_stack(home: Home, timeout_s: float) -> bool:
    """Asks the stack to stop and waits until it has; False where none runs.

    Raises LakehouseError where it has not stopped after ``timeout_s`` seconds, or only another command runs.
    """
    running = holder(home.supervisor_lock)
    if running is None and is_shared(home.services_lock):
        raise LakehouseError(
            f"services of {home.root} run that were started one by one, by `lakehouse run`: end each of them, or all "
            "containers by `bash run_all.sh --docker down`"
        )
    if running is None:
        return False
    if running.role != "stack":
        raise LakehouseError(f"no stack runs under {home.root}, only another lakehouse command (pid {running.pid})")
    with contextlib.suppress(ProcessLookupError):
        os.kill(running.pid, signal.SIGTERM)

    def gone() -> bool:
        now = holder(home.supervisor_lock)
        return now is None or now.pid != running.pid

    if not until(gone, timeout_s):
        raise LakehouseError(
            f"the stack (pid {running.pid}) is still stopping after {timeout_s:g} s; wait longer with --timeout, or "
            f"`kill -9 {running.pid}`: nothing is lost, the next `up` clears up"
        )
    return True


def memory_mib(pid: int) -> float | None:
    """Memory of a process and all below it, each shared page counted in parts (PSS); None where it has gone.

    Where the system tells no PSS, its own pages (USS).
    """
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
    except psutil.Error:
        return None
    total = 0
    for member in family:
        with contextlib.suppress(psutil.Error):
            told = member.memory_full_info()
            total += getattr(told, "pss", told.uss)
    return total / (1024 * 1024)


def _service(service: ServiceStatus) -> dict[str, Any]:
    memory = memory_mib(service.pid) if service.pid else None
    return {
        "name": service.name,
        "state": service.state,
        "pid": service.pid,
        "since": _iso(service.since),
        "uptime_s": round(time.time() - service.since, 1) if service.state == "up" else None,
        "memory_mib": round(memory, 1) if memory is not None else None,
        "restarts": service.restarts,
    }


def _iso(moment: float) -> str | None:
    return datetime.datetime.fromtimestamp(moment, datetime.UTC).isoformat(timespec="seconds") if moment else None
