"""Which versions are judged next: each once, in ranges that are capped by rows, and none that brought nothing."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from lakehouse.deltalog import Version
from quality.following import end_of_range


def versions(first: int, *rows: int | None) -> list[Version]:
    """Versions from ``first`` on with so many rows each; None for a compaction."""
    return [
        Version(first + number, (), each or 0, only_appends=each is None, touched=(), account=None)
        for number, each in enumerate(rows)
    ]


@pytest.mark.parametrize(
    ("rows", "last"),
    [
        ([10, 10, 10], 6),
        ([60, 40, 1], 5),  # 100 rows are taken at once
        ([500, 1], 4),  # a version is never parted
        ([None, 500, 1], 5),
        ([10, None, None], 6),  # what brought nothing goes with what came before
        ([60, None, 60], 5),
        ([None, None], None),
        ([], None),
    ],
)
def test_a_range_holds_as_many_rows_as_are_judged_at_once(rows: Sequence[int | None], last: int | None) -> None:
    assert end_of_range(versions(4, *rows), most_rows=100) == last
