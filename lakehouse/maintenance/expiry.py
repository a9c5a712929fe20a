"""Removes what no version within the horizon needs: data files by VACUUM, then commits by log clean-up.

In this order, so that a kill between the two leaves commits whose files are gone, which only refuse to be read, and
no file without a commit that would let it be found. Both are safe to do again: VACUUM takes a file that is not there
for removed, and clean-up removes only commits before a checkpoint that is there.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from deltalake import DeltaTable

from lakehouse.faultpoints import reach, within
from lakehouse.maintenance.log import Log, upkeep_commit

SLACK = timedelta(minutes=1)
"""delta-rs takes the time itself, a little later, and may then see a checkpoint more."""


@dataclass(frozen=True)
class Expired:
    """What was removed from a table, or would be."""

    files: int = 0
    """Data and change files."""
    bytes: int = 0
    log_files: int = 0
    """Commits and checkpoints."""


def expire(
    table: DeltaTable, path: Path, horizon: datetime, taken: Collection[int], *, dry_run: bool = False
) -> Expired:
    """Removes from the table at ``path`` what is older than ``horizon``, which is now less its retention.

    ``taken`` are the positions of its readers. To be called by who writes the table, between two commits, and where
    no reader holds it.
    """
    reach("between-compaction-and-vacuum")
    files, size = _vacuum(table, path, dry_run=dry_run)
    return Expired(files, size, _clean_log(table, Log(path), horizon, taken, dry_run=dry_run))


def _vacuum(table: DeltaTable, path: Path, *, dry_run: bool) -> tuple[int, int]:
    """Removes files that no version within the retention needs, change files and orphans of killed writes too.

    ``full``, for only so are change files found, and files whose removal a checkpoint has forgotten. The retention is
    the table's own, because checkpoints forget removals by that. A removal is named again until a checkpoint has
    forgotten it, so what is there is looked at first: else a table that is idle would get two commits each time.
    """
    named = table.vacuum(retention_hours=None, dry_run=True, full=True)
    there = [file for name in named if (file := path / name).exists()]
    size = sum(file.stat().st_size for file in there)
    if there and not dry_run:
        with within("in-vacuum"):
            table.vacuum(retention_hours=None, dry_run=False, full=True, commit_properties=upkeep_commit("vacuum"))
        _remove_empty_folders(path)
    return len(there), size


def _clean_log(table: DeltaTable, log: Log, horizon: datetime, taken: Collection[int], *, dry_run: bool) -> int:
    """Removes commits before the checkpoint that ``horizon`` allows.

    Never the newest commit that says how far its stage has come. Nor one behind the last that brought rows to a
    reader: passing over those that bring none, as upkeep's own, is kept nowhere, and a restarted reader does it again.
    """
    checkpoint, latest = log.checkpoint_before(horizon), log.checkpoint_before(horizon + SLACK)
    if checkpoint is None or latest is None:
        return 0
    needed = [log.newest_account(), *map(log.newest_change, taken)]
    if latest > min((version for version in needed if version is not None), default=latest):
        return 0
    expired = log.files_before(checkpoint)
    if not dry_run and expired:
        table.cleanup_metadata()
        # Spark's checksums of commits, which delta-rs leaves behind.
        for file in log.files_before(checkpoint):
            if file.suffix == ".crc":
                file.unlink(missing_ok=True)
        return sum(not file.exists() for file in expired)
    return len(expired)


def _remove_empty_folders(path: Path) -> None:
    """Partitions that have gone leave their folders behind, one or more for each day."""
    for folder, _, _ in os.walk(path, topdown=False):
        with contextlib.suppress(OSError):  # it is not empty
            Path(folder).rmdir()
