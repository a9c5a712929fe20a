"""One program against another: each is run alone, told where Kafka and an empty Postgres are, and says what it did."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psutil

from benchmarks.others import others_meanwhile

RESULT: Final = "RESULT "
"""What the one line on stdout begins with that holds the outcome, as JSON."""

MEMORY_INTERVAL_S: Final = 0.5


@dataclass(frozen=True)
class Contender:
    """A program to be run."""

    name: str
    command: tuple[str, ...]
    what: str
    """What it does, in a sentence of the report."""
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """One run of a contender."""

    seconds: float | None
    """From ready, with nothing of the topic read, to done; None where it failed."""
    peak_memory_mib: float
    """Of all its processes (PSS), sampled twice a second."""
    others_cores: float
    """Cores that neither it nor Kafka and Postgres kept busy meanwhile."""
    told: Mapping[str, Any]
    """What else it says of itself."""
    error: str | None = None
    """Why it failed, in one line."""


def module(name: str) -> tuple[str, ...]:
    """The command that runs a module of this environment."""
    return (sys.executable, "-m", name)


def tell(seconds: float, **told: Any) -> None:
    """Called by a contender when it is done."""
    sys.stdout.write(f"\n{RESULT}{json.dumps({'seconds': seconds, **told})}\n")
    sys.stdout.flush()


def run(contender: Contender, environment: Mapping[str, str], folder: Path, limit_s: float) -> Outcome:
    """Runs it in ``folder``, where its log stays, for at most ``limit_s``; a failure is an outcome too."""
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / f"{contender.name}.log"
    with log.open("wb") as file, others_meanwhile() as others:
        process = subprocess.Popen(
            contender.command,
            stdout=subprocess.PIPE,
            stderr=file,
            env={**os.environ, **environment, **contender.environment},
            cwd=None if "-m" in contender.command else folder,
            text=True,
            start_new_session=True,
        )
        peak = _Peak(process.pid)
        try:
            out, _ = process.communicate(timeout=limit_s)
            error = None if process.returncode == 0 else _reason(log, process.returncode)
        except subprocess.TimeoutExpired:
            out, error = "", f"not done after {limit_s:g} s"
        finally:
            memory = peak.stop()
            _end(process)
    told = _told(out)
    seconds = told.pop("seconds", None)
    if error is None and seconds is None:
        error = "it ended without saying that it was done"
    return Outcome(None if error else seconds, memory, others.cores, told, error)


def _told(out: str) -> dict[str, Any]:
    lines = [line.removeprefix(RESULT) for line in out.splitlines() if line.startswith(RESULT)]
    told: dict[str, Any] = json.loads(lines[-1]) if lines else {}
    return told


def _reason(log: Path, code: int) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    telling = [line for line in lines if re.match(r"[\w.]*(Error|Exception)\b", line)]  # the last line of a traceback
    return f"exit {code}: {(telling or lines or ['nothing was said'])[-1][:300]}"


def _end(process: subprocess.Popen[str]) -> None:
    """Whatever it has started ends with it."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, 9)
    process.wait()


class _Peak:
    """The most memory that a process and its children had at one moment."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._peak = 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> float:
        self._done.set()
        self._thread.join()
        return round(self._peak / (1024 * 1024), 1)

    def _run(self) -> None:
        while not self._done.wait(MEMORY_INTERVAL_S):
            with contextlib.suppress(psutil.Error):
                process = psutil.Process(self._pid)
                self._peak = max(self._peak, _memory([process, *process.children(recursive=True)]))


def _memory(processes: Sequence[psutil.Process]) -> int:
    total = 0
    for process in processes:
        with contextlib.suppress(psutil.Error):
            told = process.memory_full_info()
            total += getattr(told, "pss", told.uss)
    return total
