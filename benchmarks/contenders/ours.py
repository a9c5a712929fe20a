"""The lakehouse itself: everything in Kafka into every table and Postgres, with all guarantees on.

Timed from a writer that is ready, its Spark session idle and its tables empty, to the end of the round after which
nothing is left to take. Afterwards, untimed, the books are drawn up.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import polars as pl

from benchmarks.contenders.contender import tell
from lakehouse.contracts import TABLES, FunnelSummary
from lakehouse.endpoints import Endpoints
from lakehouse.home import Home
from lakehouse.settings import load_settings
from lakehouse.writer import Writer, open_writer

LOOK_EVERY_S: Final = 0.02


def main() -> None:
    settings = load_settings()
    with open_writer(settings, Endpoints.load(Home(settings.home)), _say) as writer:
        began = time.monotonic()
        with _turns(writer) as turns:
            writer.run_job("drain", {"timeout_s": 86_400}, _say)
        seconds = time.monotonic() - began
        books: dict[str, Any] = writer.run_job("audit", {"full": True}, _say)
        rows = {table.name: writer.context.store.rows(table) for table in TABLES}
        gold = pl.scan_delta(writer.context.store.path(FunnelSummary)).select(FunnelSummary.num_events)
        wrong = [balance["name"] for balance in books["balances"] if not balance["agrees"]]
        tell(
            round(seconds, 3),
            rows=rows,
            stage_seconds={name: round(looks * LOOK_EVERY_S, 1) for name, looks in turns.most_common()},
            counted=int(gold.sum().collect().item()),
            audit={"agrees": books["agrees"], "balances": len(books["balances"]), "wrong": wrong},
        )


@contextmanager
def _turns(writer: Writer) -> Iterator[Counter[str]]:
    """How often each stage was found at work, when looked at fifty times a second."""
    found: Counter[str] = Counter()
    done = threading.Event()

    def look() -> None:
        while not done.wait(LOOK_EVERY_S):
            found.update(stage.name for stage in writer.runner.stages if stage.state.state == "running")

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        done.set()
        thread.join()


def _say(line: str) -> None:
    sys.stderr.write(f"{time.monotonic():.2f} {line}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    main()
