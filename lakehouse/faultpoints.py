"""Named points at which a process can be made to die, as it would by a power cut: for tests of the promises.

The setting ``fault_point`` arms one of them in every process of the stack: ``after-bronze-commit`` dies when the point
is reached first, ``after-bronze-commit:3`` when it is reached for the third time by that process.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

POINTS = {
    "before-bronze-commit": "Spark's write-ahead log has the batch, bronze does not",
    "after-bronze-commit": "bronze has the batch, Spark's commit log does not",
    "between-generation-steps": "bronze's old checkpoint is left behind, the new generation has committed nothing",
    "between-silver-tables": "silver.duplicates and silver.quarantine have the batch, silver.events does not",
    "between-gold-merges": "gold.funnel_windows has the batch, gold.funnel_summary does not",
    "before-gold-finalize": "gold has the batch, windows that have become final are not marked",
    "before-user-days-commit": "gold.funnel_summary has the batch, gold.user_days does not",
    "before-churn-features-commit": "gold.user_days has the batch, gold.churn_features has none or some of its users",
    "before-session-days-commit": "gold.user_days has the batch, gold.session_days does not",
    "before-session-funnel-commit": "gold.session_days has the batch, gold.session_funnel does not",
    "before-cohorts-commit": "gold.user_days has the batch, gold.cohorts is as it was",
    "in-mirror-copy": "a mirror's COPY has sent rows and is not at its end",
    "before-mirror-commit": "a mirror's transaction has everything and is not committed",
    "after-mirror-commit": "a mirror's transaction is committed, and the stage has not heard of it",
    "in-migration": "the migrations have run, in a transaction that is not committed",
    "before-quality-record": "the validator has judged new rows, and nothing of it is recorded",
    "after-quality-record": "the verdicts are recorded, and the validator has not heard of it",
    "at-stop": "the writer was asked to stop; a batch that is under way is not waited for",
    "in-compaction": "the files of a partition are being put together, and nothing is committed",
    "between-compaction-and-vacuum": "a table is compacted, its old files are still there",
    "between-rebuild-commits": "a rebuild's last step is written down, and not all of its tables have it",
    "in-vacuum": "a table's old files are being deleted",
}
"""Each point, and what has happened by then and what has not."""

WITHIN_S = 0.005
"""Into the work of a block: compacting two small files takes about twenty milliseconds."""

_armed: tuple[str, int] | None = None


def parse(text: str) -> tuple[str, int]:
    """``NAME`` or ``NAME:N`` as the point's name and the number of the reach. Raises ValueError for anything else."""
    name, _, number = text.partition(":")
    if name not in POINTS or not (number or "1").isdigit() or number == "0":
        raise ValueError(f"must be NAME or NAME:N (dies at the N-th reach); the names are {', '.join(POINTS)}")
    return name, int(number or "1")


def arm(setting: str | None) -> None:
    """Arms the point that ``setting`` names in this process; None disarms."""
    global _armed
    _armed = None if setting is None else parse(setting)


def reach(name: str) -> None:
    """Does nothing, unless this point is armed: then, at the reach that was set, the process dies with its JVM."""
    if _is_due(name):
        _die()


@contextmanager
def within(name: str) -> Iterator[None]:
    """As ``reach``, for work that has no point of ours inside: the process dies while the block is at it, or right
    after it where it takes less than some milliseconds."""
    if not _is_due(name):
        yield
        return
    threading.Timer(WITHIN_S, _die).start()
    yield
    _die()


def _is_due(name: str) -> bool:
    global _armed
    if _armed is None or _armed[0] != name:
        return False
    _armed = (name, _armed[1] - 1)
    return _armed[1] == 0


def _die() -> None:
    """Kills what this process has started, and then itself: nothing is flushed, no handler runs."""
    import psutil

    for child in psutil.Process().children(recursive=True):
        child.kill()
    os.kill(os.getpid(), signal.SIGKILL)
