"""`gold.funnel_windows`: the funnel of all users in each window, and how much comes in an hour."""

from __future__ import annotations

import great_expectations.expectations as gxe

from lakehouse.contracts import FunnelWindows as W
from lakehouse.settings import Settings
from quality import views
from quality.suite import Expected, Suite
from quality.suites.common import at_least, balanced, complete, unique, windows
from quality.verdicts import Severity


def suite(settings: Settings) -> Suite:
    factor, needs = settings.quality_change_factor, [str(W.window_start), str(W.event_type)]
    return Suite(
        W.name,
        [
            *complete(W),
            *unique(W),
            *at_least([W.num_events], 1, "a window without an event of a type has no row"),
            Expected(
                "types_are_known",
                f"Every type is one of {', '.join(settings.event_types)}: any other is in no number that is shown.",
                Severity.halt,
                gxe.ExpectColumnValuesToBeInSet(column=str(W.event_type), value_set=list(settings.event_types)),
            ),
            *windows(settings),
            Expected(
                "hours_are_not_too_full",
                f"In no hour come more than {factor:g} times the events of that hour of other days, of a type "
                "or of all (*): else something sends without end.",
                Severity.alarm,
                gxe.ExpectColumnPairValuesAToBeGreaterThanB(column_A=views.HIGHEST, column_B="events", or_equal=True),
                of=views.hours,
                needs=needs,
            ),
            Expected(
                "hours_are_not_too_empty",
                f"In no hour comes less than one part in {factor:g} of the events that come in that hour of other "
                "days, of a type or of all (*): else something is not tracked any more.",
                Severity.alarm,
                gxe.ExpectColumnPairValuesAToBeGreaterThanB(column_A="events", column_B=views.LOWEST, or_equal=True),
                of=views.hours,
                needs=needs,
            ),
            balanced("All windows together count as many events as silver.events has"),
        ],
        key=[str(column) for column in W.key],
    )
