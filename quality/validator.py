"""The validator: judges the new rows of every table, beside the stream, and has the writer keep the verdicts.

``python -m quality.validator`` is what `lakehouse up` runs, at low priority. It keeps no position of its own: how far
each table was judged is in the newest commit of `quality.results`, with the verdicts. So a kill before they are
recorded makes it judge the same rows again, and one after that changes nothing.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, ParamSpec, Protocol, TypeVar, cast
from urllib.parse import urlsplit

from lakehouse.contracts import PIPELINE, BronzeEvents, QualityResults, Table
from lakehouse.doors import docs_address
from lakehouse.endpoints import Endpoints
from lakehouse.errors import LakehouseError
from lakehouse.faultpoints import arm, reach
from lakehouse.gatekeeper import read_standing
from lakehouse.home import Home
from lakehouse.jobs import call
from lakehouse.obstacles import despite_full_disk
from lakehouse.runner import one_line
from lakehouse.settings import Settings, load_settings
from lakehouse.stages import utc_now
from lakehouse.store import TableStore
from quality import alerting, docs_server, telling
from quality.data_docs import site
from quality.following import Range, expired, next_range, passed_over
from quality.gathering import BEFORE
from quality.verdicts import Run, run_to_json

P = ParamSpec("P")
T = TypeVar("T")

NICE = 10
"""The stream comes first: whatever it needs of the cores it gets."""
GATE_POLL_S = 0.5
"""How often a table with a gate is looked at: the layers after it wait for the verdict."""
AT_REST_AFTER = timedelta(minutes=1)
"""After so long without new rows a table is looked at whether it should have some, and again as often."""
RESTLESS: tuple[type[Table], ...] = (BronzeEvents, *BEFORE)
"""The tables of which it is known when something should come."""
ATTEMPTS = 3
"""How often rows that cannot be judged are tried, before they are passed over."""
RECORD_LIMIT_S = 120.0


class Inspects(Protocol):
    """Who judges; see `quality.inspection.Inspector`."""

    def new(self, table_name: str, first: int, last: int, now: datetime | None = None) -> Run: ...

    def at_rest(self, table_name: str, version: int, now: datetime) -> Run: ...

    def mirror(self, table_name: str, endpoints: Endpoints) -> Run: ...


@dataclass
class Validator:
    """Looks at the tables again and again; ``record`` has the writer keep what it found."""

    store: TableStore
    """To read by; it needs no Spark."""
    inspector: Inspects
    record: Callable[[Sequence[Run]], None]
    log: Callable[[str], None]
    mirrors: Collection[str] = ()
    endpoints: Endpoints | None = None
    clock: Callable[[], datetime] = utc_now
    _judged_at: dict[str, datetime] = field(default_factory=dict)
    """For each table when its new rows were judged last."""
    _unmet: dict[str, set[str]] = field(default_factory=dict)
    """For each table what its newest run found not to be met."""
    _said: dict[str, str] = field(default_factory=dict)
    """For each table the trouble that was logged last: it is said once."""
    _attempts: dict[str, int] = field(default_factory=dict)
    """For each table how often its next rows could not be judged."""

    def open(self) -> None:
        """Once, before the first look."""
        self._unmet = {
            table: {each.expectation for each in found if each.success is False}
            for table, found in read_standing(self.store).findings.items()
        }

    def look(self, tables: Collection[type[Table]]) -> bool:
        """Judges what is new in ``tables``, a capped range of each, and has it recorded; whether more is left."""
        before, runs, more = self.judged(), list[Run](), False
        for table in tables:
            versions = self._next(table, before.get(table.name, -1))
            run = None if versions is None else self._new_rows(table, versions)
            if versions is not None and run is not None:
                runs.append(run)
                more |= versions.more
        self._keep(runs)
        return more

    def look_at_rest(self) -> None:
        """Of tables that get nothing new: says what should have come, once until something does."""
        runs = []
        for table in RESTLESS:
            now, since = self.clock(), self._judged_at.get(table.name)
            if since is not None and now - since < AT_REST_AFTER:
                continue
            run = self._tried(
                f"{table.name} at rest", self.inspector.at_rest, table.name, self.store.version(table), now
            )
            if run is not None and _unmet(run) - self._unmet.get(table.name, set()):
                runs.append(run)
        self._keep(runs)

    def look_at_mirrors(self) -> None:
        """Compares each mirror with its table."""
        if self.endpoints is None:
            return
        found = [self._tried(name, self.inspector.mirror, name, self.endpoints) for name in self.mirrors]
        self._keep([run for run in found if run is not None])

    def judged(self) -> Mapping[str, int]:
        """For each table the last version that was judged, as the newest verdicts say."""
        account = self.store.last_commit(QualityResults)
        return {} if account is None else account.validated or {}

    def _next(self, table: type[Table], judged: int) -> Range | None:
        most = self.store.settings.quality_max_rows
        return self._tried(f"{table.name}'s log", next_range, self.store, table, judged, most)

    def _new_rows(self, table: type[Table], versions: Range) -> Run | None:
        """The run on ``versions``, or, where they cannot be judged, the one that says so and passes over them."""
        name, now = table.name, self.clock()
        if not versions.kept:
            return self._pass_over(name, versions, "they were removed before they were judged")
        run = self._tried(name, self.inspector.new, name, versions.first, versions.last, now)
        self._judged_at[name] = now
        self._attempts[name] = 0 if run is not None else self._attempts.get(name, 0) + 1
        if self._attempts[name] < ATTEMPTS:
            return run
        # Files of old versions may have gone: what is newer than that is tried once more without them.
        over = expired(self.store, table, versions, now) or versions
        return self._pass_over(name, over, self._said[name])

    def _pass_over(self, name: str, versions: Range, why: str) -> Run:
        self._attempts[name] = 0
        said = f"versions {versions.first} to {versions.last} are passed over: {why}"
        self.log(f"{name}: {said}")
        return passed_over(name, versions, self.clock(), said)

    def _tried(self, name: str, what: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | None:
        """What ``what`` gives, or None where it fails: that is said, once, and the others are judged all the same."""
        try:
            found = what(*args, **kwargs)
        except Exception as error:
            reason = one_line(error)
            if self._said.get(name) != reason:
                self.log(f"{name}: could not be judged: {reason}")
            self._said[name] = reason
            return None
        self._said.pop(name, None)
        return found

    def _keep(self, runs: Sequence[Run]) -> None:
        if not runs:
            return
        reach("before-quality-record")
        self.record(runs)
        reach("after-quality-record")
        self._unmet |= {run.table_name: _unmet(run) for run in runs}


def _unmet(run: Run) -> set[str]:
    return {verdict.expectation for verdict in run.verdicts if verdict.success is False}


@dataclass
class Rhythm:
    """When what is due, by a clock of seconds."""

    interval_s: float
    due_at: float = 0.0

    def is_due(self, now: float) -> bool:
        """Whether it is, and if so, not again before the interval is over."""
        if now < self.due_at:
            return False
        self.due_at = now + self.interval_s
        return True


def follow(validator: Validator, settings: Settings, told: Callable[[], None], stop: threading.Event) -> None:
    """Looks until ``stop`` is set; ``told`` is called after each look. What fails is said, and tried again."""
    gated = [table for table in PIPELINE if table.name in settings.quality_gates]
    every, mirrors, at_rest = (
        Rhythm(settings.quality_interval_s),
        Rhythm(settings.quality_mirrors_interval_s),
        Rhythm(AT_REST_AFTER.total_seconds()),
    )
    said: str | None = None
    while not stop.is_set():
        more, now = False, time.monotonic()
        try:
            all_tables = every.is_due(now)
            more = validator.look(PIPELINE if all_tables else gated)
            if at_rest.is_due(now):
                validator.look_at_rest()
            if mirrors.is_due(now):
                validator.look_at_mirrors()
            if said is not None:
                validator.log("goes on")
            said = None
        except Exception as error:
            if (reason := one_line(error)) != said:
                validator.log(f"not recorded, again in {settings.quality_interval_s:g} s: {reason}")
            said, more = reason, False
        told()
        if more and all_tables:
            every.due_at = now  # what was capped is gone on with at once
        pause = GATE_POLL_S if gated and said is None else every.due_at - time.monotonic()
        stop.wait(0 if more else max(0.0, min(pause, settings.quality_interval_s)))


def main() -> int:
    """Runs until SIGTERM or SIGINT."""

    def log(line: str) -> None:
        with despite_full_disk():
            sys.stderr.write(f"{utc_now():%Y-%m-%dT%H:%M:%S.%fZ} {line}\n")
            sys.stderr.flush()

    os.nice(NICE)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        settings = load_settings()
        run(settings, log, stop)
    except LakehouseError as error:
        log(str(error))
        return error.exit_code
    return 0


def run(settings: Settings, log: Callable[[str], None], stop: threading.Event) -> None:
    """Serves the Data Docs and looks at the alert rules at once, and judges as soon as Great Expectations is there,
    which takes some seconds.

    Raises LakehouseError where its port is taken.
    """
    arm(settings.fault_point)
    home = Home(settings.home)
    endpoints = Endpoints.load(home)
    pages = docs_server.serve(
        site(home), docs_address(settings), urlsplit(endpoints.quality).port or settings.quality_port
    )
    alerting.start(
        alerting.Watch(home, alerting.Figures(endpoints.postgres_reader), telling.recipients(settings), log), stop
    )
    from quality.inspection import Inspector
    from quality.judge import Judge
    from quality.mirrors import MIRRORS
    from quality.suite import load_suites

    def record(runs: Sequence[Run]) -> None:
        call(home, "record_quality", {"runs": [run_to_json(each) for each in runs]}, timeout_s=RECORD_LIMIT_S)

    def reader() -> TableStore:
        return TableStore(home, settings, cast(Any, None))

    suites = load_suites(settings)
    for reason in sorted({reason for suite in suites.values() for reason in suite.broken}):
        log(reason)
    judge = Judge(settings, suites, docs=home)
    mirrors = [name for name in suites if name in MIRRORS]
    validator = Validator(reader(), Inspector(home, settings, judge), record, log, mirrors, endpoints)
    validator.open()
    teller = telling.Teller(telling.recipients(settings), reader(), log)
    teller.start()

    def told() -> None:
        teller.wake()
        judge.publish()

    log("ready")
    try:
        follow(validator, settings, told, stop)
    finally:
        pages.shutdown()


if __name__ == "__main__":
    sys.exit(main())
