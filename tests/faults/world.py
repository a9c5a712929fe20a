"""A stack under test, with all that an action needs to hit it."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from lakehouse.embedded.waiting import until
from lakehouse.home import Home
from ml.package import save
from tests.faults.disk import Disk, mounted, why_not_mountable
from tests.faults.flow import Flow
from tests.faults.messages import Messages
from tests.pipeline.shop_stack import Shop
from tests.serving.churn_package import churn_package

TOPIC = "user_events"
PRESENT_LIMIT_S = 30.0
"""How long a service that is on its way back is waited for before a fault may hit it."""
UP_LIMIT_S = 240.0


class Skipped(Exception):
    """The action could not be done; says why."""


@dataclass(frozen=True)
class World:
    shop: Shop
    home: Home
    flow: Flow
    messages: Messages
    disk: Disk | None
    no_disk: str | None
    """Why there is no disk that can be filled."""

    def status(self) -> dict[str, Any] | None:
        """What `lakehouse status --json` says; None where no stack runs."""
        with self.shop.start("status", "--json") as process:
            out, _ = process.communicate(timeout=60)
        told: dict[str, Any] = json.loads(out) if process.returncode in (0, 1) else {"running": False}
        return told if told["running"] else None

    def supervisor(self) -> psutil.Process:
        told = self.status()
        if told is None:
            raise Skipped("no stack runs")
        return _process(told["pid"], "up")

    def service(self, name: str) -> psutil.Process:
        """The process of a running service; raises Skipped where it does not come back in time."""
        deadline = time.monotonic() + PRESENT_LIMIT_S
        while time.monotonic() < deadline:
            services = (self.status() or {"services": []})["services"]
            pids = [service["pid"] for service in services if service["name"] == name and service["pid"]]
            if pids:
                return _process(pids[0], name)
        raise Skipped(f"{name} is not running")

    def jvm(self) -> psutil.Process:
        """The writer's Spark; raises Skipped where it has not started one in time."""
        found: list[psutil.Process] = []

        def there() -> bool:
            children = self.service("writer").children(recursive=True)
            found[:] = [child for child in children if child.name() == "java"]
            return bool(found)

        try:
            if until(there, PRESENT_LIMIT_S):
                return found[0]
        except psutil.Error:
            pass
        raise Skipped("the writer has no JVM")

    def up(self) -> None:
        """Starts the stack and waits until all of it is up; what a killed one has left may still be ending."""
        failure: list[str] = []

        def started() -> bool:
            with self.shop.start("up", "--no-simulator", "--detach") as process:
                _, err = process.communicate(timeout=UP_LIMIT_S)
            failure[:] = [err]
            return process.returncode == 0 or self.status() is not None

        if not until(started, UP_LIMIT_S, tick_s=1.0):
            raise AssertionError(f"`lakehouse up` does not start any more: {failure[0]}")

    def keep(self, folder: Path) -> None:
        """Copies what tells why something went wrong; the home itself is gone at the end."""
        for part in (self.home.logs, self.home.run, self.home.checkpoints, self.home.tables):
            shutil.copytree(part, folder / part.name, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.sock"))

    def ensure_up(self) -> None:
        if self.status() is None:
            self.up()


@contextmanager
def opened(folder: Path, seed: int, variables: Mapping[str, str] | None = None) -> Iterator[World]:
    """A running stack under ``folder`` that nobody has hit yet; ended, with all its processes, at the end.

    ``variables`` are settings beyond those that every run has.
    """
    with ExitStack() as held:
        reason = why_not_mountable(folder / "home")
        disk = None if reason else held.enter_context(mounted(folder / "home"))
        home = Home(folder / "home")
        ports = dict(zip(("KAFKA", "POSTGRES", "API", "DASHBOARD", "QUALITY"), _free_ports(5), strict=True))
        # Fixed, so that a stack that is started again answers where the messages are sent to.
        addresses = {f"LAKEHOUSE_{name}_PORT": str(port) for name, port in ports.items()}
        shop = Shop(home.root, addresses | SETTINGS | dict(variables or {}))
        held.callback(_end, shop)
        save(churn_package(), home.champion)
        flow = Flow(f"127.0.0.1:{ports['KAFKA']}", TOPIC)
        world = World(shop, home, flow, Messages(seed), disk, reason)
        world.up()
        held.enter_context(flow)
        yield world


SETTINGS = {
    "LAKEHOUSE_TOPIC": TOPIC,
    "LAKEHOUSE_MIN_FREE_DISK_MB": "100",
    "LAKEHOUSE_SERVICE_RESTARTS": "1000",  # it is hit far more often than one that has a fault of its own may die
}


def _end(shop: Shop) -> None:
    with shop.start("down") as process:
        process.communicate(timeout=UP_LIMIT_S)
    for process_left in shop.processes():
        process_left.send_signal(signal.SIGCONT)
        process_left.kill()


def _process(pid: int, name: str) -> psutil.Process:
    try:
        return psutil.Process(pid)
    except psutil.NoSuchProcess:
        raise Skipped(f"{name} has just ended") from None


def _free_ports(count: int) -> list[int]:
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
