"""What is expected of several tables."""

from __future__ import annotations

from collections.abc import Iterable

import great_expectations.expectations as gxe

from lakehouse.contracts import FunnelSummary, Table
from lakehouse.settings import Settings
from quality import views
from quality.expectations import ExpectColumnPairSecondsToBeBetween as SecondsBetween
from quality.expectations import ExpectColumnTimesToBeAligned, ExpectMulticolumnSumToBeAtMostFirst
from quality.suite import Expected
from quality.verdicts import Severity

COUNTS = (FunnelSummary.num_views, FunnelSummary.num_add_to_cart, FunnelSummary.num_purchases)


def complete(table: type[Table]) -> list[Expected]:
    """No value is missing where the contract allows none; columns that only lay out files aside."""
    return [
        Expected(
            f"{column}_is_there",
            f"Every row has its {column} ({column.comment[0].lower()}{column.comment[1:].rstrip('.')}): without it the "
            "row means nothing to whoever reads it.",
            Severity.halt,
            gxe.ExpectColumnValuesToNotBeNull(column=str(column)),
        )
        for column in table.columns()
        if not column.nullable and column not in table.partition_by
    ]


def at_least(columns: Iterable[str], least: float, why: str, most: float | None = None) -> list[Expected]:
    """Each value lies between ``least`` and ``most``."""
    bound = "" if most is None else f" and at most {most:g}"
    return [
        Expected(
            f"{column}_is_in_range",
            f"{column} is at least {least:g}{bound}: {why}.",
            Severity.halt,
            gxe.ExpectColumnValuesToBeBetween(column=str(column), min_value=least, max_value=most),
        )
        for column in columns
    ]


def unique(table: type[Table]) -> list[Expected]:
    """The key is one, among the rows and in the table."""
    key = [str(column) for column in table.key]
    named = " and ".join(key)
    among = (
        gxe.ExpectColumnValuesToBeUnique(column=key[0])
        if len(key) == 1
        else gxe.ExpectCompoundColumnsToBeUnique(column_list=key)
    )
    return [
        Expected(
            "key_is_unique_among_the_rows",
            f"No two of the rows have the same {named}: one of them would be counted twice.",
            Severity.halt,
            among,
        ),
        Expected(
            "key_is_unique_in_the_table",
            f"None of these rows is in the table a second time, by its {named}: it would be counted twice.",
            Severity.halt,
            gxe.ExpectColumnValuesToBeBetween(column="copies", max_value=1),
            of=views.repeated,
            needs=key,
        ),
    ]


def known(what: str, before: str, severity: Severity = Severity.halt, needs: Iterable[str] = ()) -> Expected:
    """Each row is of something that the layer before has."""
    return Expected(
        "rows_are_known_to_the_layer_before",
        f"{what} is in {before}: a row of something that is not there was made of nothing.",
        severity,
        gxe.ExpectColumnValuesToBeInSet(column="known", value_set=[True]),
        of=views.unknown,
        needs=[str(column) for column in needs],
    )


def balanced(what: str) -> Expected:
    """Nothing is lost between the layer before and this one, and nothing is twice."""
    return Expected(
        "books_balance_with_the_layer_before",
        f"{what}: a difference is a loss, or something counted twice.",
        Severity.halt,
        gxe.ExpectColumnPairValuesToBeEqual(column_A="found", column_B="expected"),
        of=views.balances,
    )


def in_time(before: str, settings: Settings) -> Expected:
    """The table takes what comes."""
    minutes = settings.quality_freshness_minutes
    return Expected(
        "rows_do_not_wait",
        f"What is in {before} is taken within {minutes:g} minutes: else what is shown is old.",
        Severity.alarm,
        gxe.ExpectColumnValuesToBeBetween(column="seconds", max_value=minutes * 60),
        of=views.waiting,
    )


def funnel_counts(total: str) -> list[Expected]:
    """The three counts of the funnel are parts of all events."""
    return [
        *at_least(COUNTS, 0, "there is no negative number of events"),
        Expected(
            "num_events_holds_all_counts",
            f"{total} is at least views, carts and purchases together: these are some of the events, each once.",
            Severity.halt,
            ExpectMulticolumnSumToBeAtMostFirst(column_list=[total, *(str(column) for column in COUNTS)]),
        ),
    ]


def purchases_per_cart() -> Expected:
    """More is bought than was put into carts only where one of the two is not tracked."""
    return Expected(
        "purchases_go_with_carts",
        "There are not more purchases than things put into carts, of all rows together: else one of the two is not "
        "tracked.",
        Severity.warn,
        gxe.ExpectColumnPairValuesAToBeGreaterThanB(column_A=views.HIGHEST, column_B="purchases", or_equal=True),
        of=views.funnel,
        needs=[str(column) for column in COUNTS],
    )


def windows(settings: Settings) -> list[Expected]:
    """Windows have their length, and begin where they must."""
    minutes = settings.window_minutes
    start, end = str(FunnelSummary.window_start), str(FunnelSummary.window_end)
    return [
        Expected(
            "windows_have_their_length",
            f"A window lasts {minutes} minutes: one of another length counts events that are counted elsewhere too.",
            Severity.halt,
            SecondsBetween(column_A=end, column_B=start, min_seconds=minutes * 60, max_seconds=minutes * 60),
        ),
        Expected(
            "windows_begin_on_the_grid",
            f"Windows divide a day from midnight (UTC) into pieces of {minutes} minutes: others would overlap them.",
            Severity.halt,
            ExpectColumnTimesToBeAligned(column=start, minutes=minutes),
        ),
    ]


def in_order(first: str, last: str, why: str) -> Expected:
    """``last`` is not before ``first``."""
    return Expected(
        f"{last}_is_not_before_{first}",
        f"{last} is not before {first}: {why}.",
        Severity.halt,
        SecondsBetween(column_A=str(last), column_B=str(first), min_seconds=0),
    )


def as_many(total: str, part: str, why: str) -> Expected:
    """``part`` is at most ``total``."""
    return Expected(
        f"{part}_is_at_most_{total}",
        f"{part} is at most {total}: {why}.",
        Severity.halt,
        gxe.ExpectColumnPairValuesAToBeGreaterThanB(column_A=str(total), column_B=str(part), or_equal=True),
    )


def sessions() -> Expected:
    """The count of sessions is that of their ids."""
    return Expected(
        "sessions_are_those_listed",
        "sessions is the number of session_ids: it counts each session once.",
        Severity.halt,
        gxe.ExpectColumnPairValuesToBeEqual(
            column_A=str(FunnelSummary.sessions), column_B=str(FunnelSummary.session_ids)
        ),
    )
