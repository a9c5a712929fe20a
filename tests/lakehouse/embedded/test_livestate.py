"""What `status` and the live line of `up` say of the writer's state."""

from __future__ import annotations

from lakehouse.embedded.livestate import live_lines

HOLD = "raw_events holds the history of silver.events: what it has taken is not known now"


def test_who_holds_a_tables_history_and_why_upkeep_failed_are_lines_of_their_own() -> None:
    upkeep = {"error": "OSError: No space left on device", "held_by": [{"reason": HOLD}]}

    lines = live_lines({"state": "running", "tables": {"silver.events": 3}, "upkeep": upkeep})

    assert lines[1:] == ["silver.events 3", "upkeep: OSError: No space left on device", HOLD]


def test_upkeep_that_has_nothing_to_say_says_nothing() -> None:
    quiet = {"state": "running", "tables": {"silver.events": 3}, "upkeep": {"error": None, "held_by": []}}

    assert live_lines(quiet)[1:] == ["silver.events 3"]
    assert live_lines({"state": "running", "tables": {"silver.events": 3}})[1:] == ["silver.events 3"]
