"""A child process: what it is (a frozen spec), and one run of it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lakehouse.embedded import launch, logs, pidfiles
from lakehouse.embedded.account import Account
from lakehouse.embedded.environment import inherited
from lakehouse.home import Home


@dataclass(frozen=True)
class RestartPolicy:
    """How often a service that died is brought back, and after how long."""

    limit: int = 5
    """Deaths within ``within_s`` that are forgiven: one that dies more often does not mend by itself."""
    within_s: float = 300.0
    first_backoff_s: float = 1.0
    """Doubles with each death within ``within_s``."""
    max_backoff_s: float = 15.0

    def backoff_s(self, deaths: int) -> float:
        """Seconds to wait after the n-th death, n from 1."""
        return float(min(self.first_backoff_s * 2 ** (deaths - 1), self.max_backoff_s))


@dataclass(frozen=True)
class Service:
    """A process to start, how to tell that it is up, and how to end it."""

    name: str
    """Names its log and its pid file."""
    argv: tuple[str, ...]
    healthy: Callable[[], bool] = field(default=lambda: True)
    """Asked again and again after the start, so it must answer within a second or two; False on any failure.
    Not asked of a task."""
    after: tuple[str, ...] = ()
    """Services that must be up, tasks that must be done, before this one is started."""
    uses: tuple[str, ...] = ()
    """Services that need not be up before this one is, for it waits for them itself, and are stopped after it."""
    env: Mapping[str, str] = field(default_factory=dict)
    """Beyond the supervisor's own environment, of which secrets are left out."""
    cwd: Path | None = None
    account: Account | None = None
    """Whom it runs as; None: as the supervisor."""
    task: bool = False
    """Runs to its end once, and is done when it exits 0."""
    background: bool = False
    """A task that nothing waits for, and whose failure is told and stops nothing."""
    stop_signal: signal.Signals = signal.SIGTERM
    """Asks it to end; sent by the kernel too when the supervisor dies."""
    stop_timeout_s: float = 10.0
    """After which it is killed."""
    restart: RestartPolicy = RestartPolicy()
    niceness: int = 0
    """How far it stands back where all want the processor, as of nice(1): of one that works beside the stream."""


class Child:
    """One running process of a service: the leader of a process group of its own, so that a Ctrl-C at the
    terminal reaches the supervisor only, and whatever it starts can be ended with it.

    Must be made by a thread that lives as long as the child should: the kernel takes that thread's end for
    the parent's death.
    """

    def __init__(self, service: Service, home: Home, log_max_mb: int) -> None:
        self.service = service
        self.log = home.logs / f"{service.name}.log"
        self.started = time.monotonic()
        self._home = home
        logs.rotate(self.log, log_max_mb)
        with self.log.open("ab") as log:
            self._log_start = log.tell()
            self._process = subprocess.Popen(
                launcher(service.account, service.stop_signal, service.argv, service.niceness),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**inherited(), **service.env},
                cwd=service.cwd,
                start_new_session=True,
            )
        with contextlib.suppress(Exception):  # gone already: `exit_code` tells
            pidfiles.record(home, service.name, self._process.pid)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; minus the signal's number where one ended it."""
        return self._process.poll()

    @property
    def tail(self) -> str:
        """The last lines that this run has logged."""
        return logs.tail(self.log, self._log_start)

    def ask_to_stop(self) -> None:
        """Sends the stop signal and returns at once; see ``reap``."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(self.service.stop_signal)

    def reap(self) -> None:
        """Kills what is left of its process group and forgets its pid; at once where it has ended."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()
        pidfiles.forget(self._home, self.service.name)


def launcher(
    account: Account | None, parent_death: signal.Signals, argv: Sequence[str], niceness: int = 0
) -> list[str]:
    """``argv`` run as ``account`` with ``niceness``, and sent ``parent_death`` when this process dies."""
    order = {
        "parent": os.getpid(),
        "signal": int(parent_death),
        "niceness": niceness,
        "uid": account.uid if account else None,
        "gid": account.gid if account else None,
        "beyond_permissions": bool(account and account.beyond_permissions),
    }
    return [sys.executable, "-I", "-S", launch.__file__, json.dumps(order), *argv]


def say_exit(code: int) -> str:
    """``exit status 1`` or ``signal SIGKILL``."""
    if code >= 0:
        return f"exit status {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"
