"""Ranges of event time: chosen by name, anchored at the newest data and never at the wall clock.

Data of 2020 and of today may share a topic; "the last hour" is the last hour of data.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum

MOST_BUCKETS = 150
"""Bars that still can be told apart on a desktop's screen; a day of ten-minute windows fits."""

ANCHOR = datetime(2000, 1, 3, tzinfo=UTC)
"""A Monday midnight: windows, hours, and bars of days and weeks all begin whole units after it."""

_MINUTES = (1, 2, 5, 10, 15, 20, 30, 60, 120, 180, 360, 720, 1440, 2 * 1440, 7 * 1440, 28 * 1440)


class Range(StrEnum):
    """What a person can choose; the value is the label."""

    HOUR = "Last hour"
    SIX_HOURS = "6 hours"
    DAY = "24 hours"
    WEEK = "7 days"
    ALL = "All"
    CUSTOM = "Custom"


_LENGTHS = {
    Range.HOUR: timedelta(hours=1),
    Range.SIX_HOURS: timedelta(hours=6),
    Range.DAY: timedelta(days=1),
    Range.WEEK: timedelta(days=7),
}


@dataclass(frozen=True)
class Span:
    """From ``start``, inclusive, to ``end``, exclusive; aware."""

    start: datetime
    end: datetime

    @property
    def length(self) -> timedelta:
        return self.end - self.start

    @property
    def last_day(self) -> date:
        """The day (UTC) of its last moment."""
        return (self.end - timedelta(microseconds=1)).astimezone(UTC).date()


@dataclass(frozen=True)
class Comparison:
    """What of a span is complete, and the same time before the span: both of one length."""

    within: Span
    before: Span


@dataclass(frozen=True)
class Newest:
    """The last windows of a span."""

    open: Span | None
    """The window that events still come into; None where the span ends before it."""
    complete: Span
    before: Span


def resolve(choice: Range, extent: Span, custom: Span | None = None) -> Span:
    """The span that ``choice`` means for data that reaches over ``extent``; without ``custom``, Custom means All."""
    if choice in _LENGTHS:
        return Span(extent.end - _LENGTHS[choice], extent.end)
    return custom if choice is Range.CUSTOM and custom else extent


def bucket_minutes(span: Span, window_minutes: int) -> int:
    """The length of a bar: whole windows of ``window_minutes``, and at most about MOST_BUCKETS of them in ``span``."""
    minutes = span.length / timedelta(minutes=1)
    least = max(window_minutes, minutes / MOST_BUCKETS)
    for length in _MINUTES:
        if length >= least and length % window_minutes == 0:
            return length
    return window_minutes * max(1, -int(-least // window_minutes))


def whole(span: Span, unit: timedelta) -> Span:
    """The whole units, of windows or hours, that ``span`` touches."""
    return Span(span.start - (span.start - ANCHOR) % unit, span.end + (ANCHOR - span.end) % unit)


def comparison(span: Span, extent: Span, unit: timedelta) -> Comparison | None:
    """What ``span`` is compared with, in whole units of data that reaches over ``extent``.

    The newest unit is still filling, so it is left out on both sides. None where nothing else is there, or where the
    data does not reach back over all of the time before: a part of it would pass for growth.
    """
    span, extent = whole(span, unit), whole(extent, unit)
    within = Span(span.start, min(span.end, extent.end - unit))
    before = Span(within.start - span.length, within.end - span.length)
    return Comparison(within, before) if within.length > timedelta(0) and before.start >= extent.start else None


def newest(span: Span, extent: Span, unit: timedelta) -> Newest:
    """The last windows of ``span``, of which the very newest of the data is open."""
    extent = whole(extent, unit)
    end = min(whole(span, unit).end, extent.end)
    still_open = Span(end - unit, end) if end == extent.end else None
    end = end if still_open is None else still_open.start
    return Newest(still_open, Span(end - unit, end), Span(end - 2 * unit, end - unit))
