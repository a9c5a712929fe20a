"""What is said of the model that serves."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from gold.churn_features import COUNTS
from ml.evaluate import Interval
from ml.package import Package
from serving.features import GIVEN


class Metric(BaseModel):
    """A metric on users that the model has not seen; null where it is not defined."""

    value: float | None
    low: float | None = Field(description="From here …")
    high: float | None = Field(description="… to here lie 95 % of its bootstrap values.")


class CalibrationPoint(BaseModel):
    """Of users with nearby scores: what was said of them, and what came of it."""

    users: int
    mean_score: float
    churned: float = Field(description="The share of them that churned.")


class Feature(BaseModel):
    """Something that the model takes."""

    name: str
    description: str
    needed: bool = Field(description="Whether a request must give it.")
    typical: float | None = Field(description="The median of the training rows; null where it was never known.")


_METRICS: Final[Any] = {"roc_auc": {"value": 0.79, "low": 0.77, "high": 0.82}}


class Card(BaseModel):
    """The model that serves: what it was trained on, and how good it is."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "model_version": "3",
                    "kind": "logistic",
                    "threshold": 0.5,
                    "simulated": False,
                    "trained_at": "2026-03-01T12:00:00Z",
                    "loaded_at": "2026-03-01T12:00:04Z",
                    "horizon_days": 30,
                    "lookback_days": 30,
                    "test_cut": "2026-02-01T00:00:00Z",
                    "training_rows": 16591,
                    "test_rows": 16815,
                    "metrics": _METRICS,
                    "counts_metrics": _METRICS,
                    "calibration": [{"users": 1682, "mean_score": 0.91, "churned": 0.9}],
                    "data_versions": {"gold.user_days": 412},
                    "known_at_cut": False,
                    "code_version": "0.1.0",
                    "features_hash": "9f2c",
                    "features": [{"name": "num_views", "description": "…", "needed": True, "typical": 3.0}],
                    "problem": None,
                }
            ]
        }
    )

    model_version: str
    kind: str = Field(description="Which candidate was chosen.")
    threshold: float = Field(description="From this probability on a user is called churned.")
    simulated: bool = Field(description="Whether it was trained on simulated events, and not yet on one's own.")
    trained_at: AwareDatetime
    loaded_at: AwareDatetime | None = Field(description="When this process took it up.")
    horizon_days: int = Field(description="Churned: no event for so many days.")
    lookback_days: int = Field(description="The days that counts are of.")
    test_cut: AwareDatetime = Field(description="Judged by what users did after this moment.")
    training_rows: int
    test_rows: int
    metrics: dict[str, Metric]
    counts_metrics: dict[str, Metric] = Field(description="Where the three counts alone are given.")
    calibration: list[CalibrationPoint] = Field(
        description="The test's users in bins of equal size, by rising score; empty where it was not kept."
    )
    data_versions: dict[str, int] = Field(description="The Delta version of each table that it was trained on.")
    known_at_cut: bool = Field(
        description="Whether its features were of what the broker had by their cut; else of every event before it."
    )
    code_version: str
    features_hash: str
    features: list[Feature]
    problem: str | None = Field(description="Why a newer file does not serve.")


def describe(package: Package, loaded_at: datetime | None, problem: str | None) -> Card:
    """The card of ``package`` for a reader."""
    card, model = package.card, package.model
    typical = dict(zip(package.features, package.typical.tolist(), strict=True))
    return Card(
        model_version=card.version,
        kind=model.name,
        threshold=model.threshold,
        simulated=card.simulated,
        trained_at=card.trained_at,
        loaded_at=loaded_at,
        horizon_days=card.horizon_days,
        lookback_days=card.lookback_days,
        test_cut=card.test_cut,
        training_rows=card.training_rows,
        test_rows=card.test_rows,
        metrics=_metrics(card.metrics),
        counts_metrics=_metrics(card.counts_metrics),
        calibration=[
            CalibrationPoint(users=one.users, mean_score=one.mean_score, churned=one.churned)
            for one in card.calibration
        ],
        data_versions=dict(card.data_versions),
        known_at_cut=card.known_at_cut,
        code_version=card.code_version,
        features_hash=card.features_hash,
        features=[
            Feature(name=c, description=c.comment, needed=c in COUNTS, typical=_number(typical[c])) for c in GIVEN
        ],
        problem=problem,
    )


def _metrics(metrics: Mapping[str, Interval]) -> dict[str, Metric]:
    return {
        name: Metric(value=_number(m.value), low=_number(m.low), high=_number(m.high)) for name, m in metrics.items()
    }


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
