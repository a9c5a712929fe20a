"""A mapping at work: one row of a file in, one event on the wire out."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache
from typing import Any, Final, NamedTuple

from pydantic_core import to_json

from lakehouse import event
from producer.event_times import iso_z, time_parser
from producer.mappings import NUMBERS, Mapping, Source, extra_columns

NO_USER: Final = "no user"
NO_EVENT_ID: Final = "no event id"
UNREADABLE_TIME: Final = "unreadable time"
UNWRITABLE: Final = "not writable as JSON"

_NUMBER: Final = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]{1,2})?", re.ASCII)
_EXACT_DIGITS: Final = 15
"""A double holds so many decimal digits; a longer number goes along as text rather than changed."""

_PRICE_DECIMALS: Final = 4

_KEPT_KEY_SETS: Final = 1_000
"""JSON lines have few sets of keys, as a rule: what to do with each is worked out once."""


class Unmappable(Exception):
    """A row that no event can be made of: the reason, from a fixed set, and what was found."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail


class Who(NamedTuple):
    """What every event must have: without it a row cannot be mapped."""

    user_id: str
    time: datetime
    """In UTC."""


class Mapper:
    """Maps rows by ``mapping``; ``columns`` are those of the file, None where each row has its own.

    Only what cannot be mapped at all is refused here: no user, no readable time. Values such as an unknown event
    type or a negative price go along and are judged by silver.
    """

    def __init__(self, mapping: Mapping, columns: list[str] | None) -> None:
        self._mapping = mapping
        self._user = mapping.fields[event.USER_ID]
        self._time = mapping.fields[event.TIMESTAMP]
        self._id = mapping.fields.get(event.EVENT_ID)
        self._type = mapping.fields.get(event.EVENT_TYPE)
        self._parse_time = time_parser(mapping.time_format, mapping.time_zone)
        done = {event.USER_ID, event.TIMESTAMP, event.EVENT_ID, event.EVENT_TYPE}
        others = {name: source for name, source in mapping.fields.items() if name not in done}
        self._plain = [
            (name, source.column, source.absent, name in NUMBERS)
            for name, source in others.items()
            if source.divide_by is None
        ]
        self._quotients = [(name, source) for name, source in others.items() if source.divide_by is not None]
        self._extra = None if columns is None else extra_columns(mapping, columns)
        self._extra_of_keys: dict[tuple[str, ...], list[str]] = {}

    def who(self, row: dict[str, Any]) -> Who:
        """Whose event it is and when it was; raises Unmappable where the row does not say."""
        user = _text(row.get(self._user.column), self._user)
        if user is None:
            raise Unmappable(NO_USER, f"column {self._user.column} is empty or no text")
        value = row.get(self._time.column)
        try:
            return Who(user, self._parse_time(value))
        except (ValueError, TypeError, OverflowError, AttributeError):
            raise Unmappable(UNREADABLE_TIME, f"column {self._time.column} holds {_shown(value)}") from None

    def event_id(self, row: dict[str, Any]) -> str | None:
        """The id that the row brings along; None where one is to be made for it.

        Raises Unmappable where the mapping promises an id in every row and this one has none.
        """
        if self._id is None:
            return None
        named = _text(row.get(self._id.column), self._id)
        if named is None and not self._id.optional:
            raise Unmappable(NO_EVENT_ID, f"column {self._id.column} is empty")
        return named

    def message(self, row: dict[str, Any], who: Who, event_id: str, session_id: str | None) -> bytes:
        """The event as JSON in UTF-8; ``session_id`` is for derived sessions, which no column holds.

        Raises Unmappable where a value of the row cannot be written as JSON in UTF-8.
        """
        fields: dict[str, Any] = {event.EVENT_ID: event_id, event.USER_ID: who.user_id}
        if self._type is not None:
            found = row.get(self._type.column)
            if not _is_absent(found, self._type.absent):
                fields[event.EVENT_TYPE] = (
                    self._mapping.event_types.get(found, found) if isinstance(found, str) else found
                )
        fields[event.TIMESTAMP] = iso_z(who.time)
        fields[event.SESSION_ID] = session_id
        for name, column, absent, is_number in self._plain:
            value = row.get(column)
            if value is not None and value != "" and (not absent or str(value) not in absent):
                fields[name] = _number(value) if is_number else value
        for name, source in self._quotients:
            quotient = _quotient(row, source)
            if quotient is not None:
                fields[name] = quotient
        if self._mapping.constants:
            fields.update(self._mapping.constants)
        for column in self._extra if self._extra is not None else self._extra_of(row):
            value = row[column]
            if value is not None and value != "" and column not in fields:
                fields[column] = value
        try:
            # 0.9 us an event where the standard library's encoder takes 3.4.
            return to_json(fields, fallback=str)
        except (ValueError, RecursionError) as error:
            raise Unmappable(UNWRITABLE, str(error)) from None

    def _extra_of(self, row: dict[str, Any]) -> Iterable[str]:
        keys = tuple(row)
        known = self._extra_of_keys.get(keys)
        if known is None:
            known = extra_columns(self._mapping, list(row))
            if len(self._extra_of_keys) < _KEPT_KEY_SETS:
                self._extra_of_keys[keys] = known
        return known


def _text(value: Any, source: Source) -> str | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, float) and value.is_integer():  # pandas turns whole numbers with gaps into floats
        value = int(value)
    if isinstance(value, int | float):
        value = str(value)
    if not isinstance(value, str) or not value.strip() or value in source.absent:
        return None
    return value


def _number(value: Any) -> Any:
    """A number where the text is one that a double holds exactly as written; else the value as it is."""
    return _number_of_text(value) if isinstance(value, str) and len(value) <= _EXACT_DIGITS else value


@lru_cache(maxsize=4096)  # prices and counts come again and again
def _number_of_text(text: str) -> int | float | str:
    if not _NUMBER.fullmatch(text):
        return text
    return int(text) if text.lstrip("-").isdigit() else float(text)


def _quotient(row: dict[str, Any], source: Source) -> Any:
    """The total divided by its count, None where there is no count; a total that is no number goes as it is."""
    value = row.get(source.column)
    if _is_absent(value, source.absent):
        return None
    total, count = _number(value), _number(row.get(source.divide_by or ""))
    if not isinstance(total, int | float):
        return value
    return round(total / count, _PRICE_DECIMALS) if isinstance(count, int | float) and count else None


def _is_absent(value: Any, absent: tuple[str, ...]) -> bool:
    return value is None or value == "" or (bool(absent) and str(value) in absent)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
