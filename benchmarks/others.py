"""How busy others kept the machine meanwhile: a figure taken beside them is none of this project's."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import psutil

INTERVAL_S: Final = 0.5


@dataclass
class Others:
    """Filled at the end of the block."""

    cores: float = 0.0
    """Cores kept busy, on the average, by what is neither this process nor below it."""


@contextmanager
def others_meanwhile() -> Iterator[Others]:
    """Watches the machine from the block's begin to its end."""
    others, own = Others(), _Own()
    began, busy = time.monotonic(), busy_seconds()
    try:
        yield others
    finally:
        seconds = time.monotonic() - began
        taken = (busy_seconds() - busy) - own.stop()
        others.cores = round(max(0.0, taken / seconds), 2) if seconds else 0.0


def busy_seconds() -> float:
    """Seconds that all cores together have been at work since the machine started."""
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - getattr(times, "iowait", 0.0) - getattr(times, "guest", 0.0))


class _Own:
    """Processor seconds of this process and all below it, looked at again and again: a JVM outlives the program that
    started it by moments, and nobody who could be asked has waited for it."""

    def __init__(self) -> None:
        self._latest: dict[tuple[int, float], float] = {}
        self._look()
        self._before = sum(self._latest.values())
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="own", daemon=True)
        self._thread.start()

    def stop(self) -> float:
        """Seconds since the start of those that were seen."""
        self._done.set()
        self._thread.join()
        self._look()
        return sum(self._latest.values()) - self._before

    def _run(self) -> None:
        while not self._done.wait(INTERVAL_S):
            self._look()

    def _look(self) -> None:
        own = psutil.Process()
        for process in (own, *own.children(recursive=True)):
            with contextlib.suppress(psutil.Error):
                times = process.cpu_times()
                self._latest[process.pid, process.create_time()] = times.user + times.system
