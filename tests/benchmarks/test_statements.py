"""What a role asks of Postgres, from the server's log; and the refreshes that a browser saw."""

from __future__ import annotations

import pytest

from benchmarks.browser import page_files, refreshes
from benchmarks.statements import Kind, Statement, kinds, parse
from benchmarks.views import views

LOG = """\
2026-01-05 10:00:00.001 UTC [71] LOG:  duration: 0.021 ms  statement: BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY
2026-01-05 10:00:00.002 UTC [71] LOG:  duration: 1.250 ms  statement:
\tSELECT now() AS read_at, (SELECT max(event_time) FROM raw_events) AS newest_event,
\t       (SELECT max(applied_at) FROM mirror_ledger) AS mirrored_at

2026-01-05 10:00:00.009 UTC [12] ERROR:  canceling statement due to statement timeout
2026-01-05 10:00:00.010 UTC [71] LOG:  duration: 31.500 ms  statement: SELECT sum(n) FROM funnel_windows
2026-01-05 10:00:00.011 UTC [71] LOG:  duration: 0.100 ms  statement: SELECT 1
2026-01-05 10:00:00.012 UTC [71] LOG:  duration: 8.500 ms  statement: SELECT n FROM funnel_windows LIMIT 1
"""


def test_a_statement_is_known_by_the_mirrors_that_it_reads() -> None:
    assert parse(LOG) == [
        Statement(("mirror_ledger", "raw_events"), 1.25),
        Statement(("funnel_windows",), 31.5),
        Statement((), 0.1),
        Statement(("funnel_windows",), 8.5),
    ]


def test_the_costliest_kind_comes_first() -> None:
    assert kinds(parse(LOG)) == (
        Kind("funnel_windows", 2, 0.04, 20.0, 31.5),
        Kind("mirror_ledger, raw_events", 1, 0.0013, 1.25, 1.25),
        Kind("no mirror", 1, 0.0001, 0.1, 0.1),
    )


@pytest.mark.parametrize(
    ("runs", "seconds"),
    [
        ([], []),
        ([(1_000, 1_200)], [0.2]),
        ([(1_000, 1_200), (1_700, 2_500)], [1.5]),
        ([(1_000, 1_200), (16_000, 16_500)], [0.2, 0.5]),
    ],
    ids=["none", "one panel", "two panels of one refresh", "two refreshes"],
)
def test_panels_that_follow_each_other_are_one_refresh(runs: list[tuple[float, float]], seconds: list[float]) -> None:
    assert refreshes(runs) == seconds


def test_every_page_is_opened_at_least_as_it_opens_by_itself() -> None:
    opened = views("u000001")

    assert {view.page for view in opened} == {file.stem for file in page_files()}
    assert opened[0].url("http://127.0.0.1:1") == "http://127.0.0.1:1/?"
