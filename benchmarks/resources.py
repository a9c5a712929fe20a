"""What each process of a stack takes of memory and processors while something goes on."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

import psutil

from benchmarks.others import busy_seconds
from benchmarks.stack import Stack

INTERVAL_S: Final = 2.0
MIB: Final = 1024 * 1024

BUDGET_MIB: Final[Mapping[str, int]] = {
    "writer: Python": 900,
    "writer: Spark": 1_700,
    "kafka": 600,
    "postgres": 450,
    "api": 350,
    "dashboard": 200,
    "validator": 700,
    "supervisor": 100,
}
"""What each process may take at its peak. Spark's is its heap of 1 GiB, its classes and its threads; of the API's
150 MiB are scikit-learn and what that imports; of the validator's 330 are Great Expectations and pandas."""


@dataclass(frozen=True)
class Memory:
    """Memory in MiB, each shared page counted in parts (PSS), with all child processes."""

    median: float
    peak: float
    budget: int | None

    @property
    def within_budget(self) -> bool:
        return self.budget is None or self.peak <= self.budget


@dataclass(frozen=True)
class Usage:
    """What was used between the start and the end of the samples."""

    memory: Mapping[str, Memory]
    total_memory_peak: float
    """MiB, of all processes of the stack at one moment."""
    cores: Mapping[str, float]
    """Cores kept busy by each process on the average; ``benchmark``: what measures, and the browsers where there are
    some; ``others`` are not the stack's, nor the benchmark's."""


@dataclass
class Samples:
    """Filled by a thread; read it after the thread has ended."""

    memory: list[dict[str, float]] = field(default_factory=list)
    seconds: float = 0.0
    processor_seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))

    def usage(self) -> Usage:
        names = sorted({name for sample in self.memory for name in sample})
        by_name = {name: sorted(sample[name] for sample in self.memory if name in sample) for name in names}
        return Usage(
            memory={
                name: Memory(round(taken[len(taken) // 2], 1), round(taken[-1], 1), BUDGET_MIB.get(name))
                for name, taken in by_name.items()
            },
            total_memory_peak=round(max((sum(sample.values()) for sample in self.memory), default=0.0), 1),
            cores={name: round(s / self.seconds, 3) for name, s in sorted(self.processor_seconds.items())}
            if self.seconds
            else {},
        )


@contextmanager
def sampled(stack: Stack, load_pid: int | None = None) -> Iterator[Samples]:
    """Samples the stack's processes every ``INTERVAL_S`` until the block ends."""
    samples, done = Samples(), threading.Event()

    def run() -> None:
        began, busy, before = time.monotonic(), busy_seconds(), _processor_seconds(stack, load_pid)
        while not done.wait(INTERVAL_S):
            samples.memory.append(_memory(stack))
        for name, seconds in _processor_seconds(stack, load_pid).items():
            samples.processor_seconds[name] = max(0.0, seconds - before.get(name, 0.0))
        samples.seconds = time.monotonic() - began
        known = sum(samples.processor_seconds.values())
        samples.processor_seconds["others"] = max(0.0, busy_seconds() - busy - known)

    thread = threading.Thread(target=run, name="resources", daemon=True)
    thread.start()
    try:
        yield samples
    finally:
        done.set()
        thread.join()


def families(stack: Stack) -> dict[str, list[psutil.Process]]:
    """The processes of each service, children included; the writer's JVM apart from its Python."""
    found: dict[str, list[psutil.Process]] = {}
    for name, pid in stack.pids().items():
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(pid)
            children = [] if name == "supervisor" else process.children(recursive=True)
            if name == "writer":
                found["writer: Python"], found["writer: Spark"] = [process], children
            else:
                found[name] = [process, *children]
    return found


def _memory(stack: Stack) -> dict[str, float]:
    sample = {}
    for name, processes in families(stack).items():
        total = 0
        for process in processes:
            with contextlib.suppress(psutil.Error):
                told = process.memory_full_info()
                total += getattr(told, "pss", told.uss)
        sample[name] = total / MIB
    return sample


def _processor_seconds(stack: Stack, load_pid: int | None) -> dict[str, float]:
    """Of each family, so far: what its processes took, and what those took that have ended before. Postgres makes one
    for each session, and most are gone before anybody looks."""
    own = psutil.Process()
    beside = [child for child in own.children(recursive=True) if child.pid != load_pid]
    # What the supervisor's have taken that ended were services of their own.
    seconds = {name: taken(found, ended=name != "supervisor") for name, found in families(stack).items()}
    seconds["benchmark"] = taken([own, *beside], ended=False)
    if load_pid is not None:
        with contextlib.suppress(psutil.Error):
            seconds["load"] = taken([psutil.Process(load_pid)], ended=False)
    return seconds


def taken(processes: Iterable[psutil.Process], *, ended: bool) -> float:
    """Processor seconds of these; with ``ended`` those of their children too that have ended."""
    seconds = 0.0
    for process in processes:
        with contextlib.suppress(psutil.Error):
            times = process.cpu_times()
            seconds += times.user + times.system
            if ended:
                seconds += times.children_user + times.children_system
    return seconds
