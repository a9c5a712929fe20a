"""How good scores are, with intervals by bootstrap over users. Every metric takes a weight for each user.

``churned`` is an array of 0 and 1, ``score`` one of probabilities of churn, both with one entry for each user.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]

BINS: Final = 10
METRICS: Final = (
    "roc_auc",
    "average_precision_churned",
    "average_precision_returned",
    "brier",
    "brier_skill",
    "calibration_error",
    "calibration_slope",
    "lift_top_decile",
    "lift_returned_top_decile",
)


@dataclass(frozen=True)
class Interval:
    """A metric's value, and where the middle 95 % of its bootstrap values lie."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


@dataclass(frozen=True)
class Calibration:
    """What was said of users with nearby scores, and what came of it."""

    users: int
    mean_score: float
    churned: float
    """The share of them that churned."""


def metrics(churned: Floats, score: Floats, weight: Floats | None = None) -> dict[str, float]:
    """All of ``METRICS``. Ranks: 0.5 of the ROC AUC is chance. NaN where ``churned`` holds one class alone."""
    w = np.ones_like(score) if weight is None else weight
    up, down = _Ranking(churned, score, w), _Ranking(1 - churned, -score, w)
    share = float(np.average(churned, weights=w))
    brier = float(np.average((score - churned) ** 2, weights=w))
    base = share * (1 - share)
    return {
        "roc_auc": up.roc_auc(),
        "average_precision_churned": up.average_precision(),
        "average_precision_returned": down.average_precision(),
        "brier": brier,
        "brier_skill": 1 - brier / base if base else float("nan"),
        "calibration_error": calibration_error(churned, score, w),
        "calibration_slope": calibration_slope(churned, score, w),
        "lift_top_decile": up.lift(0.1),
        "lift_returned_top_decile": down.lift(0.1),
    }


def with_intervals(churned: Floats, score: Floats, seed: int, rounds: int = 200) -> dict[str, Interval]:
    """`metrics`, each with its interval: ``rounds`` times as many users are drawn, with replacement."""
    drawn = [metrics(churned, score, weight) for weight in _draws(len(churned), seed, rounds)]
    return {name: _interval(value, [d[name] for d in drawn]) for name, value in metrics(churned, score).items()}


def auc_differences(
    churned: Floats, scores: Mapping[str, Floats], against: str, seed: int, rounds: int = 200
) -> dict[str, Interval]:
    """ROC AUC of each score less that of ``against``. Paired: both are taken of the same users in every round."""

    def differences(weight: Floats) -> dict[str, float]:
        aucs = {name: _Ranking(churned, score, weight).roc_auc() for name, score in scores.items()}
        return {name: auc - aucs[against] for name, auc in aucs.items()}

    drawn = [differences(weight) for weight in _draws(len(churned), seed, rounds)]
    found = differences(np.ones(len(churned)))
    return {name: _interval(value, [d[name] for d in drawn]) for name, value in found.items()}


def auc_interval(churned: Floats, score: Floats, seed: int, rounds: int = 200) -> Interval:
    """ROC AUC alone, with its interval."""
    drawn = [_Ranking(churned, score, weight).roc_auc() for weight in _draws(len(churned), seed, rounds)]
    return _interval(roc_auc(churned, score), drawn)


def over_users(
    measures: Callable[[Floats], Mapping[str, float]], user: npt.NDArray[np.int64], seed: int, rounds: int = 200
) -> dict[str, Interval]:
    """``measures`` of rows of which a user may have several, from the rows' weights, each with its interval.

    ``user``: each row's, from 0 on without a gap. Users are drawn, each with all rows: those of one user tell less than
    as many of others.
    """
    drawn = [measures(weight[user]) for weight in _draws(int(user.max()) + 1, seed, rounds)]
    found = measures(np.ones(len(user)))
    return {name: _interval(value, [d[name] for d in drawn]) for name, value in found.items()}


def roc_auc(churned: Floats, score: Floats, weight: Floats | None = None) -> float:
    """Share of the pairs of one who churned and one who did not that ``score`` puts in order; equal scores are half."""
    return _Ranking(churned, score, np.ones(len(score)) if weight is None else weight).roc_auc()


def calibration_bins(churned: Floats, score: Floats, weight: Floats) -> tuple[Floats, Floats, Floats]:
    """Of ``BINS`` bins of equal mass in order of score: the weight, the mean score and the share of churned."""
    order = np.argsort(score, kind="stable")
    total = np.cumsum(weight[order])
    bins = np.minimum(((total - weight[order] / 2) * BINS / total[-1]).astype(np.int64), BINS - 1)
    mass = np.bincount(bins, weight[order], BINS).astype(np.float64)
    held = np.maximum(mass, np.finfo(np.float64).tiny)
    mean = np.bincount(bins, (weight * score)[order], BINS) / held
    share = np.bincount(bins, (weight * churned)[order], BINS) / held
    return mass, mean, share


def calibration_curve(churned: Floats, score: Floats) -> tuple[Calibration, ...]:
    """`calibration_bins` of users who all count alike, by rising score; of a bin that nobody is in there is none."""
    bins = zip(*calibration_bins(churned, score, np.ones_like(score)), strict=True)
    return tuple(Calibration(round(mass), float(mean), float(share)) for mass, mean, share in bins if mass)


def calibration_error(churned: Floats, score: Floats, weight: Floats) -> float:
    """Mean distance of score and share of churned over the bins (expected calibration error)."""
    mass, mean, share = calibration_bins(churned, score, weight)
    return float(np.average(np.abs(mean - share), weights=mass))


def calibration_slope(churned: Floats, score: Floats, weight: Floats) -> float:
    """Slope of a logistic regression on the score's log odds: 1 is right, below 1 overconfident (Cox 1958)."""
    return fit_line(churned, log_odds(score), weight)[1]


def log_odds(score: Floats) -> Floats:
    clipped = np.clip(score, 1e-6, 1 - 1e-6)
    return np.asarray(np.log(clipped / (1 - clipped)), np.float64)


def fit_line(churned: Floats, x: Floats, weight: Floats) -> tuple[float, float]:
    """Intercept and slope of the logistic regression on ``x``, by Newton's method; NaN where there is none."""
    if x.std() < 1e-9 or churned.min() == churned.max():
        return float("nan"), float("nan")
    line = np.array([0.0, 1.0])
    design = np.column_stack([np.ones_like(x), x])
    for _ in range(25):
        p = 1 / (1 + np.exp(-np.clip(design @ line, -30, 30)))
        curvature = design.T @ (design * (weight * p * (1 - p))[:, None]) + 1e-9 * np.eye(2)
        step = np.linalg.solve(curvature, design.T @ (weight * (churned - p)))
        line = line + np.clip(step, -2, 2)
        if np.abs(step).max() < 1e-8:
            break
    return float(line[0]), float(line[1])


class _Ranking:
    """Weights of those who are in question and of the others, by score from the highest, equal scores together."""

    def __init__(self, positive: Floats, score: Floats, weight: Floats) -> None:
        _, place = np.unique(-score, return_inverse=True)
        self.hits = np.bincount(place, weight * positive)
        self.misses = np.bincount(place, weight * (1 - positive))
        self.found = np.cumsum(self.hits)
        self.taken = np.cumsum(self.hits + self.misses)

    def roc_auc(self) -> float:
        below = self.misses.sum() - np.cumsum(self.misses) + self.misses / 2
        pairs = self.hits.sum() * self.misses.sum()
        return float((self.hits * below).sum() / pairs) if pairs else float("nan")

    def average_precision(self) -> float:
        precision = self.found / np.maximum(self.taken, np.finfo(np.float64).tiny)
        return float((self.hits * precision).sum() / self.found[-1]) if self.found[-1] else float("nan")

    def lift(self, share: float) -> float:
        """How many times as often as overall, among the ``share`` with the highest scores; ties count in part."""
        mass = share * self.taken[-1]
        found = np.interp(mass, np.append(0.0, self.taken), np.append(0.0, self.found))
        return float(found / (share * self.found[-1])) if self.found[-1] else float("nan")


def _draws(users: int, seed: int, rounds: int) -> Iterator[Floats]:
    generator = np.random.default_rng(seed)
    for _ in range(rounds):
        yield np.bincount(generator.integers(users, size=users), minlength=users).astype(np.float64)


def _interval(value: float, drawn: list[float]) -> Interval:
    low, high = np.nanpercentile(drawn, [2.5, 97.5]) if np.isfinite(drawn).any() else (np.nan, np.nan)
    return Interval(value, float(low), float(high))
