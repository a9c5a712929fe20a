"""One run of `lakehouse train`: from users' days at a version to a registered challenger, and the verdict on it."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from lakehouse.contracts import SilverEvents, UserDays
from lakehouse.errors import LakehouseError
from lakehouse.home import Home
from ml import package as packages
from ml.dataset import AllDays, Cuts, History, Received
from ml.documents import plain
from ml.importance import Importance, permutation_importance
from ml.models import Costs, matrix
from ml.monitoring import Watch
from ml.package import Package
from ml.packaging import packaged
from ml.planning import EVERY_DAYS, HORIZON_DAYS, LOOKBACK_DAYS, plan_cuts
from ml.plots import write_plots
from ml.promotion import Verdict, judge
from ml.registry import Registry, Run
from ml.search import Budget, Told
from ml.segments import Segment, segments
from ml.source import PinnedDays, load_events, load_property, load_user_days
from ml.training import CHOSEN, COUNTS_ALONE, Plan, Tell, Trained, labels, train
from ml.validation import By
from ml.watches import watch_and_keep


@dataclass(frozen=True)
class Wish:
    """What is asked of a training; see `lakehouse train --help`."""

    data: int | None = None
    horizon_days: int = HORIZON_DAYS
    lookback_days: int = LOOKBACK_DAYS
    test: date | None = None
    every_days: int = EVERY_DAYS
    cuts: int | None = None
    validate_by: By = "users"
    costs: Costs = field(default_factory=Costs)
    seed: int = 7
    search: Budget = field(default_factory=Budget)
    known_at_cut: bool = False
    session_ids_cap: int = 1_000
    """Of a user's day, where days are made anew; as those of `gold.user_days`."""
    segment_property: str = ""
    """Of events: users are judged by its values, too; empty: by none."""


@dataclass(frozen=True)
class Challenge:
    """What came of it."""

    version: int
    """Of the challenger, in the registry."""
    verdict: Verdict
    data_version: int
    plan: Plan
    trained: Trained
    segments: Mapping[str, Segment]
    importance: list[Importance]
    package: Package
    replaced: Watch | None
    """How the champion does that was there before."""

    def as_document(self) -> dict[str, Any]:
        """All figures, as JSON has them: an interval is its value, low and high; what is not known is null."""
        cuts = self.plan.cuts
        document = {
            "version": self.version,
            "promoted": self.verdict.promote,
            "reason": self.verdict.reason,
            "difference": self.verdict.difference,
            "chosen": self.trained.model.name,
            "settings": self.trained.settings,
            "threshold": self.trained.model.threshold,
            "data": self.package.card.data_versions,
            "known_at_cut": self.package.card.known_at_cut,
            "training_cuts": [f"{cut:%Y-%m-%d}" for cut in cuts.train],
            "test_cut": f"{cuts.test:%Y-%m-%d}",
            "horizon_days": cuts.horizon_days,
            "lookback_days": cuts.lookback_days,
            "training_rows": self.trained.training_rows,
            "test_rows": self.trained.judged_rows,
            "fingerprints": list(self.trained.fingerprints),
            "validation": self.trained.validation,
            "search": self._search(),
            "test": self.trained.test,
            "less_logistic_regression": self.trained.differences,
            "segments": self.segments,
            "importance": self.importance,
            "champion_before": None if self.replaced is None else self.replaced.as_document(),
        }
        found: dict[str, Any] = plain(document)
        return found

    def _search(self) -> dict[str, Any]:
        search = self.trained.search
        return {
            "seconds": search.seconds,
            "entered": list(search.log_odds),
            "defaults": search.defaults,
            "tried": search.tried,
        }


def challenge(
    home: Home,
    wish: Wish,
    served_lookback_days: int,
    tell: Tell = lambda _: None,
    told: Told = lambda _, __: None,
) -> Challenge:
    """Trains, registers and judges; the challenger becomes champion where the verdict says so.

    ``served_lookback_days``: what the features that are scored are counted in. ``told`` follows a search of settings.

    Raises LakehouseError where the data do not do, with what would help.
    """
    tell(f"reading {UserDays.name}")
    pinned = load_user_days(home, wish.data)
    cuts = plan_cuts(pinned.days, wish.horizon_days, wish.lookback_days, wish.test, wish.every_days, wish.cuts)
    plan = Plan(cuts, wish.validate_by, wish.costs, wish.seed, search=wish.search)
    history, data_versions = _history(home, wish, pinned, cuts, tell)
    try:
        trained = train(history, plan, tell, told)
    except ValueError as error:
        remedy = ", or none of --known-at-cut" if wish.known_at_cut else ""
        raise LakehouseError(
            f"nothing was trained: {error}; another --horizon, --test-cut, --every or --cuts may do{remedy}"
        ) from None
    tell("what it rests on, and how it does in parts of the users")
    judged, outcome = trained.data.judged, labels(trained.data.judged)
    score = trained.model.probability(judged)
    by = load_property(home, pinned.version, wish.segment_property, cuts.test) if wish.segment_property else None
    parts = segments(judged, outcome, score, cuts.lookback_days, plan.seed, by)
    importance = permutation_importance(trained.model.whole.probability, matrix(judged), outcome, plan.seed)

    tell("comparing it with the champion")
    registry = Registry(home)
    champion = present_champion(registry)
    before = None if champion is None else watch_and_keep(registry, champion, pinned)
    verdict = judge(trained.model, champion, cuts, trained.data, served_lookback_days, plan.seed)
    tell("registering it")
    package = packaged(
        trained,
        plan,
        datetime.now(UTC),
        version="",
        data_versions=data_versions,
        known_at_cut=wish.known_at_cut,
    )
    with tempfile.TemporaryDirectory() as folder:
        files = Path(folder)
        write_plots(files / "plots", outcome, score, importance)
        found = Challenge(0, verdict, pinned.version, plan, trained, parts, importance, package, before)
        (files / "evaluation.json").write_text(json.dumps(found.as_document(), indent=1))
        version = registry.register(package, _run(found, files))
    if verdict.promote:
        tell(f"promoting version {version}")
        package = registry.promote(version)
    return replace(found, version=version, package=package)


def present_champion(registry: Registry) -> Package | None:
    """The registry's, else the one that serves without being registered; None where none can be served."""
    version = registry.champion()
    try:
        return packages.load(registry.home.champion) if version is None else registry.load(version)
    except (FileNotFoundError, LakehouseError):  # none, or trained on other features than this code has
        return None


def _history(home: Home, wish: Wish, pinned: PinnedDays, cuts: Cuts, tell: Tell) -> tuple[History, dict[str, int]]:
    """What is learnt from, and the Delta version of each table that it is of."""
    versions = {UserDays.name: pinned.version}
    if not wish.known_at_cut:
        return AllDays(pinned.days), versions
    tell(f"reading {SilverEvents.name}")
    read = load_events(home, pinned.version, cuts.test)
    history = Received(pinned.days, read.events, wish.session_ids_cap)
    blind = history.knows_nothing(cuts)
    if blind is not None:
        raise LakehouseError(
            f"--known-at-cut leaves no rows at the cut {blind:%Y-%m-%d}: every event before it was received after it, "
            "as in a replay; train without --known-at-cut, or at later cuts"
        )
    return history, {**versions, SilverEvents.name: read.version}


def _run(found: Challenge, files: Path) -> Run:
    plan, card = found.plan, found.package.card
    cuts = plan.cuts
    tags = {
        **{f"delta.{table}": str(version) for table, version in card.data_versions.items()},
        "known_at_cut": str(card.known_at_cut).lower(),
        "code_version": card.code_version,
        "features_hash": card.features_hash,
        "training_cuts": " ".join(f"{cut:%Y-%m-%d}" for cut in cuts.train),
        "test_cut": f"{cuts.test:%Y-%m-%d}",
        "horizon_days": str(cuts.horizon_days),
        "lookback_days": str(cuts.lookback_days),
        "training_rows": str(card.training_rows),
        "test_rows": str(card.test_rows),
        "training_fingerprint": found.trained.fingerprints[0],
        "test_fingerprint": found.trained.fingerprints[1],
        "chosen": found.trained.model.name,
        "roc_auc": str(card.metrics["roc_auc"]),
        "verdict": found.verdict.reason,
    }
    params: dict[str, str | int | float] = {
        "validate_by": plan.validate_by,
        "seed": plan.seed,
        "cost_missed": plan.costs.missed,
        "cost_needless": plan.costs.needless,
        "bootstrap_rounds": plan.bootstrap_rounds,
        "search_trials": len(found.trained.search.tried),
        **{name: value for name, value in found.trained.settings.items() if value is not None},
    }
    served = {CHOSEN: "", COUNTS_ALONE: "counts_alone."}
    metrics = {
        f"{served.get(model, f'{model}.')}{name}{end}": value
        for model, intervals in found.trained.test.items()
        for name, interval in intervals.items()
        for end, value in (("", interval.value), ("_low", interval.low), ("_high", interval.high))
    }
    metrics |= {f"search.{kind}.validation_roc_auc": auc for kind, auc in found.trained.search.best.items()}
    return Run(params, metrics, tags, files)
