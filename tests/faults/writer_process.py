"""A writer in a process of its own that can be told at which point to die: ``python -m tests.faults.writer_process``.

It opens the writer of the home in the settings, on the servers that the home's endpoints name. Each line that it reads
names a fault point to arm from then on; at the end of its input it stops in order.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from lakehouse.embedded.environment import child_environment
from lakehouse.settings import Settings, load_settings


class WriterProcess:
    """Runs the above."""

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

    def arm(self, point: str) -> None:
        self._process.stdin.write(f"{point}\n")  # type: ignore[union-attr]
        self._process.stdin.flush()  # type: ignore[union-attr]

    def ask_to_stop(self) -> None:
        """Returns at once."""
        self._process.stdin.close()  # type: ignore[union-attr]

    def wait(self, limit_s: float) -> int:
        """Waits for its end and returns the exit code; one that does not end is killed."""
        try:
            return self._process.wait(limit_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise


def main() -> None:
    from lakehouse import faultpoints
    from lakehouse.endpoints import Endpoints
    from lakehouse.home import Home
    from lakehouse.writer import open_writer

    settings = load_settings()
    with open_writer(settings, Endpoints.load(Home(settings.home)), lambda line: print(line, flush=True)):  # noqa: T201
        for line in sys.stdin:
            faultpoints.arm(line.strip())


if __name__ == "__main__":
    main()
