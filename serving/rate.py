"""How many requests a caller may make: a bucket for each that holds a minute's worth, and fills up again.

Own code and not the library `limits`: its storage in memory starts a thread to sweep up every 10 ms under load, beside
an event loop that answers within a millisecond.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

MOST_CALLERS: Final = 10_000
"""Buckets that are kept; whoever has asked nothing for longest has a full one again."""


class RateLimit:
    """Not for several threads: the event loop asks it."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        """``clock`` in seconds."""
        self._most, self._per_second, self._clock = float(per_minute), per_minute / 60, clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """For each caller what was left, and when."""

    def wait_s(self, caller: str) -> float:
        """Takes one request of ``caller``'s: 0 where it may be answered, else the seconds until the next may be."""
        now = self._clock()
        left, at = self._buckets.pop(caller, (self._most, now))
        left = min(self._most, left + (now - at) * self._per_second)
        allowed = left >= 1
        self._buckets[caller] = (left - 1 if allowed else left, now)
        if len(self._buckets) > MOST_CALLERS:
            self._buckets.popitem(last=False)
        return 0.0 if allowed else (1 - left) / self._per_second
