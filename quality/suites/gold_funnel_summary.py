"""`gold.funnel_summary`: each user's funnel in each window."""

from __future__ import annotations

from lakehouse.contracts import FunnelSummary as G
from lakehouse.settings import Settings
from quality.expectations import ExpectColumnPairSecondsToBeBetween as SecondsBetween
from quality.suite import Expected, Suite
from quality.suites.common import (
    as_many,
    at_least,
    balanced,
    complete,
    funnel_counts,
    in_order,
    in_time,
    known,
    purchases_per_cart,
    sessions,
    unique,
    windows,
)
from quality.verdicts import Severity


def suite(settings: Settings) -> Suite:
    start, end = str(G.window_start), str(G.window_end)
    return Suite(
        G.name,
        [
            *complete(G),
            *unique(G),
            *funnel_counts(str(G.num_events)),
            *at_least([G.num_events], 1, "a window without an event of the user has no row"),
            *at_least([G.late_events], 0, "there is no negative number of events"),
            as_many(G.num_events, G.late_events, "late events are some of the events"),
            as_many(G.num_events, G.sessions, "a session has an event"),
            sessions(),
            *windows(settings),
            in_order(start, G.first_event_time, "a window counts only what happened in it"),
            in_order(G.first_event_time, G.last_event_time, "the last event is not before the first"),
            Expected(
                "events_are_before_the_window_ends",
                "The last event is before the end of its window: one at the end belongs to the next.",
                Severity.halt,
                SecondsBetween(column_A=end, column_B=str(G.last_event_time), min_seconds=0.000001),
            ),
            purchases_per_cart(),
            known("Each user's last event", "silver.events", needs=[G.user_id, G.last_event_time]),
            balanced("All windows together count as many events as silver.events has"),
            in_time("silver.events", settings),
        ],
        key=[str(column) for column in G.key],
    )
