"""`gold.session_days`: what each user did in each session on each day."""

from __future__ import annotations

import great_expectations.expectations as gxe
from great_expectations.expectations.row_conditions import Column

from lakehouse.contracts import SessionDays as D
from lakehouse.settings import Settings
from quality.suite import Expected, Suite
from quality.suites.common import (
    at_least,
    balanced,
    complete,
    funnel_counts,
    in_order,
    in_time,
    known,
    purchases_per_cart,
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
            *at_least([D.num_events], 1, "a session's day without an event has no row"),
            *at_least([D.revenue], 0, "nothing is sold for less than nothing"),
            in_order(D.first_event_time, D.last_event_time, "the last event is not before the first"),
            Expected(
                "views_have_a_time",
                "A session with views has the time of the first one: the ordered funnel begins there.",
                Severity.halt,
                gxe.ExpectColumnValuesToNotBeNull(
                    column=str(D.first_view_time), row_condition=Column(str(D.num_views)) > 0
                ),
                needs=[str(D.num_views)],
            ),
            purchases_per_cart(),
            known("Each session's last event of a day", "silver.events", needs=[D.user_id, D.last_event_time]),
            balanced("All sessions together count as many events as silver.events has"),
            in_time("silver.events", settings),
        ],
        key=[str(column) for column in D.key],
    )
