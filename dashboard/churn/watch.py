"""What the newest watch of a champion found: drift, and what came of its predictions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

import msgspec

from dashboard.scoring import Metric
from lakehouse.errors import LakehouseError
from lakehouse.home import Home

MOVED: Final = 0.1
ANOTHER_POPULATION: Final = 0.25
"""By custom, of the population stability index."""


@dataclass(frozen=True)
class Realised:
    """What one model promised, and what has come of it; metrics with the interval of their bootstrap values."""

    model_version: str
    horizon_days: int
    predictions: int
    users: int
    first: date
    last: date
    roc_auc: Metric
    brier: Metric
    mean_predicted: Metric
    observed_share: Metric


@dataclass(frozen=True)
class Watch:
    """As `lakehouse model drift --json` tells it."""

    model_version: str
    at: date
    """The midnight (UTC) whose features were compared with those it was trained on."""
    users: int
    indices: Mapping[str, float | None]
    """Stability index of the score and of each feature."""
    realised: tuple[Realised, ...]
    not_realised: str | None
    due: tuple[str, ...]
    """Why the model is to be trained again."""
    due_again: date | None


def read_watch(home: Home) -> Watch | None:
    """The newest; None where there was none. Raises LakehouseError where it cannot be read."""
    try:
        return msgspec.json.decode(home.champion_watch.read_bytes(), type=Watch)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as error:
        raise LakehouseError(
            f"{home.champion_watch}: cannot be read ({error}); `lakehouse model drift` writes it anew"
        ) from None
