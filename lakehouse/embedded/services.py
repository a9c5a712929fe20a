"""The servers that one command needs: those of the running stack, else its own for as long as it runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager

from lakehouse.embedded import kafka, postgres
from lakehouse.embedded.console import console
from lakehouse.embedded.locks import Held, holder, holding, is_shared
from lakehouse.embedded.pidfiles import end_orphans
from lakehouse.embedded.stack import KAFKA, POSTGRES, SERVERS, plan_servers
from lakehouse.embedded.supervisor import Event, Supervisor
from lakehouse.embedded.waiting import until
from lakehouse.endpoints import Endpoints
from lakehouse.errors import LakehouseError
from lakehouse.home import Home
from lakehouse.kafka_security import KafkaSecurity
from lakehouse.settings import Settings

ORPHAN_LIMIT_S = 5.0
"""How long what a killed run has left may take to end by itself; a kill loses nothing either, only time."""


@contextmanager
def services(settings: Settings, need: Iterable[str]) -> Iterator[Endpoints]:
    """Yields where the servers that ``need`` names (``kafka``, ``postgres``) answer.

    Where a stack runs under the home, its servers are used. Otherwise they are started for the duration, with
    the migrations run where Postgres is among them; servers that the settings name are used as they are. An
    address that was not needed may be the empty string. To be called in the main thread, since the servers
    end with the thread that has started them. Raises LakehouseError where another command runs servers of its
    own under this home, or one does not start.
    """
    home = Home(settings.home)
    wanted = frozenset(need)
    if unknown := wanted - SERVERS:
        raise ValueError(f"unknown servers: {sorted(unknown)}")
    with ExitStack() as held:
        try:
            if is_shared(home.services_lock):
                raise Held(None)
            held.enter_context(holding(home.supervisor_lock, "command"))
        except Held:
            endpoints = _of_the_stack(settings, home, wanted)
        else:
            endpoints = held.enter_context(_own(settings, home.make(), wanted))
        yield endpoints


def prepare(home: Home) -> None:
    """Clears what a killed run has left; under the supervisor's lock, before anything is started."""
    for name in end_orphans(home, ORPHAN_LIMIT_S):
        console.print(f"ended {name}, left by a run that was killed")
    home.endpoints.unlink(missing_ok=True)


@contextmanager
def _own(settings: Settings, home: Home, need: frozenset[str]) -> Iterator[Endpoints]:
    prepare(home)
    plan = plan_servers(settings, home, need)
    supervisor = Supervisor(settings, home, _tell)
    try:
        plan.endpoints.save(home)
        supervisor.start(plan.services)
        yield plan.endpoints
    finally:
        supervisor.stop()
        home.endpoints.unlink(missing_ok=True)


def _of_the_stack(settings: Settings, home: Home, need: frozenset[str]) -> Endpoints:
    """The running stack's addresses, once the servers needed are up: it may have begun to start only now."""
    if not until(lambda: home.endpoints.is_file() or not stack_runs(home), settings.start_timeout_s):
        raise LakehouseError(
            f"the stack under {home.root} is not up after {settings.start_timeout_s:g} s; see its logs"
        )
    if not stack_runs(home):
        running = holder(home.supervisor_lock)
        who = f" (pid {running.pid})" if running else ""
        raise LakehouseError(
            f"another lakehouse command{who} runs its own servers under {home.root}; wait until it has ended, or "
            "start the stack with `lakehouse up`, which all commands share"
        )
    endpoints = Endpoints.load(home)
    checks = {
        KAFKA: kafka.answers(endpoints.kafka, KafkaSecurity.of(settings)),
        POSTGRES: postgres.answers(endpoints.postgres_owner),
    }
    for name in sorted(need):
        if not until(checks[name], settings.start_timeout_s, tick_s=0.2):
            raise LakehouseError(
                f"{name} of the stack under {home.root} does not answer; see `lakehouse status` and {home.logs}"
            )
    return endpoints


def stack_runs(home: Home) -> bool:
    """Whether the lock's holder is a stack, or services run that were started one by one."""
    running = holder(home.supervisor_lock)
    return (running is not None and running.role == "stack") or is_shared(home.services_lock)


def _tell(event: Event) -> None:
    if event.kind in ("up", "done"):
        console.print(f"{event.service} {event.kind} in {event.seconds:.1f} s", style="dim")
