"""Data sets: the features of every user seen before each of several cuts, and what became of that user."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

import polars as pl

from gold.churn_features import FEATURES, churn_features
from gold.user_days import user_days
from lakehouse.contracts import ChurnFeatures as F
from lakehouse.contracts import SilverEvents as S
from ml.labels import CHURNED, labels_end, midnight, with_labels


@dataclass(frozen=True)
class Cuts:
    """Which moments are learnt from, and which one is judged. Midnights in UTC.

    Raises ValueError where a label of a training cut would end after the test's cut, for then the model would have
    seen what it is asked.
    """

    train: tuple[datetime, ...]
    """In order of time; the last one validates."""
    test: datetime
    horizon_days: int
    """Churned: no event for so long."""
    lookback_days: int

    def __post_init__(self) -> None:
        if not self.train:
            raise ValueError("cuts: at least one to train with")
        if list(self.train) != sorted(set(self.train)):
            raise ValueError("cuts: must be in order of time, each once")
        for cut in self.train:
            if labels_end(cut, self.horizon_days) > midnight(self.test).date():
                raise ValueError(
                    f"cut={cut:%Y-%m-%d}: its labels end on {labels_end(cut, self.horizon_days)}, "
                    f"after the test's cut {self.test:%Y-%m-%d}"
                )


def training_cuts(test: datetime, horizon_days: int, every_days: int, number: int) -> tuple[datetime, ...]:
    """The ``number`` latest cuts, ``every_days`` apart, whose labels end by the cut ``test``; in order of time."""
    last = midnight(test) - timedelta(days=horizon_days)
    return tuple(last - timedelta(days=every_days * back) for back in reversed(range(number)))


class History(Protocol):
    """What data sets are made of."""

    @property
    def days(self) -> pl.DataFrame:
        """All days of all users: what labels are read from."""

    def known(self, cut: datetime) -> pl.DataFrame:
        """The days before ``cut`` as they are held to have been known then: what features are computed from. Days at
        or after it may be among them."""


@dataclass(frozen=True)
class AllDays:
    """Every event counts as known from its own time on: right for a replay, and for events that are never late."""

    days: pl.DataFrame

    def known(self, cut: datetime) -> pl.DataFrame:  # noqa: ARG002 (as `History` has it)
        return self.days


@dataclass(frozen=True)
class Received:
    """An event is known from the moment on that the broker had it: what a live system would have seen at a cut."""

    days: pl.DataFrame
    events: pl.DataFrame
    """Rows of ``silver.events``, of all users: at least those before the newest cut."""
    session_ids_cap: int

    def known(self, cut: datetime) -> pl.DataFrame:
        return user_days(self.events.filter(_received_before(cut)), self.session_ids_cap)

    def knows_nothing(self, cuts: Cuts) -> datetime | None:
        """The first cut at which no event was known; None where each has some."""
        every = (*cuts.train, cuts.test)
        return next((cut for cut in every if self.events.filter(_received_before(cut)).is_empty()), None)


def at_cut(history: History, cut: datetime, lookback_days: int, horizon_days: int) -> pl.DataFrame:
    """A row for every user with a known event before ``cut``: the features at it and ``churned``, by user."""
    features = churn_features(history.known(cut), midnight(cut), lookback_days)
    return with_labels(features, history.days, cut, horizon_days)


def training_rows(history: History, cuts: Cuts) -> pl.DataFrame:
    """The rows of all training cuts, by cut and user."""
    return pl.concat([at_cut(history, cut, cuts.lookback_days, cuts.horizon_days) for cut in cuts.train])


def judged_rows(history: History, cuts: Cuts) -> pl.DataFrame:
    """The rows of the test's cut, by user."""
    return at_cut(history, cuts.test, cuts.lookback_days, cuts.horizon_days)


@dataclass(frozen=True)
class DataSet:
    """What is learnt from and what is judged, a row for each user and cut."""

    training: pl.DataFrame
    """By cut and user."""
    judged: pl.DataFrame
    """Of the test's cut, by user."""


def data_set(history: History, cuts: Cuts) -> DataSet:
    """The rows of ``cuts``."""
    return DataSet(training_rows(history, cuts), judged_rows(history, cuts))


def fingerprint(rows: pl.DataFrame) -> str:
    """SHA-256 of a data set's rows in order of cut and user: the same for the same data, whenever it was built."""
    ordered = rows.select(F.user_id, F.as_of, *FEATURES, CHURNED).sort(F.as_of, F.user_id)
    return hashlib.sha256(ordered.write_csv().encode()).hexdigest()


def _received_before(cut: datetime) -> pl.Expr:
    moment = pl.lit(cut, pl.Datetime("us", "UTC"))
    return (pl.col(S.event_time) < moment) & (pl.col(S.kafka_timestamp) < moment)
