"""Replays: every line is produced or refused, ids survive any order, and nothing is read whole."""

from __future__ import annotations

import bz2
import codecs
import gzip
import json
import random
import tracemalloc
from collections import Counter
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from memory_sender import MemorySender, RunReplay

from lakehouse.errors import LakehouseError
from producer.files import MAX_LINE_CHARS
from producer.pace import Pace, parse_speed
from producer.replay import ReplayEnded, ReplayStopped
from producer.survey import DIGEST_BYTES, Ordinals, Sessions

HEADER = "user_id,event_type,timestamp,note\n"
EVENTS = HEADER + "u1,view,2024-01-01T10:00:00Z,a\nu2,view,2024-01-01T10:00:01Z,b\nu1,purchase,2024-01-01T10:00:02Z,\n"


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def zst(content: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(content)
    return bytes(sink.getvalue().to_pybytes())


@pytest.mark.parametrize(
    ("suffix", "compressed"), [("", bytes), (".gz", gzip.compress), (".bz2", bz2.compress), (".zst", zst)]
)
def test_csv_in_every_compression(tmp_path: Path, run_replay: RunReplay, suffix: str, compressed: object) -> None:
    assert callable(compressed)
    file = write(tmp_path / f"events.csv{suffix}", compressed(EVENTS.encode()))
    run = run_replay(file)
    assert (run.result.lines, run.result.produced, run.result.refused) == (3, 3, 0)
    assert [key for key, _ in run.sender.messages] == [b"u1", b"u2", b"u1"]
    assert [event.get("note") for event in run.sender.events] == ["a", "b", None]


@pytest.mark.parametrize(("suffix", "compressed"), [(".gz", gzip.compress), (".bz2", bz2.compress), (".zst", zst)])
def test_a_file_of_two_compressed_parts_is_read_to_its_end(
    tmp_path: Path, run_replay: RunReplay, suffix: str, compressed: object
) -> None:
    assert callable(compressed)
    head, tail = EVENTS.encode()[:70], EVENTS.encode()[70:]
    file = write(tmp_path / f"events.csv{suffix}", compressed(head) + compressed(tail))
    assert run_replay(file).result.produced == 3


def test_json_lines_and_parquet_keep_their_types(tmp_path: Path, run_replay: RunReplay) -> None:
    row = {"user_id": 7, "event_type": "view", "timestamp": "2024-01-01T10:00:00Z", "price": 9.5, "deep": {"a": [1]}}
    [event] = run_replay(write(tmp_path / "events.jsonl", json.dumps(row) + "\n")).sender.events
    assert (event["user_id"], event["price"], event["deep"]) == ("7", 9.5, {"a": [1]})

    table = pa.table(
        {
            "user_id": pa.array([7.0, None]),  # as pandas writes whole numbers with gaps
            "event_type": ["view", "view"],
            "timestamp": pa.array([1704103200000000001] * 2, pa.timestamp("ns", "UTC")),
            "price": [9.5, float("nan")],
        }
    )
    pq.write_table(table, tmp_path / "events.parquet")
    run = run_replay(tmp_path / "events.parquet")
    [event] = run.sender.events
    assert (event["user_id"], event["timestamp"], event["price"]) == ("7", "2024-01-01T10:00:00Z", 9.5)
    assert run.told == [(2, "no user", "column user_id is empty or no text")]


def test_a_wire_file_keeps_its_own_ids(tmp_path: Path, run_replay: RunReplay) -> None:
    lines = [
        {"event_id": "mine", "user_id": "u", "event_type": "view", "timestamp": 1704103200000},
        {"user_id": "u", "event_type": "view", "timestamp": 1704103200000},
    ]
    run = run_replay(write(tmp_path / "e.jsonl", "\n".join(map(json.dumps, lines))))
    assert run.sender.ids[0] == "mine"
    assert run.sender.ids[1].endswith("-0")
    assert run.sender.events[0]["timestamp"] == "2024-01-01T10:00:00Z"


def test_every_refused_line_is_told_counted_and_written(tmp_path: Path, run_replay: RunReplay) -> None:
    content = (
        HEADER.encode()
        + b"u1,view,2024-01-01,a\n"  # line 2
        + b"u1,view\n"
        + b",view,2024-01-01,a\n"
        + b"u1,view,soon,a\n"
        + b"\n"
        + b"u1,view,2024-01-01,\xff\n"
        + b'"u1,view,2024-01-01,a\n'  # line 8: a quote too many must not swallow the next line
        + b"u2,view,2024-01-01,a\n"
        + b"u1,view,2024-01-01,"
        + b"x" * MAX_LINE_CHARS
        + b"\n"
        + b'u3,view,2024-01-01,"two\nlines"\n'
        + b"u1,view,late,a"
    )
    run = run_replay(write(tmp_path / "bad.csv", content))
    assert [(line, reason) for line, reason, _ in run.told] == [
        (3, "wrong number of columns"),
        (4, "no user"),
        (5, "unreadable time"),
        (6, "empty line"),
        (7, "not UTF-8"),
        (8, "not CSV"),
        (10, "line too long"),
        (13, "unreadable time"),
    ]
    assert [event["user_id"] for event in run.sender.events] == ["u1", "u2", "u3"]
    assert run.sender.events[2]["note"] == "two\nlines"
    assert run.result.refused_by_reason["unreadable time"] == 2
    assert run.result.rejects is not None
    written = [json.loads(line) for line in run.result.rejects.read_text().splitlines()]
    assert len(written) == run.result.refused == 8
    assert written[4]["text"] == "u1,view,2024-01-01,\\xff"


def test_only_the_first_twenty_refusals_are_told(tmp_path: Path, run_replay: RunReplay) -> None:
    run = run_replay(write(tmp_path / "bad.csv", HEADER + "x\n" * 50))
    assert len(run.told) == 20
    assert run.result.refused_by_reason == {"wrong number of columns": 50}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"[1, 2]", "not a JSON object"),
        (b'{"user_id": "u"', "not a JSON object"),
        (b'{"user_id": NaN}', "not a JSON object"),
        (b'{"user_id": "\xff"}', "not UTF-8"),
        (b'{"user_id": "\\ud800"}', "not a JSON object"),
        (b"[" * 100_000, "not a JSON object"),
        (b'{"user_id": {"a": 1}, "timestamp": "2024-01-01"}', "no user"),
        (b'{"user_id": "u", "timestamp": [1]}', "unreadable time"),
    ],
)
def test_a_bad_json_line_is_refused(tmp_path: Path, run_replay: RunReplay, line: bytes, reason: str) -> None:
    run = run_replay(write(tmp_path / "bad.jsonl", line + b"\n"))
    assert [refusal[:2] for refusal in run.told] == [(1, reason)]


@pytest.mark.parametrize(("suffix", "compressed"), [(".gz", gzip.compress), (".bz2", bz2.compress), (".zst", zst)])
def test_a_file_cut_off_is_produced_as_far_as_it_can_be_read(
    tmp_path: Path, run_replay: RunReplay, suffix: str, compressed: object
) -> None:
    assert callable(compressed)
    randomly = random.Random(1)  # noqa: S311 - bytes that do not compress, so that half the file is half the lines
    rows = [f"u{number},view,2024-01-01,{randomly.randbytes(40).hex()}\n" for number in range(20_000)]
    whole = compressed((HEADER + "".join(rows)).encode())
    file = write(tmp_path / f"cut.csv{suffix}", whole[: len(whole) // 2])
    sender = MemorySender()
    with pytest.raises(ReplayEnded) as error:
        run_replay(file, sender=sender)
    produced = error.value.result.produced
    assert error.value.exit_code == 1
    assert f"{file}: damaged or cut off after line {produced + 1:,}" in str(error.value)
    assert 1_000 < produced < 20_000
    assert [event["user_id"] for event in sender.events] == [f"u{number}" for number in range(produced)]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("nothing.csv", b"", "no header line"),
        ("twice.csv", b"a,b,a\n", "the column 'a' twice"),
        ("notes.txt", b"x", "the name must end in"),
        ("not.csv.gz", b"plain text", "damaged or cut off after line 0"),
        ("not.parquet", b"plain text", "cannot be read as Parquet"),
    ],
)
def test_a_file_that_cannot_be_replayed_says_why(
    tmp_path: Path, run_replay: RunReplay, name: str, content: bytes, said: str
) -> None:
    with pytest.raises(LakehouseError, match=said):
        run_replay(write(tmp_path / name, content))


def test_equal_lines_stay_events_of_their_own_and_a_second_replay_gives_the_same_ids(
    tmp_path: Path, run_replay: RunReplay
) -> None:
    lines = ["u1,view,2024-01-01,a\n", "u2,view,2024-01-01,a\n", "u1,view,2024-01-01,a\n"]
    ids = run_replay(write(tmp_path / "a.csv", HEADER + "".join(lines))).sender.ids
    assert len(set(ids)) == 3
    assert ids[0].endswith("-0")
    assert ids[2] == ids[0].removesuffix("-0") + "-1"
    again = run_replay(write(tmp_path / "b.csv", HEADER + "".join(reversed(lines)))).sender.ids
    assert Counter(again) == Counter(ids)


def test_ids_do_not_depend_on_the_order_of_columns_or_on_quotes(tmp_path: Path, run_replay: RunReplay) -> None:
    one = run_replay(write(tmp_path / "a.csv", "user_id,event_type,timestamp\nu1,view,2024-01-01\n"))
    other = run_replay(write(tmp_path / "b.csv", 'timestamp,user_id,event_type\r\n2024-01-01,"u1",view\r\n'))
    assert one.sender.ids == other.sender.ids


def test_cells_that_hold_the_separator_are_not_confused(tmp_path: Path, run_replay: RunReplay) -> None:
    content = "user_id,event_type,timestamp,a,b\nu,view,2024-01-01,x\x1fy,z\nu,view,2024-01-01,x,y\x1fz\n"
    first, second = run_replay(write(tmp_path / "a.csv", content)).sender.ids
    assert first.split("-")[0] != second.split("-")[0]


few_lines = st.lists(
    st.sampled_from(
        ["u1,view,2024-01-01,a", "u1,view,2024-01-01,b", "u2,view,2024-01-01,a", "u2,view", ",view,2024-01-01,a", ""]
    ),
    max_size=30,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=few_lines, seed=st.integers(0, 1000))
def test_any_order_gives_the_same_ids_and_every_line_is_accounted_for(
    tmp_path: Path, run_replay: RunReplay, lines: list[str], seed: int
) -> None:
    shuffled = random.Random(seed).sample(lines, len(lines))  # noqa: S311
    runs = [
        run_replay(write(tmp_path / "a.csv", HEADER + "".join(line + "\n" for line in each)))
        for each in (lines, shuffled)
    ]
    for run in runs:
        assert run.result.lines == run.result.produced + run.result.refused == len(lines)
        assert run.result.produced == len(run.sender.messages)
        assert len(set(run.sender.ids)) == len(run.sender.ids)
    assert Counter(runs[0].sender.ids) == Counter(runs[1].sender.ids)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(noise=st.binary(max_size=200))
@example(noise=b"\xef")  # the beginning of a byte order mark, and no more
@example(noise=codecs.BOM_UTF8)
@example(noise=codecs.BOM_UTF8 + b"a")
def test_no_bytes_crash_a_replay(tmp_path: Path, run_replay: RunReplay, noise: bytes) -> None:
    for name, head in (("noise.csv", HEADER.encode()), ("noise.jsonl", b"")):
        run = run_replay(write(tmp_path / name, head + noise))
        assert run.result.lines == run.result.produced + run.result.refused
        assert run.result.lines >= (1 if noise.removeprefix(codecs.BOM_UTF8).strip(b"\r\n") else 0)


def test_ordinals_are_counted_on_disk(tmp_path: Path) -> None:
    rows = 1_500_000
    randomly = random.Random(5)  # noqa: S311
    pool = [randomly.randbytes(DIGEST_BYTES) for _ in range(1000)]
    tracemalloc.start()
    ordinals = Ordinals(tmp_path)
    for row in range(rows):
        ordinals.add(pool[row % 1000] if row % 3 == 0 else randomly.randbytes(DIGEST_BYTES))
    answers = ordinals.solve()
    expected: Counter[int] = Counter()
    for row, ordinal in zip(range(rows), answers, strict=False):
        if row % 3 == 0:
            assert ordinal == expected[row % 1000]
            expected[row % 1000] += 1
        else:
            assert ordinal == 0
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    answers.close()
    # The hashes alone would take 73 MB as Python objects; a buffer of 262,144 of them takes 15.
    assert peak < 60 * 1024 * 1024


def test_sessions_end_after_the_gap_whatever_the_order_of_lines(tmp_path: Path, run_replay: RunReplay) -> None:
    minute = 60_000
    at = 1_433_221_320_000
    rows = [
        ("anna", at + 31 * minute),  # 31 minutes after the one at 0: a session of its own
        ("ben", at + 5 * minute),
        ("anna", at),
        ("anna", at + 61 * minute),  # exactly 30 minutes later: still the same session
    ]
    content = "timestamp,visitorid,event,itemid,transactionid\n"
    content += "".join(f"{time},{user},view,1,\n" for user, time in rows)
    run = run_replay(write(tmp_path / "events.csv", content), "retailrocket")
    assert [event["session_id"] for event in run.sender.events] == [
        f"anna-{at + 31 * minute}",
        f"ben-{at + 5 * minute}",
        f"anna-{at}",
        f"anna-{at + 31 * minute}",
    ]


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 200)), max_size=40))
def test_sessions_are_those_of_a_plain_walk(tmp_path: Path, events: list[tuple[str, int]]) -> None:
    sessions = Sessions(tmp_path, gap_us=10)
    for row, (user, time) in enumerate(events):
        sessions.add(row, user, time)
    expected: dict[int, int] = {}
    last: dict[str, tuple[int, int]] = {}
    for row in sorted(range(len(events)), key=lambda row: events[row][1]):
        user, time = events[row]
        previous, start = last.get(user, (-100, -1))
        last[user] = time, start if time - previous <= 10 else time
        expected[row] = last[user][1]
    answers = sessions.solve()
    assert dict(zip(range(len(events)), answers, strict=False)) == expected
    answers.close()


def test_a_stop_ends_between_two_events_and_says_what_was_sent(tmp_path: Path, run_replay: RunReplay) -> None:
    file = write(tmp_path / "events.csv", EVENTS)
    sender = MemorySender(stop_after=2)
    with pytest.raises(ReplayStopped) as error:
        run_replay(file, sender=sender)
    assert error.value.exit_code == 130
    assert error.value.result.produced == sender.sent == 2
    assert "2 produced" in str(error.value)
    assert sender.flushes == 1
    again = run_replay(file)
    assert again.sender.ids[:2] == sender.ids


def test_a_paced_replay_waits_by_event_time(tmp_path: Path, run_replay: RunReplay) -> None:
    now, waits = 100.0, []

    def sleep(seconds: float) -> None:
        nonlocal now
        waits.append(seconds)
        now += seconds

    times = ["10:00:00", "10:00:30", "10:00:10", "10:01:00"]  # the third comes late: it is due at once
    content = HEADER + "".join(f"u,view,2024-01-01T{time}Z,\n" for time in times)
    run_replay(write(tmp_path / "e.csv", content), pace=Pace(10.0, clock=lambda: now, sleep=sleep))
    assert waits == [3.0, 3.0]


@pytest.mark.parametrize(("text", "speed"), [("max", None), ("1", 1.0), ("60x", 60.0), ("0.5", 0.5)])
def test_speeds(text: str, speed: float | None) -> None:
    assert parse_speed(text) == speed


@pytest.mark.parametrize("text", ["", "0", "-1", "fast", "nan", "inf"])
def test_a_speed_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(LakehouseError, match="must be max, or a multiple"):
        parse_speed(text)


def test_ga4_is_produced_whole_and_each_event_is_unique(shared_data: Path, run_replay: RunReplay) -> None:
    run = run_replay(shared_data / "ga4_store_events.csv.gz", "ga4")
    assert (run.result.lines, run.result.produced, run.result.refused, run.result.too_old) == (84_840, 84_840, 0, 0)
    assert len(set(run.sender.ids)) == 84_840
    assert max(datetime.fromisoformat(event["timestamp"]) for event in run.sender.events).year == 2021


def test_cdnow_keeps_its_equal_purchases(shared_data: Path, run_replay: RunReplay) -> None:
    run = run_replay(shared_data / "cdnow_purchases.csv.gz", "cdnow")
    assert (run.result.produced, run.result.too_old) == (69_659, 69_659)  # all before 2000
    assert len(set(run.sender.ids)) == 69_659
    assert sum(not event_id.endswith("-0") for event_id in run.sender.ids) == 255
