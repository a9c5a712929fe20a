"""`gold.user_days`: each user's days."""

from __future__ import annotations

import great_expectations.expectations as gxe
from great_expectations.expectations.row_conditions import Column

from lakehouse.contracts import UserDays as D
from lakehouse.settings import Settings
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
)
from quality.verdicts import Severity


def suite(settings: Settings) -> Suite:
    return Suite(
        D.name,
        [
            *complete(D),
            *unique(D),
            *funnel_counts(str(D.num_events)),
            *at_least([D.num_events], 1, "a day without an event of the user has no row"),
            *at_least([D.revenue], 0, "nothing is sold for less than nothing"),
            *at_least([D.active_hours], 1, "it has a bit for each of a day's 24 hours with an event", 2**24 - 1),
            as_many(D.num_events, D.sessions, "a session has an event"),
            sessions(),
            in_order(D.first_event_time, D.last_event_time, "the last event is not before the first"),
            Expected(
                "purchases_have_a_time",
                "Who bought on a day has the time of the last purchase: days since then are computed from it.",
                Severity.halt,
                gxe.ExpectColumnValuesToNotBeNull(
                    column=str(D.last_purchase_time), row_condition=Column(str(D.num_purchases)) > 0
                ),
                needs=[str(D.num_purchases)],
            ),
            purchases_per_cart(),
            known("Each user's last event of a day", "silver.events", needs=[D.user_id, D.last_event_time]),
            balanced("All days together count as many events as silver.events has"),
            in_time("silver.events", settings),
        ],
        key=[str(column) for column in D.key],
    )
