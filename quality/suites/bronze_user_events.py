"""`bronze.user_events`: what came is kept as it came, all of it and once."""

from __future__ import annotations

import great_expectations.expectations as gxe

from lakehouse.contracts import BronzeEvents as B
from lakehouse.settings import Settings
from quality import views
from quality.expectations import ExpectColumnPairSecondsToBeBetween
from quality.suite import Expected, Suite
from quality.suites.common import at_least, complete, unique
from quality.verdicts import Severity


def suite(settings: Settings) -> Suite:
    minutes, skew = settings.quality_freshness_minutes, settings.quality_clock_skew_seconds
    return Suite(
        B.name,
        [
            *complete(B),
            *at_least([B.offset, B.partition], 0, "Kafka counts from 0"),
            *unique(B),
            Expected(
                "commits_hold_what_they_say",
                "Each commit brought as many rows as it says: else rows were lost while they were written.",
                Severity.halt,
                gxe.ExpectColumnPairValuesToBeEqual(
                    column_A="rows_added", column_B="rows_out", ignore_row_if="either_value_is_missing"
                ),
                of=views.accounts,
            ),
            Expected(
                "every_offset_is_there",
                "Each commit has as many rows as Kafka's offsets went on: a message between was not taken, or Kafka "
                "had none there, which `lakehouse audit` proves by reading again.",
                Severity.alarm,
                gxe.ExpectColumnPairValuesToBeEqual(
                    column_A="rows_added", column_B="offsets_taken", ignore_row_if="either_value_is_missing"
                ),
                of=views.accounts,
            ),
            Expected(
                "messages_come",
                f"A message has come within the last {minutes:g} minutes: else a producer, or the way from it, is "
                "down.",
                Severity.alarm,
                gxe.ExpectColumnValuesToBeBetween(column="seconds", max_value=minutes * 60),
                of=views.silence,
            ),
            Expected(
                "messages_are_taken_after_they_came",
                f"A message is taken after the broker had it, give or take {skew:g} seconds: else the broker's clock "
                "is wrong, and with it what counts as late or as in the future.",
                Severity.alarm,
                ExpectColumnPairSecondsToBeBetween(
                    column_A=str(B.ingested_at), column_B=str(B.kafka_timestamp), min_seconds=-skew
                ),
            ),
            Expected(
                "messages_have_a_body",
                "Nearly every message has a body: an empty one is no event.",
                Severity.warn,
                gxe.ExpectColumnValuesToNotBeNull(column=str(B.value), mostly=0.95),
            ),
            Expected(
                "messages_are_small",
                f"Nearly every message has at most {settings.max_event_bytes} bytes: larger ones are refused.",
                Severity.warn,
                gxe.ExpectColumnValuesToBeBetween(column=str(B.value), max_value=settings.max_event_bytes, mostly=0.99),
            ),
        ],
        key=[str(column) for column in B.key],
    )
