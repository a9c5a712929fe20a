"""How tables stand after runs and decisions: what is found, what halts, and what no longer does."""

from __future__ import annotations

from typing import Any

from lakehouse.standing import Standing

SILVER = "silver.events"


def verdict(run: str, expectation: str, success: bool | None, severity: str = "halt", **more: Any) -> dict[str, Any]:
    """A row of `quality.results`; ``run`` is TABLE@FIRST-LAST."""
    table, _, versions = run.partition("@")
    first, _, last = versions.partition("-")
    row = {
        "run_id": run,
        "table_name": table,
        "mode": "new",
        "first_version": int(first),
        "last_version": int(last),
        "severity": severity,
        "expectation": expectation,
        "description": "Every event has a type.",
        "unexpected_count": None if success else 3,
        "success": success,
        "error": None,
    }
    return row | more


def run_ids(standing: Standing) -> list[str]:
    return [halt.run_id for halt in standing.halts]


def test_a_run_that_fails_what_halts_stays_halting_whatever_comes_after_it() -> None:
    standing = Standing().after([verdict("silver.events@0-4", "types", False)], {SILVER: 4})
    standing = standing.after([verdict("silver.events@5-6", "types", True)], {SILVER: 6})

    assert run_ids(standing) == ["silver.events@0-4"]
    assert standing.validated == {SILVER: 6}
    assert standing.findings == {SILVER: ()}


def test_a_decision_lets_go_of_its_own_run_only() -> None:
    standing = Standing().after(
        [verdict("silver.events@0-4", "types", False), verdict("silver.events@5-6", "types", False)], {SILVER: 6}
    )

    assert run_ids(standing.decided({"silver.events@0-4"})) == ["silver.events@5-6"]


def test_what_alarms_or_warns_is_over_with_the_next_run_that_meets_it() -> None:
    failed = [
        verdict("gold.user_days@0-1", "shares", False, "alarm"),
        verdict("gold.user_days@0-1", "size", False, "warn"),
    ]
    standing = Standing().after(failed, {"gold.user_days": 1})
    assert [each.expectation for each in standing.alarms()] == ["shares"]
    assert [each.expectation for each in standing.warnings()] == ["size"]
    assert standing.halts == ()

    met = [verdict("gold.user_days@2-2", name, True, kind) for name, kind in (("shares", "alarm"), ("size", "warn"))]
    standing = standing.after(met, {"gold.user_days": 2})
    assert standing.alarms() == standing.warnings() == []


def test_what_could_not_be_judged_is_told_and_halts_nothing() -> None:
    unjudged = verdict("silver.events@0-4", "types", None, error="silver.events has no column kind")

    standing = Standing().after([unjudged], {SILVER: 4})

    assert (standing.halts, standing.alarms()) == ((), [])
    (found,) = standing.findings[SILVER]
    assert str(found) == ("silver.events, versions 0 to 4: types could not be judged: silver.events has no column kind")


def test_a_look_at_a_whole_table_alarms_and_halts_nothing() -> None:
    standing = Standing().after(
        [verdict("silver.events@0-9", "types", False, mode="full", run_id="silver.events/1")], {}
    )

    assert standing.halts == ()
    assert [str(each) for each in standing.alarms()] == [
        "silver.events, version 9: types is not met by 3 rows: Every event has a type"
    ]


def test_a_halt_says_what_where_and_how_to_go_on() -> None:
    found = [verdict("silver.events@7-9", "types", False), verdict("silver.events@7-9", "times", False)]

    (halt,) = Standing().after(found, {SILVER: 9}).halts

    assert str(halt) == (
        "silver.events, versions 7 to 9: types is not met by 3 rows: Every event has a type, and 1 more; what comes "
        "after silver.events has stopped: `lakehouse quality accept silver.events@7-9` to go on with these rows as "
        "they are, or mend the cause and `lakehouse rebuild silver`"
    )
