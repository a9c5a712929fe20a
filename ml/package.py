"""The file that a churn model is kept, exported and served in: the model, what is said of it, and its typical row.

It is a pickle: whoever can write the file can run code in the process that loads it, so only a file of one's own is to
be loaded.
"""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from gold.churn_features import FEATURES
from lakehouse.errors import LakehouseError
from lakehouse.home import Home
from ml.drift import Reference
from ml.evaluate import Calibration, Floats, Interval
from ml.models import ChurnModel

FORMAT: Final = "lakehouse churn model 1"


@dataclass(frozen=True)
class ModelCard:
    """What is to be said of a model. Times are aware."""

    version: str
    """The registry's number, or the hash of the code for one from simulated data."""
    trained_at: datetime
    simulated: bool
    """Whether it was trained on simulated events, and not yet on one's own."""
    horizon_days: int
    lookback_days: int
    test_cut: datetime
    training_rows: int
    test_rows: int
    metrics: Mapping[str, Interval]
    """Of the calibrated model on the test's cut."""
    counts_metrics: Mapping[str, Interval]
    """Of the three counts alone, on the same rows."""
    code_version: str
    features_hash: str
    data_versions: Mapping[str, int] = field(default_factory=dict)
    """The Delta version of each table that it was trained on."""
    known_at_cut: bool = False
    """Whether features are of what the broker had by their cut; else of every event before it, however late it came."""
    calibration: tuple[Calibration, ...] = ()
    """Of the calibrated model on the test's cut, by rising score; empty where it was packaged before this was kept."""


@dataclass(frozen=True)
class Package:
    """A model that can be served."""

    model: ChurnModel
    card: ModelCard
    typical: Floats
    """The median of each of `FEATURES` in the training rows: what a row is compared with to give reasons."""
    features: tuple[str, ...] = tuple(str(column) for column in FEATURES)  # a contract's column cannot be unpickled
    """The columns that it was trained on, in order."""
    reference: Reference | None = None
    """How features and scores were spread in training: what drift is measured against."""


def save(package: Package, path: Path) -> None:
    """Writes ``package`` to ``path`` in one step: a reader finds the file as it was before, or whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    with unfinished.open("wb") as file:
        pickle.dump({"format": FORMAT, "package": package}, file)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)


def install(package: Package, home: Home) -> None:
    """Makes ``package`` the champion under ``home``: the file that serves, and what `status` says of it."""
    save(package, home.champion)
    save_note(package.card, home.champion_note)


def save_note(card: ModelCard, path: Path) -> None:
    """Writes what `lakehouse status` tells of a champion, for it is not to unpickle one."""
    told = {
        "version": card.version,
        "simulated": card.simulated,
        "trained_at": card.trained_at.isoformat(timespec="seconds"),
        "test_cut": f"{card.test_cut:%Y-%m-%d}",
        "roc_auc": round(card.metrics["roc_auc"].value, 4),
    }
    write_note(told, path)


def write_note(document: Mapping[str, Any], path: Path) -> None:
    """Writes ``document`` as JSON, for those who are not to load what it tells of: they find it whole or not at all."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.write_text(json.dumps(document))
    unfinished.replace(path)


def load(path: Path) -> Package:
    """The package in ``path``. Raises FileNotFoundError, and LakehouseError where the file is none of this code's."""
    with path.open("rb") as file:
        try:
            content: Any = pickle.load(file)  # noqa: S301 (a file of one's own; see above)
        except Exception as error:  # a pickle may fail with anything
            raise LakehouseError(f"{path}: cannot be read as a churn model ({type(error).__name__}: {error})") from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise LakehouseError(f"{path}: is no churn model of this version; `lakehouse model export` writes one")
    package = content["package"]
    if not isinstance(package, Package) or package.features != FEATURES:
        raise LakehouseError(f"{path}: was trained on other features than this version has; train it again")
    return package
