"""The project's own suites: a module for each table."""

from __future__ import annotations

from lakehouse.settings import Settings
from quality.suite import Suite
from quality.suites import (
    bronze_user_events,
    gold_churn_features,
    gold_cohorts,
    gold_funnel_summary,
    gold_funnel_windows,
    gold_session_days,
    gold_session_funnel,
    gold_user_days,
    mirrors,
    silver_duplicates,
    silver_events,
    silver_quarantine,
)


def built_in(settings: Settings) -> list[Suite]:
    """The suites of the tables in the order of the pipeline, then of the mirrors."""
    return [
        bronze_user_events.suite(settings),
        silver_events.suite(settings),
        silver_duplicates.suite(settings),
        silver_quarantine.suite(settings),
        gold_funnel_summary.suite(settings),
        gold_funnel_windows.suite(settings),
        gold_user_days.suite(settings),
        gold_churn_features.suite(settings),
        gold_session_days.suite(settings),
        gold_session_funnel.suite(settings),
        gold_cohorts.suite(settings),
        *mirrors.suites(settings),
    ]
