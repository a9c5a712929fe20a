"""`silver.quarantine`: what was refused, with its reasons."""

from __future__ import annotations

import great_expectations.expectations as gxe

from lakehouse.contracts import SilverQuarantine as Q
from lakehouse.settings import Settings
from quality import views
from quality.expectations import ExpectColumnPairSecondsToBeBetween
from quality.suite import Expected, Suite
from quality.suites.common import at_least, complete, unique
from quality.verdicts import Severity


def suite(settings: Settings) -> Suite:
    skew = settings.quality_clock_skew_seconds
    return Suite(
        Q.name,
        [
            *complete(Q),
            *at_least([Q.offset, Q.partition], 0, "Kafka counts from 0"),
            *unique(Q),
            Expected(
                "rows_have_a_reason",
                "Every row that was refused has a reason: else nobody can mend it.",
                Severity.alarm,
                gxe.ExpectColumnValuesToBeBetween(column=str(Q.reasons), min_value=1),
            ),
            Expected(
                "reasons_are_names",
                "Reasons are names of rules, never text of the message: they are shown and counted.",
                Severity.alarm,
                gxe.ExpectColumnValuesToMatchRegex(column="reason", regex="^[a-z_]+$"),
                of=views.reasons,
                needs=[str(Q.reasons)],
            ),
            Expected(
                "rows_are_refused_after_they_came",
                f"A row is refused after the broker had it, give or take {skew:g} seconds: else the broker's clock "
                "is wrong.",
                Severity.warn,
                ExpectColumnPairSecondsToBeBetween(
                    column_A=str(Q.quarantined_at), column_B=str(Q.kafka_timestamp), min_seconds=-skew
                ),
            ),
        ],
        key=[str(column) for column in Q.key],
    )
