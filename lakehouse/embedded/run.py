"""One service in the foreground, beside servers and services that others run: for containers."""

from __future__ import annotations

import os
from typing import NoReturn

from lakehouse.embedded.environment import inherited
from lakehouse.embedded.locks import holder, share
from lakehouse.embedded.stack import health_check, plan_service
from lakehouse.embedded.up import say_held
from lakehouse.endpoints import Endpoints
from lakehouse.errors import LakehouseError
from lakehouse.home import Home
from lakehouse.settings import Settings


def run_service(settings: Settings, name: str) -> NoReturn:
    """Becomes the service with this name, one of `lakehouse.embedded.stack.OWN`: signals reach it, and its exit code is
    this process's.

    1. refuses where a stack runs under the home, which has that service already;
    2. says, until it ends, that services run here which nobody watches over (`Home.services_lock`), so that commands
       use them instead of starting their own;
    3. writes where everything answers, unless that is known: the home may be one that this service only reads.

    Raises LakehouseError where a stack runs, or as `plan_service`.
    """
    home = Home(settings.home).make()
    if (held := holder(home.supervisor_lock)) is not None:
        raise LakehouseError(say_held(home, held))
    plan = plan_service(settings, home, name)
    share(home.services_lock)
    if _known(home) != plan.endpoints:
        plan.endpoints.save(home)
    (service,) = plan.services
    os.execvpe(service.argv[0], service.argv, {**inherited(), **service.env})  # noqa: S606 (a list of ours, no shell)


def ask_health(settings: Settings, name: str) -> tuple[bool, str]:
    """Whether the service with this name, on this machine, passes the check that the stack makes of it, and one line.

    Of a service without one it is true: there, its process is all that can be asked.
    """
    check = health_check(settings, Home(settings.home), name)
    if check is None:
        return True, f"{name} has no health check: it is well as long as its process runs"
    return (True, f"{name} is healthy") if check() else (False, f"{name} is not healthy: it does not answer")


def _known(home: Home) -> Endpoints | None:
    try:
        return Endpoints.load(home)
    except LakehouseError:
        return None
