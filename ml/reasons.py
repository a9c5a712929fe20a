"""Why a row has its score: the features that moved it most from where a typical user's would be, in words. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from gold.churn_features import COUNTS, FEATURES
from lakehouse.contracts import ChurnFeatures as F
from ml.evaluate import Floats
from ml.models import OPTIONAL, ChurnModel, probabilities, set_rates

MOST: Final = 3
"""So many reasons at most."""

LEAST_EFFECT: Final = 0.01
"""In log odds; what moves a score less is no reason."""

CHUNK_ROWS: Final = 2_000
"""Bounds memory: a row is scored once more for each feature that is known."""

GIVEN: Final = (*COUNTS, *OPTIONAL)
"""The rates follow from the counts, and move with them."""


@dataclass(frozen=True)
class Explained:
    """Scores and their reasons, one of each for a row, in order."""

    probability: Floats
    reasons: list[list[str]]


def explain(model: ChurnModel, typical: Floats, x: Floats) -> Explained:
    """Scores each row of ``x``, and says which features moved it most, the strongest first.

    The effect of a feature is the change in log odds of the row when that feature alone is put at its value in
    ``typical`` (one for each of `FEATURES`). Features that are unknown, in the row or in ``typical``, have none.
    """
    found = [_explain(model, typical, x[at : at + CHUNK_ROWS]) for at in range(0, len(x), CHUNK_ROWS)]
    scores = [part.probability for part in found]
    return Explained(
        np.concatenate(scores) if scores else np.empty(0), [reasons for part in found for reasons in part.reasons]
    )


def _explain(model: ChurnModel, typical: Floats, x: Floats) -> Explained:
    places = np.array([place for place in _GIVEN_PLACES if _is_known(typical, x, place)], np.int64)
    # A row as it is, then once for each feature; all are scored in one call, by the same model as the row itself.
    variants = np.repeat(x[:, None, :], len(places) + 1, axis=1)
    replaced = np.where(np.isnan(x[:, places]), np.nan, typical[places])
    variants[:, np.arange(len(places)) + 1, places] = replaced
    rows = variants.reshape(-1, x.shape[1])
    set_rates(rows)
    odds = model.log_odds(rows).reshape(len(x), -1)
    effects = odds[:, :1] - odds[:, 1:]
    strongest = np.argsort(-np.abs(effects), axis=1, kind="stable")[:, :MOST]
    return Explained(
        probabilities(odds[:, 0]),
        [
            list(_in_words(typical, row, places[order], effect[order]))
            for row, effect, order in zip(x, effects, strongest, strict=True)
        ],
    )


def _is_known(typical: Floats, x: Floats, place: int) -> bool:
    return bool(np.isfinite(typical[place]) and not np.isnan(x[:, place]).all())


def _in_words(typical: Floats, row: Floats, places: np.ndarray, effects: Floats) -> Iterator[str]:
    for place, effect in zip(places.tolist(), effects.tolist(), strict=True):
        if abs(effect) >= LEAST_EFFECT:
            verb = "raises" if effect > 0 else "lowers"
            said = WORDS[FEATURES[place]](row[place])
            yield f"{said} (typical: {number(typical[place])}): {verb} the risk"


def number(value: float) -> str:
    """Whole where it is whole or from 10 on, else with one digit, or two below 1."""
    if value == round(value) or abs(value) >= 10:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 1 else f"{value:.2f}"


def _many(one: str, many: str | None = None) -> Callable[[float], str]:
    def words(value: float) -> str:
        if value == 0:
            return f"no {many or one + 's'}"
        return f"{number(value)} {one if value == 1 else many or one + 's'}"

    return words


def _trend(value: float) -> str:
    return f"activity {'grows' if value > 0 else 'fades' if value < 0 else 'is steady'}, trend {number(value)}"


WORDS: Final[Mapping[str, Callable[[float], str]]] = {
    F.num_views: _many("view"),
    F.num_add_to_cart: _many("addition to the cart", "additions to the cart"),
    F.num_purchases: _many("purchase"),
    F.num_events: _many("event"),
    F.sessions: _many("session"),
    F.active_days: _many("active day"),
    F.active_hours: _many("active hour"),
    F.recency_days: lambda days: f"last seen {number(days)} days ago",
    F.tenure_days: lambda days: f"first seen {number(days)} days ago",
    F.frequency: lambda share: f"active on {number(share)} of the days",
    F.trend: _trend,
    F.days_between_visits: lambda days: f"{number(days)} days between visits",
    F.days_since_purchase: lambda days: f"no purchase in {number(days)} days",
    F.events_per_session: lambda events: f"{number(events)} events in a session",
    F.minutes_per_day: lambda minutes: f"{number(minutes)} minutes on an active day",
    F.revenue: lambda value: f"purchases worth {number(value)}",
}
"""What a feature's value is in words."""

_GIVEN_PLACES: Final = tuple(FEATURES.index(column) for column in GIVEN)
