"""From what training gives to what is kept and served. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime

import numpy as np

from gold.churn_features import FEATURES
from ml.drift import ACTIVE, reference_of
from ml.evaluate import Floats, calibration_curve
from ml.models import matrix
from ml.package import ModelCard, Package
from ml.training import CHOSEN, COUNTS_ALONE, Plan, Trained, labels
from ml.versions import code_version


def packaged(
    trained: Trained,
    plan: Plan,
    trained_at: datetime,
    *,
    version: str,
    simulated: bool = False,
    data_versions: Mapping[str, int] | None = None,
    known_at_cut: bool = False,
) -> Package:
    """``trained`` with its card; ``data_versions`` names the Delta version of each table it was trained on."""
    card = ModelCard(
        version=version,
        trained_at=trained_at,
        simulated=simulated,
        horizon_days=plan.cuts.horizon_days,
        lookback_days=plan.cuts.lookback_days,
        test_cut=plan.cuts.test,
        training_rows=trained.training_rows,
        test_rows=trained.judged_rows,
        metrics=trained.test[CHOSEN],
        counts_metrics=trained.test[COUNTS_ALONE],
        code_version=code_version(),
        features_hash=features_hash(),
        data_versions=dict(data_versions or {}),
        known_at_cut=known_at_cut,
        calibration=calibration_curve(
            labels(trained.data.judged), trained.model.whole.probability(matrix(trained.data.judged))
        ),
    )
    x = matrix(trained.data.training)
    active = matrix(trained.data.training.filter(ACTIVE))
    reference = reference_of(active, trained.model.whole.probability(active))
    return Package(trained.model, card, typical(x), reference=reference)


def features_hash() -> str:
    """Of the features' names, in order."""
    return hashlib.sha256("\n".join(FEATURES).encode()).hexdigest()[:12]


def typical(x: Floats) -> Floats:
    """The median of each column where it is known; NaN for one that never is."""
    found = np.full(x.shape[1], np.nan)
    known = ~np.isnan(x).all(axis=0)
    found[known] = np.nanmedian(x[:, known], axis=0)
    return found
