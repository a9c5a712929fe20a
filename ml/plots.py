"""Pictures of how good a model is, as SVG files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.metrics import precision_recall_curve, roc_curve

from ml.evaluate import Floats, calibration_bins
from ml.importance import Importance


def write_plots(folder: Path, churned: Floats, score: Floats, importance: Sequence[Importance]) -> list[Path]:
    """ROC, precision and recall, calibration, importance and the scores' distribution: a file of each, overwritten.

    ``churned`` holds both classes. The same input gives the same files.
    """
    draw: dict[str, Callable[[Axes], None]] = {
        "roc": lambda axes: _roc(axes, churned, score),
        "precision_recall": lambda axes: _precision_recall(axes, churned, score),
        "calibration": lambda axes: _calibration(axes, churned, score),
        "importance": lambda axes: _importance(axes, importance),
        "scores": lambda axes: _scores(axes, churned, score),
    }
    folder.mkdir(parents=True, exist_ok=True)
    return [_save(folder / f"{name}.svg", drawing) for name, drawing in draw.items()]


def _save(path: Path, drawing: Callable[[Axes], None]) -> Path:
    # Not by pyplot: it keeps every figure until it is told not to.
    with mpl.rc_context({"svg.hashsalt": "churn", "svg.fonttype": "none"}):
        figure = Figure(figsize=(6, 4.5), layout="constrained")
        drawing(figure.subplots())
        figure.savefig(path, metadata={"Date": None})
    return path


def _roc(axes: Axes, churned: Floats, score: Floats) -> None:
    false, true, _ = roc_curve(churned, score)
    axes.plot(false, true)
    axes.plot([0, 1], [0, 1], linestyle=":", color="grey")
    axes.set(title="ROC", xlabel="share of the returned that are called churned", ylabel="share of the churned found")


def _precision_recall(axes: Axes, churned: Floats, score: Floats) -> None:
    """Of both classes: where nearly all churn, those who return are what is hard to find."""
    for name, truth, given in (("churned", churned, score), ("returned", 1 - churned, -score)):
        precision, recall, _ = precision_recall_curve(truth, given)
        (line,) = axes.plot(recall, precision, label=name)
        axes.axhline(float(truth.mean()), linestyle=":", color=line.get_color())
    axes.set(title="Precision and recall (dotted: chance)", xlabel="recall", ylabel="precision")
    axes.legend()


def _calibration(axes: Axes, churned: Floats, score: Floats) -> None:
    _, mean, share = calibration_bins(churned, score, np.ones_like(score))
    low = float(min(mean.min(), share.min()))
    axes.plot(mean, share, marker="o")
    axes.plot([low, 1], [low, 1], linestyle=":", color="grey")
    axes.set(title="Calibration, bins of equal mass", xlabel="mean score", ylabel="share of churned")


def _importance(axes: Axes, importance: Sequence[Importance]) -> None:
    rows = list(reversed(importance))
    axes.barh([row.feature for row in rows], [row.loss for row in rows], xerr=[row.spread for row in rows])
    axes.set(title="Importance by permutation", xlabel="ROC AUC lost")


def _scores(axes: Axes, churned: Floats, score: Floats) -> None:
    bins = list(np.linspace(0, 1, 41))
    for name, inside in (("churned", churned == 1), ("returned", churned == 0)):
        axes.hist(score[inside], bins=bins, density=True, histtype="step", label=name)
    axes.set(title="Scores of those who churned and of those who returned", xlabel="score", ylabel="density")
    axes.legend()
