"""What a running stack says of itself, for `status`, `down` and `up --detach`."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from lakehouse.embedded.supervisor import ServiceStatus
from lakehouse.home import Home

Phase = Literal["starting", "running", "stopping"]


@dataclass(frozen=True)
class StackState:
    """Written by the supervisor at each change."""

    pid: int
    """The supervisor's."""
    phase: Phase
    since: float
    """Unix time of the start."""
    services: tuple[ServiceStatus, ...]

    def save(self, home: Home) -> None:
        path = _path(home)
        part = path.with_suffix(".part")
        part.write_text(json.dumps(asdict(self)))
        part.replace(path)

    @classmethod
    def load(cls, home: Home) -> StackState | None:
        """The last state written; None where there is none. Who holds the lock tells whether it still holds."""
        try:
            told = json.loads(_path(home).read_text())
            services = tuple(ServiceStatus(**service) for service in told.pop("services"))
            return cls(**told, services=services)
        except (OSError, ValueError, TypeError, KeyError):
            return None

    @staticmethod
    def remove(home: Home) -> None:
        _path(home).unlink(missing_ok=True)


def _path(home: Home) -> Path:
    return home.run / "stack.json"
