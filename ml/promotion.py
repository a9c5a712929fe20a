"""Whether a challenger takes the champion's place. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from ml.dataset import Cuts, DataSet
from ml.evaluate import Interval, auc_differences
from ml.models import ChurnModel
from ml.package import Package
from ml.training import labels


@dataclass(frozen=True)
class Verdict:
    """On one challenger."""

    promote: bool
    reason: str
    """In one sentence, with the figures."""
    difference: Interval | None = None
    """ROC AUC of the challenger less the champion's on the challenger's test, paired; None where not compared."""


def judge(
    challenger: ChurnModel,
    champion: Package | None,
    cuts: Cuts,
    data: DataSet,
    served_lookback_days: int,
    seed: int,
    rounds: int = 200,
) -> Verdict:
    """The challenger is promoted where there is no champion to speak of, or where it beats it by more than noise.

    More than noise: the paired bootstrap interval of the difference of both ROC AUCs, on the challenger's test rows,
    lies above zero. ``champion`` is None where there is none.
    """
    if cuts.lookback_days != served_lookback_days:
        return Verdict(
            False,
            f"its counts are of {cuts.lookback_days} days, and those that are scored of {served_lookback_days}; set "
            f"LAKEHOUSE_CHURN_LOOKBACK_DAYS={cuts.lookback_days}, or train with --lookback {served_lookback_days}",
        )
    if champion is None:
        return Verdict(True, "there was no champion to speak of")
    card = champion.card
    if card.simulated:
        return Verdict(True, "the champion was trained on simulated data")
    if (card.horizon_days, card.lookback_days) != (cuts.horizon_days, cuts.lookback_days):
        return Verdict(
            False,
            f"version {card.version} answers another question: its horizon is {card.horizon_days} and its lookback "
            f"{card.lookback_days} days, here {cuts.horizon_days} and {cuts.lookback_days}",
        )
    if card.test_cut > cuts.test:
        return Verdict(
            False,
            f"version {card.version} may have learnt from what is tested here: its test cut is "
            f"{card.test_cut:%Y-%m-%d}, this one {cuts.test:%Y-%m-%d}",
        )
    scores = {
        "challenger": challenger.probability(data.judged),
        "champion": champion.model.probability(data.judged),
    }
    found = auc_differences(labels(data.judged), scores, "champion", seed, rounds)["challenger"]
    said = f"ROC AUC less that of version {card.version} on the same {len(data.judged):,} users: {found}"
    if found.low > 0:
        return Verdict(True, f"it beats the champion by more than noise; {said}", found)
    return Verdict(False, f"it does not beat the champion by more than noise; {said}", found)
