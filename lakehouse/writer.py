"""The one process that changes tables: Spark, the stages in rounds, and the jobs asked of them.

``python -m lakehouse.writer`` is what `lakehouse up` runs; commands that find no stack running open the same writer
in their own process.
"""

from __future__ import annotations

import contextlib
import json
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from importlib.metadata import entry_points
from typing import Any

from py4j.protocol import Py4JNetworkError

from lakehouse.contracts import PIPELINE, BronzeEvents
from lakehouse.embedded import jars
from lakehouse.embedded.java import find_java
from lakehouse.embedded.locks import Held, exclusively
from lakehouse.endpoints import Endpoints
from lakehouse.errors import EngineLost, LakehouseError
from lakehouse.faultpoints import arm, reach
from lakehouse.gatekeeper import Gatekeeper
from lakehouse.home import Home
from lakehouse.jobs import Job, JobServer, Progress
from lakehouse.maintenance.upkeep import Upkeep
from lakehouse.obstacles import Ceiling, despite_full_disk, short_of_disk
from lakehouse.rebuild.swap import finish
from lakehouse.runner import STOPPED, Runner
from lakehouse.settings import Settings, load_settings
from lakehouse.spark import build_session, engine_runs
from lakehouse.stages import Context, Stage, utc_now
from lakehouse.store import TableStore

RATE_WINDOW_S = 10.0
REPORT_INTERVAL_S = 0.5


@dataclass
class Writer:
    """An open writer: jobs use its ``context``, and take ``runner.turn`` to be alone with the tables."""

    context: Context
    runner: Runner
    upkeep: Upkeep
    gatekeeper: Gatekeeper
    failure: BaseException | None = None
    """Why the rounds ended by themselves, if they did."""
    _counts: dict[str, int] = field(default_factory=dict)
    _received: deque[tuple[float, int]] = field(default_factory=deque)
    _reporters: list[Callable[[Mapping[str, Any]], None]] = field(default_factory=list)
    _next_report: float = 0.0

    def run_job(self, name: str, arguments: Mapping[str, Any], progress: Progress) -> Any:
        """Does a registered job; raises LakehouseError for one that there is not, EngineLost where Spark has gone."""
        if name == "ping":
            return "pong"
        found = entry_points(group="lakehouse.jobs", name=name)
        if not found:
            raise LakehouseError(f"there is no job {name!r}")
        job: Job = next(iter(found)).load()
        try:
            return job(self, arguments, progress)
        except LakehouseError:
            raise
        except Exception as error:
            if isinstance(error, ConnectionError | Py4JNetworkError) or not engine_runs(self.context.spark):
                raise EngineLost(f"{name}: Spark's JVM has ended") from error
            raise

    def stage(self, name: str) -> Stage:
        return next(stage for stage in self.runner.stages if stage.name == name)

    def after_round(self) -> None:
        """With the turn still held."""
        self.report()
        self.upkeep.between_rounds()

    # -- what it says of itself --------------------------------------------------------------------------

    def report(self) -> None:
        """Writes the home's state file, for `status` and the live line of `up`, and tells the reporters."""
        if time.monotonic() < self._next_report:
            return
        self._next_report = time.monotonic() + REPORT_INTERVAL_S
        state = self.state()
        part = self.context.home.state.with_suffix(".part")
        with despite_full_disk():
            part.write_text(json.dumps(state, default=str))
            part.replace(self.context.home.state)
        for reporter in self._reporters:
            reporter(state)

    def state(self) -> dict[str, Any]:
        """The document that `status --json` shows under ``writer``; times are ISO 8601 in UTC."""
        streams = {stage.name: stage.state for stage in self.runner.stages}
        alarms = self._alarms()
        waiting = any(state.error for state in streams.values())
        watermark = max((s.watermark for s in streams.values() if s.watermark is not None), default=None)
        lag_events = self._lag_events()
        lags = {stage.name: _behind(stage) for stage in self.runner.stages}
        return {
            "at": utc_now().isoformat(),
            "state": "alarm" if alarms else "waiting" if waiting else "running",
            "alarms": alarms,
            "events_per_second": self._rate(),
            "lag_events": lag_events,
            "lag_seconds": max((lag for lag in lags.values() if lag is not None), default=None),
            "watermark": _iso(watermark),
            "tables": {table.name: self._rows(table) for table in PIPELINE},
            "upkeep": self.upkeep.state(),
            "quality": self.gatekeeper.state(),
            "streams": {
                name: {
                    "state": s.state,
                    "rows": s.rows,
                    "lag_seconds": lags[name],
                    "last_batch": None
                    if s.batch_id is None
                    else {"id": s.batch_id, "rows": s.batch_rows, "seconds": round(s.batch_seconds, 3)},
                    "error": s.error,
                    "since": _iso(s.since),
                }
                for name, s in streams.items()
            },
        }

    def _alarms(self) -> list[str]:
        """What will not mend by itself, a sentence each: stages that have stopped, too many refusals, and verdicts."""
        stopped = [f"{s.name}: {s.state.error}" for s in self.runner.stages if s.state.state == STOPPED]
        refusals = too_many_refused(self.runner.stages, Ceiling.of(self.context.settings))
        return [*stopped, *([] if refusals is None else [refusals]), *self.gatekeeper.alarms()]

    def _rows(self, table: Any) -> int:
        """Rows of a table, counted anew only when its version has changed."""
        version = self.context.store.version(table)
        key = f"{table.name}@{version}"
        if key not in self._counts:
            self._counts = {k: v for k, v in self._counts.items() if not k.startswith(f"{table.name}@")}
            self._counts[key] = self.context.store.rows(table)
        return self._counts[key]

    def _rate(self) -> float:
        """Events/s that came into bronze, over the last ten seconds."""
        now, rows = time.monotonic(), self._rows(BronzeEvents)
        self._received.append((now, rows))
        while len(self._received) > 2 and now - self._received[0][0] > RATE_WINDOW_S:
            self._received.popleft()
        began, before = self._received[0]
        return round((rows - before) / (now - began), 1) if now > began else 0.0

    def _lag_events(self) -> int | None:
        """Events in Kafka that are not in bronze yet; None where Kafka does not answer."""
        bronze: Any = self.stage("bronze")
        if bronze.state.failures:  # each question to a broker that is away would hold up the other stages for seconds
            return None
        try:
            return int(bronze.lag())
        except LakehouseError:
            return None


@contextmanager
def open_writer(settings: Settings, endpoints: Endpoints, log: Callable[[str], None]) -> Iterator[Writer]:
    """Takes the home's lock, starts Spark and the rounds; at the end finishes the round and lets go.

    Raises LakehouseError where another process writes under this home.
    """
    home = Home(settings.home).make()
    arm(settings.fault_point)
    with _locked(home):
        home.state.unlink(missing_ok=True)  # a killed run's account would pass for this one's
        java = find_java(settings)
        spark = build_session(settings, jars.spark(settings), java.home)
        store = TableStore(home, settings, spark)
        store.create_all()
        finish(store, log)
        gatekeeper = Gatekeeper(store)
        gatekeeper.open()
        context = Context(settings, home, endpoints, spark, store, log, gatekeeper.limit)
        plugins = sorted(entry_points(group="lakehouse.stages"), key=lambda plugin: plugin.name)
        stages = [stage for plugin in plugins for stage in plugin.load()(context)]
        for stage in stages:
            stage.open()
        runner = Runner(
            stages,
            settings.round_interval_s,
            after_round=lambda: writer.after_round(),
            log=log,
            engine_runs=lambda: engine_runs(spark),
            obstacle=lambda stage: obstacle(stage, stages, settings) or gatekeeper.obstacle(stage, stages),
            attempts=settings.stage_attempts,
        )
        reporters = [plugin.load()(context) for plugin in entry_points(group="lakehouse.reporters")]
        upkeep = Upkeep(store, [*stages, *gatekeeper.readers], log)
        writer = Writer(context, runner, upkeep, gatekeeper, _reporters=reporters)
        rounds = threading.Thread(target=_rounds, args=(writer,), name="rounds")
        with JobServer(home, writer.run_job):
            rounds.start()
            try:
                yield writer
            finally:
                runner.stopping.set()
                reach("at-stop")
                rounds.join()
                for stage in stages:
                    with contextlib.suppress(Exception):
                        stage.close()
                home.state.unlink(missing_ok=True)
                with contextlib.suppress(Exception):  # its JVM may have gone
                    spark.stop()


def obstacle(stage: Stage, stages: Sequence[Stage], settings: Settings) -> str | None:
    """Why ``stage`` may not run now; None where it may."""
    short = short_of_disk(settings.home, settings.min_free_disk_mb)
    if short is not None:
        return f"{short}; nothing is written until there is more"
    ceiling = Ceiling.of(settings)
    if ceiling.stops and stage.name == "bronze" and (refused := too_many_refused(stages, ceiling)) is not None:
        return f"{refused}; nothing more is taken from Kafka until the producer is mended and the stack started again"
    return None


def too_many_refused(stages: Sequence[Stage], ceiling: Ceiling) -> str | None:
    """One sentence where the newest batches of silver were refused beyond the ceiling."""
    silver = next((stage for stage in stages if stage.name == "silver"), None)
    return None if silver is None else ceiling.exceeded(list(silver.state.recent))


def _rounds(writer: Writer) -> None:
    try:
        writer.runner.loop()
    except BaseException as error:
        writer.failure = error
        writer.runner.stopping.set()


@contextmanager
def _locked(home: Home) -> Iterator[None]:
    with ExitStack() as held:
        try:
            held.enter_context(exclusively(home.lock, limit_s=0))
        except Held:
            raise LakehouseError(
                f"{home.root} is written by another process; `lakehouse status` names it, `lakehouse down` ends it"
            ) from None
        yield


def _behind(stage: Stage) -> float | None:
    """Seconds beyond its own interval that a stage is behind: one that comes at intervals is so by design."""
    if stage.state.as_of is None:
        return None
    return round(max(0.0, (utc_now() - stage.state.as_of).total_seconds() - stage.interval_s), 1)


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def main() -> int:
    """Runs until SIGTERM or SIGINT; exit 1 with one line where it cannot go on, so that it is started again."""

    def log(line: str) -> None:
        with despite_full_disk():
            sys.stderr.write(f"{utc_now():%Y-%m-%dT%H:%M:%S.%fZ} {line}\n")
            sys.stderr.flush()

    settings = load_settings()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        with open_writer(settings, Endpoints.load(Home(settings.home)), log) as writer:
            log("ready")
            while not (stop.is_set() or writer.runner.stopping.is_set()):
                stop.wait(0.2)
    except LakehouseError as error:
        log(str(error))
        return error.exit_code
    if writer.failure is not None:
        lost = isinstance(writer.failure, EngineLost)
        log(f"the rounds ended: {writer.failure if lost else repr(writer.failure)}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
