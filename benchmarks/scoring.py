"""Scoring: how long /predict takes under a steady load, and how many rows/s /predict/batch answers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl
import psutil
import pyarrow as pa

from benchmarks.measure import Percentiles, Repeated, percentiles, repeated
from benchmarks.others import others_meanwhile
from benchmarks.scoring_model import package, users
from benchmarks.stack import fresh_home
from gold.churn_features import COUNTS
from lakehouse.embedded.ports import LOOPBACK, Door, assign
from lakehouse.embedded.waiting import until
from lakehouse.endpoints import Endpoints
from lakehouse.errors import LakehouseError
from lakehouse.home import Home
from lakehouse.settings import Settings
from ml.package import save
from serving.predict import ARROW

GOAL_S: Final = 0.015
"""What 99 of 100 requests are to take at most."""

NOWHERE: Final = "postgresql://nobody:nothing@127.0.0.1:1/nothing"
"""No database is needed to score."""


@dataclass(frozen=True)
class Options:
    """What to measure."""

    rate: int = 300
    """Requests/s to /predict."""
    seconds: float = 20.0
    repeats: int = 3
    """Loads, one after the other; and batches of each kind."""
    batch_rows: int = 10_000


QUICK: Final = Options(seconds=3.0, repeats=1, batch_rows=2_000)


@dataclass(frozen=True)
class Load:
    """One load on /predict."""

    sent_per_second: float
    failed: int
    latency_s: Percentiles
    """From the moment that a request was due."""
    api_cores: float
    """Kept busy by the API."""


@dataclass(frozen=True)
class Batch:
    """One kind of batch."""

    form: str
    features: str
    reasons: str
    rows_per_second: Repeated
    churned_share: float


@dataclass(frozen=True)
class Scoring:
    goal_s: float
    loads: tuple[Load, ...]
    batches: tuple[Batch, ...]
    memory_mib: float
    """Of the API, at the end (PSS)."""
    others_cores: float


def measure(options: Options, settings: Settings, work: Path, say: Callable[[str], None]) -> Scoring:
    """One worker, alone on an empty home, with a model of its own or the one that the settings name."""
    with others_meanwhile() as others, fresh_home(work, "scoring") as home:
        if settings.model_file is None:
            save(package(), home.champion)
        with _api(home, settings) as (address, process):
            loads = []
            for number in range(options.repeats):
                loads.append(_load(address, process, options))
                found = loads[-1].latency_s
                say(f"load {number + 1}: p50 {found.p50 * 1e3:.1f} ms, p99 {found.p99 * 1e3:.1f} ms")
            batches = []
            for form in ("JSON", "Arrow"):
                for features in ("three counts", "all"):
                    for reasons in ("none", "churned", "all"):
                        batches.append(_batch(address, form, features, reasons, options))
                        speed = batches[-1].rows_per_second.median
                        say(f"{form}, {features}, reasons for {reasons}: {speed:,.0f} rows/s")
            told = process.memory_full_info()
            memory = getattr(told, "pss", told.uss) / 2**20
    return Scoring(GOAL_S, tuple(loads), tuple(batches), round(memory, 1), others.cores)


@contextmanager
def _api(home: Home, settings: Settings) -> Iterator[tuple[str, psutil.Process]]:
    """The API as the stack runs it, by itself."""
    port = assign([Door("api", "LAKEHOUSE_API_PORT", LOOPBACK, 0)])["api"]
    address = f"http://{LOOPBACK}:{port}"
    Endpoints("", NOWHERE, NOWHERE, NOWHERE, address, "").save(home)
    environment = {**os.environ, "LAKEHOUSE_HOME": str(home.root), "OMP_NUM_THREADS": "1"}
    environment["LAKEHOUSE_API_PORT"] = "0"  # the one that was picked
    environment["LAKEHOUSE_API_REQUESTS_PER_MINUTE"] = "0"  # one caller sends all of the load
    with (home.logs / "api.log").open("w") as log:
        process = subprocess.Popen([sys.executable, "-m", "serving.api"], env=environment, stdout=log, stderr=log)
        try:
            if not until(lambda: _answers(f"{address}/model"), settings.start_timeout_s):
                raise LakehouseError(f"the API did not start: {(home.logs / 'api.log').read_text()[-500:]}")
            yield address, psutil.Process(process.pid)
        finally:
            process.terminate()
            process.wait(20)


def _load(address: str, api: psutil.Process, options: Options) -> Load:
    before = _processor_seconds(api)
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.scoring_load", address, str(options.rate), str(options.seconds)],
        capture_output=True,
        text=True,
        check=True,
        timeout=options.seconds * 3 + 60,
    )
    busy = (_processor_seconds(api) - before) / (time.monotonic() - began)
    answered = json.loads(done.stdout)
    found = percentiles(answered["latencies_s"])
    if found is None:
        raise LakehouseError("the load has sent nothing; make it longer or its rate higher")
    return Load(round(found.count / answered["seconds"], 1), answered["failed"], found, round(busy, 2))


def _batch(address: str, form: str, features: str, reasons: str, options: Options) -> Batch:
    rows = users(options.batch_rows, seed=3)
    rows = rows.select(COUNTS) if features == "three counts" else rows
    body = _arrow(rows) if form == "Arrow" else json.dumps({"rows": rows.to_dicts()}).encode()
    kind = ARROW if form == "Arrow" else "application/json"
    speeds, churned = [], 0.0
    for number in range(options.repeats + 1):
        began = time.perf_counter()
        answer = _post(f"{address}/predict/batch?reasons={reasons}", body, kind)
        if number:  # the first one warms up
            speeds.append(len(rows) / (time.perf_counter() - began))
        churned = _churned_share(answer, form)
    return Batch(form, features, reasons, repeated(speeds), round(churned, 3))


def _churned_share(answer: bytes, form: str) -> float:
    if form == "Arrow":
        said = pa.ipc.open_stream(answer).read_all()["churned"].to_pylist()
    else:
        said = [prediction["churned"] for prediction in json.loads(answer)["predictions"]]
    return float(sum(said) / len(said))


def _arrow(rows: pl.DataFrame) -> bytes:
    table, sink = rows.to_arrow(), pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return bytes(sink.getvalue())


def _post(url: str, body: bytes, kind: str) -> bytes:
    request = urllib.request.Request(url, data=body, headers={"Content-Type": kind})  # noqa: S310 (our own address)
    with _OPENER.open(request, timeout=120) as answer:
        said: bytes = answer.read()
    return said


def _answers(url: str) -> bool:
    try:
        with _OPENER.open(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _processor_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


_OPENER: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Loopback: no proxy has a say in it."""
