"""Why a stage may not run now although it has work: the disk is nearly full, or too much of what comes is refused."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lakehouse.settings import Settings

MB = 1024 * 1024

FULL_MB = 16
"""With less than this a server ends at its next write, and would again if it were brought back."""


def short_of_disk(folder: Path, least_mb: int) -> str | None:
    """One sentence where the disk of ``folder`` has less than ``least_mb`` left; None where it has as much."""
    free = shutil.disk_usage(folder).free // MB
    if free >= least_mb:
        return None
    return f"the disk of {folder} has {free:,} MB left, less than LAKEHOUSE_MIN_FREE_DISK_MB={least_mb}"


def full_disk(folder: Path) -> str | None:
    """One sentence where the disk of ``folder`` is as good as full; None where it is not."""
    free = shutil.disk_usage(folder).free // MB
    if free >= FULL_MB:
        return None
    return f"the disk of {folder} is full ({free} MB left); what has ended of it is brought back when there is room"


@contextmanager
def despite_full_disk() -> Iterator[None]:
    """For what is only told, in a log or a state file: it is told later, and nobody ends because of it."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise


@dataclass(frozen=True)
class Ceiling:
    """Most of what arrives that may be refused.

    A quarantine without a ceiling hides a broken producer: everything is taken, nothing is counted, and every stage
    looks healthy. The share is taken over the newest batches that hold at least ``of_events`` rows together, so that
    one bad row in a small batch alarms nobody.
    """

    share: float
    of_events: int
    stops: bool
    """Whether nothing more is taken from Kafka while the share is higher."""

    @classmethod
    def of(cls, settings: Settings) -> Ceiling:
        return cls(settings.quarantine_ceiling, settings.quarantine_window_events, settings.quarantine_stops)

    def exceeded(self, batches: Sequence[tuple[int, int]]) -> str | None:
        """One sentence where more was refused; ``batches`` are (rows, refused rows), oldest first."""
        rows = refused = 0
        for batch_rows, batch_refused in reversed(batches):
            rows += batch_rows
            refused += batch_refused
            if rows >= self.of_events:
                break
        if rows < self.of_events or refused <= self.share * rows:
            return None
        return (
            f"{refused / rows:.0%} of the last {rows:,} events were refused, more than LAKEHOUSE_QUARANTINE_CEILING="
            f"{self.share:g}; silver.quarantine holds them with their reasons"
        )
