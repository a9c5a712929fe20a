"""Which change of a key holds at the end of a range of the change feed."""

from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from serving_rows import AFTER, BEFORE, DELETE, INSERT, at, feed, summary

from lakehouse.contracts import FunnelSummary
from serving.changes import latest_changes

START = at("10:00")


def outcome(*changes: tuple[int, str, int]) -> list[tuple[str, int]]:
    """Change type and views of what holds for one key, of (version, type, views)."""
    table = feed(FunnelSummary, *[(v, kind, summary("ann", START, views=n)) for v, kind, n in changes])
    latest = latest_changes(table, FunnelSummary.key)
    return [(row["_change_type"], row["num_views"]) for row in latest.to_pylist()]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ([(1, INSERT, 1)], [(INSERT, 1)]),
        ([(1, INSERT, 1), (2, BEFORE, 1), (2, AFTER, 2)], [(AFTER, 2)]),
        ([(1, INSERT, 1), (2, DELETE, 1)], [(DELETE, 1)]),
        ([(1, DELETE, 1), (2, INSERT, 2)], [(INSERT, 2)]),
        ([(3, DELETE, 1), (3, INSERT, 2)], [(INSERT, 2)]),
        ([(3, DELETE, 1), (3, BEFORE, 1), (3, AFTER, 2)], [(AFTER, 2)]),
        ([(2, AFTER, 2), (3, DELETE, 2), (4, BEFORE, 9)], [(DELETE, 2)]),
        ([(1, BEFORE, 1)], []),
    ],
)
def test_the_highest_version_wins_and_in_it_an_insert_beats_a_delete_in_any_order(
    changes: list[tuple[int, str, int]], expected: list[tuple[str, int]]
) -> None:
    for order in permutations(changes):
        assert outcome(*order) == expected


def test_keys_do_not_mix() -> None:
    later = at("10:10")
    changes = feed(
        FunnelSummary,
        (1, INSERT, summary("ann", START, views=1)),
        (2, INSERT, summary("ann", later, views=2)),
        (3, DELETE, summary("bob", START, views=3)),
    )
    assert latest_changes(changes, FunnelSummary.key).num_rows == 3


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from([INSERT, AFTER, BEFORE, DELETE])), max_size=12))
def test_it_agrees_with_the_rule_told_row_by_row(changes: list[tuple[int, str]]) -> None:
    candidates = [(version, kind != DELETE) for version, kind in changes if kind != BEFORE]
    survives = max(candidates)[1] if candidates else None

    found = outcome(*[(version, kind, 0) for version, kind in changes])

    assert [kind != DELETE for kind, _ in found] == ([] if survives is None else [survives])
