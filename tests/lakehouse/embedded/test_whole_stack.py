"""`lakehouse up` as a person runs it: every service is the real one."""

from __future__ import annotations

import ipaddress
import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

import psutil
import pytest

from lakehouse.embedded.waiting import until
from lakehouse.home import Home

LIMIT_S = 180.0

Answer = TypeVar("Answer")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("serving.api") is None, reason="the API is not there yet"),
    pytest.mark.skipif(find_spec("dashboard.app") is None, reason="the dashboard is not there yet"),
]


def lakehouse(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    ports = {f"LAKEHOUSE_{name}_PORT": "0" for name in ("KAFKA", "POSTGRES", "API", "DASHBOARD", "QUALITY")}
    return subprocess.run(
        [sys.executable, "-m", "lakehouse.cli", *arguments, "--home", str(home)],
        env={**os.environ, **ports},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )


def status(home: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(lakehouse(home, "status", "--json").stdout)
    return told


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home whose stack was started in the background."""
    folder = tmp_path_factory.mktemp("a home") / "of a shop"
    started = lakehouse(folder, "up", "--detach", "--rate", "50")
    assert started.returncode == 0, started.stderr
    yield folder
    assert lakehouse(folder, "down").returncode == 0


def test_all_services_are_up_and_the_doors_open(home: Path) -> None:
    told = status(home)

    assert {service["name"]: service["state"] for service in told["services"]} == dict.fromkeys(
        ("kafka", "postgres", "writer", "api", "dashboard", "simulator", "validator"), "up"
    )
    addresses = told["addresses"]
    for address in (f"{addresses['api']}/healthz", addresses["dashboard"], addresses["quality"]):
        with urllib.request.urlopen(address, timeout=10) as answer:  # noqa: S310 (an address of our own)
            assert answer.status == 200


def test_a_new_home_has_a_churn_model_of_simulated_data(home: Path) -> None:
    assert until(lambda: status(home)["champion"] is not None, LIMIT_S)

    assert status(home)["champion"]["simulated"]
    assert "churn model: of simulated data, until `lakehouse train`" in lakehouse(home, "status").stdout


def test_the_validator_judges_what_comes_and_finds_nothing_amiss(home: Path) -> None:
    def judged() -> bool:
        tables = (status(home)["quality"] or {}).get("tables", {})
        return all(tables.get(name, {}).get("validated") is not None for name in ("silver.events", "gold.user_days"))

    assert until(judged, LIMIT_S), status(home)["quality"]
    quality = status(home)["quality"]
    assert (quality["halts"], quality["alarms"]) == ([], [])


def test_simulated_events_reach_every_layer(home: Path) -> None:
    def arrived() -> bool:
        tables = (status(home)["writer"] or {}).get("tables", {})
        return all(tables.get(name, 0) > 100 for name in ("bronze.user_events", "silver.events")) and (
            tables.get("gold.funnel_summary", 0) > 0
        )

    assert until(arrived, LIMIT_S), status(home)["writer"]


def test_drain_returns_and_the_books_balance_while_events_go_on_arriving(home: Path) -> None:
    drained = lakehouse(home, "drain", "--timeout", "60", "--json")
    audited = lakehouse(home, "audit", "--json")

    assert drained.returncode == 0, drained.stderr
    assert audited.returncode == 0, audited.stdout + audited.stderr


def test_status_tells_people_too(home: Path) -> None:
    said = lakehouse(home, "status").stdout

    for word in ("running under", "kafka", "dashboard", "MiB", "http://127.0.0.1:", "events/s"):
        assert word in said


def of_each_process(home: Path, ask: Callable[[psutil.Process], Answer]) -> list[Answer]:
    """What each of the stack's processes answers, and whatever they have started; not those that end meanwhile."""
    supervisor = psutil.Process(status(home)["pid"])
    answers = []
    for process in [supervisor, *supervisor.children(recursive=True)]:
        with suppress(psutil.NoSuchProcess):  # a zombie is one too
            answers.append(ask(process))
    return answers


def test_nothing_listens_to_other_machines(home: Path) -> None:
    listening = [
        f"{socket.laddr.ip}:{socket.laddr.port}"
        for sockets in of_each_process(home, lambda process: process.net_connections("inet"))
        for socket in sockets
        if socket.status == psutil.CONN_LISTEN or (socket.type.name == "SOCK_DGRAM" and not socket.raddr)
    ]

    assert len(set(listening)) >= 5  # broker, controller, database, API, dashboard
    assert [at for at in listening if not is_loopback(at.rpartition(":")[0])] == []


def is_loopback(address: str) -> bool:
    """Also as Java writes it, ::ffff:127.0.0.1."""
    found = ipaddress.ip_address(address)
    return (getattr(found, "ipv4_mapped", None) or found).is_loopback


def test_no_password_is_in_a_log_in_status_or_in_the_process_list(home: Path) -> None:
    made = Home(home)
    secrets = [*json.loads(made.secrets.read_text()).values(), made.service_key.read_text()]
    shown = [lakehouse(home, "status").stdout, json.dumps(status(home))]
    lines = of_each_process(home, lambda process: " ".join(process.cmdline()))
    shown += lines
    shown += [log.read_text(errors="replace") for log in made.logs.iterdir()]

    assert len(secrets) == 4
    assert len(lines) >= 5
    assert [text for text in shown if any(secret in text for secret in secrets)] == []
