"""Prints the results on the reference data as Markdown: ``uv run python -m ml.report [FOLDER] [--search-trials N]``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path

from ml.dataset import AllDays
from ml.evaluate import METRICS
from ml.reference import FOLDER, REFERENCES, Reference
from ml.search import Budget, Search
from ml.segments import Segment, segments
from ml.training import CHOSEN, Trained, labels, train

SHOWN = 5
"""Of the settings that a search tried, the best first."""


def main() -> int:
    options = argparse.ArgumentParser(prog="python -m ml.report")
    options.add_argument("folder", nargs="?", type=Path, default=FOLDER, help="the one with the reference data")
    options.add_argument("--search-trials", type=int, default=0, metavar="N", help="settings to try; 0: the defaults")
    asked = options.parse_args()
    if not asked.folder.is_dir():
        sys.stderr.write(f"{asked.folder}: there is no such folder; the one with the reference data may be named\n")
        return 1
    for reference in REFERENCES:
        plan = replace(reference.plan, search=Budget(trials=asked.search_trials))
        trained = train(AllDays(reference.user_days(asked.folder)), plan)
        parts = segments(
            trained.data.judged,
            labels(trained.data.judged),
            trained.model.probability(trained.data.judged),
            plan.cuts.lookback_days,
            plan.seed,
            reference.devices(asked.folder),
        )
        sys.stdout.write("\n".join([*lines(reference, trained), "", *_of_segments(parts)]) + "\n\n")
    return 0


def lines(reference: Reference, trained: Trained) -> Iterator[str]:
    """A section: the data set, the test AUC of each model, and all metrics of the chosen one."""
    cuts = reference.plan.cuts
    yield f"### {reference.title}"
    yield ""
    yield (
        f"Training cuts {', '.join(f'{cut:%Y-%m-%d}' for cut in cuts.train)} ({trained.training_rows:,} rows), test "
        f"cut {cuts.test:%Y-%m-%d} ({trained.judged_rows:,} users). Chosen: {trained.model.name}."
    )
    yield ""
    yield "| model | test ROC AUC | less logistic regression | validation, less the best | Brier skill |"
    yield "| --- | --- | --- | --- | --- |"
    for name, found in trained.test.items():
        validated = trained.validation.get(name, "")
        yield f"| {name} | {found['roc_auc']} | {trained.differences[name]} | {validated} | {found['brier_skill']} |"
    yield ""
    if trained.search.tried:
        yield from _of_search(trained.search)
    yield "| metric of the chosen model, calibrated | value |"
    yield "| --- | --- |"
    for metric in METRICS:
        yield f"| {metric} | {trained.test[CHOSEN][metric]} |"


def _of_segments(parts: Mapping[str, Segment]) -> Iterator[str]:
    yield "| users | number | churned | mean score | ROC AUC |"
    yield "| --- | --- | --- | --- | --- |"
    for name, one in parts.items():
        yield f"| {name} | {one.users:,} | {one.churned:.1%} | {one.mean_score:.1%} | {one.roc_auc} |"


def _of_search(search: Search) -> Iterator[str]:
    yield f"Of {len(search.tried)} settings that were tried, entered: {', '.join(search.log_odds) or 'none'}."
    for name, aucs in (("defaults", search.defaults), ("best", search.best)):
        yield f"The {name}: {', '.join(f'{kind} {auc:.4f}' for kind, auc in sorted(aucs.items()))}."
    yield ""
    yield "| the best in validation | ROC AUC | settings |"
    yield "| --- | --- | --- |"
    for one in sorted(search.tried, key=lambda one: -one.roc_auc)[:SHOWN]:
        yield f"| {one.kind} | {one.roc_auc:.4f} | {', '.join(f'{k} {v}' for k, v in asdict(one.settings).items())} |"
    yield ""


if __name__ == "__main__":
    sys.exit(main())
