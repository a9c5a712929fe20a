"""The home: the one folder with all state, where each thing in it lies, and who holds it.

home/
  tables/bronze/user_events …   the Delta tables
  checkpoints/QUERY/gen-N       Spark's checkpoints
  kafka/ postgres/              data of the embedded servers
  logs/SERVICE.log              one log a service
  run/                          lock, sockets, endpoints and pids of a run
  alerts.toml                   rules of alerts, where somebody has written some
  secrets.json                  passwords made at first start, readable by the owner only
  service.key                   by which the stack's own services ask the API; likewise
  api-keys.json                 the keys of others, as hashes
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Home:
    """Paths under a home folder; nothing is created until it is used."""

    root: Path

    @property
    def tables(self) -> Path:
        return self.root / "tables"

    @property
    def checkpoints(self) -> Path:
        return self.root / "checkpoints"

    @property
    def rebuild(self) -> Path:
        """Tables that are being made anew, until they take the place of those that are there."""
        return self.root / "rebuild"

    @property
    def models(self) -> Path:
        """What is kept of churn models: MLflow's database and files, and the champion."""
        return self.root / "models"

    @property
    def champion(self) -> Path:
        """The model that serves; it is replaced in one step."""
        return self.models / "champion.pkl"

    @property
    def champion_note(self) -> Path:
        """What is said of the champion, as JSON: written after it, read by `status`."""
        return self.models / "champion.json"

    @property
    def champion_watch(self) -> Path:
        """What the newest watch of a champion found, as JSON: by `model drift` and `train`, for the dashboard."""
        return self.models / "watch.json"

    @property
    def quality(self) -> Path:
        """What the validator keeps: Great Expectations' Data Docs, and which alarms it has sent."""
        return self.root / "quality"

    @property
    def alert_rules(self) -> Path:
        """What a person wants to be told of; written by hand, see docs/alerts.md."""
        return self.root / "alerts.toml"

    @property
    def alerts(self) -> Path:
        """Which of those rules fire, as JSON; see `lakehouse.alerts`."""
        return self.quality / "alerts.json"

    @property
    def kafka(self) -> Path:
        return self.root / "kafka"

    @property
    def postgres(self) -> Path:
        return self.root / "postgres"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def run(self) -> Path:
        return self.root / "run"

    @property
    def lock(self) -> Path:
        """flock'ed by the process that may change anything under the home."""
        return self.run / "writer.lock"

    @property
    def supervisor_lock(self) -> Path:
        """flock'ed by the supervisor of a running stack."""
        return self.run / "stack.lock"

    @property
    def services_lock(self) -> Path:
        """flock'ed, together, by the services that `lakehouse run` has started one by one."""
        return self.run / "services.lock"

    @property
    def endpoints(self) -> Path:
        return self.run / "endpoints.json"

    @property
    def secrets(self) -> Path:
        return self.root / "secrets.json"

    @property
    def service_key(self) -> Path:
        return self.root / "service.key"

    @property
    def api_keys(self) -> Path:
        """What is kept of the API's keys; see `lakehouse.api_keys`."""
        return self.root / "api-keys.json"

    @property
    def socket(self) -> Path:
        """The writer's Unix socket; outside the home where its path would be too long for one (107 bytes)."""
        path = self.run / "writer.sock"
        if len(bytes(path)) <= 100:
            return path
        name = hashlib.sha256(bytes(self.root)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"lakehouse-{os.getuid()}-{name}.sock"

    @property
    def state(self) -> Path:
        """What the writer last said of itself: written by it after each round, read by `status`."""
        return self.run / "writer.json"

    def table(self, name: str) -> Path:
        """Path of the Delta table ``layer.table``."""
        layer, table = name.split(".")
        return self.tables / layer / table

    def make(self) -> Home:
        for folder in (self.root, self.tables, self.checkpoints, self.logs, self.run):
            folder.mkdir(parents=True, exist_ok=True)
        return self
