"""How the champion does on the users of today, and how what was predicted has turned out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import polars as pl

from gold.churn_features import churn_features
from lakehouse.contracts import UserDays as D
from ml.documents import plain
from ml.drift import ACTIVE, drift, due_again, retraining_due
from ml.labels import midnight_of
from ml.models import matrix
from ml.package import Package
from ml.realised import Realised, realised


@dataclass(frozen=True)
class Past:
    """What is kept of past predictions, and what is needed to hold them against what followed."""

    predictions: pl.DataFrame
    """Rows of `ChurnPredictionHistory`."""
    horizons: Mapping[str, int]
    """Days, of each model version that is known."""


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
    realised: list[Realised]
    """Of the champion and of those before it, as far as a horizon is over."""
    not_realised: str | None
    """Why there is none."""
    due: list[str]
    """Why it is to be trained again; empty where it is not."""
    due_again: date | None
    """The day whose events make it due at the latest; None for one of simulated data."""

    def as_document(self) -> dict[str, Any]:
        """As JSON has it: an interval is its value, low and high; what is not known is null."""
        document: dict[str, Any] = plain(self)
        return document

    def metrics(self) -> dict[str, float]:
        """``psi.NAME``, and ``realised.METRIC`` of the champion, ``realised.VERSION.METRIC`` of those before it."""
        found = {f"psi.{name}": index for name, index in self.indices.items()}
        for one in self.realised:
            whose = "" if one.model_version == self.model_version else f"{one.model_version}."
            found.update({f"realised.{whose}{name}": value for name, value in one.metrics().items()})
        return {"users": float(self.users), **found}


def watch(champion: Package, user_days: pl.DataFrame, past: Past | str) -> Watch:
    """``champion`` against all users' days, which hold at least one event; the newest day may go on and is left out.

    ``past``: the predictions there were, or why they are not to be had.
    """
    card, newest = champion.card, newest_day(user_days)
    rows = churn_features(user_days, midnight_of(newest), card.lookback_days).filter(ACTIVE)
    indices: dict[str, float] = {}
    if champion.reference is not None and len(rows):
        x = matrix(rows)
        indices = drift(champion.reference, x, champion.model.whole.probability(x))
    outcomes = [] if isinstance(past, str) else realised(past.predictions, user_days, past.horizons, newest)
    missing = past if isinstance(past, str) else f"the horizon of no past prediction was over before {newest}"
    return Watch(
        model_version=card.version,
        at=newest,
        users=len(rows),
        indices=indices,
        realised=outcomes,
        not_realised=None if outcomes else missing,
        due=retraining_due(card.simulated, card.test_cut, card.horizon_days, newest, indices),
        due_again=None if card.simulated else due_again(card.test_cut, card.horizon_days),
    )


def newest_day(user_days: pl.DataFrame) -> date:
    """The day (UTC) of the newest event, which may go on."""
    day: date = user_days.select(pl.col(D.date).max()).item()
    return day
