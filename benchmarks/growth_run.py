"""``python -m benchmarks.growth_run``: grows the history under one writer and times micro-batches on the way.

Bronze is given its rows by the store, as the first stage gives them; everything after it is the writer's own: its
stages, its mirrors, its upkeep, in rounds that are driven from here with the writer's turn held.
"""

from __future__ import annotations

import json
import math
import os
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
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
REOPENED_WARM_UP: Final = 5
RARE_S: Final = 60.0
"""A stage with a longer interval, as that of cohorts, which reads all users' days, is not of each micro-batch: it is
timed by itself."""
COMMIT_EVERY_S: Final = 1.5
"""Made log entries are so far apart in time, as the writer's own are by default."""


class Grower:
    """Feeds bronze and drives the rounds of a writer."""

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        self._batches = 0
        self._writer: Writer
        self.events = 0

    @contextmanager
    def driving(self, writer: Writer) -> Iterator[None]:
        """Within the block the writer's turn is held, and its rounds are driven from here."""
        self._writer = writer
        with writer.runner.turn:
            yield

    def warm_up(self, batches: int, rows: int) -> None:
        """Batches that nobody times."""
        for _ in range(batches):
            self.batch(rows)

    def batch(self, rows: int, rare: bool = False) -> tuple[float, Mapping[str, float], float]:
        """Brings ``rows`` events from bronze to Postgres: seconds in all, by stage, and of the pause after it.

        By all stages whatever their interval, those that come at intervals of minutes only where ``rare``.
        """
        table = bronze_batch(self.events, rows, self._shape)
        self.events += rows
        commit = Commit(QUERY, 0, self._batches, offsets=ends(self.events), rows_in=rows, rows_out=rows)
        self._writer.context.store.append(BronzeEvents, table, commit)
        self._batches += 1
        held = [stage for stage in self._writer.runner.stages if stage.interval_s > RARE_S and not rare]
        stages = [stage for stage in self._writer.runner.stages if stage not in held]
        before = {stage.name: stage.state.batch_id for stage in stages}
        began = time.perf_counter()
        while left := [stage for stage in stages if stage.has_work()]:
            if any(stage.lane is Lane.tables for stage in left):
                for stage in self._writer.runner.stages:
                    stage.state.due_at = math.inf if stage in held else 0.0
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

    def look(self, history: int, grown_s: float, small: int, count: int, open_s: float | None = None) -> dict[str, Any]:
        """Times ``count`` micro-batches of ``small`` events: a benchmarks.growth.Look, as JSON."""
        seconds, pauses = [], []
        by_stage: defaultdict[str, list[float]] = defaultdict(list)
        for _ in range(count):
            took, stages, pause = self.batch(small)
            seconds.append(round(took, 4))
            pauses.append(pause)
            for name, stage_s in stages.items():
                by_stage[name].append(stage_s)
        _, once, _ = self.batch(small, rare=True)
        sizes = delta_sizes(self._writer.context.home)
        return {
            "history": history,
            "grown_s": round(grown_s, 3),
            "open_s": None if open_s is None else round(open_s, 3),
            "batch_s": seconds,
            "stage_s": {name: round(statistics.median(took), 4) for name, took in by_stage.items()},
            "rare_s": {name: round(took, 4) for name, took in once.items() if name not in by_stage},
            "upkeep_s": round(max(pauses), 4),
            "files": {name: size.files for name, size in sizes.items()},
            "log_files": {name: size.log_files for name, size in sizes.items()},
            "bytes": sum(size.bytes_on_disk for size in sizes.values()),
            "memory_mib": _memory_mib(),
        }


class Run:
    """One part of the benchmark."""

    def __init__(self, options: Mapping[str, Any], shape: Shape) -> None:
        self._options = options
        self._settings = load_settings()
        self._home = Home(self._settings.home)
        self._endpoints = Endpoints.load(self._home)
        self._grower = Grower(shape)
        self.looks: list[dict[str, Any]] = []
        self.after_upkeep: dict[str, Any] | None = None

    def by_events(self) -> None:
        """A look after each step of events, all under one writer, and all at the same time of day: a day costs more
        the more of it is there."""
        options, grower = self._options, self._grower
        with self._opened() as writer:
            with grower.driving(writer):
                grower.warm_up(options["warm_up"], options["small"])
                for goal in range(options["step"], options["events"] + 1, options["step"]):
                    began, first = time.perf_counter(), grower.events
                    while grower.events < goal:
                        grower.batch(min(options["large"], goal - grower.events))
                    an_event = (time.perf_counter() - began) / (goal - first)
                    self._look(grower.events, an_event * options["step"])
            self._maintain(writer)

    def by_commits(self) -> None:
        """A look after each number of versions; between two of them the writer is closed, for nobody may read a log
        while entries are put into it."""
        options, grower = self._options, self._grower
        with self._opened() as writer, grower.driving(writer):
            grower.warm_up(options["warm_up"], options["small"])
        for goal in options["commits"]:
            began = time.perf_counter()
            for table in TABLES:
                lengthen_log(self._home.table(table.name), goal, self._settings.time_travel_hours * 3600)
            grown_s, began = time.perf_counter() - began, time.perf_counter()
            with self._opened() as writer:
                open_s = time.perf_counter() - began
                with grower.driving(writer):
                    # The first takes note of all the versions that brought nothing.
                    grower.warm_up(REOPENED_WARM_UP, options["small"])
                    self._look(goal, grown_s, open_s)
                if goal == options["commits"][-1]:
                    self._maintain(writer)

    def _opened(self) -> AbstractContextManager[Writer]:
        return open_writer(self._settings, self._endpoints, _say)

    def _look(self, history: int, grown_s: float, open_s: float | None = None) -> None:
        look = self._grower.look(history, grown_s, self._options["small"], self._options["small_batches"], open_s)
        self.looks.append(look)
        _say(f"{history:,}: {statistics.median(look['batch_s']):.3f} s a micro-batch")

    def _maintain(self, writer: Writer) -> None:
        writer.run_job("maintain", {}, _say)
        with self._grower.driving(writer):
            self.after_upkeep = self._grower.look(
                self.looks[-1]["history"], 0.0, self._options["small"], self._options["small_batches"]
            )


def lengthen_log(path: Path, versions: int, horizon_s: float) -> None:
    """Brings the table's log to ``versions`` versions by entries that change nothing, and makes two checkpoints.

    As many micro-batches would take days. Each says of itself what the newest real one said, so that the table's
    account stays what it is, and is dated as if one had been made every 1.5 s until now, so that upkeep takes the old
    ones for as old as they would be. One checkpoint stands at the newest version and one where the last ``horizon_s``
    begin: the writer's own would be as near to it, and clean-up removes what lies before it.
    """
    newest = DeltaTable(str(path)).version()
    log, now = path / "_delta_log", time.time()
    info = _commit_info(log / f"{newest:020}.json")

    def made_at(number: int) -> float:
        return now - (versions - number) * COMMIT_EVERY_S

    at_horizon = versions - int(horizon_s / COMMIT_EVERY_S) - 1
    for number in range(newest + 1, versions):
        entry = log / f"{number:020}.json"
        entry.write_text(json.dumps({"commitInfo": info | {"timestamp": int(made_at(number) * 1000)}}) + "\n")
        os.utime(entry, (made_at(number), made_at(number)))
        if number in (at_horizon, versions - 1):
            DeltaTable(str(path)).create_checkpoint()
            checkpoint = log / f"{number:020}.checkpoint.parquet"
            os.utime(checkpoint, (made_at(number), made_at(number)))


def _commit_info(entry: Path) -> dict[str, Any]:
    actions = [json.loads(line) for line in entry.read_text().splitlines() if line]
    infos: list[dict[str, Any]] = [action["commitInfo"] for action in actions if "commitInfo" in action]
    return infos[0] if infos else {"operation": "WRITE", "operationParameters": {}}


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
    run = Run(plan["options"], Shape(**plan["shape"]))
    began = time.monotonic()
    if plan["commits"]:
        run.by_commits()
    else:
        run.by_events()
    tell(round(time.monotonic() - began, 3), looks=run.looks, after_upkeep=run.after_upkeep)


def _say(line: str) -> None:
    sys.stderr.write(f"{time.strftime('%H:%M:%S', time.gmtime())} {line}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    main()
