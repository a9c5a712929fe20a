"""The model that serves. A new file is taken up while requests are answered, whole, and never by halves."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np

from lakehouse.errors import LakehouseError, Unavailable
from ml.package import Package, load
from ml.reasons import explain

LOOK_EVERY_S: Final = 1.0

log = logging.getLogger(__name__)

Signature = tuple[int, int, int]
"""Inode, time of change in nanoseconds, and size: a file that was replaced has another."""


@dataclass(frozen=True)
class Serving:
    """What there is at one moment."""

    package: Package | None = None
    loaded_at: datetime | None = None
    problem: str | None = None
    """Why the file that is there now does not serve; with a ``package``, the one before it goes on."""
    failures: int = 0
    """How many files were refused so far."""

    def required(self) -> Package:
        """Raises Unavailable, with the reason and the remedy, where no package serves."""
        if self.package is None:
            raise Unavailable(self.problem or "no churn model serves")
        return self.package


class Champion:
    """Holds the package of ``path``, and looks for a new file in a thread of its own once `watch` was called.

    Whoever answers a request takes `serving` once, and uses what it got to the end.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._serving = Serving()
        self._seen: Signature | None = None
        self._looking = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.look()

    @property
    def serving(self) -> Serving:
        return self._serving

    def look(self) -> None:
        """Takes the file up if it is another than the one last seen; it is then taken up where this returns."""
        with self._looking:
            self._look()

    def _look(self) -> None:
        try:
            told = self.path.stat()
        except OSError as error:
            self._seen = None
            self._serving = replace(self._serving, problem=_absent(self.path, error))
            return
        signature = (told.st_ino, told.st_mtime_ns, told.st_size)
        if signature == self._seen:
            return
        self._seen = signature
        try:
            package = _checked(self.path)
        except Exception as error:  # whatever a file of another version does, the model before it goes on
            failures = self._serving.failures + 1
            self._serving = replace(self._serving, problem=str(error), failures=failures)
            log.error("a new churn model was refused: %s", error)
        else:
            # One assignment: a reader has all of the one before, or all of this one.
            self._serving = Serving(package, datetime.now(UTC), None, self._serving.failures)
            log.warning("churn model %s serves", package.card.version)

    def watch(self) -> None:
        """Looks from now on, every `LOOK_EVERY_S`, until `close`."""
        self._thread = threading.Thread(target=self._watch, name="champion", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(LOOK_EVERY_S):
            self.look()


def _checked(path: Path) -> Package:
    """The package of ``path``, which has scored a row: so the first request does not wait for what is loaded late."""
    package = load(path)
    row = np.where(np.isfinite(package.typical), package.typical, 0.0)[None, :]
    probability = explain(package.model, package.typical, row).probability[0]
    if not 0 <= probability <= 1:
        raise LakehouseError(f"{path}: scores a typical user with {probability}, which is no probability; train again")
    return package


def _absent(path: Path, error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return (
            f"there is no churn model yet at {path}: `lakehouse train` makes one, and after a first start the first "
            "one comes by itself"
        )
    return f"the churn model at {path} cannot be read: {error.strerror or error}"
