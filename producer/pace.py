"""When an event is due: the clock and the sleep are arguments, so that a test of a slow run takes no time."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime

from lakehouse.errors import LakehouseError

Clock = Callable[[], float]
"""Seconds from any fixed moment, never going back."""

Sleep = Callable[[float], object]
"""Waits so many seconds, or less where it is woken."""


def parse_speed(text: str) -> float | None:
    """``max`` as None, a multiple of real time such as ``1``, ``60`` or ``60x`` as a number; else LakehouseError."""
    if text == "max":
        return None
    try:
        speed = float(text.removesuffix("x"))
    except ValueError:
        speed = 0.0
    if not 0 < speed < float("inf"):
        raise LakehouseError(
            f"--speed {text}: must be max, or a multiple of real time above 0 such as 1 (as it happened) "
            "or 60 (an hour in a minute)"
        )
    return speed


class Pace:
    """Waits until an event is due, at ``speed`` times real time from the first event on; None never waits.

    An event older than those before it is due at once.
    """

    def __init__(self, speed: float | None, *, clock: Clock = time.monotonic, sleep: Sleep = time.sleep) -> None:
        self._speed = speed
        self._clock = clock
        self._sleep = sleep
        self._start: tuple[float, datetime] | None = None

    def wait_for(self, event_time: datetime) -> None:
        if self._speed is None:
            return
        if self._start is None:
            self._start = self._clock(), event_time
        began, first = self._start
        due = began + (event_time - first).total_seconds() / self._speed
        ahead = due - self._clock()
        if ahead > 0:
            self._sleep(ahead)
