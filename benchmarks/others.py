"""How busy others kept the machine meanwhile: a figure taken beside them is none of this project's."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil


@dataclass
class Others:
    """Filled at the end of the block."""

    cores: float = 0.0
    """Cores kept busy, on the average, by what is neither this process nor below it."""


@contextmanager
def others_meanwhile() -> Iterator[Others]:
    """Watches the machine from the block's begin to its end; what is started within it must be ended and waited for."""
    others = Others()
    began, busy, own = time.monotonic(), busy_seconds(), _own_seconds()
    try:
        yield others
    finally:
        seconds = time.monotonic() - began
        taken = (busy_seconds() - busy) - (_own_seconds() - own)
        others.cores = round(max(0.0, taken / seconds), 2) if seconds else 0.0


def busy_seconds() -> float:
    """Seconds that all cores together have been at work since the machine started."""
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - getattr(times, "iowait", 0.0) - getattr(times, "guest", 0.0))


def _own_seconds() -> float:
    """Of this process and all below it, those included that have ended and were waited for."""
    own = psutil.Process()
    total = 0.0
    for process in (own, *own.children(recursive=True)):
        with contextlib.suppress(psutil.Error):
            times = process.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total
