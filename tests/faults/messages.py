"""Self-checking events: each message is made together with what must become of it."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

import polars as pl

TYPES = ("view", "view", "view", "add_to_cart", "purchase", "search")
USERS = 40
START = datetime(2025, 3, 1, 8, 0, tzinfo=UTC)
"""Event time of the first event: never the wall clock, so that a seed always makes the same messages."""
LONGEST_DELAY = timedelta(days=3)


class Kind(StrEnum):
    """How the messages of a batch relate to those before them."""

    IN_ORDER = "in order"
    LATE = "late"
    """Event times up to three days before the newest."""
    DUPLICATE = "duplicate"
    """Every other message is a copy of one of any earlier batch, half of them written in another way."""
    MALFORMED = "malformed"
    """Every third message must be refused."""
    SHUFFLED = "shuffled"
    """All of it, in no order."""


@dataclass(frozen=True)
class Truth:
    """An event as it must come out; two messages with one truth are one event."""

    tag: str
    """Unique to the event; travels as its product_id."""
    user_id: str
    event_type: str
    event_time: datetime
    session_id: str | None


@dataclass(frozen=True)
class Message:
    key: bytes
    value: bytes | None
    truth: Truth | None
    """None: it must be refused."""


class Messages:
    """The messages of one seed, batch by batch."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 (the same messages at each run)
        self._run = f"{seed:x}"
        self._made = 0
        self._now = START
        self._valid: list[tuple[Message, dict[str, Any]]] = []

    def batch(self, kind: Kind, count: int) -> list[Message]:
        """The next ``count`` messages."""
        makers: dict[Kind, Sequence[Callable[[], Message]]] = {
            Kind.IN_ORDER: (self._event,),
            Kind.LATE: (self._late,),
            Kind.DUPLICATE: (self._event, self._copy),
            Kind.MALFORMED: (self._event, self._event, self._refused),
            Kind.SHUFFLED: (self._event, self._late, self._copy, self._refused),
        }
        messages = [makers[kind][place % len(makers[kind])]() for place in range(count)]
        if kind is Kind.SHUFFLED:
            self._random.shuffle(messages)
        return messages

    def _event(self) -> Message:
        self._now += timedelta(milliseconds=self._random.randrange(4_000))
        return self._make(self._now)

    def _late(self) -> Message:
        return self._make(self._now - LONGEST_DELAY * self._random.random())

    def _make(self, at: datetime) -> Message:
        at = at.replace(microsecond=at.microsecond // 1000 * 1000)
        self._made += 1
        tag = f"{self._run}-{self._made}"
        user = f"u{self._random.randrange(USERS)}"
        session = self._random.choice([None, f"s-{user}-{self._random.randrange(5)}"])
        truth = Truth(tag, user, self._random.choice(TYPES), at, session)
        fields: dict[str, Any] = {
            "event_id": f"e-{tag}",
            "user_id": user,
            "event_type": truth.event_type,
            "timestamp": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "session_id": session,
            "product_id": tag,
            "price": self._random.randrange(1, 10_000) / 100,
        }
        if self._random.random() < 0.2:  # then its content is its identity
            del fields["event_id"]
        message = Message(user.encode(), json.dumps(fields).encode(), truth)
        self._valid.append((message, fields))
        return message

    def _copy(self) -> Message:
        if not self._valid:
            return self._event()
        message, fields = self._random.choice(self._valid)
        if self._random.random() < 0.5 or message.truth is None:
            return message
        other = dict(reversed(fields.items())) | {"timestamp": round(message.truth.event_time.timestamp() * 1000)}
        return Message(message.key, json.dumps(other, separators=(",", ":")).encode(), message.truth)

    def _refused(self) -> Message:
        fields: dict[str, Any] = {"user_id": "u0", "event_type": "view", "timestamp": "2025-03-01T08:00:00Z"}
        spoilt: tuple[bytes | None, ...] = (
            None,
            b"",
            b'{"user_id": "u0", "event_type"',
            b"[1, 2, 3]",
            b'{"user_id": "\xff\xfe"}',
            *(
                json.dumps({**fields, **wrong}).encode()
                for wrong in (
                    {"user_id": ""},
                    {"event_type": "teleport"},
                    {"timestamp": "yesterday"},
                    {"timestamp": "2999-01-01T00:00:00Z"},
                    {"price": "cheap"},
                    {"quantity": -1},
                )
            ),
        )
        return Message(b"u0", self._random.choice(spoilt), None)


def events(messages: Sequence[Message]) -> pl.DataFrame:
    """The distinct valid events among ``messages``, a row for each."""
    truths = {message.truth for message in messages if message.truth is not None}
    schema = {
        "tag": pl.String,
        "user_id": pl.String,
        "event_type": pl.String,
        "event_time": pl.Datetime("us", "UTC"),
        "session_id": pl.String,
    }
    return pl.DataFrame([vars(truth) for truth in truths], schema=schema).sort("tag")
