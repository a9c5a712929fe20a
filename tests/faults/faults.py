"""The faults: each hits the running stack once, from outside, as the world does."""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass

import psutil
import psycopg2

from lakehouse.embedded.waiting import until
from lakehouse.endpoints import Endpoints
from lakehouse.errors import LakehouseError
from tests.faults.plan import Step
from tests.faults.topic import make_anew
from tests.faults.world import Skipped, World

Act = Callable[[World, Step], str]
"""Does it and says to what; raises Skipped with the reason where it cannot."""

SETTLE_S = 240.0
"""Longest wait for the broker to take every message, outages included."""


@dataclass(frozen=True)
class Fault:
    name: str
    weight: int
    """How often it is drawn, relative to the others: those that stop the stack take longer."""
    act: Act


def kill(service: str) -> Act:
    def act(world: World, _: Step) -> str:
        process = world.service(service)
        process.kill()
        return f"pid {process.pid}"

    return act


def kill_jvm(world: World, _: Step) -> str:
    process = world.jvm()
    process.kill()
    return f"pid {process.pid}"


def kill_postgres_backend(world: World, _: Step) -> str:
    """Postgres ends all its sessions then, and recovers from its log."""
    for backend in world.service("postgres").children():
        with suppress(psutil.NoSuchProcess):  # a session that ends while it is looked at
            command = " ".join(backend.cmdline())
            if "lakehouse_writer" in command:
                backend.kill()
                return command
    raise Skipped("the writer has no session")


def kill_up(world: World, _: Step) -> str:
    process = world.supervisor()
    process.kill()
    world.up()
    return f"pid {process.pid}, then up again"


def pause(service: str) -> Act:
    """Stops the service with all its processes for a while, as a machine that swaps or a debugger does."""

    def act(world: World, step: Step) -> str:
        process = world.service(service)
        _freeze([process, *process.children(recursive=True)], step.lasts_s)
        return f"pid {process.pid}, {step.lasts_s:g} s"

    return act


def pause_jvm(world: World, step: Step) -> str:
    process = world.jvm()
    _freeze([process], step.lasts_s)
    return f"pid {process.pid}, {step.lasts_s:g} s"


def pause_up(world: World, step: Step) -> str:
    process = world.supervisor()
    _freeze([process], step.lasts_s)
    return f"pid {process.pid}, {step.lasts_s:g} s"


def restart(world: World, _: Step) -> str:
    world.shop.run("down")
    world.up()
    return "down, then up"


def drop_connections(world: World, step: Step) -> str:
    """Ends the writer's sessions, in the midst of a transaction if one is met in time."""
    world.service("postgres")
    try:
        with closing(psycopg2.connect(Endpoints.load(world.home).postgres_owner, connect_timeout=5)) as owner:
            owner.autocommit = True
            with owner.cursor() as cursor:

                def ended(condition: str) -> int:
                    cursor.execute(_TERMINATE + condition)
                    return int(cursor.rowcount)

                in_transaction = 0
                deadline = time.monotonic() + step.lasts_s
                while not in_transaction and time.monotonic() < deadline:
                    in_transaction = ended(" AND backend_xid IS NOT NULL")
                others = ended("")
    except (psycopg2.OperationalError, LakehouseError) as error:
        raise Skipped(f"Postgres does not answer: {' '.join(str(error).split())}") from None
    if not in_transaction + others:
        raise Skipped("the writer has no session")
    return f"{in_transaction} in a transaction, {others} others"


_TERMINATE = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE usename = 'lakehouse_writer' AND application_name LIKE 'mirror%'"
)


def delete_checkpoint(world: World, _: Step) -> str:
    world.shop.run("down")
    checkpoint = world.home.checkpoints / "bronze"
    generations = sorted(path.name for path in checkpoint.glob("gen-*"))
    shutil.rmtree(checkpoint, ignore_errors=True)
    world.up()
    return ", ".join(generations)


def make_topic_anew(world: World, _: Step) -> str:
    """With everything drained before: what only Kafka had would be lost by whoever deletes the topic."""
    world.flow.settle(SETTLE_S)
    drain(world)
    make_anew(world.flow.bootstrap, world.flow.topic)
    return "drained, deleted, made"


def fill_disk(world: World, step: Step) -> str:
    if world.disk is None:
        raise Skipped(f"no disk can be mounted here: {world.no_disk}")
    taken = world.disk.fill()
    try:
        time.sleep(step.lasts_s)  # how long the fault lasts, not a wait for something
    finally:
        world.disk.free()
    world.ensure_up()
    return f"{taken / 2**20:.0f} MB for {step.lasts_s:g} s"


def drain(world: World) -> None:
    """Until it is drained: what a fault has hit may be on its way back."""
    said = ""

    def drained() -> bool:
        nonlocal said
        with world.shop.start("drain", "--timeout", "60") as process:
            _, said = process.communicate(timeout=SETTLE_S)
        return process.returncode == 0

    if not until(drained, SETTLE_S, tick_s=0.5):
        raise AssertionError(f"not drained after {SETTLE_S:g} s: {said}")


def _freeze(processes: list[psutil.Process], seconds: float) -> None:
    stopped = []
    try:
        for process in processes:
            try:
                process.send_signal(signal.SIGSTOP)
                stopped.append(process)
            except psutil.NoSuchProcess:
                continue
        if not stopped:
            raise Skipped("it has just ended")
        time.sleep(seconds)  # how long the fault lasts, not a wait for something
    finally:
        for process in stopped:
            try:
                process.send_signal(signal.SIGCONT)
            except psutil.NoSuchProcess:
                continue


FAULTS: Mapping[str, Fault] = {
    fault.name: fault
    for fault in (
        Fault("kill writer", 6, kill("writer")),
        Fault("kill JVM", 5, kill_jvm),
        Fault("kill postgres", 5, kill("postgres")),
        Fault("kill postgres backend", 3, kill_postgres_backend),
        Fault("kill kafka", 5, kill("kafka")),
        Fault("kill api", 2, kill("api")),
        Fault("kill up", 2, kill_up),
        Fault("pause writer", 2, pause("writer")),
        Fault("pause JVM", 2, pause_jvm),
        Fault("pause postgres", 3, pause("postgres")),
        Fault("pause kafka", 3, pause("kafka")),
        Fault("pause api", 1, pause("api")),
        Fault("pause up", 1, pause_up),
        Fault("restart", 1, restart),
        Fault("drop connections", 5, drop_connections),
        Fault("delete checkpoint", 2, delete_checkpoint),
        Fault("make topic anew", 2, make_topic_anew),
        Fault("fill disk", 2, fill_disk),
    )
}
