"""How long each stage's micro-batches take, as the writer tells it while something goes on."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from benchmarks.stack import Stack

LOOK_EVERY_S: Final = 0.2


@dataclass(frozen=True)
class StageTimes:
    """The micro-batches of one stage that were seen; a quick one may be missed between two looks."""

    batches: int
    median_rows: float
    median_s: float
    longest_s: float


@dataclass
class Watched:
    """For each stage its micro-batches: id → (rows, seconds)."""

    batches: defaultdict[str, dict[int, tuple[int, float]]] = field(default_factory=lambda: defaultdict(dict))

    def summary(self) -> Mapping[str, StageTimes]:
        found = {}
        for stage, batches in self.batches.items():
            rows, seconds = zip(*batches.values(), strict=True)
            found[stage] = StageTimes(
                len(batches), float(np.median(rows)), round(float(np.median(seconds)), 4), round(max(seconds), 4)
            )
        return found


@contextmanager
def watched(stack: Stack) -> Iterator[Watched]:
    """Looks at what the stack's writer says of itself until the block ends; the last batch before it counts not."""
    seen, done = Watched(), threading.Event()

    def run() -> None:
        first: dict[str, int] = {}
        while not done.wait(LOOK_EVERY_S):
            for stage, told in (stack.writer().get("streams") or {}).items():
                batch = told.get("last_batch")
                if batch is None or first.setdefault(stage, batch["id"]) == batch["id"]:
                    continue
                seen.batches[stage][batch["id"]] = (batch["rows"], batch["seconds"])

    thread = threading.Thread(target=run, name="stages", daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join()
