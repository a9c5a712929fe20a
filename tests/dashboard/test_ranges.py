"""Ranges are anchored at the data, bars hold whole windows, and there are never too many."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.ranges import MOST_BUCKETS, Range, Span, bucket_minutes, resolve
from dashboard.words import age, minutes, share, shortened

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
    assert shortened("two\nlines " + "x" * 100) == "two lines " + "x" * 21 + "…"
