"""Prints the results on the reference data as Markdown: ``uv run python -m ml.report [FOLDER]``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from ml.dataset import AllDays
from ml.evaluate import METRICS
from ml.reference import FOLDER, REFERENCES, Reference
from ml.training import CHOSEN, Trained, train


def main() -> int:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    if not folder.is_dir():
        sys.stderr.write(f"{folder}: there is no such folder; the one with the reference data may be named\n")
        return 1
    for reference in REFERENCES:
        trained = train(AllDays(reference.user_days(folder)), reference.plan)
        sys.stdout.write("\n".join(lines(reference, trained)) + "\n\n")
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
    yield "| metric of the chosen model, calibrated | value |"
    yield "| --- | --- |"
    for metric in METRICS:
        yield f"| {metric} | {trained.test[CHOSEN][metric]} |"


if __name__ == "__main__":
    sys.exit(main())
