"""Ranges of time as literals that both engines read: few, and none of what they are asked for left out."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.dialects import DATAFUSION, SPARK, cover, micros

Span = tuple[datetime, datetime]


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"2026-03-01T{text}+00:00")


moments = st.datetimes(datetime(2000, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
spans = st.builds(
    lambda start, seconds: (start, start + timedelta(seconds=seconds)), moments, st.integers(0, 400 * 86_400)
)


def test_spans_that_touch_become_one_range() -> None:
    assert cover([(at("10:00"), at("10:30")), (at("10:30"), at("11:00")), (at("12:00"), at("12:00"))]) == [
        (at("10:00"), at("11:00")),
        (at("12:00"), at("12:00")),
    ]


def test_a_span_within_another_does_not_shorten_it() -> None:
    assert cover([(at("10:00"), at("12:00")), (at("10:10"), at("10:20"))]) == [(at("10:00"), at("12:00"))]


def test_too_many_spans_are_parted_at_the_widest_gaps() -> None:
    hours = [(at(f"{hour}:00"), at(f"{hour}:00")) for hour in ("01", "02", "10", "11", "20")]

    assert cover(hours, at_most=3) == [
        (at("01:00"), at("02:00")),
        (at("10:00"), at("11:00")),
        (at("20:00"), at("20:00")),
    ]
    assert cover(hours, at_most=1) == [(at("01:00"), at("20:00"))]


def test_no_span_needs_no_range() -> None:
    assert cover([]) == []


@given(st.lists(spans, max_size=80))
def test_every_span_lies_in_one_of_at_most_32_ranges(asked: list[Span]) -> None:
    ranges = cover(asked)

    assert len(ranges) <= 32
    assert all(any(start <= a and b <= end for start, end in ranges) for a, b in asked)


@given(st.lists(spans, min_size=1, max_size=80), st.integers(1, 40))
def test_ranges_are_in_order_apart_and_end_where_a_span_does(asked: list[Span], at_most: int) -> None:
    ranges = cover(asked, at_most)

    assert all(end < start for (_, end), (start, _) in pairwise(ranges))
    assert {start for start, _ in ranges} <= {start for start, _ in asked}
    assert {end for _, end in ranges} <= {end for _, end in asked}


def test_within_is_an_or_of_closed_ranges_in_each_engines_words() -> None:
    ranges = [(at("10:00"), at("10:01")), (at("11:00"), at("11:00"))]

    assert SPARK.within("t.event_time", ranges) == (
        "(t.event_time BETWEEN timestamp_micros(1772359200000000) AND timestamp_micros(1772359260000000))"
        " OR (t.event_time BETWEEN timestamp_micros(1772362800000000) AND timestamp_micros(1772362800000000))"
    )
    assert DATAFUSION.within("event_time", ranges[:1]) == (
        """(event_time BETWEEN arrow_cast(1772359200000000, 'Timestamp(Microsecond, Some("UTC"))')"""
        """ AND arrow_cast(1772359260000000, 'Timestamp(Microsecond, Some("UTC"))'))"""
    )


def test_a_date_is_one_literal_in_both() -> None:
    assert SPARK.date(date(2026, 3, 1)) == DATAFUSION.date(date(2026, 3, 1)) == "DATE '2026-03-01'"


def test_micros_counts_from_the_epoch_in_any_zone() -> None:
    assert micros(datetime(1970, 1, 1, 0, 0, 1, 5, tzinfo=UTC)) == 1_000_005
    assert micros(datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)) == -1
    assert micros(datetime(1970, 1, 1, tzinfo=timezone(timedelta(hours=-5)))) == 5 * 3600 * 1_000_000


def test_micros_refuses_a_time_without_a_zone() -> None:
    with pytest.raises(ValueError, match=r"2026-03-01 10:00:00 has no time zone"):
        micros(datetime(2026, 3, 1, 10))  # noqa: DTZ001


@given(moments)
def test_micros_loses_nothing(moment: datetime) -> None:
    assert datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros(moment)) == moment
