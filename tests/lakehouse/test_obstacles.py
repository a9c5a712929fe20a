"""When a stage waits although it has work: no disk, or too much refused."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from lakehouse.obstacles import Ceiling, despite_full_disk, full_disk, short_of_disk

A_TENTH = Ceiling(share=0.1, of_events=1_000, stops=False)


def test_a_disk_with_enough_left_is_no_obstacle(tmp_path: Path) -> None:
    assert short_of_disk(tmp_path, 0) is None
    assert full_disk(tmp_path) is None


def test_a_disk_with_too_little_left_is_named_with_the_setting(tmp_path: Path) -> None:
    said = short_of_disk(tmp_path, 10**9)

    assert said is not None
    assert said.startswith(f"the disk of {tmp_path} has ")
    assert said.endswith("less than LAKEHOUSE_MIN_FREE_DISK_MB=1000000000")


def test_few_refusals_alarm_nobody() -> None:
    assert A_TENTH.exceeded([(1_000, 100)]) is None


def test_too_many_refusals_are_said_with_their_share() -> None:
    said = A_TENTH.exceeded([(500, 0), (1_000, 101)])

    assert said == (
        "10% of the last 1,000 events were refused, more than LAKEHOUSE_QUARANTINE_CEILING=0.1; "
        "silver.quarantine holds them with their reasons"
    )


def test_only_the_newest_events_count() -> None:
    assert A_TENTH.exceeded([(1_000, 1_000), (400, 0), (600, 0)]) is None
    assert A_TENTH.exceeded([(1_000, 0), (600, 300), (400, 0)]) is not None


def test_a_few_events_are_no_sample() -> None:
    assert A_TENTH.exceeded([(999, 999)]) is None
    assert A_TENTH.exceeded([]) is None


def test_telling_is_given_up_on_a_full_disk_and_on_nothing_else() -> None:
    with despite_full_disk():
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="denied"), despite_full_disk():
        raise OSError(errno.EACCES, "denied")
