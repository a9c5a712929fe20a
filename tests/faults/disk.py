"""A disk of its own for the home, small enough to be filled."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

MB = 1 << 20
SIZE_MB = 2_048


@dataclass(frozen=True)
class Disk:
    """A file system in memory, mounted at ``root``."""

    root: Path

    @property
    def _ballast(self) -> Path:
        return self.root / "ballast"

    @property
    def free_bytes(self) -> int:
        return os.statvfs(self.root).f_bavail * os.statvfs(self.root).f_frsize

    def fill(self, leave_bytes: int = 0) -> int:
        """Leaves ``leave_bytes`` free, as another program that takes the rest would; returns the bytes taken."""
        taken = 0
        with self._ballast.open("ab") as file:
            while (more := self.free_bytes - leave_bytes) > 0:
                try:
                    os.posix_fallocate(file.fileno(), taken, more)
                except OSError:  # somebody else was quicker with a part of it
                    continue
                taken += more
        return taken

    def free(self) -> None:
        self._ballast.unlink(missing_ok=True)


def why_not_mountable(folder: Path) -> str | None:
    """Why no file system can be mounted at ``folder``; None where it can."""
    try:
        with mounted(folder, size_mb=1):
            return None
    except OSError as error:
        return str(error)


@contextmanager
def mounted(folder: Path, size_mb: int = SIZE_MB) -> Iterator[Disk]:
    """A disk of ``size_mb`` at ``folder`` for the duration. Raises OSError where mounting is not allowed."""
    folder.mkdir(parents=True, exist_ok=True)
    _run("mount", "-t", "tmpfs", "-o", f"size={size_mb}m,mode=755", "tmpfs", str(folder))
    try:
        yield Disk(folder)
    finally:
        _run("umount", "--lazy", str(folder))


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"{command[0]}: {done.stderr.strip() or done.returncode}")
