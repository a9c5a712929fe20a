"""When a stream may go on from its checkpoint: when table and checkpoint tell the same story."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from lakehouse.checkpoints import Checkpoint
from lakehouse.commits import Commit


def checkpoint(folder: Path, planned: Iterable[int], committed: Iterable[int]) -> Checkpoint:
    """As Spark lays it out: a file for each batch that was planned, and one for each that was done."""
    for log, batches in (("offsets", planned), ("commits", committed)):
        (folder / log).mkdir(parents=True)
        for batch in batches:
            (folder / log / str(batch)).write_text("v1\n{}")
            (folder / log / f".{batch}.crc").write_text("")
    return Checkpoint(folder)


def test_a_new_table_and_no_checkpoint_agree(tmp_path: Path) -> None:
    assert Checkpoint(tmp_path / "gen-0").agrees_with(None)


def test_a_table_with_batches_and_no_checkpoint_do_not(tmp_path: Path) -> None:
    assert not Checkpoint(tmp_path / "gen-0").agrees_with(Commit("silver", 0, 0))


@pytest.mark.parametrize(
    ("in_table", "planned", "committed", "agrees"),
    [
        pytest.param(3, [1, 2, 3], [1, 2, 3], True, id="both hold batch 3"),
        pytest.param(3, [2, 3, 4], [2, 3], True, id="batch 4 was planned only"),
        pytest.param(3, [2, 3], [1, 2], True, id="died before Spark noted batch 3"),
        pytest.param(3, [1, 2], [1, 2], False, id="a backup of the checkpoint, from before batch 3"),
        pytest.param(3, [1, 2], [0, 1], False, id="a backup that had planned batch 2 only"),
        pytest.param(3, [3, 4], [3, 4], False, id="a backup of the table, from before batch 4"),
        pytest.param(9, [9, 10], [8, 9], True, id="batch 10 is newer than batch 9"),
        pytest.param(None, [0], [], True, id="died before the first batch was committed"),
        pytest.param(None, [0], [0], False, id="the table was made anew"),
    ],
)
def test_a_stream_goes_on_only_where_nothing_is_skipped_or_taken_twice(
    tmp_path: Path, in_table: int | None, planned: list[int], committed: list[int], agrees: bool
) -> None:
    last = None if in_table is None else Commit("silver", 0, in_table)

    assert checkpoint(tmp_path, planned, committed).agrees_with(last) is agrees


def test_after_a_commit_that_moved_no_events_only_a_fresh_checkpoint_will_do(tmp_path: Path) -> None:
    restored = Commit("silver", 1, -1, marker="restored to version 7")

    assert Checkpoint(tmp_path / "gen-1").agrees_with(restored)
    assert not checkpoint(tmp_path / "gen-0", [0, 1], [0, 1]).agrees_with(restored)


def test_a_removed_checkpoint_is_gone_and_may_be_removed_again(tmp_path: Path) -> None:
    stream = checkpoint(tmp_path / "gen-0", [0], [0])

    stream.remove()
    stream.remove()

    assert not stream.path.exists()
