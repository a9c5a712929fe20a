"""Each service as a process of its own, beside a Kafka and a Postgres, as containers run them."""

from __future__ import annotations

import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from shop_stack import LIMIT_S, Shop

from lakehouse.embedded.ports import Door, assign
from lakehouse.embedded.services import services
from lakehouse.embedded.waiting import until
from lakehouse.settings import load_settings

pytestmark = [pytest.mark.slow, pytest.mark.long]

SERVICES = ("writer", "api", "dashboard", "validator")
EVERYWHERE = "0.0.0.0"  # noqa: S104 (as a container listens)
KEY = "a key of the containers"


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """A home whose services are told of servers that run under another one, their secrets by file."""
    servers = load_settings(home=tmp_path / "servers", kafka_port=0, postgres_port=0)
    names = ("API", "DASHBOARD", "QUALITY", "METRICS")
    ports = assign(Door(name, f"LAKEHOUSE_{name}_PORT", EVERYWHERE, 0) for name in names)
    with services(servers, {"kafka", "postgres"}) as running:
        dsn, key = tmp_path / "dsn", tmp_path / "key"
        dsn.write_text(running.postgres_owner + "\n")
        key.write_text(KEY + "\n")
        yield Shop(
            tmp_path / "home",
            {
                "LAKEHOUSE_KAFKA_BOOTSTRAP": running.kafka,
                "LAKEHOUSE_POSTGRES_DSN_FILE": str(dsn),
                "LAKEHOUSE_API_KEY_FILE": str(key),
                "LAKEHOUSE_API_URL": f"http://127.0.0.1:{ports['API']}",
                "LAKEHOUSE_BIND_ADDRESS": EVERYWHERE,
                "LAKEHOUSE_DASHBOARD_GUARDED": "true",
                "LAKEHOUSE_QUALITY_VALIDATOR": "true",
                **{f"LAKEHOUSE_{name}_PORT": str(port) for name, port in ports.items()},
            },
        )


def healthy(shop: Shop, service: str) -> bool:
    with shop.start("healthy", service) as asked:
        asked.communicate(timeout=LIMIT_S)
        return asked.returncode == 0


def started(shop: Shop, service: str) -> subprocess.Popen[bytes]:
    """`lakehouse run SERVICE`, with its log beside the home."""
    with (shop.home.parent / f"{service}.log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "lakehouse.cli", "run", service], env=shop.environment, stdout=log, stderr=log
        )


def metrics(shop: Shop) -> str:
    address = f"http://127.0.0.1:{shop.variables['LAKEHOUSE_METRICS_PORT']}/metrics"
    with urllib.request.urlopen(address, timeout=10) as answer:
        return str(answer.read().decode())


def test_services_apart_do_what_the_stack_does_and_end_when_asked(shop: Shop) -> None:
    shop.run("run", "migrate")
    shop.run("run", "champion")  # without a model the scores would wait, and drain with them
    with ExitStack() as running:
        processes = {}
        for service in SERVICES:
            processes[service] = running.enter_context(started(shop, service))
            running.callback(processes[service].kill)
        for service in SERVICES:
            log = shop.home.parent / f"{service}.log"
            assert until(lambda service=service: healthy(shop, service), LIMIT_S, tick_s=1.0), log.read_text()  # type: ignore[misc]

        produced = shop.ask("produce", "--events", "600")
        shop.run("drain", "--timeout", "120")
        audited = shop.ask("audit")
        told = shop.ask("status")
        refused = shop.run("up", "--no-simulator", code=1)

        assert produced["events"] == 600
        assert audited["agrees"]
        assert (told["running"], told["services"]) == (True, [])
        assert told["writer"]["tables"]["bronze.user_events"] == 600
        assert until(lambda: 'lakehouse_table_rows{table="bronze.user_events"} 600.0' in metrics(shop), 10.0)
        assert "started one by one" in refused.stderr

        for process in reversed(processes.values()):
            process.send_signal(signal.SIGTERM)
        codes = {service: process.wait(timeout=30) for service, process in processes.items()}

    assert set(codes.values()) <= {0, -signal.SIGTERM}, codes
    assert codes["writer"] == 0
    assert not any(healthy(shop, service) for service in SERVICES)
    shop.run("status", code=1)
