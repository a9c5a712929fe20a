"""What the judge saw, as people read it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.verdicts.seen import told

ONE = '{"rows": 1, "failed": 1, "values": [0.5]}'


@pytest.mark.parametrize(
    ("figure", "words"),
    [
        ({"newest": "2026-05-04T10:00:00+00:00", "seconds": 602.565537}, "602.6 s"),
        ({"late_events": 17_551, "of": 84_840, "share": 0.206866, "highest": 0.2}, "17,551 of 84,840 (20.7 %)"),
        (
            {"outcome": "refused", "messages": 30, "of": 100, "share": 0.3, "highest": 0.1},
            "refused: 30 of 100 (30.0 %)",
        ),
        (
            {"event_type": "view", "events": 90, "share": 0.9, "usual_share": 0.31, "lowest": 0.1, "highest": 0.6},
            "view: 90.0 %, usually 31.0 %",
        ),
        (
            {"hour": "2026-05-04T10:00:00+00:00", "event_type": "*", "events": 3, "usual": 1_200.0, "days": 4},
            "all types at 2026-05-04T10:00: 3, usually 1,200",
        ),
        ({"carts": 10, "purchases": 40, "highest": 25.8}, "40 purchases of 10 carts"),
        ({"balance": "events", "expected": 1_000, "found": 999}, "events: 999 found, 1,000 expected"),
        ({"event_id": "e1", "event_time": "2026-05-04T10:00:00+00:00", "copies": 2}, "a key 2 times"),
        (
            {"part": "2026-05-04", "rows_in_mirror": 3, "rows_in_delta": 1_004},
            "2026-05-04: rows in mirror 3, rows in delta 1,004",
        ),
    ],
)
def test_a_figure_is_told_by_what_it_is_of(figure: dict[str, Any], words: str) -> None:
    assert told(ONE, [json.dumps(figure)]) == words
    assert told('{"rows": 9, "failed": 3}', [json.dumps(figure)]) == f"{words}, and 2 more"


@pytest.mark.parametrize(
    ("observed", "words"),
    [
        ('{"rows": 84840, "failed": 3, "values": [null]}', "3 of 84,840 rows"),
        ("0.25", "0.25"),
        ("84840", "84,840"),
        ('{"mean": 1234.5, "price_share": 0.125}', "mean 1,234, price share 12.5 %"),
        ('{"rows": 84840, "fai', '{"rows": 84840, "fai'),
        ("[1, 2]", "[1, 2]"),
        (None, None),
    ],
)
def test_what_is_of_rows_or_of_another_kind(observed: str | None, words: str | None) -> None:
    assert told(observed, ['{"event_id": "e1"}', "{cut"]) == words


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
NAMES = st.sampled_from(
    [
        "seconds",
        "share",
        "of",
        "event_type",
        "usual_share",
        "hour",
        "events",
        "usual",
        "copies",
        "part",
        "rows",
        "failed",
    ]
)


@given(seen=JSON | st.dictionaries(NAMES, JSON), figure=st.dictionaries(NAMES, JSON))
def test_whatever_was_seen_something_is_told(seen: Any, figure: dict[str, Any]) -> None:
    assert told(json.dumps(seen), [json.dumps(figure)])
