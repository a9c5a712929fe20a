"""`gold.churn_features`: what a churn model sees of each user."""

from __future__ import annotations

from lakehouse.contracts import ChurnFeatures as F
from lakehouse.settings import Settings
from quality.suite import Suite
from quality.suites.common import as_many, at_least, complete, funnel_counts, in_order, in_time, known, unique


def suite(settings: Settings) -> Suite:
    rates = (F.view_to_cart_rate, F.cart_to_purchase_rate, F.view_to_purchase_rate)
    return Suite(
        F.name,
        [
            *complete(F),
            *unique(F),
            *funnel_counts(str(F.num_events)),
            *at_least(rates, 0, "a rate is a part of a whole", 1),
            *at_least([F.frequency], 0, "it is the part of the days on which the user came", 1),
            *at_least([F.trend], -1, "it compares two halves of a whole", 1),
            *at_least([F.active_days], 0, "counts are of the lookback", settings.churn_lookback_days),
            *at_least(
                [F.recency_days, F.revenue, F.days_since_purchase, F.days_between_visits, F.minutes_per_day],
                0,
                "nothing that has happened lies ahead",
            ),
            as_many(F.num_events, F.sessions, "a session has an event"),
            as_many(F.tenure_days, F.recency_days, "the first event is not after the last"),
            in_order(F.first_event_time, F.last_event_time, "the last event is not before the first"),
            in_order(F.last_event_time, F.as_of, "features see nothing that is after their moment"),
            known("Each user's last event", "gold.user_days", needs=[F.user_id, F.last_event_time]),
            in_time("gold.user_days", settings),
        ],
        key=[str(column) for column in F.key],
    )
