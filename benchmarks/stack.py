"""A whole stack of its own home, driven by the command line as a person drives it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lakehouse.embedded.livestate import read_writer
from lakehouse.embedded.runstate import StackState
from lakehouse.endpoints import Endpoints
from lakehouse.errors import LakehouseError
from lakehouse.home import Home

LIMIT_S = 3_600.0
"""Longest wait for one command of the stack's."""


@dataclass(frozen=True)
class Stack:
    """The stack under ``home``; free ports, no simulator, all other settings as the environment has them."""

    home: Home
    settings: Mapping[str, str] = field(default_factory=dict)
    """Variables that differ from the environment's."""

    @property
    def environment(self) -> dict[str, str]:
        ports = {f"LAKEHOUSE_{name}_PORT": "0" for name in ("KAFKA", "POSTGRES", "API", "DASHBOARD", "QUALITY")}
        return {**os.environ, **ports, **self.settings, "LAKEHOUSE_HOME": str(self.home.root)}

    @property
    def endpoints(self) -> Endpoints:
        return Endpoints.load(self.home)

    def run(self, *arguments: str, may_fail: bool = False) -> str:
        """What `lakehouse ARGUMENTS` writes to stdout. Raises LakehouseError with its reason where it fails."""
        done = subprocess.run(
            [sys.executable, "-m", "lakehouse.cli", *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        if done.returncode and not may_fail:
            reason = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
            raise LakehouseError(f"lakehouse {arguments[0]} failed: {' '.join(reason)}")
        return done.stdout

    def up(self, *, simulate: bool = False) -> float:
        """Starts it and returns the seconds until everything was up."""
        began = time.monotonic()
        self.run("up", "--detach", *([] if simulate else ["--no-simulator"]))
        return time.monotonic() - began

    def down(self) -> None:
        self.run("down", "--timeout", "180")

    def drain(self, limit_s: float) -> None:
        """Waits until everything that is in Kafka now is in Postgres. Raises LakehouseError after ``limit_s``."""
        self.run("drain", "--timeout", str(limit_s))

    def audit(self, *, full: bool = True) -> dict[str, Any]:
        """The books, whether they agree or not."""
        books: dict[str, Any] = json.loads(self.run("audit", "--json", *(["--full"] if full else []), may_fail=True))
        return books

    def pids(self) -> dict[str, int]:
        """The process of each service, the supervisor's under its own name."""
        state = StackState.load(self.home)
        if state is None:
            return {}
        return {"supervisor": state.pid} | {s.name: s.pid for s in state.services if s.pid is not None}

    def writer(self) -> dict[str, Any]:
        """What the writer last said of itself; empty where it has said nothing yet."""
        return read_writer(self.home) or {}


@contextmanager
def fresh_home(work: Path, name: str) -> Iterator[Home]:
    """An empty home under ``work``, removed at the end."""
    folder = work / name
    shutil.rmtree(folder, ignore_errors=True)
    try:
        yield Home(folder.resolve()).make()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def running(home: Home, settings: Mapping[str, str] | None = None) -> Iterator[Stack]:
    """The stack under ``home``, stopped at the end whatever happens; ``settings`` are variables."""
    stack = Stack(home, settings or {})
    try:
        stack.up()
        yield stack
    finally:
        stack.run("down", "--timeout", "180", may_fail=True)
