"""Which of a person's alert rules fire: noted under the home by who evaluates them, read by everyone else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta

from lakehouse.home import Home
from lakehouse.obstacles import despite_full_disk

SILENT_AFTER = timedelta(minutes=2)
"""The rules are looked at four times a minute."""


@dataclass(frozen=True)
class Firing:
    """A rule whose bound is passed. Times are aware."""

    name: str
    said: str
    """What is passed by how much, in one line."""
    since: datetime
    seen: datetime
    """When it was passed last."""
    told: Mapping[str, datetime] = field(default_factory=dict)
    """For each recipient when it was told last."""

    def __str__(self) -> str:
        return f"{self.name} · {self.said} · since {self.since:%Y-%m-%d %H:%M:%S} UTC"


@dataclass(frozen=True)
class Alerts:
    """What the last look at the rules found."""

    at: datetime
    firing: tuple[Firing, ...] = ()
    problem: str | None = None
    """Why the rules could not be looked at, all or some of them."""

    def save(self, home: Home) -> None:
        with despite_full_disk():
            home.alerts.parent.mkdir(parents=True, exist_ok=True)
            part = home.alerts.with_suffix(".part")
            part.write_text(json.dumps(asdict(self), default=datetime.isoformat))
            part.replace(home.alerts)

    @classmethod
    def load(cls, home: Home) -> Alerts | None:
        """None where nobody has looked yet."""
        try:
            kept = json.loads(home.alerts.read_text())
            firing = tuple(
                Firing(
                    each["name"],
                    each["said"],
                    datetime.fromisoformat(each["since"]),
                    datetime.fromisoformat(each["seen"]),
                    {name: datetime.fromisoformat(at) for name, at in each["told"].items()},
                )
                for each in kept["firing"]
            )
            return cls(datetime.fromisoformat(kept["at"]), firing, kept["problem"])
        except (OSError, ValueError, KeyError, TypeError):
            return None


def current(home: Home, now: datetime) -> Alerts | None:
    """What the last look found; None where nobody looks now."""
    found = Alerts.load(home)
    return None if found is None or now - found.at > SILENT_AFTER else found
