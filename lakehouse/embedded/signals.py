"""Being asked to stop."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from lakehouse.embedded.supervisor import Interrupted

ASKING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopRequest:
    """Within it, Ctrl-C, SIGTERM and SIGHUP are noted instead of ending the process."""

    def __init__(self) -> None:
        self.asked = False
        self._at_once = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> StopRequest:
        self._before = {asking: signal.signal(asking, self._note) for asking in ASKING}
        return self

    def __exit__(self, *_: object) -> None:
        for asking, handler in self._before.items():
            signal.signal(asking, handler)

    def _note(self, _signum: int, _frame: FrameType | None) -> None:
        self.asked = True
        if self._at_once:
            raise Interrupted

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """For what does not look at ``asked``: raises Interrupted in the middle of it."""
        self._at_once = True
        try:
            yield
        finally:
            self._at_once = False
