"""Locks between processes: an flock, which the kernel lets go of when its holder dies, however it dies."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from lakehouse.embedded.waiting import until

Role = Literal["stack", "command"]


@dataclass(frozen=True)
class Holder:
    """Who holds a home."""

    pid: int
    role: Role
    """``stack``: `lakehouse up`, whose servers others may use. ``command``: servers for one command only."""


class Held(Exception):
    """The lock is held by another process; ``holder`` is None where that one has not said who it is."""

    def __init__(self, holder: Holder | None) -> None:
        super().__init__(str(holder))
        self.holder = holder


@contextmanager
def holding(path: Path, role: Role) -> Iterator[None]:
    """Holds the lock at ``path`` and says in it who does. Raises Held."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        # `holder` looks at a lock by holding it, shared, for a moment: hence the second of patience.
        if not until(lambda: _flock(fd, fcntl.LOCK_EX), limit_s=1):
            raise Held(_read(path))
        os.ftruncate(fd, 0)
        os.pwrite(fd, json.dumps(asdict(Holder(os.getpid(), role))).encode(), 0)
        yield
        os.ftruncate(fd, 0)
    finally:
        os.close(fd)


@contextmanager
def exclusively(path: Path, limit_s: float) -> Iterator[None]:
    """Waits for the lock at ``path`` up to ``limit_s`` seconds. Raises Held."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if not until(lambda: _flock(fd, fcntl.LOCK_EX), limit_s):
            raise Held(None)
        yield
    finally:
        os.close(fd)


LOOK_S = 0.3
"""How long a look at a shared lock waits for others who look, each for a moment."""


def share(path: Path) -> None:
    """Holds the lock at ``path`` together with others until this process ends, also as another program (exec).

    The file may lie where this process may only read, once it is there.
    """
    try:
        fd = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(path, os.O_RDONLY | os.O_CREAT, 0o600)
    fcntl.flock(fd, fcntl.LOCK_SH)
    os.set_inheritable(fd, True)


def is_shared(path: Path) -> bool:
    """Whether any process shares the lock at ``path``."""
    try:
        fd = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        return not until(lambda: _flock(fd, fcntl.LOCK_EX), LOOK_S)
    finally:
        os.close(fd)


def holder(path: Path) -> Holder | None:
    """Who holds the lock at ``path`` now, or None."""
    try:
        fd = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        return None if _flock(fd, fcntl.LOCK_SH) else _read(path)
    finally:
        os.close(fd)


def _flock(fd: int, kind: int) -> bool:
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read(path: Path) -> Holder | None:
    try:
        return Holder(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        return None  # taken a moment ago, not yet written
