"""What was found of champions after shipping, kept as runs of MLflow's experiment `churn-monitoring`."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from lakehouse.contracts import SIMULATED_MODEL, UserDays
from lakehouse.contracts import ChurnPredictionHistory as H
from lakehouse.errors import Unavailable
from lakehouse.home import Home
from ml.drift import SCORE
from ml.monitoring import Past, Watch, newest_day, watch
from ml.package import Package, write_note
from ml.past_predictions import past_predictions
from ml.planning import HORIZON_DAYS
from ml.registry import Registry
from ml.source import PinnedDays
from ml.tracking import client_of, exists, experiment, metrics_for_mlflow, silent_mlflow

EXPERIMENT: Final = "churn-monitoring"
DOCUMENT: Final = "watch.json"
DELTA: Final = "delta."
"""Begins the tags of the tables' versions."""


@dataclass(frozen=True)
class Kept:
    """One earlier watch."""

    kept_at: datetime
    model_version: str
    at: str
    """The midnight (UTC) that was watched, as ISO 8601."""
    score: float | None
    """Stability index of the score."""
    due: str
    """Why retraining was due; empty where it was not."""
    metrics: Mapping[str, float]
    data_versions: Mapping[str, int]
    run_id: str


@dataclass(frozen=True)
class Watches:
    """The history of watches under a home."""

    home: Home

    def keep(self, found: Watch, data_versions: Mapping[str, int]) -> str:
        """Keeps ``found``, of the tables' Delta versions ``data_versions``; gives back the id of its run.

        The newest lies beside the champion too, for whoever shows it: MLflow takes seconds to import.
        """
        tags = {
            "model_version": found.model_version,
            "at": found.at.isoformat(),
            "due": "; ".join(found.due),
            **{f"{DELTA}{table}": str(version) for table, version in data_versions.items()},
        }
        with silent_mlflow() as mlflow:
            client = client_of(self.home)
            run = client.create_run(experiment(client, self.home, EXPERIMENT), tags=tags).info.run_id
            now = int(time.time() * 1000)
            metrics = metrics_for_mlflow(found.metrics())
            client.log_batch(run, [mlflow.entities.Metric(name, value, now, 0) for name, value in metrics.items()])
            client.log_dict(run, found.as_document(), DOCUMENT)
            client.set_terminated(run)
        write_note(found.as_document(), self.home.champion_watch)
        return str(run)

    def latest(self, most: int) -> list[Kept]:
        """The newest ``most``, the newest first."""
        if not exists(self.home):
            return []
        with silent_mlflow():
            client = client_of(self.home)
            found = client.search_runs([experiment(client, self.home, EXPERIMENT)], max_results=most)
        return [
            Kept(
                kept_at=datetime.fromtimestamp(run.info.start_time / 1000, UTC),
                model_version=run.data.tags["model_version"],
                at=run.data.tags["at"],
                score=run.data.metrics.get(f"psi.{SCORE}"),
                due=run.data.tags.get("due", ""),
                metrics=dict(run.data.metrics),
                data_versions={
                    tag.removeprefix(DELTA): int(version)
                    for tag, version in run.data.tags.items()
                    if tag.startswith(DELTA)
                },
                run_id=run.info.run_id,
            )
            for run in found
        ]


def watch_and_keep(registry: Registry, champion: Package, pinned: PinnedDays) -> Watch:
    """Of ``champion``, on users' days that hold at least one event, with what the running stack keeps of the past."""
    found = watch(champion, pinned.days, _past(registry, champion, pinned))
    Watches(registry.home).keep(found, {UserDays.name: pinned.version})
    return found


def horizons(registry: Registry, champion: Package) -> dict[str, int]:
    """Days, of each model version that is known. One from elsewhere is not: what it promised cannot be told."""
    registered = {str(one.version): one.tags.get("horizon_days", "") for one in registry.versions()}
    known = {version: int(days) for version, days in registered.items() if days.isdigit()}
    return {**known, champion.card.version: champion.card.horizon_days}


def _past(registry: Registry, champion: Package, pinned: PinnedDays) -> Past | str:
    known = horizons(registry, champion)
    shortest = min([HORIZON_DAYS, *known.values()])
    try:
        found = past_predictions(registry.home, newest_day(pinned.days) - timedelta(days=shortest))
    except Unavailable as error:
        return f"realised accuracy needs the running stack: {error}"
    # One of simulated data is in no registry; it is always trained for the default horizon.
    simulated = [name for name in found[H.model_version].unique() if name.startswith(SIMULATED_MODEL)]
    return Past(found, {**dict.fromkeys(simulated, HORIZON_DAYS), **known})
