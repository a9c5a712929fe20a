"""The writer that a command works with: the running one, else its own for as long as it runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from lakehouse.embedded.console import console
from lakehouse.embedded.services import services, stack_runs
from lakehouse.embedded.waiting import until
from lakehouse.errors import EngineLost, LakehouseError
from lakehouse.home import Home
from lakehouse.jobs import Progress, WriterGone, call
from lakehouse.settings import Settings

RunJob = Callable[..., Any]

READERS = frozenset({"audit", "drain", "sql"})
"""Jobs that change nothing, and may be asked again."""
ASK_AGAIN_S = 0.5


@contextmanager
def writer_for(settings: Settings) -> Iterator[RunJob]:
    """Yields ``run(job, arguments, progress, timeout_s)``. Starts Kafka, Postgres and a writer where none runs.

    The simulator is never started by this.
    """
    home = Home(settings.home)
    with ExitStack() as held:
        # A stack's writer needs none of its servers to be asked: `sql` answers while Postgres is away.
        endpoints = None if stack_runs(home) else held.enter_context(services(settings, {"kafka", "postgres"}))
        if endpoints is None or stack_runs(home):
            # Its writer may be starting, or on its way back; a second one beside it would only be refused.
            until(home.socket.exists, settings.start_timeout_s)

            def ask(
                job: str, arguments: Mapping[str, Any], progress: Progress = _tell, timeout_s: float | None = None
            ) -> Any:
                deadline = time.monotonic() + settings.start_timeout_s
                while True:
                    try:
                        return call(home, job, arguments, progress=progress, timeout_s=timeout_s)
                    except WriterGone:
                        # The stack brings its writer back; what changes nothing is asked of the new one.
                        if job not in READERS or time.monotonic() > deadline or not stack_runs(home):
                            raise
                        time.sleep(ASK_AGAIN_S)

            yield ask
            return
        from lakehouse.writer import open_writer  # Spark is loaded only where it is needed

        with open_writer(settings, endpoints, _tell) as writer:

            def run(
                job: str, arguments: Mapping[str, Any], progress: Progress = _tell, timeout_s: float | None = None
            ) -> Any:
                del timeout_s  # the job keeps its own time
                try:
                    return writer.run_job(job, arguments, progress)
                except EngineLost as error:
                    raise LakehouseError(str(error)) from error

            yield run


def _tell(text: str) -> None:
    console.print(text, style="dim", highlight=False, markup=False)
