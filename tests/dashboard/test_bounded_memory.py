"""What the dashboard holds does not grow with what it shows: caches have a bound, and users are counted in parts."""

from __future__ import annotations

import ast
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest
from deltalake import Schema, write_deltalake

import dashboard
from lakehouse.contracts import SessionDays
from lakehouse.home import Home

FIRST, DAYS = date(2026, 5, 1), 5
MORE_MIB = 100
"""What 1,000,000 sessions' days may take beyond 200,000. Read at once they took 340 more."""

PEAK_OF_A_LOOK = """
import sys, threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil

from dashboard.funnel.users import read_users
from dashboard.ranges import Span
from lakehouse.home import Home

first = datetime(2026, 5, 1, tzinfo=UTC)
process, taken, is_over = psutil.Process(), [], threading.Event()

def watch():
    while not is_over.wait(0.01):
        taken.append(process.memory_full_info().uss)

watching = threading.Thread(target=watch)
watching.start()
found = read_users(Home(Path(sys.argv[1])), Span(first, first + timedelta(days=5)), timedelta(days=1), None, "device")
is_over.set()
watching.join()
print(found.rows, sum(found.counts.values()), max(taken) // 2**20)
"""


def test_every_cache_has_a_bound() -> None:
    files = sorted(Path(dashboard.__path__[0]).rglob("*.py"))
    caches = [
        (file.name, call.lineno, {keyword.arg for keyword in call.keywords})
        for file in files
        for call in ast.walk(ast.parse(file.read_text()))
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr in ("cache_data", "cache_resource", "lru_cache")
    ]

    assert len(caches) > 10
    assert [(file, line) for file, line, given in caches if "max_entries" not in given] == []


@pytest.mark.slow
@pytest.mark.long
def test_five_times_the_users_do_not_take_five_times_the_memory(tmp_path: Path) -> None:
    few, many = (peak_mib(lake_of(tmp_path / str(count), count)) for count in (200_000, 1_000_000))

    assert many < few + MORE_MIB


def lake_of(home: Path, sessions: int) -> Home:
    """So many sessions of as many users in ``gold.session_days``, each with a view, and half of them with carts."""
    made = Home(home).make()
    target = pa.schema(Schema.from_json(SessionDays.schema_json()).to_arrow())
    for number in range(DAYS):
        day = FIRST + timedelta(days=number)
        time = pl.lit(day).cast(pl.Datetime("us")).dt.replace_time_zone("UTC") + pl.duration(
            seconds=pl.col("n") % 80_000
        )
        none = pl.lit([], dtype=pl.List(pl.Datetime("us", "UTC")))
        carts = pl.when(pl.col("n") % 2 == 0).then(pl.concat_list(time, time + pl.duration(minutes=5))).otherwise(none)
        of_device = pl.struct(name=pl.lit("device"), value=pl.format("device {}", pl.col("n") % 9), time=time)
        rows = pl.select(n=pl.int_range(number, sessions, DAYS)).select(
            user_id=pl.format("a-user-with-an-id-as-long-as-they-are-{}", "n"),
            session_id=pl.format("session-{}", "n"),
            date=pl.lit(day),
            num_views=pl.lit(1, pl.Int64),
            num_add_to_cart=pl.lit(2, pl.Int64),
            num_purchases=pl.lit(0, pl.Int64),
            num_events=pl.lit(3, pl.Int64),
            first_event_time=time,
            last_event_time=time + pl.duration(minutes=5),
            first_view_time=time,
            cart_times=carts,
            purchase_times=none,
            steps_capped=pl.lit(value=False),
            revenue=pl.lit(0).cast(pl.Decimal(18, 4)),
            dimensions=pl.concat_list(of_device),
        )
        arrow = rows.to_arrow().select(target.names).cast(target)
        write_deltalake(str(made.table(SessionDays.name)), arrow, mode="append", partition_by=["date"])
    return made


def peak_mib(home: Home) -> int:
    """The most memory that a process of its own takes to count its users."""
    told = subprocess.run(
        [sys.executable, "-c", PEAK_OF_A_LOOK, str(home.root)], check=True, capture_output=True, text=True
    )
    rows, users, peak = map(int, told.stdout.split())
    assert rows == users > 0
    return peak
