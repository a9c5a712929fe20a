"""BG/NBD, the buy-till-you-die model of repeat purchases: a baseline that knows purchases alone.

P. Fader, B. Hardie and K. L. Lee, "Counting Your Customers" the Easy Way: An Alternative to the Pareto/NBD Model,
Marketing Science 24 (2005), 275-284. While alive, a customer buys at a rate of their own (gamma over customers), and
after each purchase is gone for good with a probability of their own (beta over customers).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy.optimize import minimize
from scipy.special import betaln, gammaln

from lakehouse.contracts import ChurnFeatures as F
from ml.evaluate import Floats


@dataclass(frozen=True)
class Purchases:
    """What the model sees of each customer; times in any one unit, here days."""

    repeats: Floats
    """Purchases after the first one (x)."""
    last: Floats
    """From the first purchase to the last one (t_x)."""
    age: Floats
    """From the first purchase to the cut (T)."""

    @classmethod
    def of(cls, rows: pl.DataFrame) -> Purchases:
        """Of rows of churn features of purchases alone, whose lookback holds all history; a day's are one."""
        age, recency, active = (
            rows[column].cast(pl.Float64).to_numpy() for column in (F.tenure_days, F.recency_days, F.active_days)
        )
        return cls(active - 1, age - recency, age)


@dataclass(frozen=True)
class BgNbd:
    """A fitted model."""

    r: float
    alpha: float
    """With `r`: the gamma of purchase rates; in the unit of the times."""
    a: float
    b: float
    """With `a`: the beta of the chance to be gone after a purchase."""

    @classmethod
    def fit(cls, seen: Purchases) -> BgNbd:
        """By maximum likelihood. Raises ValueError where nobody has bought twice: then no rate can be told."""
        if not seen.repeats.any():
            raise ValueError("BG/NBD: no customer has bought twice, and there is nothing to learn")
        kinds, weight = np.unique(np.column_stack([seen.repeats, seen.last, seen.age]), axis=0, return_counts=True)
        x, last, age = kinds.T
        scale = float(age.max())  # times near one keep the search well-conditioned

        def cost(logs: Floats) -> float:
            return -float(np.average(cls(*np.exp(logs))._log_likelihood(x, last / scale, age / scale), weights=weight))

        found = minimize(cost, np.zeros(4), method="L-BFGS-B", bounds=[(-8, 8)] * 4)
        r, alpha, a, b = np.exp(found.x)
        return cls(float(r), float(alpha * scale), float(a), float(b))

    def alive(self, seen: Purchases) -> Floats:
        """P(alive) at the cut: the paper's equation for x > 0; who has bought once is alive in this model."""
        x, last, age = seen.repeats, seen.last, seen.age
        gone = np.log(self.a / (self.b + np.maximum(x, 1) - 1))
        gone += (self.r + x) * np.log((self.alpha + age) / (self.alpha + last))
        return np.where(x > 0, 1 / (1 + np.exp(np.minimum(gone, 500))), 1.0)

    def no_purchase(self, seen: Purchases, horizon: float) -> Floats:
        """P(no purchase within ``horizon`` after the cut): gone, or alive and slow.

        This, and not P(alive), answers what the label asks; P(alive) is 1 for all who bought once. The rate of one who
        is alive is gamma with r + x and alpha + T.
        """
        slow = ((self.alpha + seen.age) / (self.alpha + seen.age + horizon)) ** (self.r + seen.repeats)
        return 1 - self.alive(seen) * (1 - slow)

    def _log_likelihood(self, x: Floats, last: Floats, age: Floats) -> Floats:
        """Of one customer each: the paper's equation 6."""
        rates = gammaln(self.r + x) - gammaln(self.r) + self.r * np.log(self.alpha)
        stays = betaln(self.a, self.b + x) - betaln(self.a, self.b) - (self.r + x) * np.log(self.alpha + age)
        goes = betaln(self.a + 1, self.b + np.maximum(x, 1) - 1) - betaln(self.a, self.b)
        goes = goes - (self.r + x) * np.log(self.alpha + last)
        return np.asarray(rates + np.where(x > 0, np.logaddexp(stays, goes), stays), np.float64)
