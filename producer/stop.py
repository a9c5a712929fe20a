"""Stopping a long run between two messages, so that what was counted is what was sent."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SLICE_S = 0.2


class Stop:
    """A flag that a signal may set, and a sleep that it ends.

    Not a threading.Event: that one takes a lock, on which a signal handler in the waiting thread would hang.
    """

    def __init__(self) -> None:
        self._is_set = False

    def set(self) -> None:
        self._is_set = True

    def is_set(self) -> bool:
        return self._is_set

    def sleep(self, seconds: float) -> None:
        """Waits ``seconds``, or until a fifth of a second after the flag was set."""
        deadline = time.monotonic() + seconds
        while not self._is_set and (left := deadline - time.monotonic()) > 0:
            time.sleep(min(left, _SLICE_S))


@contextmanager
def stop_on(*signals: signal.Signals) -> Iterator[Stop]:
    """A flag that the first of ``signals`` sets; the next one acts as it would have without this."""
    stop = Stop()
    before = {number: signal.getsignal(number) for number in signals}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def handle(_number: int, _frame: FrameType | None) -> None:
        stop.set()
        restore()

    for number in signals:
        signal.signal(number, handle)
    try:
        yield stop
    finally:
        restore()
