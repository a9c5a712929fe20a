"""`gold.session_funnel`: the ordered funnel of sessions."""

from __future__ import annotations

from lakehouse.contracts import SessionFunnel as F
from lakehouse.settings import Settings
from quality.expectations import ExpectMulticolumnSumToBeAtMostFirst
from quality.suite import Expected, Suite
from quality.suites.common import as_many, at_least, complete, in_time, unique
from quality.verdicts import Severity

TIMES = (F.purchased_1m, F.purchased_5m, F.purchased_15m, F.purchased_1h, F.purchased_6h, F.purchased_later)


def suite(settings: Settings) -> Suite:
    ordered = "a step counts only after the one before"
    return Suite(
        F.name,
        [
            *complete(F),
            *unique(F),
            *at_least([F.sessions], 1, "an hour without sessions of a value has no row"),
            *at_least([F.purchased, F.revenue, F.seconds_to_cart, F.seconds_to_purchase, *TIMES], 0, "it is a sum"),
            as_many(F.sessions, F.viewed, ordered),
            as_many(F.viewed, F.carted, ordered),
            as_many(F.carted, F.purchased, ordered),
            as_many(F.sessions, F.bought, "a session is one that bought, or it is not"),
            as_many(F.bought, F.purchased, "who bought in order has bought"),
            as_many(F.num_events, F.sessions, "a session has an event"),
            Expected(
                "purchases_fall_into_one_time",
                "purchased is at least the sum of its parts by the time since the first view: each counts in one.",
                Severity.halt,
                ExpectMulticolumnSumToBeAtMostFirst(column_list=[str(F.purchased), *map(str, TIMES)]),
            ),
            in_time("gold.session_days", settings),
        ],
        key=[str(column) for column in F.key],
    )
