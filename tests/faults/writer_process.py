"""A writer in a process of its own that can be told at which point to die: ``python -m tests.faults.writer_process``.

It starts Spark, and opens the writer of the home in the settings once it is told to, on the servers that the home's
endpoints name. Its input: a first line, which may name a fault point, opens it; each further line names a point to arm
from then on; at the end of its input it stops in order.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from lakehouse.embedded.environment import child_environment
from lakehouse.settings import Settings, load_settings


class WriterProcess:
    """Runs the above. Spark takes longer to start than all that follows, so one is made while another still runs."""

    def __init__(self, settings: Settings, log: Path) -> None:
        self.log = log
        with log.open("ab") as file:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.faults.writer_process"],
                env={**os.environ, **child_environment(settings)},
                stdin=subprocess.PIPE,
                stdout=file,
                stderr=file,
                text=True,
            )

    @property
    def exit_code(self) -> int | None:
        """None while it runs; minus the signal's number where one ended it."""
        return self._process.poll()

    def open(self, fault_point: str = "") -> None:
        """Lets it open the home, with a point armed from the beginning; returns at once."""
        self.arm(fault_point)

    def arm(self, point: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{point}\n")
        self._process.stdin.flush()

    def ask_to_stop(self) -> None:
        """Returns at once."""
        assert self._process.stdin is not None
        self._process.stdin.close()

    def wait(self, limit_s: float) -> int:
        """Waits for its end and returns the exit code; one that does not end is killed."""
        try:
            return self._process.wait(limit_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise


def main() -> None:
    from lakehouse import faultpoints
    from lakehouse.embedded import jars
    from lakehouse.embedded.java import find_java
    from lakehouse.endpoints import Endpoints
    from lakehouse.home import Home
    from lakehouse.spark import build_session
    from lakehouse.writer import open_writer

    settings = load_settings()
    build_session(settings, jars.spark(settings), find_java(settings).home)
    opening = sys.stdin.readline()
    if not opening:
        return
    settings = settings.model_copy(update={"fault_point": opening.strip() or None})
    with open_writer(settings, Endpoints.load(Home(settings.home)), lambda line: print(line, flush=True)):  # noqa: T201
        for line in sys.stdin:
            faultpoints.arm(line.strip())


if __name__ == "__main__":
    main()
