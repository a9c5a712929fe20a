"""Reading and writing event times: whatever a file says, as microseconds since 1970 in UTC, and back."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

ParseTime = Callable[[Any], datetime]
"""From a cell to an aware time in UTC; raises ValueError, OverflowError or TypeError where it cannot be read."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def time_parser(time_format: str, time_zone: str) -> ParseTime:
    """The parser of a mapping's ``time_format``; times that carry no zone are of ``time_zone``.

    A value that is a time already, as Parquet has them, is taken as it is under any format.
    """
    zone = UTC if time_zone == "UTC" else ZoneInfo(time_zone)
    parse: ParseTime
    if time_format == "epoch_ms":
        parse = _epoch_ms
    elif time_format == "epoch_s":
        parse = _epoch_s
    elif time_format == "iso":
        parse = _iso
    else:

        def parse(value: Any) -> datetime:
            return datetime.strptime(value, time_format)  # noqa: DTZ007 - the zone is set below

    def in_utc(value: Any) -> datetime:
        if isinstance(value, date):
            parsed = value if isinstance(value, datetime) else datetime(value.year, value.month, value.day)  # noqa: DTZ001
        else:
            parsed = parse(value)
        if parsed.tzinfo is UTC:
            return parsed
        if parsed.tzinfo is None:
            parsed = parsed.replace(tzinfo=zone)
        return parsed.astimezone(UTC)

    return in_utc


def iso_z(time: datetime) -> str:
    """ISO 8601 with Z, microseconds kept; ``time`` is in UTC."""
    return time.isoformat()[:-6] + "Z"


def epoch_us(time: datetime) -> int:
    """Microseconds since 1970."""
    return (time - _EPOCH) // timedelta(microseconds=1)


def _iso(value: Any) -> datetime:
    if isinstance(value, int):  # on the wire a time may be a number: then it is epoch milliseconds
        return _epoch_ms(value)
    if value.endswith(" UTC"):
        value = value[:-4] + "Z"
    return datetime.fromisoformat(value)


def _epoch_ms(value: Any) -> datetime:
    return _EPOCH + timedelta(milliseconds=_whole(value))


def _epoch_s(value: Any) -> datetime:
    seconds = float(value)
    if not math.isfinite(seconds):
        raise ValueError("not a time")
    return _EPOCH + timedelta(microseconds=round(seconds * 1_000_000))


def _whole(value: Any) -> int:
    if isinstance(value, float) and not value.is_integer():
        raise ValueError("not a whole number of milliseconds")
    return int(value)
