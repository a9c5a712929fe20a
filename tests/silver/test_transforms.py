"""From bytes to events, copies and refused rows: what each message becomes, and why."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from lakehouse.contracts import BronzeEvents, SilverEvents
from lakehouse.frames import Frame, apply, arrow_schema, empty, to_arrow
from lakehouse.settings import Settings
from silver.identity import EXISTING_COLUMNS, classify
from silver.stream import spans, with_reasons
from silver.transforms import CANDIDATES, READ, candidates

Message = dict[str, Any] | str | bytes
Judged = list[dict[str, Any]]
Judge = Callable[..., Judged]


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"2026-03-01T{text}+00:00")


RECEIVED = at("10:00:05")
GOOD: dict[str, Any] = {
    "event_id": "e1",
    "user_id": "ann",
    "event_type": "view",
    "timestamp": "2026-03-01T10:00:00.123Z",
    "session_id": "s1",
}
NO_ID = {name: value for name, value in GOOD.items() if name != "event_id"}


def wire(message: Message) -> bytearray:
    """The message as a producer would write it, or just as it is."""
    text = json.dumps(message) if isinstance(message, dict) else message
    return bytearray(text.encode() if isinstance(text, str) else text)


def seen(event_id: str, time: datetime, offset: int) -> tuple[str, datetime, str, int, int]:
    """A row of silver.events, as the batch is compared with it."""
    return event_id, time, "topic-1", 0, offset


def bronze(*messages: Message | None, first_offset: int = 0) -> pa.Table:
    """Rows of bronze with ``messages`` at the offsets from ``first_offset`` on, of one partition."""
    rows = [
        {
            "source_id": "topic-1",
            "partition": 0,
            "offset": offset,
            "value": None if message is None else wire(message),
            "topic": "user_events",
            "kafka_timestamp": RECEIVED,
            "ingested_at": RECEIVED,
            "ingest_date": RECEIVED.date(),
        }
        for offset, message in enumerate(messages, first_offset)
    ]
    return pa.Table.from_pylist(rows, schema=arrow_schema(BronzeEvents))


def alone(rows: Frame, settings: Settings) -> Frame:
    """What becomes of each row, judged by itself."""
    return apply(rows, partial(candidates, settings=settings, quarantined_at=RECEIVED), CANDIDATES)


def with_readable_times(batch: pa.Table) -> pa.Table:
    """A refused one may be of a year that Python does not have."""
    valid = pl.col("join_id").is_not_null()
    times = [pl.when(valid).then(name).alias(name) for name in ("event_time", "event_date")]
    return to_arrow(pl.DataFrame(batch).with_columns(times)).cast(CANDIDATES)


@pytest.fixture
def judge(spark: SparkSession, settings: Settings) -> Judge:
    """Judges messages at the offsets 0, 1, 2 … of one partition; the result is in that order."""

    def judge(
        *messages: Message | None,
        existing: Sequence[tuple[str, datetime, str, int, int]] = (),
        first_offset: int = 0,
        **changed: Any,
    ) -> Judged:
        rows = bronze(*messages, first_offset=first_offset)
        batch = with_readable_times(alone(rows, settings.model_copy(update=changed)))
        names = ("event_id", "event_time", "source_id", "partition", "offset")
        near = pl.DataFrame(list(existing), schema=pl.DataFrame(empty(SilverEvents)).select(names).schema, orient="row")
        known = near.with_columns(pl.col("event_time").dt.epoch("ms").alias("time_ms")).select(EXISTING_COLUMNS)
        here = as_rows(classify(batch, known))
        there = classify(spark.createDataFrame(batch), spark.createDataFrame(to_arrow(known)))
        assert as_rows(there) == here, "both engines say the same"
        return here

    return judge


def as_rows(judged: Frame) -> Judged:
    """The rows by offset; a reused id is one refusal among others."""
    found = with_reasons(judged)
    table = found if isinstance(found, pa.Table) else found.toArrow()
    rows = table.select([name for name in table.column_names if name not in ("place", "first_ms")]).to_pylist()
    for row in rows:
        row["outcome"] = row["outcome"].replace("reused", "refused")
    return sorted(rows, key=lambda row: int(row["offset"]))


def outcomes(judged: Judged) -> list[str]:
    return [row["outcome"] for row in judged]


def reasons(judged: Judged) -> list[list[str]]:
    return [row["reasons"] for row in judged]


def test_a_good_event_is_typed(judge: Judge) -> None:
    [event] = judge(GOOD | {"product_id": "p1", "category": "toys", "price": 12.5, "quantity": 2, "currency": "EUR"})

    assert event["outcome"] == "new"
    assert event["reasons"] == []
    assert (event["event_id"], event["user_id"], event["event_type"], event["session_id"]) == (
        "e1",
        "ann",
        "view",
        "s1",
    )
    assert event["event_time"] == at("10:00:00.123")
    assert event["event_date"] == at("00:00").date()
    assert (event["product_id"], event["category"], event["currency"]) == ("p1", "toys", "EUR")
    assert (event["price"], event["quantity"]) == (Decimal("12.5000"), 2)
    assert event["properties"] is None


def test_fields_without_a_column_keep_their_types(judge: Judge) -> None:
    more = {
        "ab_test": "b",
        "scroll": 0.75,
        "clicks": 3,
        "ad": True,
        "tags": ["x", None],
        "geo": {"lat": 1.5},
        "ref": None,
    }

    [event] = judge(GOOD | more)

    assert json.loads(event["properties"]) == more


def test_the_least_that_an_event_needs(judge: Judge) -> None:
    [event] = judge({"user_id": "ann", "event_type": "view", "timestamp": "2026-03-01"})

    assert event["outcome"] == "new"
    assert event["session_id"] is None
    assert event["event_time"] == at("00:00")


@pytest.mark.parametrize(
    ("timestamp", "time"),
    [
        ("2026-03-01T10:00:00Z", "10:00:00"),
        ("2026-03-01 10:00:00", "10:00:00"),
        ("2026-03-01T05:00:00.5-05:00", "10:00:00.5"),
        ("2026-03-01T15:30:00+0530", "10:00:00"),
        ("2026-03-01T10:00", "10:00:00"),
        ("2026-03-01 10:00:00 UTC", "10:00:00"),
        ("2026-03-01T10:00:00.123456789Z", "10:00:00.123456"),
        (1772359200123, "10:00:00.123"),
        (1772359200123.0, "10:00:00.123"),
        ("1772359200123", "10:00:00.123"),
    ],
)
def test_a_time_is_iso_or_epoch_milliseconds(judge: Judge, timestamp: object, time: str) -> None:
    [event] = judge(GOOD | {"timestamp": timestamp})

    assert (event["reasons"], event["event_time"]) == ([], at(time))


def test_numbers_are_taken_as_text_where_text_is_due(judge: Judge) -> None:
    [event] = judge(GOOD | {"user_id": 4711.0, "product_id": 5})

    assert (event["outcome"], event["user_id"], event["product_id"]) == ("new", "4711", "5")


def test_numbers_may_come_as_text(judge: Judge) -> None:
    [event] = judge(GOOD | {"price": "1e2", "quantity": "3.0"})

    assert (event["outcome"], event["price"], event["quantity"]) == ("new", Decimal("100.0000"), 3)


def test_without_an_id_equal_content_is_one_event(judge: Judge) -> None:
    """Key order, white space, and how the time and a number are written do not matter."""
    turned = dict(reversed(NO_ID.items()))
    judged = judge(
        NO_ID | {"geo": {"lat": 1, "lon": 2}},
        json.dumps(turned | {"geo": {"lon": 2, "lat": 1}}, indent=2),
        NO_ID | {"geo": {"lat": 1, "lon": 2}, "timestamp": 1772359200123},
        NO_ID | {"geo": {"lat": 1, "lon": 2}, "timestamp": "2026-03-01T05:00:00.123-05:00"},
        NO_ID | {"geo": {"lat": 1.0, "lon": 2}},
    )

    assert outcomes(judged) == ["new", "duplicate", "duplicate", "duplicate", "duplicate"]
    assert len({row["event_id"] for row in judged}) == 1
    assert len(judged[0]["event_id"]) == 64


@pytest.mark.parametrize(
    "other",
    [
        {"user_id": "bob"},
        {"event_type": "purchase"},
        {"session_id": None},
        {"price": 1},
        {"note": "x"},
        {"timestamp": "2026-03-01T10:00:00.124Z"},
    ],
)
def test_without_an_id_other_content_is_another_event(judge: Judge, other: dict[str, Any]) -> None:
    assert outcomes(judge(NO_ID, NO_ID | other)) == ["new", "new"]


def test_two_fields_are_not_taken_for_one(judge: Judge) -> None:
    assert outcomes(judge(NO_ID | {"a": 'x","b":"y'}, NO_ID | {"a": "x", "b": "y"})) == ["new", "new"]


@pytest.mark.parametrize("blank", ["", "  ", None])
def test_a_blank_id_is_none(judge: Judge, blank: str | None) -> None:
    [event] = judge(GOOD | {"event_id": blank})

    assert event["outcome"] == "new"
    assert len(event["event_id"]) == 64


def test_without_an_id_the_place_in_kafka_may_be_the_identity(judge: Judge) -> None:
    assert outcomes(judge(NO_ID, NO_ID, identity="coordinates")) == ["new", "new"]
    assert outcomes(judge(GOOD, GOOD, identity="coordinates")) == ["new", "duplicate"]


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("{not json", ["unreadable_json"]),
        ("", ["unreadable_json"]),
        (None, ["unreadable_json"]),
        ('["a list"]', ["unreadable_json"]),
        ('"text"', ["unreadable_json"]),
        ("null", ["unreadable_json"]),
        (json.dumps(GOOD)[:-20], ["unreadable_json"]),
        (json.dumps(GOOD).encode().replace(b"ann", b"\xff\xfe"), ["unreadable_json"]),
        (NO_ID | {"user_id": None}, ["missing_user"]),
        (NO_ID | {"user_id": "   "}, ["missing_user"]),
        ({n: v for n, v in GOOD.items() if n != "user_id"}, ["missing_user"]),
        (GOOD | {"event_type": "viewed"}, ["unknown_type"]),
        (GOOD | {"event_type": None}, ["unknown_type"]),
        (GOOD | {"timestamp": "yesterday"}, ["unreadable_time"]),
        (GOOD | {"timestamp": "12:30"}, ["unreadable_time"]),
        (GOOD | {"timestamp": "2026"}, ["implausible_time"]),  # 2.026 s after the epoch, as epoch milliseconds
        (GOOD | {"timestamp": "2026-02-30T10:00:00Z"}, ["unreadable_time"]),
        (GOOD | {"timestamp": 1772359200.5}, ["unreadable_time"]),
        (GOOD | {"timestamp": None}, ["unreadable_time"]),
        (GOOD | {"timestamp": "1999-12-31T23:59:59.999Z"}, ["implausible_time"]),
        (GOOD | {"timestamp": 0}, ["implausible_time"]),
        (GOOD | {"timestamp": "2026-03-01T11:00:05.001Z"}, ["future_time"]),
        (GOOD | {"timestamp": 999_999_999_999_999}, ["future_time"]),
        (GOOD | {"note": "x" * 262_144}, ["too_large"]),
        (GOOD | {"price": "cheap"}, ["wrong_type:price"]),
        (GOOD | {"price": -1}, ["wrong_type:price"]),
        (GOOD | {"price": {"amount": 1}}, ["wrong_type:price"]),
        (GOOD | {"price": 10**15}, ["wrong_type:price"]),
        (GOOD | {"quantity": 1.5}, ["wrong_type:quantity"]),
        (GOOD | {"quantity": -1}, ["wrong_type:quantity"]),
        (GOOD | {"quantity": 3_000_000_000}, ["wrong_type:quantity"]),
        (GOOD | {"session_id": {"id": "s1"}}, ["wrong_type:session_id"]),
        (GOOD | {"product_id": ["p1"]}, ["wrong_type:product_id"]),
        (GOOD | {"user_id": "an\0n"}, ["null_character:user_id"]),
        (GOOD | {"event_id": "e\0"}, ["null_character:event_id"]),
        (
            {"user_id": "", "event_type": "viewed", "timestamp": "?", "price": "?", "quantity": []},
            ["missing_user", "unknown_type", "unreadable_time", "wrong_type:price", "wrong_type:quantity"],
        ),
    ],
)
def test_a_refused_row_has_all_its_reasons(judge: Judge, message: Message | None, expected: list[str]) -> None:
    [row] = judge(message)

    assert (row["outcome"], row["reasons"]) == ("refused", expected)


@pytest.mark.parametrize(
    "message",
    [
        GOOD | {"timestamp": "2026-03-01T11:00:05.000Z"},
        GOOD | {"timestamp": "2000-01-01T00:00:00Z"},
        GOOD | {"price": 0, "quantity": 0},
        GOOD | {"price": 99_999_999_999_999},
        GOOD | {"session_id": None, "price": None, "quantity": None},
        GOOD | {"user_id": "Zoë 🛒"},
        GOOD | {"note": "a\0b"},
    ],
)
def test_what_lies_on_the_edge_is_taken(judge: Judge, message: Message) -> None:
    [row] = judge(message)

    assert (row["outcome"], row["reasons"]) == ("new", [])


def test_the_largest_event_is_taken_and_a_byte_more_is_not(judge: Judge) -> None:
    spare = 400 - len(wire(GOOD | {"note": ""}))
    judged = judge(GOOD | {"note": "x" * spare}, GOOD | {"note": "x" * (spare + 1)}, max_event_bytes=400)

    assert reasons(judged) == [[], ["too_large"]]


@pytest.mark.parametrize(
    "odd",
    [
        '{"a":1,"a":2,',
        '{"user_id":"bob",',
        '{"n":1e999,',
        '{"n":' + "9" * 400 + ",",
        '{"n":' + "[" * 900 + "]" * 900 + ",",
        '{"n":' + "[" * 5000 + "]" * 5000 + ",",
        '{"s":"\\ud800",',
        '{"":"",',
        '{"price":"1e99",',
        '{"quantity":"NaN",',
        '{"timestamp":"+294247-01-10T04:00:54Z",',
        '{"timestamp":-999999999999999,',
        '{"timestamp":99999999999999999999,',
        '{"timestamp":"2026-03-01T0٩:00:00Z",',
        '{"timestamp":"١٧٧٢٣٥٩٢٠٠١٢٣",',
        '{"price":"١٢","quantity":"٣",',
        '{"quantity":' + "9" * 5000 + ",",
    ],
    ids=lambda text: text[:24],
)
def test_no_message_keeps_the_others_from_being_taken(judge: Judge, odd: str) -> None:
    """Whatever becomes of an odd one, the batch goes on; and it is judged the same the second time."""
    last = json.dumps(GOOD)[:-1] + "," + odd[1:-1] + "}"  # of two fields of a name the last one counts

    judged = judge(odd + json.dumps(GOOD)[1:], last, GOOD | {"event_id": "e2"})

    assert judged[2]["outcome"] == "new"
    assert judged[0]["outcome"] in {"new", "refused"}
    assert judged[1]["outcome"] in {"new", "duplicate", "refused"}


def test_a_cluster_judges_the_same_messages_the_same(spark: SparkSession, settings: Settings) -> None:
    known = [GOOD, GOOD | {"event_id": "e2", "price": 12.5, "quantity": "3", "tags": ["x"]}, NO_ID]
    refused = ["{not json", None, "", GOOD | {"price": {"amount": 1}, "user_id": ""}, GOOD | {"event_type": "viewed"}]
    rows = bronze(*known, *refused)

    there = alone(spark.createDataFrame(rows.select(READ)), settings)

    assert not isinstance(there, pa.Table)
    assert there.toArrow().sort_by("offset").to_pylist() == alone(rows, settings).to_pylist()


def test_of_copies_in_a_batch_the_first_offset_is_the_event(judge: Judge) -> None:
    judged = judge(GOOD, GOOD | {"event_id": "e2"}, GOOD, GOOD, first_offset=9)

    assert [(row["offset"], row["outcome"]) for row in judged] == [
        (9, "new"),
        (10, "new"),
        (11, "duplicate"),
        (12, "duplicate"),
    ]


def test_a_copy_may_differ_within_the_millisecond(judge: Judge) -> None:
    judged = judge(
        GOOD | {"timestamp": "2026-03-01T10:00:00.123Z"}, GOOD | {"timestamp": "2026-03-01T10:00:00.123999Z"}
    )

    assert outcomes(judged) == ["new", "duplicate"]


def test_a_copy_of_an_event_in_silver_is_a_duplicate(judge: Judge) -> None:
    judged = judge(GOOD, GOOD | {"event_id": "e2"}, existing=[seen("e1", at("10:00:00.123"), 5)], first_offset=8)

    assert outcomes(judged) == ["duplicate", "new"]


def test_a_known_id_with_another_time_is_refused(judge: Judge) -> None:
    later = GOOD | {"timestamp": "2026-03-01T10:00:00.124Z"}

    in_batch = judge(GOOD, later, GOOD)
    against_silver = judge(later, existing=[seen("e1", at("10:00:00.123"), 5)], first_offset=8)

    assert outcomes(in_batch) == ["new", "refused", "duplicate"]
    assert outcomes(against_silver) == ["refused"]
    assert in_batch[1]["reasons"] == against_silver[0]["reasons"] == ["event_id_reused"]


def test_a_refused_row_keeps_no_event_from_its_id(judge: Judge) -> None:
    judged = judge(GOOD | {"event_type": "viewed"}, GOOD)

    assert outcomes(judged) == ["refused", "new"]


def test_an_id_that_looks_like_a_place_in_kafka_is_an_id(judge: Judge) -> None:
    judged = judge("{not json", GOOD | {"event_id": "topic-1/0/0"})

    assert outcomes(judged) == ["refused", "new"]


def test_a_batch_done_again_after_its_events_were_committed_finds_the_same_copies(judge: Judge) -> None:
    batch = [GOOD, GOOD, NO_ID, GOOD | {"timestamp": 1772359200999}, "{not json", NO_ID]
    first = judge(*batch)
    committed = [seen(row["event_id"], row["event_time"], row["offset"]) for row in first if row["outcome"] == "new"]

    again = judge(*batch, existing=committed)

    assert outcomes(first) == ["new", "duplicate", "new", "refused", "refused", "duplicate"]
    assert outcomes(again) == ["event", "duplicate", "event", "refused", "refused", "duplicate"]
    assert reasons(again) == reasons(first)


@pytest.mark.parametrize(
    ("time", "arrival"),
    [("09:59:00", "on_time"), ("09:50:05", "on_time"), ("09:50:04", "late"), ("10:30:00", "on_time")],
)
def test_what_comes_ten_minutes_after_it_happened_is_late(judge: Judge, time: str, arrival: str) -> None:
    [event] = judge(GOOD | {"timestamp": f"2026-03-01T{time}Z"})

    assert event["arrival"] == arrival


def test_spans_hold_the_times_of_valid_rows_in_few_ranges(spark: SparkSession) -> None:
    rows = [("e1", "10:00:00"), ("e2", "10:09:59.999"), ("e3", "12:30:00"), (None, "23:00:00")]
    batch = spark.createDataFrame(
        [(join_id, int(at(time).timestamp() * 1_000)) for join_id, time in rows], "join_id string, time_ms long"
    )

    expected = [(at("10:00"), at("10:09:59.999999")), (at("12:30"), at("12:30:00.000999"))]
    assert spans(batch) == spans(batch.toArrow()) == expected
