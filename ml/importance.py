"""What a model rests on: how much of its ROC AUC is lost when a feature is shuffled among the users (Breiman 2001)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gold.churn_features import FEATURES
from ml.evaluate import Floats, roc_auc

MAX_ROWS = 10_000
REPEATS = 5


@dataclass(frozen=True)
class Importance:
    """Of one feature. Features that tell the same share it: each then seems to matter less than both do."""

    feature: str
    loss: float
    """Mean ROC AUC lost."""
    spread: float
    """Standard deviation over the shuffles."""


def permutation_importance(
    score: Callable[[Floats], Floats], x: Floats, churned: Floats, seed: int
) -> list[Importance]:
    """Of each of `FEATURES`, the most important first, on at most `MAX_ROWS` rows of ``x``, drawn at random."""
    chance = np.random.default_rng(seed)
    drawn = np.sort(chance.permutation(len(x))[:MAX_ROWS])
    rows, truth = x[drawn], churned[drawn]
    whole = roc_auc(truth, score(rows))
    found = []
    for place, feature in enumerate(FEATURES):
        losses = []
        for _ in range(REPEATS):
            shuffled = rows.copy()
            shuffled[:, place] = chance.permutation(rows[:, place])
            losses.append(whole - roc_auc(truth, score(shuffled)))
        found.append(Importance(str(feature), float(np.mean(losses)), float(np.std(losses))))
    return sorted(found, key=lambda importance: -importance.loss)
