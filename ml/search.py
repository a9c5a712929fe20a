"""A search of settings for logistic regression and boosting, by ROC AUC in validation and never by the test's.

ModelSettings are drawn at random from `SPACES` (Bergstra and Bengio 2012), for a seed the same ones in the same order:
whoever pins the number of trials gets the same result again, and a budget of seconds only decides how many there are.

The best of many is good by luck, too: where labels were pure chance, boosting that stops where validation is best beat
the defaults by more than noise after four trials. So one half of the rows chooses, and the other half confirms.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeAlias

import numpy as np
from scipy.stats import loguniform
from sklearn.model_selection import ParameterSampler

from ml.evaluate import Floats, auc_differences, roc_auc
from ml.models import (
    BOOSTING,
    DEFAULTS,
    LOGISTIC,
    Boosting,
    BoostingSettings,
    Logistic,
    LogisticSettings,
    ModelSettings,
)
from ml.validation import Mask, Validation

Told: TypeAlias = Callable[[int, float], None]
"""Is told after each trial how many there were, and what share of the search is done."""

ITERATIONS: Final = 400
"""Most of boosting. A fit tells of fewer as well, so that validation stops each trial where it is best."""
EVERY: Final = 20
"""Iterations from one number that is looked at to the next."""

_KIND: Final = "kind"
SPACES: Final[list[dict[str, Any]]] = [
    {_KIND: [LOGISTIC], "C": loguniform(1e-3, 1e2), "n_knots": [0, 4, 6]},
    {
        _KIND: [BOOSTING],
        "learning_rate": loguniform(0.01, 0.2),
        "max_leaf_nodes": [2, 3, 4, 6, 8, 12, 16, 24, 31],
        "min_samples_leaf": [10, 20, 50, 100, 200, 400],
        "l2_regularization": loguniform(0.1, 100),
        "max_features": [0.3, 0.5, 1.0],
    },
]
_MOST: Final = 1_000_000
"""Trials. The sampler wants a number; it draws one only when asked for the next."""


@dataclass(frozen=True)
class Budget:
    """When a search ends. A trial that has begun is finished."""

    seconds: float = 0.0
    trials: int | None = None
    """Where given: exactly so many, however long they take."""

    def __bool__(self) -> bool:
        return self.seconds > 0 if self.trials is None else self.trials > 0

    def used(self, trials: int, seconds: float) -> float:
        """The share of it that is used; 1 or more at the end."""
        return seconds / self.seconds if self.trials is None else trials / self.trials


@dataclass(frozen=True)
class Tried:
    """One trial."""

    kind: str
    settings: LogisticSettings | BoostingSettings
    roc_auc: float
    """In validation, of the half that chooses."""


@dataclass(frozen=True)
class Search:
    """What came of a search; by default of none."""

    tried: tuple[Tried, ...] = ()
    """In order of time."""
    defaults: Mapping[str, float] = field(default_factory=dict)
    """ROC AUC of the default settings of each kind on the same rows."""
    seconds: float = 0.0
    entered: ModelSettings = DEFAULTS
    """The best settings of a kind that beat the defaults by more than noise, else the defaults."""
    log_odds: Mapping[str, Floats] = field(default_factory=dict)
    """Of those that entered, by kind: of the rows that validation judges."""

    @property
    def best(self) -> dict[str, float]:
        """The highest ROC AUC in validation of each kind that was tried."""
        return {one.kind: one.roc_auc for one in sorted(self.tried, key=lambda one: one.roc_auc)}


def search(
    validation: Validation,
    defaults: Mapping[str, Floats],
    budget: Budget,
    seed: int,
    rounds: int,
    told: Told = lambda _, __: None,
    clock: Callable[[], float] = time.monotonic,
) -> Search:
    """Tries settings until the ``budget`` is used.

    ``defaults``: the log odds of either kind with the default settings, of the rows that validation judges. The best
    trial of a kind on one half of these enters where on the other half the paired interval (of ``rounds`` bootstrap
    rounds) of its ROC AUC less the defaults' lies above zero.
    """
    if not budget:
        return Search()
    began, tried = clock(), list[Tried]()
    truth = validation.truth
    choosing = np.random.default_rng(seed).permutation(len(truth)) < len(truth) // 2
    best: dict[str, tuple[Tried, Floats]] = {}
    for settings in _drawn(seed):
        one, scores = _try(validation, choosing, settings, seed)
        tried.append(one)
        if one.kind not in best or one.roc_auc > best[one.kind][0].roc_auc:
            best[one.kind] = one, scores
        used = budget.used(len(tried), clock() - began)
        told(len(tried), min(used, 1.0))
        if used >= 1:
            break
    better = {
        kind: (one, scores)
        for kind, (one, scores) in best.items()
        if _gain(truth[~choosing], scores[~choosing], defaults[kind][~choosing], seed, rounds) > 0
    }
    entered: dict[str, Any] = {kind: one.settings for kind, (one, _) in better.items()}
    return Search(
        tuple(tried),
        {kind: roc_auc(truth[choosing], defaults[kind][choosing]) for kind in best},
        clock() - began,
        ModelSettings(**entered),
        {kind: scores for kind, (_, scores) in better.items()},
    )


def _drawn(seed: int) -> Iterator[LogisticSettings | BoostingSettings]:
    for drawn in ParameterSampler(SPACES, _MOST, random_state=seed):
        kind = drawn.pop(_KIND)
        # Three digits, so that what is shown is what was tried.
        values: dict[str, Any] = {
            name: float(f"{value:.3g}") if isinstance(value, float) else value for name, value in drawn.items()
        }
        yield LogisticSettings(**values) if kind == LOGISTIC else BoostingSettings(**values, max_iter=ITERATIONS)


def _try(
    validation: Validation, choosing: Mask, settings: LogisticSettings | BoostingSettings, seed: int
) -> tuple[Tried, Floats]:
    """One trial, and its log odds of the rows that validation judges; boosting with its best number of iterations."""
    truth = validation.truth[choosing]
    if isinstance(settings, LogisticSettings):
        odds = validation.scored(lambda x, churned, seen: Logistic.fit(x, churned, settings=settings).log_odds(seen))
        return Tried(LOGISTIC, settings, roc_auc(truth, odds[choosing])), odds
    stages = validation.scored(
        lambda x, churned, seen: np.column_stack(
            list(Boosting.fit(x, churned, seed, settings=settings).staged(seen, EVERY))
        )
    )
    aucs = [roc_auc(truth, odds) for odds in stages[choosing].T]
    best = int(np.argmax(aucs))
    return Tried(BOOSTING, replace(settings, max_iter=EVERY * (best + 1)), aucs[best]), stages[:, best]


def _gain(churned: Floats, scores: Floats, default: Floats, seed: int, rounds: int) -> float:
    """The lower end of the interval of the ROC AUC of ``scores`` less that of ``default``."""
    return auc_differences(churned, {"default": default, "searched": scores}, "default", seed, rounds)["searched"].low
