"""Which of a person's alert rules fire, and which did: noted under the home by who evaluates them, read by everyone
else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from lakehouse.home import Home
from lakehouse.obstacles import despite_full_disk

SILENT_AFTER = timedelta(minutes=2)
"""The rules are looked at four times a minute."""
OVER_SHOWN_FOR: Final = timedelta(hours=1)
"""An alert that is over is shown for so long after it was found to be."""


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
        return f"{self.name} · {self.said} · since {_moment(self.since)}"


@dataclass(frozen=True)
class Over:
    """A rule that fired, and does not any more. Times are aware."""

    name: str
    said: str
    """What was passed by how much, when it was passed last."""
    since: datetime
    until: datetime
    """The last look that found its bound passed."""
    found: datetime
    """When it was found to be over: the bound had not been passed for a while, or the rule was gone."""
    untold: tuple[str, ...] = ()
    """The recipients that are still to be told."""

    @property
    def lasted(self) -> timedelta:
        """From the first to the last look that found its bound passed."""
        return self.until - self.since

    def __str__(self) -> str:
        lasted = timedelta(seconds=int(self.lasted.total_seconds()))
        return f"{self.name} · {self.said} · over since {_moment(self.until)}, after {lasted}"


@dataclass(frozen=True)
class Alerts:
    """What the last look at the rules found."""

    at: datetime
    firing: tuple[Firing, ...] = ()
    problem: str | None = None
    """Why the rules could not be looked at, all or some of them."""
    over: tuple[Over, ...] = ()
    """The oldest first; those whose rule fires again included."""

    @property
    def just_over(self) -> tuple[Over, ...]:
        """What is worth showing: over for at most `OVER_SHOWN_FOR`, each rule once, and none that fires again."""
        fires = {firing.name for firing in self.firing}
        newest = {each.name: each for each in self.over if self.at - each.found <= OVER_SHOWN_FOR}
        return tuple(each for name, each in newest.items() if name not in fires)

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
            return cls(
                _time(kept["at"]),
                tuple(_firing(each) for each in kept["firing"]),
                kept["problem"],
                tuple(_over(each) for each in kept.get("over", ())),
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None


def current(home: Home, now: datetime) -> Alerts | None:
    """What the last look found; None where nobody looks now."""
    found = Alerts.load(home)
    return None if found is None or now - found.at > SILENT_AFTER else found


def _firing(kept: Mapping[str, Any]) -> Firing:
    told = {name: _time(at) for name, at in kept["told"].items()}
    return Firing(kept["name"], kept["said"], _time(kept["since"]), _time(kept["seen"]), told)


def _over(kept: Mapping[str, Any]) -> Over:
    times = _time(kept["since"]), _time(kept["until"]), _time(kept["found"])
    return Over(kept["name"], kept["said"], *times, tuple(kept["untold"]))


def _time(kept: str) -> datetime:
    return datetime.fromisoformat(kept)


def _moment(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M:%S} UTC"
