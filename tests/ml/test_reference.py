"""Results on the real data, which are in no checkout."""

from __future__ import annotations

from pathlib import Path

import pytest

from ml.dataset import AllDays, judged_rows
from ml.evaluate import Interval
from ml.reference import CDNOW, GA4, Reference
from ml.training import CHOSEN, COUNTS_ALONE, Trained, train


def test_the_test_sets_are_those_of_the_reference_figures(shared_data: Path) -> None:
    ga4, cdnow = (judged_rows(AllDays(data.user_days(shared_data)), data.plan.cuts) for data in (GA4, CDNOW))

    assert (len(ga4), len(cdnow)) == (16_815, 23_570)
    assert round(ga4["churned"].mean(), 2) == 0.98  # type: ignore[call-overload]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("reference", "least", "counts"), [(GA4, 0.79, 0.74), pytest.param(CDNOW, 0.805, 0.74, marks=pytest.mark.long)]
)
def test_the_chosen_model_keeps_its_marks(shared_data: Path, reference: Reference, least: float, counts: float) -> None:
    trained: Trained = train(AllDays(reference.user_days(shared_data)), reference.plan)

    auc: Interval = trained.test[CHOSEN]["roc_auc"]
    assert least <= auc.value < 0.9  # above that it would be leakage
    assert trained.test[COUNTS_ALONE]["roc_auc"].value >= counts
    assert trained.differences[CHOSEN].high >= 0  # never below logistic regression
