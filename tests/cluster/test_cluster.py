"""The lakehouse on a Spark cluster: nothing lost and nothing twice, also where a worker is gone in the midst."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lakehouse.embedded.rehearsal import Rehearsal
from lakehouse.embedded.services import stack_runs
from lakehouse.embedded.standalone import worker_name
from lakehouse.embedded.waiting import until
from lakehouse.home import Home
from tests.pipeline.shop_stack import Shop

pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.timeout(1_200)]

EVENTS = 3_000
LIMIT_S = 600.0
PARTITIONS = "12"


@pytest.fixture
def shop(servers: Rehearsal, postgres_by_tls: str, wheel: Path, node_python: Path, tmp_path: Path) -> Shop:
    """A shop on the cluster, whose workers have the project from its wheel only."""
    own = {
        "LAKEHOUSE_POSTGRES_DSN": postgres_by_tls,
        "LAKEHOUSE_TOPIC_PARTITIONS": PARTITIONS,
        "LAKEHOUSE_SPARK_WHEEL": str(wheel),
        "LAKEHOUSE_SPARK_PYTHON": str(node_python),
    }
    return Shop(tmp_path / "home", servers.variables | own)


def test_a_worker_that_is_gone_in_the_midst_costs_time_and_no_event(servers: Rehearsal, shop: Shop) -> None:
    """The writer runs by `spark-submit`, and all commands find it."""
    shop.run("produce", "--events", str(EVENTS))

    with submitted(shop):
        with shop.start("drain", "--timeout", str(LIMIT_S)) as draining:
            assert until(lambda: shop.rows("bronze.user_events") > 0, LIMIT_S, tick_s=1.0), "nothing comes to bronze"
            servers.kill(worker_name(1))
            said = _watched(draining, servers)
        assert draining.returncode == 0, said
        assert shop.rows("bronze.user_events") == EVENTS
        shop.run("produce", "--events", "500", "--seed", "8")
        shop.run("drain", "--timeout", "280")

        assert_books_balance(shop)
        assert shop.ask("sql", "SELECT count(*) AS n FROM bronze.user_events") == [{"n": EVENTS + 500}]

    assert until(lambda: not shop.processes(), 10.0), "`down` has ended it, its JVM too"


def assert_books_balance(shop: Shop) -> None:
    books = shop.ask("audit", "--full")
    assert books["agrees"], [each for each in books["balances"] if not each["agrees"]]
    assert books["lag"] == 0
    assert len(books["balances"]) > 10


@contextmanager
def submitted(shop: Shop) -> Iterator[None]:
    """`lakehouse submit`, until its end is asked for and has come."""
    home = Home(shop.home).make()
    log = home.logs / "submit.log"
    argv = [sys.executable, "-m", "lakehouse.cli", "submit"]
    with log.open("w") as file, subprocess.Popen(argv, env=shop.environment, stdout=file, stderr=file) as process:
        try:
            assert until(lambda: stack_runs(home) or process.poll() is not None, LIMIT_S, tick_s=0.5)
            assert process.poll() is None, log.read_text()
            yield
            shop.run("down")
            process.wait(LIMIT_S)
        finally:
            process.kill()


def _watched(process: subprocess.Popen[str], servers: Rehearsal) -> str:
    """What the process has said at its end; meanwhile the servers that have died are brought back."""
    deadline = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline:
        servers.step()
        try:
            return "\n".join(process.communicate(timeout=0.5))
        except subprocess.TimeoutExpired:
            continue
    process.kill()
    return "\n".join(process.communicate())
