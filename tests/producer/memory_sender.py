"""A sender that keeps what it is given."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from producer.client import Headers
from producer.replay import Replayed
from producer.stop import Stop


@dataclass
class MemorySender:
    """Keeps messages; ``stop_after`` asks to stop after so many, as Ctrl-C would."""

    messages: list[tuple[bytes | None, bytes]] = field(default_factory=list)
    stop: Stop = field(default_factory=Stop)
    stop_after: int | None = None
    flushes: int = 0

    @property
    def sent(self) -> int:
        return len(self.messages)

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(value) for _, value in self.messages]

    @property
    def ids(self) -> list[str]:
        return [event["event_id"] for event in self.events]

    def send(self, key: bytes | None, value: bytes, headers: Headers = ()) -> None:  # noqa: ARG002
        self.messages.append((key, value))
        if self.sent == self.stop_after:
            self.stop.set()

    def flush(self, timeout_s: float | None = None) -> None:  # noqa: ARG002
        self.flushes += 1

    def close(self) -> None:
        pass


@dataclass
class Replays:
    """What the fixture ``run_replay`` gives back."""

    result: Replayed
    sender: MemorySender
    told: list[tuple[int, str, str]]


RunReplay = Callable[..., Replays]
