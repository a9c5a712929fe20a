"""What is new, a copy or a reused id: the same however the messages are cut into batches."""

from __future__ import annotations

import polars as pl
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from silver.identity import DUPLICATE, EVENT, EXISTING_COLUMNS, NEW, REFUSED, REUSED, classify

Message = tuple[str | None, int]
"""An id, None for a row that a predicate refuses, and a time in milliseconds."""

COORDINATES = (("source_id", pa.string()), ("partition", pa.int32()), ("offset", pa.int64()))
BATCH = pa.schema([("join_id", pa.string()), ("time_ms", pa.int64()), *COORDINATES])
SILVER = {"event_id": pl.String, "time_ms": pl.Int64, "source_id": pl.String, "partition": pl.Int32, "offset": pl.Int64}
assert tuple(SILVER) == tuple(str(column) for column in EXISTING_COLUMNS)


def batch(messages: list[Message], first_offset: int) -> pa.Table:
    rows = [
        {"join_id": name, "time_ms": time, "source_id": "t", "partition": 0, "offset": offset}
        for offset, (name, time) in enumerate(messages, first_offset)
    ]
    return pa.Table.from_pylist(rows, BATCH)


def judged(batches: list[list[Message]], *, each_twice: bool = False) -> list[str]:
    """The outcomes in order; ``each_twice`` judges every batch again after its events are in."""
    silver: list[dict[str, object]] = []
    said: list[str] = []
    for messages in batches:
        rows = batch(messages, len(said))
        for _ in range(2 if each_twice else 1):
            outcome = classify(rows, pl.DataFrame(silver, SILVER))
            new = [row for row in outcome.to_pylist() if row["outcome"] == NEW]
            silver += [{"event_id": row["join_id"], **{k: row[k] for k in SILVER if k != "event_id"}} for row in new]
        said += outcome["outcome"].to_pylist()
    return said


def expected(messages: list[Message]) -> list[str]:
    """The first message with an id is the event; one more with its time is a copy, with another time a reuse."""
    times: dict[str, int] = {}
    said = []
    for name, time in messages:
        if name is None:
            said.append(REFUSED)
        elif name not in times:
            times[name] = time
            said.append(NEW)
        else:
            said.append(DUPLICATE if times[name] == time else REUSED)
    return said


batches = st.lists(st.lists(st.tuples(st.sampled_from(["a", "b", "t/0/1", None]), st.integers(0, 2)), max_size=6))


@settings(deadline=None, max_examples=50)  # how long one takes depends on who else is at work
@given(batches)
def test_outcomes_do_not_depend_on_how_messages_are_cut_into_batches(cut: list[list[Message]]) -> None:
    assert judged(cut) == expected([message for messages in cut for message in messages])


@settings(deadline=None, max_examples=50)  # how long one takes depends on who else is at work
@given(batches)
def test_a_batch_judged_again_finds_its_own_events_and_no_new_ones(cut: list[list[Message]]) -> None:
    again = judged(cut, each_twice=True)

    assert again == [EVENT if outcome == NEW else outcome for outcome in judged(cut)]
