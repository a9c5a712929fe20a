"""Waiting for a condition, with a limit."""

from __future__ import annotations

import time
from collections.abc import Callable

TICK_S = 0.05
"""How often a condition is looked at: small beside a start of seconds, large beside the cost of a look."""


def until(condition: Callable[[], bool], limit_s: float, tick_s: float = TICK_S) -> bool:
    """True as soon as ``condition()`` is; False where it is not within ``limit_s`` seconds."""
    deadline = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(tick_s)
    return True
