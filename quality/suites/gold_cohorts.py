"""`gold.cohorts`: how many users of a cohort came again, and when."""

from __future__ import annotations

import great_expectations.expectations as gxe

from lakehouse.contracts import COHORT_UNITS
from lakehouse.contracts import Cohorts as C
from lakehouse.settings import Settings
from quality import views
from quality.suite import Expected, Suite
from quality.suites.common import at_least, complete, unique
from quality.verdicts import Severity


def suite(_: Settings) -> Suite:
    return Suite(
        C.name,
        [
            *complete(C),
            *unique(C),
            *at_least([C.users], 0, "there is no negative number of users"),
            *at_least([C.period], 0, "nobody acts before the first event"),
            Expected(
                "units_are_known",
                f"Every unit is one of {', '.join(COHORT_UNITS)}: any other is in no number that is shown.",
                Severity.halt,
                gxe.ExpectColumnValuesToBeInSet(column=str(C.unit), value_set=list(COHORT_UNITS)),
            ),
            Expected(
                "users_are_of_the_cohort",
                "In no period more users act than the cohort has, which are those of its own period.",
                Severity.halt,
                gxe.ExpectColumnPairValuesAToBeGreaterThanB(column_A="size", column_B=str(C.users), or_equal=True),
                of=views.retained,
                needs=[*C.key, C.users],
            ),
        ],
        key=[str(column) for column in C.key],
    )
