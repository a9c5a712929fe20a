"""What goes wrong with a producer, message by message."""

from __future__ import annotations

import json
from typing import Any

import pytest

from benchmarks.detection import FAULTS
from benchmarks.wrong import WRONGS


def sent(name: str, *events: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        json.loads(message)
        for number, each in enumerate(events)
        for message in WRONGS[name](number, json.dumps(each).encode())
    ]


VIEW = {"user_id": "ann", "event_type": "view", "timestamp": "2025-03-01T10:00:00Z"}
CART = {**VIEW, "event_type": "add_to_cart", "price": 2.5}
PURCHASE = {**VIEW, "event_type": "purchase", "price": 2.5}


def test_one_message_in_five_names_no_user() -> None:
    assert [each["user_id"] for each in sent("users lost", *[VIEW] * 6)] == [None, "ann", "ann", "ann", "ann", None]


def test_only_purchases_lose_their_price() -> None:
    assert [each.get("price") for each in sent("prices lost", CART, PURCHASE)] == [2.5, None]


def test_one_message_in_three_is_sent_twice() -> None:
    assert sent("sent twice", VIEW, CART, PURCHASE) == [VIEW, VIEW, CART, PURCHASE]


def test_searches_flood_what_is_sent_and_are_events_of_their_own() -> None:
    found = sent("flood", VIEW, VIEW)
    assert [each["event_type"] for each in found] == ["view", "search", "search"] * 2
    assert len({each["event_id"] for each in found if each["event_type"] == "search"}) == 4


def test_additions_to_the_cart_are_lost() -> None:
    assert sent("no carts", VIEW, CART, PURCHASE) == [VIEW, PURCHASE]


def test_one_clock_in_ten_is_ahead() -> None:
    times = [each["timestamp"] for each in sent("clock ahead", *[VIEW] * 11)]
    assert times == ["2025-03-01T10:04:00Z", *[VIEW["timestamp"]] * 9, "2025-03-01T10:04:00Z"]


@pytest.mark.parametrize("name", WRONGS)
@pytest.mark.parametrize("broken", [b"{", b"\xff", b"[]", b'{"timestamp": 7}', b'{"timestamp": "soon"}'])
def test_a_message_that_was_broken_before_comes_all_the_same(name: str, broken: bytes) -> None:
    assert WRONGS[name](1, broken)[:1] == ([] if name == "silence" else [broken])


def test_every_wrong_is_a_fault_that_is_injected() -> None:
    assert {fault.wrong for fault in FAULTS} - {None} == set(WRONGS)
