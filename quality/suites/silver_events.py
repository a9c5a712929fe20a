"""`silver.events`: real events, typed, valid and each once."""

from __future__ import annotations

import great_expectations.expectations as gxe
from great_expectations.expectations.row_conditions import Column

from lakehouse import event
from lakehouse.contracts import SilverEvents as S
from lakehouse.settings import Settings
from quality import views
from quality.expectations import ExpectColumnPairSecondsToBeBetween as SecondsBetween
from quality.suite import Expected, Suite
from quality.suites.common import at_least, complete, in_time, unique
from quality.verdicts import Severity

LONGEST = 512
"""Characters of an id that silver takes."""


def suite(settings: Settings) -> Suite:
    return Suite(
        S.name,
        [
            *complete(S),
            *unique(S),
            *_values(settings),
            *_times(settings),
            *_mix(settings),
            *_books(settings),
            in_time("bronze.user_events", settings),
        ],
        key=[str(column) for column in S.key],
    )


def _values(settings: Settings) -> list[Expected]:
    return [
        *(
            Expected(
                f"{column}_has_a_length",
                f"{column} has between 1 and {LONGEST} characters: an empty one names nobody.",
                Severity.halt,
                gxe.ExpectColumnValueLengthsToBeBetween(column=str(column), min_value=1, max_value=LONGEST),
            )
            for column in (S.event_id, S.user_id)
        ),
        Expected(
            "types_are_known",
            f"Every event is one of {', '.join(settings.event_types)}: any other is in no number that is shown.",
            Severity.halt,
            gxe.ExpectColumnValuesToBeInSet(column=str(S.event_type), value_set=list(settings.event_types)),
        ),
        *at_least([S.price, S.quantity], 0, "nothing is sold for less than nothing"),
        Expected(
            "currencies_are_codes",
            "A currency is a code of three letters (ISO 4217): else amounts cannot be told apart.",
            Severity.warn,
            gxe.ExpectColumnValuesToMatchRegex(column=str(S.currency), regex="^[A-Z]{3}$", mostly=0.99),
        ),
        Expected(
            "purchases_have_a_price",
            "Nine of ten purchases have a price: revenue is the sum of these.",
            Severity.warn,
            gxe.ExpectColumnValuesToNotBeNull(
                column=str(S.price), mostly=0.9, row_condition=Column(str(S.event_type)) == event.PURCHASE
            ),
            needs=[str(S.event_type)],
        ),
    ]


def _times(settings: Settings) -> list[Expected]:
    skew, tolerance = settings.quality_clock_skew_seconds, settings.future_tolerance_minutes
    time, received = str(S.event_time), str(S.kafka_timestamp)
    return [
        Expected(
            "times_are_plausible",
            f"No event is older than {settings.oldest_event_time}: there was nothing then.",
            Severity.halt,
            gxe.ExpectColumnValuesToBeBetween(column=time, min_value=settings.oldest_moment),
        ),
        Expected(
            "times_are_not_in_the_future",
            f"No event happened more than {tolerance:g} minutes after the broker had it: such are refused, for they "
            "would close windows too early.",
            Severity.halt,
            SecondsBetween(column_A=time, column_B=received, max_seconds=tolerance * 60),
        ),
        Expected(
            "clocks_are_not_ahead",
            f"Of a hundred events at most one happened more than {skew:g} seconds after the broker had it: else the "
            "clock of a producer is ahead, and its events are counted in windows that have not come.",
            Severity.alarm,
            SecondsBetween(column_A=time, column_B=received, max_seconds=skew, mostly=0.99),
        ),
        Expected(
            "events_are_not_late",
            f"At most {settings.quality_late_share:.0%} of the events come more than ten minutes late: else windows "
            "change long after they were shown. So it is where history is replayed.",
            Severity.warn,
            _at_most_highest("share"),
            of=views.lateness,
            needs=[str(S.arrival)],
        ),
    ]


def _mix(settings: Settings) -> list[Expected]:
    factor = settings.quality_change_factor
    columns = [str(S.event_type), str(S.event_time)]
    return [
        Expected(
            "no_type_floods",
            f"No type's share of the events is more than {factor:g} times what it was (one in fifty for a rare type): "
            "else something sends without end.",
            Severity.alarm,
            _at_most_highest("share"),
            of=views.shares,
            needs=columns,
        ),
        Expected(
            "no_type_dries_up",
            f"No type's share of the events is less than one part in {factor:g} of what it was: else it is not "
            "tracked any more.",
            Severity.alarm,
            gxe.ExpectColumnPairValuesAToBeGreaterThanB(column_A="share", column_B=views.LOWEST, or_equal=True),
            of=views.shares,
            needs=columns,
        ),
    ]


def _books(settings: Settings) -> list[Expected]:
    return [
        Expected(
            "commits_hold_what_they_say",
            "Each commit brought as many events as it says: else some were lost while they were written.",
            Severity.halt,
            gxe.ExpectColumnPairValuesToBeEqual(
                column_A="rows_added", column_B="rows_out", ignore_row_if="either_value_is_missing"
            ),
            of=views.accounts,
        ),
        Expected(
            "books_balance_with_the_layer_before",
            "Every message that was taken is an event, a copy or refused, one of the three: else it is lost or twice.",
            Severity.halt,
            gxe.ExpectColumnPairValuesToBeEqual(column_A="rows_placed", column_B="rows_in"),
            of=views.accounts,
        ),
        Expected(
            "few_are_refused_or_copies",
            f"At most {settings.quality_refused_share:.0%} of the messages are refused, and at most "
            f"{settings.quality_duplicate_share:.0%} are copies: else a producer is broken, or sends all again.",
            Severity.alarm,
            _at_most_highest("share"),
            of=views.outcomes,
        ),
    ]


def _at_most_highest(column: str) -> gxe.ExpectColumnPairValuesAToBeGreaterThanB:
    return gxe.ExpectColumnPairValuesAToBeGreaterThanB(column_A=views.HIGHEST, column_B=column, or_equal=True)
