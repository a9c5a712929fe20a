"""A home whose writer runs without a stack, beside Kafka and Postgres of one's own."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from lakehouse.embedded.locks import Held, holding
from lakehouse.embedded.runstate import StackState
from lakehouse.embedded.services import prepare
from lakehouse.embedded.stack import plan_writer, require_disk
from lakehouse.embedded.supervisor import Supervisor
from lakehouse.errors import LakehouseError
from lakehouse.home import Home
from lakehouse.settings import Settings


@contextmanager
def alone(settings: Settings) -> Iterator[Home]:
    """Holds the home as a stack does, so that commands find the writer; brings Postgres to the newest schema.

    To be called in the main thread. Raises LakehouseError where the home is in use, the settings name no servers, or
    one of them does not answer.
    """
    home = Home(settings.home).make()
    try:
        with holding(home.supervisor_lock, "stack"):
            prepare(home)
            require_disk(settings, home)
            plan = plan_writer(settings, home)
            plan.endpoints.save(home)
            tasks = Supervisor(settings, home, lambda _: None)
            try:
                tasks.start(plan.services)
                StackState(os.getpid(), "running", time.time(), ()).save(home)
                yield home
            finally:
                tasks.stop()
                home.endpoints.unlink(missing_ok=True)
                StackState.remove(home)
    except Held:
        raise LakehouseError(f"{home.root} is in use; see `lakehouse status`, or name another home") from None
