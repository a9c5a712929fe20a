"""``python -m benchmarks.growth_run``: grows the history under one writer and times micro-batches on the way.

Bronze is given its rows by the store, as the first stage gives them; everything after it is the writer's own: its
stages, its mirrors, its upkeep, in rounds that are driven from here with the runner's turn held.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import suppress
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Final

import psutil
from deltalake import DeltaTable

from benchmarks.bronze_batches import Shape, bronze_batch, ends
from benchmarks.contenders.contender import tell
from benchmarks.sizes import delta_sizes
from lakehouse.commits import Commit
from lakehouse.contracts import TABLES, BronzeEvents
from lakehouse.endpoints import Endpoints
from lakehouse.home import Home
from lakehouse.settings import load_settings
from lakehouse.stages import Lane
from lakehouse.writer import Writer, open_writer

QUERY: Final = "growth"
POLL_S: Final = 0.002
COMMIT_EVERY_S: Final = 1.5
"""Made log entries are so far apart in time, as the writer's own are by default."""


class Grower:
    """Feeds bronze and drives the rounds of ``writer``; the turn is held by the caller."""

    def __init__(self, writer: Writer, shape: Shape) -> None:
        self._writer = writer
        self._shape = shape
        self._batches = 0
        self.events = 0

    def batch(self, rows: int) -> tuple[float, Mapping[str, float], float]:
        """Brings ``rows`` events from bronze to Postgres: seconds in all, by stage, and of the pause after it."""
        table = bronze_batch(self.events, rows, self._shape)
        self.events += rows
        commit = Commit(QUERY, 0, self._batches, offsets=ends(self.events), rows_in=rows, rows_out=rows)
        self._writer.context.store.append(BronzeEvents, table, commit)
        self._batches += 1
        stages = self._writer.runner.stages
        before = {stage.name: stage.state.batch_id for stage in stages}
        began = time.perf_counter()
        while left := [stage for stage in stages if stage.has_work()]:
            if any(stage.lane is Lane.tables for stage in left):
                self._writer.runner.round()
            else:
                time.sleep(POLL_S)  # the mirrors go round by themselves
            for stage in stages:
                if stage.state.failures:
                    raise RuntimeError(f"{stage.name}: {stage.state.error}")
        seconds = time.perf_counter() - began
        by_stage = {s.name: s.state.batch_seconds for s in stages if s.state.batch_id != before[s.name]}
        began = time.perf_counter()
        self._writer.runner.after_round()
        return seconds, by_stage, time.perf_counter() - began

    def look(self, history: int, grown_s: float, small: int, count: int) -> dict[str, Any]:
        """Times ``count`` micro-batches of ``small`` events: a benchmarks.growth.Look, as JSON."""
        seconds, pauses = [], []
        by_stage: defaultdict[str, list[float]] = defaultdict(list)
        for _ in range(count):
            took, stages, pause = self.batch(small)
            seconds.append(round(took, 4))
            pauses.append(pause)
            for name, stage_s in stages.items():
                by_stage[name].append(stage_s)
        sizes = delta_sizes(self._writer.context.home)
        return {
            "history": history,
            "grown_s": round(grown_s, 3),
            "batch_s": seconds,
            "stage_s": {name: round(statistics.median(took), 4) for name, took in by_stage.items()},
            "upkeep_s": round(max(pauses), 4),
            "files": {name: size.files for name, size in sizes.items()},
            "log_files": {name: size.log_files for name, size in sizes.items()},
            "bytes": sum(size.bytes_on_disk for size in sizes.values()),
            "memory_mib": _memory_mib(),
        }


def by_events(grower: Grower, options: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """A look after each step of events."""
    while grower.events < options["events"]:
        began, goal = time.perf_counter(), grower.events + options["step"]
        while grower.events < goal:
            grower.batch(min(options["large"], goal - grower.events))
        grown_s = time.perf_counter() - began
        yield grower.look(grower.events, grown_s, options["small"], options["small_batches"])


def by_commits(grower: Grower, home: Home, options: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """A look after each number of versions that every table is brought to."""
    for goal in options["commits"]:
        began = time.perf_counter()
        for table in TABLES:
            _lengthen_log(home.table(table.name), goal)
        grown_s = time.perf_counter() - began
        grower.batch(options["small"])  # takes note of all the versions that brought nothing
        yield grower.look(goal, grown_s, options["small"], options["small_batches"])


def _lengthen_log(path: Path, versions: int) -> None:
    """Brings the table's log to ``versions`` versions by entries that change nothing, and makes a checkpoint.

    As many micro-batches would take days. The entries are dated as if one had been made every 1.5 s until now, so that
    upkeep takes the old ones for as old as they would be.
    """
    first = DeltaTable(str(path)).version() + 1
    now = time.time()
    for number in range(first, versions):
        at = now - (versions - number) * COMMIT_EVERY_S
        entry = path / "_delta_log" / f"{number:020}.json"
        info = {"timestamp": int(at * 1000), "operation": "WRITE", "operationParameters": {}, "engineInfo": QUERY}
        entry.write_text(json.dumps({"commitInfo": info}) + "\n")
        os.utime(entry, (at, at))
    DeltaTable(str(path)).create_checkpoint()


def _memory_mib() -> dict[str, float]:
    own = psutil.Process()

    def mib(*processes: psutil.Process) -> float:
        total = 0
        for process in processes:
            with suppress(psutil.Error):
                told = process.memory_full_info()
                total += getattr(told, "pss", told.uss)
        return round(total / 2**20, 1)

    return {"writer: Python": mib(own), "writer: Spark": mib(*own.children(recursive=True))}


def main() -> None:
    plan = json.loads(os.environ["GROWTH"])
    options, shape = plan["options"], Shape(**plan["shape"])
    settings = load_settings()
    home = Home(settings.home)
    looks = []
    after = None
    began = time.monotonic()
    with open_writer(settings, Endpoints.load(home), _say) as writer:
        grower = Grower(writer, shape)
        with writer.runner.turn:
            for _ in range(options["warm_up"]):
                grower.batch(options["small"])
            for look in by_commits(grower, home, options) if plan["commits"] else by_events(grower, options):
                looks.append(look)
                _say(f"{look['history']:,}: {statistics.median(look['batch_s']):.3f} s a micro-batch")
        if entry_points(group="lakehouse.jobs", name="maintain"):
            writer.run_job("maintain", {}, _say)
            with writer.runner.turn:
                after = grower.look(looks[-1]["history"], 0.0, options["small"], options["small_batches"])
        tell(round(time.monotonic() - began, 3), looks=looks, after_upkeep=after)


def _say(line: str) -> None:
    sys.stderr.write(f"{time.strftime('%H:%M:%S', time.gmtime())} {line}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    main()
