"""Looks at the alert rules again and again, notes which fire, and tells of it whom the settings name.

A rule begins to fire at the first look that finds its bound passed, and is over once none has for five minutes, so
that a figure that swings about its bound is one alert. What is not known changes nothing. Who is told is who is told
of verdicts (`quality.telling`): when a rule begins to fire, once a day while it lasts, and when it is over; at least
once, for the note of it comes after the answer.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import psycopg2
from psycopg2.extensions import connection as Connection

from lakehouse.alerts import OVER_SHOWN_FOR, Alerts, Firing, Over
from lakehouse.errors import LakehouseError
from lakehouse.home import Home
from lakehouse.runner import one_line
from lakehouse.stages import utc_now
from quality.alert_figures import value
from quality.alert_rules import Rule, load_rules
from quality.telling import (
    AGAIN_AFTER,
    FIRST_RETRY_S,
    LONGEST_RETRY_S,
    NEWS_FOR,
    Message,
    NotSent,
    Recipient,
    State,
)

LOOK_INTERVAL_S = 15.0
OVER_AFTER = timedelta(minutes=5)
STATEMENT_TIMEOUT_S = 10


@dataclass
class Watch:
    """The rules of a home, and who is told; ``measure`` gives a rule's figure, None where it is not known."""

    home: Home
    measure: Callable[[Rule], float | None]
    recipients: Sequence[Recipient]
    log: Callable[[str], None]
    clock: Callable[[], datetime] = utc_now
    _said: str | None = None
    _retry_at: dict[str, datetime] = field(default_factory=dict)

    def look(self) -> Alerts:
        """One look at all rules, noted under the home; what is due is sent."""
        before, now = Alerts.load(self.home), self.clock()
        known = {firing.name: firing for firing in before.firing} if before else {}
        firing: list[Firing] = []
        problem = None
        try:
            for rule in load_rules(self.home.alert_rules):
                firing += self._judged(rule, known.get(rule.name), now)
        except (LakehouseError, psycopg2.Error) as error:
            problem, firing = one_line(error), list(known.values())  # what fired still does, as far as is known
        if problem != self._said and problem is not None:
            self.log(f"alerts: {problem}")
        self._said = problem
        ended = known.keys() - {each.name for each in firing}
        over = [
            *(each for each in (before.over if before else ()) if _is_kept(each, now)),
            *(self._over(each, now) for name, each in known.items() if name in ended),
        ]
        found = Alerts(now, tuple(firing), problem, tuple(over))
        found.save(self.home)
        # What is over first: it may be that the rule fires again.
        told_over = tuple(self._told_over(each, now) for each in over)
        told = replace(found, over=told_over, firing=tuple(self._told(each, now) for each in firing))
        if told != found:
            told.save(self.home)
        return told

    def _judged(self, rule: Rule, before: Firing | None, now: datetime) -> list[Firing]:
        measured = self.measure(rule)
        passed = None if measured is None else rule.passed_by(measured)
        if passed is not None:
            return [replace(before, said=passed, seen=now) if before else Firing(rule.name, passed, now, now)]
        lasts = before is not None and (measured is None or now - before.seen < OVER_AFTER)
        return [before] if before is not None and lasts else []

    def _over(self, firing: Firing, now: datetime) -> Over:
        """To be told to everyone, also to whom the beginning could not be told: it says all of it."""
        names = tuple(recipient.name for recipient in self.recipients)
        return Over(firing.name, firing.said, firing.since, firing.seen, now, names)

    def _told(self, firing: Firing, now: datetime) -> Firing:
        for recipient in self.recipients:
            last = firing.told.get(recipient.name)
            if last is not None and now - last < AGAIN_AFTER:
                continue
            if self._send(recipient, self._began(firing, State.begun if last is None else State.lasts), now):
                firing = replace(firing, told={**firing.told, recipient.name: now})
        return firing

    def _told_over(self, over: Over, now: datetime) -> Over:
        for recipient in self.recipients:
            if recipient.name in over.untold and self._send(recipient, self._ended(over), now):
                over = replace(over, untold=tuple(name for name in over.untold if name != recipient.name))
        return over

    def _send(self, recipient: Recipient, message: Message, now: datetime) -> bool:
        """Whether it was sent; one that fails is left alone for a while."""
        if self._retry_at.get(recipient.name, now) > now:
            return False
        try:
            recipient.send(message)
        except NotSent as reason:
            if not recipient.failures:
                self.log(f"{recipient.name}: {reason}; it is tried again")
            recipient.failures += 1
            pause = min(FIRST_RETRY_S * 2**recipient.failures, LONGEST_RETRY_S)
            self._retry_at[recipient.name] = now + timedelta(seconds=pause)
            return False
        recipient.failures = 0
        return True

    def _began(self, firing: Firing, state: State) -> Message:
        return {
            "alert": firing.name,
            "state": state,
            "said": firing.said,
            "since": firing.since.isoformat(),
            "home": str(self.home.root),
        }

    def _ended(self, over: Over) -> Message:
        return {
            "alert": over.name,
            "state": State.over,
            "said": over.said,
            "since": over.since.isoformat(),
            "until": over.until.isoformat(),
            "lasted_seconds": over.lasted.total_seconds(),
            "home": str(self.home.root),
        }


def _is_kept(over: Over, now: datetime) -> bool:
    """For as long as it is shown, and where somebody is to be told of it for as long as it is news."""
    return now - over.found <= (NEWS_FOR if over.untold else OVER_SHOWN_FOR)


class Figures:
    """The figures of rules, from one connection that is made anew after it was lost."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._connection: Connection | None = None

    def __call__(self, rule: Rule) -> float | None:
        """Raises psycopg2.Error."""
        if self._connection is None or self._connection.closed:
            self._connection = psycopg2.connect(
                self._dsn,
                connect_timeout=3,
                application_name="lakehouse alerts",
                options=f"-c statement_timeout={STATEMENT_TIMEOUT_S * 1000} -c timezone=UTC",
                keepalives_idle=5,
                keepalives_interval=2,
                keepalives_count=2,
            )
        try:
            return value(self._connection, rule)
        except (psycopg2.OperationalError, psycopg2.InterfaceError):
            self._connection.close()
            raise


def start(watch: Watch, stop: threading.Event) -> None:
    """Looks every fifteen seconds, in a thread of its own, until ``stop`` is set."""

    def run() -> None:
        while not stop.is_set():
            began = time.monotonic()
            try:
                watch.look()
            except Exception as error:
                watch.log(f"alerts: {one_line(error)}")
            stop.wait(max(1.0, LOOK_INTERVAL_S - (time.monotonic() - began)))

    threading.Thread(target=run, name="alerts", daemon=True).start()
