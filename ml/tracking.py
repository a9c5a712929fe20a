"""MLflow under a home: where it keeps things, and how it is kept silent.

home/models/
  mlflow.db       runs, versions and aliases
  artifacts/      what each run has left

MLflow takes seconds to import, so it is imported where it is used, and nowhere else.
"""

from __future__ import annotations

import io
import os
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr
from math import isfinite
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Final

from lakehouse.embedded.environment import NO_TELEMETRY
from lakehouse.home import Home

if TYPE_CHECKING:
    from mlflow import MlflowClient

_QUIET: Final = {**NO_TELEMETRY, "MLFLOW_LOG_UV_FILES": "false", "GIT_PYTHON_REFRESH": "quiet"}


def database(home: Home) -> str:
    """The address by which MLflow knows it."""
    return f"sqlite:///{_file(home)}"


def exists(home: Home) -> bool:
    """Whether anything was ever kept there."""
    return _file(home).is_file()


def client_of(home: Home) -> MlflowClient:
    """Makes the database where there is none."""
    from mlflow import MlflowClient

    home.models.mkdir(parents=True, exist_ok=True)
    return MlflowClient(database(home), database(home))


def experiment(client: MlflowClient, home: Home, name: str) -> str:
    """The id of the experiment ``name``, which is made where there is none."""
    found = client.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    return str(client.create_experiment(name, artifact_location=(home.models / "artifacts").as_uri()))


def metrics_for_mlflow(metrics: Mapping[str, float]) -> dict[str, float]:
    """Those that are known, by names that MLflow takes."""
    return {re.sub(r"[^A-Za-z0-9_./-]+", "_", name): value for name, value in metrics.items() if isfinite(value)}


@contextmanager
def silent_mlflow() -> Iterator[ModuleType]:
    """MLflow, silent: what it says is for people who use it directly."""
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    with warnings.catch_warnings(), redirect_stderr(io.StringIO()):  # its own switch is switched on again inside it
        warnings.simplefilter("ignore")
        import mlflow

        yield mlflow


def _file(home: Home) -> Path:
    return home.models / "mlflow.db"
