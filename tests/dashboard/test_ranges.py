"""Ranges are anchored at the data, bars hold whole windows, and there are never too many."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.ranges import MOST_BUCKETS, Range, Span, bucket_minutes, comparison, newest, resolve, whole
from dashboard.words import age, change, lag, minutes, points, share, shortened

NEWEST = datetime(2021, 1, 31, 23, 50, tzinfo=UTC)
EXTENT = Span(datetime(2020, 11, 1, tzinfo=UTC), NEWEST)


def test_a_range_ends_with_the_newest_data() -> None:
    assert resolve(Range.HOUR, EXTENT) == Span(NEWEST - timedelta(hours=1), NEWEST)
    assert resolve(Range.WEEK, EXTENT) == Span(NEWEST - timedelta(days=7), NEWEST)
    assert resolve(Range.ALL, EXTENT) == EXTENT


def test_a_custom_range_that_is_not_given_means_all() -> None:
    given_span = Span(NEWEST, NEWEST + timedelta(hours=1))
    assert resolve(Range.CUSTOM, EXTENT, given_span) == given_span
    assert resolve(Range.CUSTOM, EXTENT) == EXTENT


@pytest.mark.parametrize(
    ("hours", "window", "expected"), [(1, 10, 10), (24, 10, 10), (168, 10, 120), (1, 1440, 1440), (24, 1, 10)]
)
def test_the_length_of_a_bar(hours: int, window: int, expected: int) -> None:
    assert bucket_minutes(Span(NEWEST - timedelta(hours=hours), NEWEST), window) == expected


@given(st.integers(1, 40_000_000), st.sampled_from([n for n in range(1, 1441) if 1440 % n == 0]))
def test_a_bar_holds_whole_windows_and_there_are_never_too_many(span_minutes: int, window: int) -> None:
    length = bucket_minutes(Span(NEWEST, NEWEST + timedelta(minutes=span_minutes)), window)
    assert length % window == 0
    assert span_minutes / length <= MOST_BUCKETS


def test_the_complete_part_of_a_range_is_compared_with_the_same_time_before() -> None:
    hour, ten = Span(NEWEST - timedelta(hours=1), NEWEST), timedelta(minutes=10)
    compared = comparison(hour, EXTENT, ten)
    assert compared is not None
    assert compared.within == Span(NEWEST - timedelta(minutes=60), NEWEST - ten)
    assert compared.before == Span(NEWEST - timedelta(minutes=120), NEWEST - ten - timedelta(hours=1))


@pytest.mark.parametrize(
    ("span", "unit"),
    [
        (EXTENT, timedelta(minutes=10)),  # nothing was before
        (Span(EXTENT.start + timedelta(minutes=50), EXTENT.start + timedelta(hours=2)), timedelta(minutes=10)),
        (Span(NEWEST - timedelta(hours=1), NEWEST), timedelta(days=1)),  # nothing in it is complete
    ],
)
def test_what_cannot_be_compared(span: Span, unit: timedelta) -> None:
    assert comparison(span, EXTENT, unit) is None


def test_the_newest_windows() -> None:
    ten = timedelta(minutes=10)
    windows = newest(Span(NEWEST - timedelta(hours=1), NEWEST), EXTENT, ten)
    assert windows.open == Span(NEWEST - ten, NEWEST)
    assert windows.complete == Span(NEWEST - 2 * ten, NEWEST - ten)

    earlier = newest(Span(EXTENT.start, EXTENT.start + timedelta(minutes=25)), EXTENT, ten)
    assert earlier.open is None
    assert earlier.complete == Span(EXTENT.start + 2 * ten, EXTENT.start + 3 * ten)
    assert earlier.before == Span(EXTENT.start + ten, EXTENT.start + 2 * ten)


@given(st.integers(0, 10_000_000), st.integers(1, 100_000), st.sampled_from([10, 60, 1440]))
def test_whole_units_hold_the_span_and_no_more(start: int, length: int, unit_minutes: int) -> None:
    begun, unit = datetime(2020, 1, 1, tzinfo=UTC) + timedelta(minutes=start), timedelta(minutes=unit_minutes)
    span = Span(begun, begun + timedelta(minutes=length))
    found = whole(span, unit)
    assert span.start - unit < found.start <= span.start
    assert span.end <= found.end < span.end + unit
    assert (found.start.hour * 60 + found.start.minute) % unit_minutes == 0


def test_words() -> None:
    assert [age(timedelta(seconds=s)) for s in (-5, 59, 3_600, 90_000, 864_000)] == [
        "0 s",
        "59 s",
        "60 min",
        "25 h",
        "10 days",
    ]
    assert [minutes(n) for n in (10, 60, 120, 1440, 10_080)] == ["10 min", "1 hour", "2 hours", "1 day", "7 days"]
    assert (share(1, 3), share(0, 3), share(1, 0)) == ("33.3 %", "0.0 %", "—")
    assert (share(24_464, 24_473), share(3, 3), share(3, 84_840)) == ("> 99.9 %", "100.0 %", "< 0.1 %")
    assert shortened("two\nlines " + "x" * 100) == "two lines " + "x" * 21 + "…"
    assert [change(*pair) for pair in ((3, 2), (2, 2), (1, 2), (1, 0), (None, 1))] == [
        "+50.0 %",
        0,
        "-50.0 %",
        None,
        None,
    ]
    assert (points(1, 10, 1, 20), points(1, 10, 2, 20), points(0, 0, 1, 2)) == ("+5.0 points", 0, None)
    assert (lag(1_200, 3.25), lag(None, 1.0), lag(None, None)) == ("1,200 events · 3.2 s", "1.0 s", None)
