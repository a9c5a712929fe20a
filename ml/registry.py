"""The models that were trained, kept by MLflow under the home; the one with the alias `champion` serves.

home/models/
  mlflow.db       runs, versions and aliases
  artifacts/      what each run has left: the package, plots, the evaluation
  champion.pkl    the champion's package, which the API watches
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pandas as pd

from gold.churn_features import COUNTS
from lakehouse.errors import LakehouseError
from lakehouse.home import Home
from ml import package as packages
from ml.labels import CHURNED
from ml.models import OPTIONAL, PROBABILITY
from ml.package import Package
from ml.tracking import client_of, database, exists, experiment, metrics_for_mlflow, silent_mlflow

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.models import ModelSignature

NAME: Final = "churn"
"""Of the experiment and of the registered model."""
CHAMPION: Final = "champion"
PACKAGE: Final = "package"
FILE: Final = "churn_model.pkl"
LIBRARIES: Final = ("scikit-learn", "polars", "numpy")
"""What a package holds objects of. Where it is loaded the project itself is to be installed, too."""


@dataclass(frozen=True)
class Run:
    """What is kept of a training beside the model."""

    params: Mapping[str, str | int | float]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    """Kept with the run and with the model's version."""
    files: Path
    """A folder: all in it is kept."""


@dataclass(frozen=True)
class Registered:
    """One version of the model."""

    version: int
    champion: bool
    registered_at: datetime
    tags: Mapping[str, str]
    run_id: str


@dataclass(frozen=True)
class Registry:
    """The models under a home; nothing is made there until a model is registered."""

    home: Home

    def register(self, package: Package, run: Run) -> int:
        """Keeps ``package`` as a new version, whose number is given back. It serves once it is promoted."""
        with silent_mlflow() as mlflow, tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / FILE
            packages.save(package, file)
            client = client_of(self.home)
            mlflow.set_tracking_uri(database(self.home))
            with mlflow.start_run(experiment_id=experiment(client, self.home, NAME)):
                mlflow.log_params(dict(run.params))
                mlflow.log_metrics(metrics_for_mlflow(run.metrics))
                mlflow.set_tags(dict(run.tags))
                mlflow.log_artifacts(str(run.files))
                logged = mlflow.pyfunc.log_model(
                    name=NAME,
                    python_model=str(Path(__file__).with_name("pyfunc_model.py")),
                    artifacts={PACKAGE: str(file)},
                    signature=_signature(),
                    input_example=pd.DataFrame({str(column): [1.0] for column in COUNTS}),
                    pip_requirements=[f"{library}=={version(library)}" for library in LIBRARIES],
                )
                registered = mlflow.register_model(logged.model_uri, NAME, tags=dict(run.tags))
        return int(registered.version)

    def versions(self) -> list[Registered]:
        """All versions, the newest first."""
        if not exists(self.home):
            return []
        with silent_mlflow():
            champion, client = self.champion(), client_of(self.home)
            found = [_registered(one, champion) for one in client.search_model_versions(f"name='{NAME}'")]
        return sorted(found, key=lambda one: -one.version)

    def champion(self) -> int | None:
        """The version that has the alias."""
        if not exists(self.home):
            return None
        with silent_mlflow() as mlflow:
            try:
                return int(client_of(self.home).get_model_version_by_alias(NAME, CHAMPION).version)
            except mlflow.exceptions.MlflowException:
                return None

    def load(self, version: int) -> Package:
        """The package of ``version``. Raises LakehouseError where there is none, or its files are gone."""
        self._require(version)
        with silent_mlflow() as mlflow, tempfile.TemporaryDirectory() as folder:
            mlflow.set_tracking_uri(database(self.home))
            try:
                kept = mlflow.artifacts.download_artifacts(f"models:/{NAME}/{version}", dst_path=folder)
                file = Path(kept) / "artifacts" / FILE
                package = packages.load(file)
            except LakehouseError as error:
                reason = str(error).removeprefix(f"{file}: ")
                raise LakehouseError(f"version {version}: {reason}") from None
            except OSError as error:
                raise LakehouseError(
                    f"version {version}: its files are not where they were written ({error}); was {self.home.root} "
                    "moved?"
                ) from None
        return replace(package, card=replace(package.card, version=str(version)))

    def promote(self, version: int) -> Package:
        """Makes ``version`` the champion: first the alias, then the file that serves.

        A kill between the two is mended by promoting again. Raises LakehouseError as `load`.
        """
        package = self.load(version)
        with silent_mlflow():
            client_of(self.home).set_registered_model_alias(NAME, CHAMPION, str(version))
        packages.install(package, self.home)
        return package

    def _require(self, version: int) -> None:
        known = sorted(one.version for one in self.versions())
        if version not in known:
            there = ", ".join(map(str, known)) or "none; `lakehouse train` makes one"
            raise LakehouseError(f"version {version}: no such churn model under {self.home.root}, there is {there}")


def _registered(found: ModelVersion, champion: int | None) -> Registered:
    number = int(found.version)
    at = datetime.fromtimestamp(found.creation_timestamp / 1000, UTC)
    return Registered(number, number == champion, at, dict(found.tags), str(found.run_id))


def _signature() -> ModelSignature:
    """Floats throughout: MLflow's integers could not be missing. The rates are computed in the model."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    needed = [ColSpec("double", str(column)) for column in COUNTS]
    optional = [ColSpec("double", str(column), required=False) for column in OPTIONAL]
    return ModelSignature(
        Schema([*needed, *optional]), Schema([ColSpec("double", PROBABILITY), ColSpec("boolean", CHURNED)])
    )
