"""Starting the stack in the background."""

from __future__ import annotations

import os
import subprocess
import sys

from lakehouse.embedded import logs, screen
from lakehouse.embedded.environment import child_environment
from lakehouse.embedded.runstate import StackState
from lakehouse.embedded.up import DETACHED_LOG
from lakehouse.embedded.waiting import TICK_S
from lakehouse.endpoints import Endpoints
from lakehouse.errors import LakehouseError
from lakehouse.home import Home
from lakehouse.settings import Settings


def start_detached(settings: Settings, simulate: bool) -> None:
    """Runs `lakehouse up` in a session of its own and returns once all is up.

    Raises LakehouseError with the reason that it gave where it ended before. The services' own start limits
    bound the wait.
    """
    home = Home(settings.home).make()
    log = home.logs / DETACHED_LOG
    logs.rotate(log, settings.log_max_mb)
    command = [sys.executable, "-m", "lakehouse.cli", "up"] + ([] if simulate else ["--no-simulator"])
    with log.open("ab") as file:
        began_at = file.tell()
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            env=_environment(settings),
            start_new_session=True,
        )
    try:
        while not _running(home, process.pid):
            _raise_if_ended(process, logs.tail(log, began_at))
            _wait(process)
    except KeyboardInterrupt:
        process.terminate()
        process.wait()
        raise
    screen.tell_addresses(Endpoints.load(home), home)


def _environment(settings: Settings) -> dict[str, str]:
    return {**os.environ, **child_environment(settings)}


def _running(home: Home, pid: int) -> bool:
    state = StackState.load(home)
    return state is not None and state.pid == pid and state.phase == "running"


def _wait(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(TICK_S)
    except subprocess.TimeoutExpired:
        return


def _raise_if_ended(process: subprocess.Popen[bytes], said: str) -> None:
    if process.poll() is None:
        return
    _, told, reason = said.rpartition("lakehouse: ")
    raise LakehouseError(reason.strip() if told else f"the stack ended before it was up:\n{said}")
