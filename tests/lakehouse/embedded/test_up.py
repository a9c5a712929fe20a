"""The life of a stack: real broker and database, stand-ins for the project's own services."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from lakehouse.embedded.services import services
from lakehouse.embedded.waiting import until
from lakehouse.endpoints import Endpoints
from lakehouse.home import Home
from lakehouse.settings import load_settings

LIMIT_S = 120.0
FREE_PORTS = {f"LAKEHOUSE_{name}_PORT": "0" for name in ("KAFKA", "POSTGRES", "API", "DASHBOARD", "QUALITY")}


class Stack:
    """`lakehouse up` as a process, and the other commands beside it."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.process: subprocess.Popen[str] | None = None
        self.output = home.root.parent / "output"

    def start(self) -> None:
        with self.output.open("a") as output:
            self.process = subprocess.Popen(
                self._command("up"), env={**os.environ, **FREE_PORTS}, stdout=output, stderr=output, text=True
            )
        started = self.process
        assert until(lambda: self.phase() == "running" or started.poll() is not None, LIMIT_S)
        assert started.poll() is None, self.output.read_text()

    def command(self, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self._command(*arguments),
            env={**os.environ, **FREE_PORTS, **env},
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )

    def status(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self.command("status", "--json").stdout)
        return told

    def phase(self) -> str | None:
        return self.status().get("phase")

    def service(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = next(service for service in self.status()["services"] if service["name"] == name)
        return found

    def wait(self) -> int:
        assert self.process is not None
        return self.process.wait(LIMIT_S)

    def _command(self, *arguments: str) -> list[str]:
        program = Path(__file__).with_name("stand_ins.py")
        return [sys.executable, str(program), *arguments, "--home", str(self.home.root)]


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    made = Stack(Home(tmp_path / "a home, näher"))
    yield made
    if made.process and made.process.poll() is None:
        made.process.terminate()
        made.wait()


@pytest.mark.slow
def test_a_stack_starts_restarts_what_dies_serves_other_commands_and_stops(stack: Stack) -> None:
    stack.start()
    assert {service["name"]: service["state"] for service in stack.status()["services"]} == dict.fromkeys(
        ("kafka", "postgres", "writer", "api", "dashboard", "simulator", "validator"), "up"
    )
    assert stack.status()["addresses"]["postgres"].startswith("postgresql://lakehouse_reader@127.0.0.1:")

    with services(load_settings(home=stack.home.root), {"kafka", "postgres"}) as endpoints:
        assert endpoints == Endpoints.load(stack.home)

    os.kill(stack.service("writer")["pid"], signal.SIGKILL)
    assert until(lambda: stack.service("writer")["restarts"] == 1, LIMIT_S)
    assert until(lambda: stack.service("writer")["state"] == "up", LIMIT_S)
    assert "writer ended with signal SIGKILL" in stack.output.read_text()
    assert "round 1" in stack.output.read_text()

    second = stack.command("up")
    assert (second.returncode, second.stderr.count("\n")) == (1, 1)
    assert "runs under" in second.stderr

    stopped = stack.command("down")
    assert (stopped.returncode, stopped.stdout, stack.wait()) == (0, "stopped\n", 0)
    assert stack.command("status").returncode == 1
    assert not stack.home.endpoints.exists()


@pytest.mark.slow
def test_after_kill_9_the_next_start_clears_up_and_the_data_is_there(stack: Stack) -> None:
    stack.start()
    with psycopg2.connect(Endpoints.load(stack.home).postgres_owner) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE kept AS SELECT 7 AS n")
    before = {service["pid"] for service in stack.status()["services"]}
    assert stack.process is not None
    stack.process.kill()
    stack.wait()

    stack.start()

    assert before.isdisjoint({service["pid"] for service in stack.status()["services"]})
    with psycopg2.connect(Endpoints.load(stack.home).postgres_owner) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT n FROM kept")
        assert cursor.fetchone() == (7,)
    stack.process.send_signal(signal.SIGINT)
    assert stack.wait() == 0


def test_a_taken_port_is_one_sentence_and_nothing_is_started(stack: Stack) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        run = stack.command("up", LAKEHOUSE_DASHBOARD_PORT=str(port))

    assert run.returncode == 1
    assert f"port {port} of 127.0.0.1, which dashboard is to listen on, is taken" in run.stderr
    assert "LAKEHOUSE_DASHBOARD_PORT" in run.stderr
    assert not stack.home.kafka.exists()


def test_a_start_in_the_background_that_fails_says_why(stack: Stack) -> None:
    run = stack.command("up", "--detach", LAKEHOUSE_MIN_FREE_DISK_MB="1000000000")

    assert run.returncode == 1
    assert run.stderr.startswith("lakehouse: the disk of ")
    assert run.stderr.count("\n") == 1
