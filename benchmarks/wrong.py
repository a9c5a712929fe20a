"""What goes wrong with a producer, as a function on the messages that it would have sent. Pure: no I/O, no clock."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from lakehouse import event
from producer.event_times import iso_z

Wrong = Callable[[int, bytes], list[bytes]]
"""The message ``number`` as it is sent: none, one or several."""

AHEAD: Final = timedelta(minutes=4)
"""Less than the far future that silver refuses, and more than the skew that is in order."""


def _users_lost(number: int, value: bytes) -> list[bytes]:
    """One message in five names no user."""
    return [_changed(value, {event.USER_ID: None}) if number % 5 == 0 else value]


def _prices_lost(_: int, value: bytes) -> list[bytes]:
    """No purchase has a price."""
    return [_changed(value, {event.PRICE: None}) if _type(value) == event.PURCHASE else value]


def _sent_twice(number: int, value: bytes) -> list[bytes]:
    """One message in three is sent twice."""
    return [value, value] if number % 3 == 0 else [value]


def _flood(number: int, value: bytes) -> list[bytes]:
    """Two searches come with every message."""
    searches = ({event.EVENT_TYPE: "search", event.EVENT_ID: f"flood-{number}-{i}"} for i in range(2))
    return [value, *(_changed(value, fields) for fields in searches)]


def _no_carts(_: int, value: bytes) -> list[bytes]:
    """Nothing that is added to a cart is tracked."""
    return [] if _type(value) == event.ADD_TO_CART else [value]


def _clock_ahead(number: int, value: bytes) -> list[bytes]:
    """The clock of one producer in ten is ahead."""
    fields = _fields(value)
    time = fields.get(event.TIMESTAMP) if fields else None
    if number % 10 or not isinstance(time, str):
        return [value]
    try:
        moment = datetime.fromisoformat(time)
    except ValueError:
        return [value]
    return [_changed(value, {event.TIMESTAMP: iso_z(moment + AHEAD)})]


def _silence(_: int, __: bytes) -> list[bytes]:
    """Nothing is sent."""
    return []


WRONGS: Final[Mapping[str, Wrong]] = {
    "users lost": _users_lost,
    "prices lost": _prices_lost,
    "sent twice": _sent_twice,
    "flood": _flood,
    "no carts": _no_carts,
    "clock ahead": _clock_ahead,
    "silence": _silence,
}


def _fields(value: bytes) -> dict[str, Any] | None:
    """The event's; None of a message that was broken before."""
    try:
        fields = json.loads(value)
    except ValueError:
        return None
    return fields if isinstance(fields, dict) else None


def _type(value: bytes) -> object:
    fields = _fields(value)
    return fields.get(event.EVENT_TYPE) if fields else None


def _changed(value: bytes, changes: Mapping[str, Any]) -> bytes:
    fields = _fields(value)
    return value if fields is None else json.dumps({**fields, **changes}).encode()
