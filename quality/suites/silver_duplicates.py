"""`silver.duplicates`: the copies, each of an event that is there."""

from __future__ import annotations

from lakehouse.contracts import SilverDuplicates as D
from lakehouse.settings import Settings
from quality.suite import Suite
from quality.suites.common import at_least, complete, known, unique
from quality.verdicts import Severity


def suite(_: Settings) -> Suite:
    return Suite(
        D.name,
        [
            *complete(D),
            *at_least([D.offset, D.partition], 0, "Kafka counts from 0"),
            *unique(D),
            known("The event that a row copies", "silver.events", Severity.alarm, [D.event_id, D.event_time]),
        ],
        key=[str(column) for column in D.key],
    )
