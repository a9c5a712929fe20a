"""How the champion does on the users of today."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, time
from typing import Any

import polars as pl

from gold.churn_features import churn_features
from lakehouse.contracts import UserDays as D
from ml.drift import ACTIVE, drift, due_again, retraining_due
from ml.models import matrix
from ml.package import Package


@dataclass(frozen=True)
class Watch:
    """What is to be said of a champion after shipping."""

    model_version: str
    at: date
    """The midnight (UTC) whose features are compared with those it was trained on."""
    users: int
    """Who acted within the lookback."""
    indices: Mapping[str, float]
    """Stability index of the score and of each feature, the greatest first; empty where the model has no reference."""
    due: list[str]
    """Why it is to be trained again; empty where it is not."""
    due_again: date | None
    """The day whose events make it due at the latest; None for one of simulated data."""

    def as_document(self) -> dict[str, Any]:
        """As JSON has it."""
        again = None if self.due_again is None else self.due_again.isoformat()
        return {**asdict(self), "at": self.at.isoformat(), "due_again": again}


def watch(champion: Package, user_days: pl.DataFrame) -> Watch:
    """``champion`` against all users' days, which hold at least one event; the newest day may go on and is left out."""
    card, newest = champion.card, user_days.select(pl.col(D.date).max()).item()
    rows = churn_features(user_days, datetime.combine(newest, time(), UTC), card.lookback_days).filter(ACTIVE)
    indices: dict[str, float] = {}
    if champion.reference is not None and len(rows):
        x = matrix(rows)
        indices = drift(champion.reference, x, champion.model.whole.probability(x))
    return Watch(
        card.version,
        newest,
        len(rows),
        indices,
        retraining_due(card.simulated, card.test_cut, card.horizon_days, newest, indices),
        None if card.simulated else due_again(card.test_cut, card.horizon_days),
    )
