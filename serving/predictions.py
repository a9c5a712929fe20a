"""The stage `churn_prediction`: each user's newest features, scored by the API, into Postgres.

New features come first. Once all are taken, users whom another model has scored than the one that serves are scored
again, a chunk at a time: whom that concerns is asked of Postgres, so that nothing is kept and it may stop anywhere.
"""

from __future__ import annotations

import time
from contextlib import suppress

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.contracts import ChurnFeatures, ChurnPrediction
from lakehouse.doors import own_key
from lakehouse.errors import LakehouseError
from lakehouse.frames import to_arrow
from lakehouse.stages import Context, Lane, Stage, utc_now
from serving.follower import PostgresFollower
from serving.mirror import CHURN_PREDICTION
from serving.prediction_rows import ROWS_AT_ONCE, predictions
from serving.prediction_sink import (
    apply_predictions,
    apply_rescored,
    drop_expired_history,
    users_of_other_models,
)
from serving.scoring_client import ScoringClient
from serving.sink import Applied, MirrorBatch, split

LOOK_EVERY_S = 10.0
"""How often the API is asked which model serves while there is nothing to score; each answer says it too, and it
is asked at once where somebody drains."""


def stages(context: Context) -> list[Stage]:
    return [PredictionStage(context) if context.endpoints.api else UnscoredStage(context)]


class PredictionStage(PostgresFollower):
    """Scores what has changed in `gold.churn_features`. The API away, or without a model, is an outage."""

    lane = Lane.scores

    def __init__(self, context: Context) -> None:
        super().__init__(context, CHURN_PREDICTION, ChurnFeatures)
        self._api = ScoringClient(context.endpoints.api, own_key(context.settings))
        self._looks_at = 0.0
        """When, by time.monotonic(), the API is asked again which model serves."""
        self._wanted = self._answered = 0
        """How often somebody wanted it to be asked at once, and how many of these have been."""
        self._serves: str | None = None
        """The model of the API's newest answer."""
        self._all_by: str | None = None
        """The model by which every user was found to be scored; only what is found out again after a start."""
        self._after = ""
        """Users up to this one were found to be scored by the model that serves."""

    def has_work(self) -> bool:
        self._look()
        return super().has_work() or self._others_to_score

    def hasten(self) -> None:
        self._wanted += 1

    def has_taken(self, version: int) -> bool:
        looked = self._answered == self._wanted
        return looked and super().has_taken(version) and not self._others_to_score

    def apply(self, rows: pa.Table, batch: MirrorBatch) -> Applied:
        changed, gone = split(rows, ChurnFeatures)
        scores = self._scored(changed)
        return apply_predictions(self.connected(), scores, gone[ChurnFeatures.user_id].to_pylist(), batch)

    def tidy(self) -> None:
        if self._others_to_score:
            self._score_again()
        drop_expired_history(self.connected(), self.context.settings.churn_history_days)

    def close(self) -> None:
        super().close()
        self._api.close()

    @property
    def _others_to_score(self) -> bool:
        """Whether there may be users whom another model has scored than the one that serves."""
        return self._serves is not None and self._serves != self._all_by

    def _look(self) -> None:
        wanted = self._wanted
        if self._answered == wanted and time.monotonic() < self._looks_at:
            return
        self._looks_at = time.monotonic() + LOOK_EVERY_S
        with suppress(LakehouseError):  # while there is nothing to score nothing waits for the API
            self._heard_of(self._api.model_version())
        self._answered = wanted

    def _heard_of(self, model_version: str) -> None:
        if model_version != self._serves:
            self._serves, self._after = model_version, ""

    def _scored(self, users: pa.Table) -> pa.Table:
        scores = predictions(self._api.score, users, utc_now)
        for model_version in pc.unique(scores[ChurnPrediction.model_version]).drop_null().to_pylist():
            self._heard_of(model_version)
        return scores

    def _score_again(self) -> None:
        """One chunk of the users whom another model has scored, with the features that Postgres has."""
        model_version, after = self._serves, self._after
        if model_version is None or self.position is None:
            return
        users = users_of_other_models(self.connected(), model_version, after, ROWS_AT_ONCE)
        if users:
            found = self.context.store.scan(ChurnFeatures, self.position).filter(
                pl.col(ChurnFeatures.user_id).is_in(users)
            )
            count = apply_rescored(self.connected(), self._scored(to_arrow(found.collect())))
            self.context.log(f"{self.name}: {count:,} users scored again, by model {self._serves}")
        if self._serves != model_version:
            return  # yet another has come meanwhile
        if len(users) < ROWS_AT_ONCE:
            self._all_by, self._after = model_version, ""
        else:
            self._after = users[-1]


class UnscoredStage(PostgresFollower):
    """In a command that runs without the API: nobody waits for scores, and the features' history stays for them."""

    lane = Lane.scores

    def __init__(self, context: Context) -> None:
        super().__init__(context, CHURN_PREDICTION, ChurnFeatures)

    def has_work(self) -> bool:
        return self.position is None

    def has_taken(self, version: int) -> bool:  # noqa: ARG002
        return True

    def run(self) -> None:
        with self.asking():
            self.position = self.reached()

    def apply(self, rows: pa.Table, batch: MirrorBatch) -> Applied:
        raise NotImplementedError("there is no API to ask")
