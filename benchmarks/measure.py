"""From many measurements to the few figures that are reported. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Percentiles:
    """How a quantity was spread over its measurements, in its own unit."""

    count: int
    p50: float
    p95: float
    p99: float
    max: float


@dataclass(frozen=True)
class Repeated:
    """One figure, measured several times."""

    median: float
    lowest: float
    highest: float
    runs: tuple[float, ...]
    """Each run's, in their order."""


def percentiles(values: Sequence[float]) -> Percentiles | None:
    """None where nothing was measured; linear between two measurements."""
    if not values:
        return None
    p50, p95, p99 = (float(p) for p in np.percentile(values, (50, 95, 99)))
    return Percentiles(len(values), round(p50, 4), round(p95, 4), round(p99, 4), round(max(values), 4))


def repeated(runs: Sequence[float]) -> Repeated:
    """Raises ValueError where there was no run."""
    if not runs:
        raise ValueError("a figure needs one run at least")
    return Repeated(
        round(float(np.median(runs)), 4), round(min(runs), 4), round(max(runs), 4), tuple(round(r, 4) for r in runs)
    )
