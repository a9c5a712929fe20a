"""Whether users have become others than those a model was trained on. Pure.

The measure is the population stability index (N. Siddiqi, Credit Risk Scorecards, 2006): the sum over bins of
(share now - share then) x ln(share now / share then). By custom, below 0.1 is nothing, above 0.25 another population.

Users who acted within the lookback are compared with such users: those who did not only grow in number and in silence,
in every shop, and would be a drift that no training mends.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

import numpy as np
import polars as pl

from gold.churn_features import FEATURES
from lakehouse.contracts import ChurnFeatures as F
from ml.evaluate import Floats

BINS: Final = 10
ANOTHER_POPULATION: Final = 0.25
SCORE: Final = "score"

_LEAST_SHARE: Final = 1e-4
"""Of a bin that is empty: its logarithm must be finite."""


@dataclass(frozen=True)
class Binned:
    """How values were spread: the inner edges of bins, and the share of each; the last share is of the unknown."""

    edges: Floats
    shares: Floats


Reference = Mapping[str, Binned]
"""Of each of `FEATURES` and of the `SCORE`, at training."""


ACTIVE: Final = pl.col(F.num_events) > 0
"""The rows that are compared, then and now."""


def reference_of(x: Floats, score: Floats) -> Reference:
    """What later rows are compared with: ``x`` are training rows by `FEATURES`, ``score`` the model's for them."""
    return {name: _binned(values) for name, values in _columns(x, score).items()}


def drift(reference: Reference, x: Floats, score: Floats) -> dict[str, float]:
    """The index of the `SCORE` and of each feature, the greatest first."""
    found = {name: stability_index(reference[name], values) for name, values in _columns(x, score).items()}
    return dict(sorted(found.items(), key=lambda one: -one[1]))


def stability_index(then: Binned, values: Floats) -> float:
    """Of ``values`` against how they were spread ``then``."""
    was, now = (np.maximum(shares, _LEAST_SHARE) for shares in (then.shares, _shares(values, then.edges)))
    return float(((now - was) * np.log(now / was)).sum())


def due_again(test_cut: datetime, horizon_days: int) -> date:
    """The day whose events complete a whole horizon of labels beyond those that a model was tested on."""
    return test_cut.date() + timedelta(days=2 * horizon_days)


def retraining_due(
    simulated: bool, test_cut: datetime, horizon_days: int, newest: date, indices: Mapping[str, float]
) -> list[str]:
    """Why the champion is to be trained again; empty where it is not. ``newest``: the day of the newest event."""
    reasons = []
    if simulated:
        reasons.append("the champion was trained on simulated data")
    elif newest >= due_again(test_cut, horizon_days):
        reasons.append(f"a whole horizon of new labels has come since its test cut {test_cut:%Y-%m-%d}")
    moved = indices.get(SCORE, 0.0)
    if moved > ANOTHER_POPULATION:
        reasons.append(f"its scores have moved: stability index {moved:.2f}, above {ANOTHER_POPULATION}")
    return reasons


def _columns(x: Floats, score: Floats) -> dict[str, Floats]:
    return {SCORE: score, **{str(name): x[:, place] for place, name in enumerate(FEATURES)}}


def _binned(values: Floats) -> Binned:
    known = values[~np.isnan(values)]
    edges = np.unique(np.quantile(known, np.arange(1, BINS) / BINS)) if len(known) else np.empty(0)
    return Binned(edges, _shares(values, edges))


def _shares(values: Floats, edges: Floats) -> Floats:
    """A value on an edge is in the bin below it, so that one that many share does not empty the first bin."""
    place = np.where(np.isnan(values), len(edges) + 1, np.searchsorted(edges, values, side="left"))
    return np.bincount(place, minlength=len(edges) + 2) / max(len(values), 1)
