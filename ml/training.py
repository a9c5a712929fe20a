"""Training: candidates on the training cuts, the simplest within noise of the best, judged once on the test's cut."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import numpy as np
import polars as pl

from lakehouse.contracts import ChurnFeatures as F
from ml.bgnbd import BgNbd, Purchases
from ml.dataset import Cuts, DataSet, History, data_set, fingerprint
from ml.evaluate import Floats, Interval, auc_differences, roc_auc, with_intervals
from ml.labels import CHURNED
from ml.models import (
    LOGISTIC,
    SINGLE,
    Calibrated,
    ChurnModel,
    Costs,
    Scorer,
    counts_alone,
    fit_candidates,
    fit_partial,
    in_order,
    matrix,
    probabilities,
)
from ml.search import Budget, Search, Told, search
from ml.validation import By, Validation, validation

Tell: TypeAlias = Callable[[str], None]
"""Is told what begins now."""

LEAST_OF_A_LABEL: Final = 10
COUNTS_ALONE: Final = "counts alone"
SHARE: Final = "share of churned"
CHOSEN: Final = "chosen, calibrated"
REFERENCE: Final = LOGISTIC
BG_NBD: Final = "BG/NBD"


@dataclass(frozen=True)
class Plan:
    """What to train with. The same plan and history give the same model, unless a search ends by the clock."""

    cuts: Cuts
    validate_by: By
    costs: Costs = field(default_factory=Costs)
    seed: int = 7
    bootstrap_rounds: int = 200
    search: Budget = field(default_factory=Budget)
    """Of settings; by default none is made."""


@dataclass(frozen=True)
class Trained:
    """A model, and all that is to be said of it."""

    model: ChurnModel
    validation: Mapping[str, Interval]
    """ROC AUC of each candidate less the best one's, on what it was not trained on."""
    test: Mapping[str, Mapping[str, Interval]]
    """Metrics of each candidate and baseline, of the chosen one calibrated, and of the three counts alone; of BG/NBD
    where the events are purchases alone and the lookback holds them all."""
    differences: Mapping[str, Interval]
    """Test ROC AUC less that of logistic regression, paired."""
    data: DataSet
    fingerprints: tuple[str, str]
    """Of the training rows and the test's."""
    search: Search

    @property
    def settings(self) -> dict[str, float | int | None]:
        """Of the chosen model, as ``KIND.NAME``."""
        return self.search.entered.of(self.model.name)

    @property
    def training_rows(self) -> int:
        return len(self.data.training)

    @property
    def judged_rows(self) -> int:
        return len(self.data.judged)


def train(history: History, plan: Plan, tell: Tell = lambda _: None, told: Told = lambda _, __: None) -> Trained:
    """A model of ``history`` (of all users), chosen on the training cuts and judged on the test's.

    1. every candidate is fitted without a part of the rows, and scores it: choice and calibration rest on these;
    2. where a search is asked for, settings that beat the defaults there by more than noise become candidates;
    3. the simplest candidate within noise of the best is chosen;
    4. the candidates are fitted on all training rows, and scored once on the test's.

    ``told`` follows the search. Raises ValueError where a cut has too few users of a label.
    """
    tell(f"features and labels at {len(plan.cuts.train) + 1} cuts")
    data = data_set(history, plan.cuts)
    x, churned = matrix(data.training), labels(data.training)
    _check_labels(pl.concat([data.training, data.judged]))
    judge = validation(data.training, x, churned, plan.cuts, plan.validate_by, plan.seed)
    held_out, found = _held_out(judge, plan, tell, told)
    of_counts = held_out.pop(COUNTS_ALONE)
    chosen, distances = choose(held_out, judge.truth, plan)

    tell(f"fitting on {len(x):,} rows; chosen: {chosen}")
    fitted = fit_candidates(x, churned, plan.seed, found.entered)
    partial = fit_partial(x, churned, plan.seed)
    model = ChurnModel(
        chosen,
        Calibrated.fit(fitted[chosen], judge.truth, held_out[chosen]),
        Calibrated.fit(partial, judge.truth, of_counts),
        plan.costs,
    )
    scores = {
        **_scores(model, fitted, matrix(data.judged), churned.mean()),
        **_purchase_score(data.judged, plan.cuts),
    }
    outcome = labels(data.judged)
    tell(f"judging {len(scores)} scores of {len(outcome):,} users, {plan.bootstrap_rounds} bootstrap rounds")
    return Trained(
        model,
        distances,
        {name: with_intervals(outcome, score, plan.seed, plan.bootstrap_rounds) for name, score in scores.items()},
        auc_differences(outcome, scores, REFERENCE, plan.seed, plan.bootstrap_rounds),
        data,
        (fingerprint(data.training), fingerprint(data.judged)),
        found,
    )


def choose(held_out: Mapping[str, Floats], churned: Floats, plan: Plan) -> tuple[str, dict[str, Interval]]:
    """The first of ``held_out`` (the simplest first) that is within noise of the best, and each one's distance.

    Within noise: the paired interval of its ROC AUC less the best one's reaches zero.
    """
    best = max(held_out, key=lambda name: roc_auc(churned, held_out[name]))
    differences = auc_differences(churned, held_out, best, plan.seed, plan.bootstrap_rounds)
    return next(name for name in held_out if differences[name].high >= 0), differences


def labels(rows: pl.DataFrame) -> Floats:
    """1 for each row whose user has churned, else 0."""
    return rows[CHURNED].cast(pl.Float64).to_numpy()


def _held_out(judge: Validation, plan: Plan, tell: Tell, told: Told) -> tuple[dict[str, Floats], Search]:
    """Log odds of each candidate, and of the model for missing features with the counts alone, by models that were not
    trained on the rows that are judged; and what came of the search."""
    tell(f"comparing candidates on {len(judge.truth):,} rows they have not seen")
    own = {
        name: judge.scored(lambda x, churned, seen, fit=fit: fit(x, churned, plan.seed).log_odds(seen))  # type: ignore[misc]
        for name, fit in SINGLE.items()
    }
    of_counts = judge.scored(lambda x, churned, seen: fit_partial(x, churned, plan.seed).log_odds(counts_alone(seen)))
    if plan.search:
        tell("searching for better settings")
    found = search(judge, own, plan.search, plan.seed, plan.bootstrap_rounds, told)
    candidates = in_order(own, found.log_odds, lambda logistic, boosting: (logistic + boosting) / 2)
    return {**candidates, COUNTS_ALONE: of_counts}, found


def _check_labels(rows: pl.DataFrame) -> None:
    """Enough of each label at every cut, that each part of the rows has both."""
    counted = rows.group_by(F.as_of).agg(pl.col(CHURNED).sum().alias("gone"), (~pl.col(CHURNED)).sum().alias("back"))
    for cut, gone, back in counted.sort(F.as_of).iter_rows():
        if min(gone, back) < LEAST_OF_A_LABEL:
            raise ValueError(
                f"cut={cut:%Y-%m-%d}: {gone:,} of its users churned and {back:,} returned, and it takes "
                f"{LEAST_OF_A_LABEL} of each to learn and to judge"
            )


def _scores(model: ChurnModel, fitted: Mapping[str, Scorer], x: Floats, share: float) -> dict[str, Floats]:
    return {
        SHARE: np.full(len(x), share),
        **{name: probabilities(scorer.log_odds(x)) for name, scorer in fitted.items()},
        CHOSEN: model.whole.probability(x),
        COUNTS_ALONE: model.partial.probability(counts_alone(x)),
    }


def _purchase_score(rows: pl.DataFrame, cuts: Cuts) -> dict[str, Floats]:
    """BG/NBD's chance of no purchase in the horizon, for rows of one cut; empty where it cannot be asked.

    It is fitted on the same rows, for it learns from what was before their cut alone, and from no label. It needs data
    of purchases alone, whole within the lookback, and somebody who has bought twice.
    """
    purchases_alone = (pl.col(F.num_events) == pl.col(F.num_purchases)).all()
    whole = (pl.col(F.tenure_days) <= cuts.lookback_days).all()
    if not rows.select(purchases_alone & whole).item():
        return {}
    seen = Purchases.of(rows)
    return {BG_NBD: BgNbd.fit(seen).no_purchase(seen, cuts.horizon_days)} if seen.repeats.any() else {}
