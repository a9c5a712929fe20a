"""Looks at the alert rules again and again, notes which fire, and tells of it whom the settings name.

A rule begins to fire at the first look that finds its bound passed, and is over once none has for five minutes, so
that a figure that swings about its bound is one alert. What is not known changes nothing. Who is told is who is told
of verdicts (`quality.telling`): when a rule begins to fire, and once a day while it lasts; at least once, for the note
of it comes after the answer.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import psycopg2
from psycopg2.extensions import connection as Connection

from lakehouse.alerts import Alerts, Firing
from lakehouse.errors import LakehouseError
from lakehouse.home import Home
from lakehouse.runner import one_line
from lakehouse.stages import utc_now
from quality.alert_figures import value
from quality.alert_rules import Rule, load_rules
from quality.telling import AGAIN_AFTER, FIRST_RETRY_S, LONGEST_RETRY_S, Message, NotSent, Recipient

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
        found = Alerts(now, tuple(firing), problem)
        found.save(self.home)
        told = replace(found, firing=tuple(self._told(each, now) for each in firing))
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

    def _told(self, firing: Firing, now: datetime) -> Firing:
        for recipient in self.recipients:
            last = firing.told.get(recipient.name)
            if last is not None and now - last < AGAIN_AFTER:
                continue
            if self._retry_at.get(recipient.name, now) > now:
                continue
            try:
                recipient.send(self._message(firing))
            except NotSent as reason:
                if not recipient.failures:
                    self.log(f"{recipient.name}: {reason}; it is tried again")
                recipient.failures += 1
                pause = min(FIRST_RETRY_S * 2**recipient.failures, LONGEST_RETRY_S)
                self._retry_at[recipient.name] = now + timedelta(seconds=pause)
                continue
            recipient.failures = 0
            firing = replace(firing, told={**firing.told, recipient.name: now})
        return firing

    def _message(self, firing: Firing) -> Message:
        return {
            "alert": firing.name,
            "said": firing.said,
            "since": firing.since.isoformat(),
            "home": str(self.home.root),
        }


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
