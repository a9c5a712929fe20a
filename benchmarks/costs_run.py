"""``python -m benchmarks.costs_run``: a writer whose rounds are driven from here, each with a set number of messages.

The messages are those of the simulated shop, sent to Kafka before the round begins; everything from there on is the
writer's own.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import islice
from typing import Any, Final

import polars as pl
import psutil
import pyarrow as pa
from psycopg2.extensions import connection as Connection

from benchmarks.backlog_topic import START
from benchmarks.contenders.contender import tell
from benchmarks.sizes import bytes_below, delta_sizes, postgres_sizes
from lakehouse.contracts import FunnelSummary, SilverEvents, Table
from lakehouse.endpoints import Endpoints
from lakehouse.frames import to_arrow
from lakehouse.home import Home
from lakehouse.settings import load_settings
from lakehouse.stages import Lane
from lakehouse.store import TableStore
from lakehouse.topic import ensure_topic
from lakehouse.writer import Writer, open_writer
from producer.client import ConfluentSender
from producer.simulator import SimulatedEvent, SimulatorConfig, simulate
from serving.mirror import apply_funnel_summary, apply_raw_events
from serving.postgres import connect
from serving.sink import MirrorBatch

POLL_S: Final = 0.002


class Shop:
    """Sends the messages of a simulated shop, one after the other, however many are asked for."""

    def __init__(self, bootstrap: str, topic: str, events: Iterable[SimulatedEvent]) -> None:
        self._sender = ConfluentSender(bootstrap, topic)
        self._events = iter(events)
        self.messages = 0
        self.bytes = 0

    def send(self, number: int) -> None:
        """The next ``number``; returns when the broker has them."""
        for event in islice(self._events, number):
            self._sender.send(event.key, event.value)
            self.bytes += len(event.key) + len(event.value)
        self._sender.flush()
        self.messages += number


def take(writer: Writer, shop: Shop, number: int) -> dict[str, Any]:
    """A benchmarks.costs.Round, as JSON: sends ``number`` messages, then lets every stage take them."""
    shop.send(number)
    stages = writer.runner.stages
    seen = {stage.name: stage.state.batch_id for stage in stages}
    took: dict[str, list[float]] = {}

    def note() -> None:
        for stage in stages:
            if stage.state.batch_id != seen[stage.name]:
                seen[stage.name] = stage.state.batch_id
                rows, seconds = took.get(stage.name, [0, 0.0])
                took[stage.name] = [rows + stage.state.batch_rows, round(seconds + stage.state.batch_seconds, 4)]

    before, began = _processor_s(), time.perf_counter()
    while left := [stage for stage in stages if stage.has_work()]:
        if any(stage.lane is Lane.tables for stage in left):
            writer.runner.round()
        else:
            time.sleep(POLL_S)  # the mirrors go round by themselves
        note()
        for stage in stages:
            if stage.state.failures:
                raise RuntimeError(f"{stage.name}: {stage.state.error}")
    note()
    seconds, after = time.perf_counter() - began, _processor_s()
    writer.runner.after_round()
    return {
        "messages": number,
        "seconds": round(seconds, 4),
        "stages": took,
        "processor_s": {name: round(after[name] - before[name], 3) for name in after},
    }


def _processor_s() -> dict[str, float]:
    """Seconds of processor so far, by kind of process; the servers are the parent's children, as this is."""
    own = psutil.Process()
    mine = {process.pid for process in own.children(recursive=True)}
    found = {"python": _seconds(own), "spark": 0.0, "kafka": 0.0, "postgres": 0.0}
    for process in psutil.Process(os.getppid()).children(recursive=True):
        if process.pid == own.pid:
            continue
        with contextlib.suppress(psutil.Error):
            server = "kafka" if "java" in process.name() else "postgres"
            found["spark" if process.pid in mine else server] += _seconds(process)
    return found


def _seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    # Those of its children that have ended count here, so that a worker that ends in between takes nothing away.
    return float(times.user + times.system + times.children_user + times.children_system)


def postgres_alone(store: TableStore, dsn: str, rows: int, repeats: int) -> dict[str, Any]:
    """A benchmarks.costs.Alone, as JSON: transactions of the mirrors, with rows of the tables under new keys."""
    events = _first(store, SilverEvents, rows)
    windows = _first(store, FunnelSummary, rows)
    rows = events.num_rows
    copied: list[float] = []
    by_two: list[float] = []
    inserted: list[float] = []
    updated: list[float] = []
    with closing(connect(dsn)) as one, closing(connect(dsn)) as two, ThreadPoolExecutor(2) as pool:
        for turn in range(repeats):
            fresh = [_renamed(events, SilverEvents.event_id, f"{half}{turn}-") for half in "abc"]
            copied.append(_rows_per_s(rows, apply_raw_events, one, fresh[0], MirrorBatch("a", 0, turn, None)))
            batches = [MirrorBatch(half, 0, turn, None) for half in "bc"]
            by_two.append(_rows_per_s(2 * rows, _both, pool, (one, two), fresh[1:], batches))
            users = _renamed(windows, FunnelSummary.user_id, f"a{turn}-")
            for number, found in enumerate((inserted, updated)):
                batch = MirrorBatch("d", 0, 2 * turn + number, None)
                found.append(_rows_per_s(users.num_rows, apply_funnel_summary, one, users, batch))
    return {
        "rows": rows,
        "copied": copied,
        "copied_by_two": by_two,
        "inserted": inserted,
        "updated": updated,
    }


def _both(
    pool: ThreadPoolExecutor,
    connections: Sequence[Connection],
    rows: Sequence[pa.Table],
    batches: Sequence[MirrorBatch],
) -> None:
    for applied in pool.map(apply_raw_events, connections, rows, batches):
        assert not applied.skipped


def _first(store: TableStore, table: type[Table], rows: int) -> pa.Table:
    return to_arrow(store.scan(table).head(rows).collect())


def _renamed(rows: pa.Table, column: str, prefix: str) -> pa.Table:
    """``rows`` under keys that nobody else has."""
    name = str(column)
    numbered = pl.DataFrame(rows).with_row_index("number")
    return numbered.with_columns(pl.format(f"{prefix}{{}}", "number").alias(name)).drop("number").pipe(to_arrow)


def _rows_per_s(rows: int, act: Callable[..., object], *arguments: Any) -> float:
    began = time.perf_counter()
    act(*arguments)
    return round(rows / (time.perf_counter() - began), 1)


def run(plan: Mapping[str, Any]) -> dict[str, Any]:
    """All rounds of a part, smallest first, then what they have left."""
    settings = load_settings(max_events_per_batch=max(size for size, _ in plan["sizes"]))
    home = Home(settings.home)
    endpoints = Endpoints.load(home)
    ensure_topic(endpoints.kafka, settings)
    shop = Shop(
        endpoints.kafka,
        settings.topic,
        simulate(
            SimulatorConfig(
                seed=settings.simulator_seed,
                users=plan["users"],
                rate=plan["rate"],
                start=START,
                future_share=0.0,
            )
        ),
    )
    rounds, alone = [], None
    with open_writer(settings, endpoints, _say) as writer, writer.runner.hurry(), writer.runner.turn:
        for _ in range(plan["warm_up"]):
            take(writer, shop, plan["sizes"][0][0])
        for size, count in plan["sizes"]:
            for _ in range(count):
                rounds.append(take(writer, shop, size))
            _say(f"{size:,}: {rounds[-1]['seconds']:.2f} s")
        stored = {
            "messages": shop.messages,
            "message_bytes": shop.bytes,
            "kafka_bytes": bytes_below(home.kafka),
            "delta": {name: vars(size) for name, size in delta_sizes(home).items()},
            "postgres_bytes": dict(postgres_sizes(endpoints.postgres_owner)),
        }
        if plan["postgres_rows"]:
            alone = postgres_alone(
                writer.context.store, endpoints.postgres_writer, plan["postgres_rows"], plan["postgres_repeats"]
            )
    return {"rounds": rounds, "stored": stored, "postgres": alone}


def main() -> None:
    began = time.monotonic()
    told = run(json.loads(os.environ["COSTS"]))
    tell(round(time.monotonic() - began, 3), **told)


def _say(line: str) -> None:
    sys.stderr.write(f"{time.strftime('%H:%M:%S', time.gmtime())} {line}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    main()
