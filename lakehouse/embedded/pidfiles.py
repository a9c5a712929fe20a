"""What a run has started, on disk, so that the next one finds what a killed run has left."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil

from lakehouse.embedded.waiting import until
from lakehouse.errors import LakehouseError
from lakehouse.home import Home

SAME_START_S = 1.0
"""Two readings of one process's start time differ by less: the kernel counts it in ticks since boot."""


def record(home: Home, name: str, pid: int) -> None:
    """Notes a child that has just been started as the leader of a process group of its own."""
    path = _path(home, name)
    part = path.with_suffix(".part")
    part.write_text(json.dumps({"pid": pid, "started": psutil.Process(pid).create_time()}))
    part.replace(path)


def forget(home: Home, name: str) -> None:
    _path(home, name).unlink(missing_ok=True)


def end_orphans(home: Home, limit_s: float) -> list[str]:
    """Ends every process that an earlier run under this home has left, and returns the names of the services.

    A recorded pid counts only with the start time recorded beside it: another process may have the number
    now. They get their time to end by themselves (their supervisor's death has told them to) and are then
    killed, with their process group. Call it under the supervisor's lock only. Raises LakehouseError where one
    cannot be ended.
    """
    ended = []
    for path in sorted(home.run.glob("*.pid.json")):
        name = path.name.removesuffix(".pid.json")
        if processes := list(_left(path)):
            _end(name, processes, limit_s)
            ended.append(name)
        path.unlink(missing_ok=True)
    return ended


def _path(home: Home, name: str) -> Path:
    return home.run / f"{name}.pid.json"


def _left(path: Path) -> Iterator[psutil.Process]:
    """The recorded process and those of its group, which may outlive it."""
    try:
        recorded = json.loads(path.read_text())
        pid, started = int(recorded["pid"]), float(recorded["started"])
    except (ValueError, KeyError, TypeError):
        return  # cut short by a kill: the child died with its parent, which had not yet waited for it
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, ProcessLookupError):
            leader = process.pid == pid and abs(process.create_time() - started) < SAME_START_S
            member = os.getpgid(process.pid) == pid and process.create_time() >= started - SAME_START_S
            if (leader or member) and _alive(process):
                yield process


def _end(name: str, processes: list[psutil.Process], limit_s: float) -> None:
    for signum, limit in ((signal.SIGINT, limit_s), (signal.SIGKILL, 10.0)):
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signum)
        if until(lambda: not any(_alive(process) for process in processes), limit):
            return
    pids = ", ".join(str(process.pid) for process in processes)
    raise LakehouseError(f"{name} of an earlier run (pid {pids}) cannot be ended; end it, then retry")


def _alive(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False
