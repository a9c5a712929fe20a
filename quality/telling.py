"""Alarms and halts, to whom the settings name: a webhook, a command, or both.

`quality.results` is what there is to send, and a file under the home says, for each of them, up to which run it knows.
So nothing is forgotten by a kill or an outage: a message is sent at least once, and twice only where this process dies
between the answer and the note of it. A run is news where it halts, or where something is not met that was met before;
what lasts is told again once a day, and once when it is met again. What is older than a day is news no more.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import polars as pl

from lakehouse.contracts import QualityResults as Q
from lakehouse.home import Home
from lakehouse.settings import Settings
from lakehouse.stages import utc_now
from lakehouse.standing import ALARM, HALT, followed
from lakehouse.store import TableStore

Message = Mapping[str, Any]
"""A run that was not met where it matters, as JSON has it."""

NEWS_FOR = timedelta(days=1)
AGAIN_AFTER = timedelta(days=1)
"""An alarm that lasts is told of again so much later."""
LONGEST_RUN = timedelta(hours=1)
"""A run is recorded so long after it began at most: later ones may be there before it."""
ANSWER_LIMIT_S = 10.0
COMMAND_LIMIT_S = 60.0
FIRST_RETRY_S = 1.0
LONGEST_RETRY_S = 300.0


class State(StrEnum):
    """Of what a message tells of."""

    begun = "begun"
    lasts = "lasts"
    """It was told of before."""
    over = "over"


class NotSent(Exception):
    """The reason, in one line that names no secret."""


@dataclass(frozen=True)
class Judged:
    """A run, as far as it may be news."""

    table_name: str
    began: str
    """ISO 8601, in UTC."""
    met: frozenset[str]
    not_met: frozenset[str]
    """Names of the expectations that alarm or halt."""
    halts: bool
    message: Message


@dataclass(frozen=True)
class Known:
    """What somebody knows of a table."""

    until: str = ""
    """When the last run began that was looked at for them."""
    not_met: Mapping[str, str] = field(default_factory=dict)
    """What is not met, and when the first run of those began that did not meet it."""
    told: str = ""
    """When the last run began that they were sent for what is not met."""

    def after(self, run: Judged) -> tuple[Known, Message | None]:
        """What they know with ``run``, and what they are to be sent for it."""
        lasting = {name: since for name, since in self.not_met.items() if name not in run.met}
        over = {name: since for name, since in self.not_met.items() if name in run.met}
        has_begun = run.halts or not run.not_met <= lasting.keys()
        tells = bool(run.not_met) and (has_begun or _apart(self.told, run.began) >= AGAIN_AFTER)
        known = Known(
            run.began,
            dict.fromkeys(sorted(run.not_met), run.began) | lasting,
            run.began if tells else self.told,
        )
        if not tells and not over:
            return known, None
        state = State.over if not tells else State.begun if has_begun else State.lasts
        not_met = run.message["not_met"] if tells else []
        return known, {**run.message, "state": state, "not_met": not_met, "over": _over(over, run.began)}


@dataclass
class Recipient:
    """Who is sent each message, one after the other; ``send`` raises NotSent."""

    name: str
    send: Callable[[Message], None]
    since: str = ""
    """When the settings named it first: it is told of nothing that was before. ISO 8601, in UTC."""
    known: dict[str, Known] = field(default_factory=dict)
    """By table."""
    failures: int = 0

    def of(self, table_name: str) -> Known:
        return self.known.get(table_name, Known(until=self.since))

    @property
    def looked_until(self) -> datetime:
        """When the newest run began that was looked at."""
        return datetime.fromisoformat(max((self.since, *(known.until for known in self.known.values()))))

    def steps(self, runs: Iterable[Judged]) -> list[tuple[Judged, Known, Message | None]]:
        """Each of ``runs``, oldest first, that was not looked at yet, what is known after it, and what is to be sent
        for it."""
        known, found = dict(self.known), []
        for run in runs:
            before = known.get(run.table_name, self.of(run.table_name))
            if run.began > before.until:
                known[run.table_name], message = before.after(run)
                found.append((run, known[run.table_name], message))
        return found


class Teller:
    """Sends what was recorded, in a thread of its own: who does not answer keeps no table from being judged."""

    def __init__(
        self, recipients: list[Recipient], store: TableStore, log: Callable[[str], None], retry_s: float = FIRST_RETRY_S
    ) -> None:
        self.recipients = recipients
        self._store = store
        self._log = log
        self._retry_s = retry_s
        self._file = store.home.quality / "sent.json"
        self._due = threading.Event()
        self._thread = threading.Thread(target=self._run, name="teller", daemon=True)

    def open(self) -> None:
        """Reads what was sent before; once, before all else."""
        kept = _load(self._file)
        for recipient in self.recipients:
            known = kept.get(recipient.name, {})
            recipient.since = known.get("since", utc_now().isoformat())
            recipient.known = {
                table: Known(each["until"], _since(each), each["told"])
                for table, each in known.get("known", {}).items()
            }
        self._save()

    def start(self) -> None:
        """Sends from now on, beginning with what a kill or an outage has left."""
        if self.recipients:
            self.open()
            self._thread.start()
            self.wake()

    def wake(self) -> None:
        """There may be something to send."""
        self._due.set()

    def _run(self) -> None:
        pause: float | None = None
        while True:
            self._due.wait(pause)
            self._due.clear()
            pause = self.send_all()

    def send_all(self) -> float | None:
        """Sends what is due, and returns after how many seconds to try again; None where all was sent."""
        pauses = [pause for recipient in self.recipients if (pause := self._send_to(recipient)) is not None]
        return min(pauses, default=None)

    def _send_to(self, recipient: Recipient) -> float | None:
        steps = recipient.steps(judged(self._store, max(utc_now() - NEWS_FOR, recipient.looked_until - LONGEST_RUN)))
        for number, (run, known, message) in enumerate(steps):
            if message is not None:
                try:
                    recipient.send(message)
                except NotSent as reason:
                    if not recipient.failures:
                        waiting = sum(later is not None for _, _, later in steps[number:])
                        self._log(f"{recipient.name}: {reason}; {waiting} alarms wait, and it is tried again")
                    recipient.failures += 1
                    return float(min(self._retry_s * 2 ** (recipient.failures - 1), LONGEST_RETRY_S))
                if recipient.failures:
                    self._log(f"{recipient.name}: answers again after {recipient.failures} failures")
                recipient.failures = 0
            recipient.known[run.table_name] = known
            if message is not None:
                self._save()
        if steps:
            self._save()
        return None

    def _save(self) -> None:
        document = {
            each.name: {
                "since": each.since,
                "known": {
                    table: {"until": known.until, "not_met": dict(known.not_met), "told": known.told}
                    for table, known in each.known.items()
                },
            }
            for each in self.recipients
        }
        self._file.parent.mkdir(parents=True, exist_ok=True)
        part = self._file.with_suffix(".part")
        part.write_text(json.dumps(document))
        part.replace(self._file)


def recipients(settings: Settings) -> list[Recipient]:
    """Whom the settings name."""
    found = []
    if settings.quality_webhook is not None:
        url = settings.quality_webhook
        found.append(Recipient("webhook", lambda message: post(url, message)))
    if settings.quality_command is not None:
        argv = shlex.split(settings.quality_command)
        found.append(Recipient("command", lambda message: run_command(argv, message)))
    return found


def judged(store: TableStore, since: datetime) -> list[Judged]:
    """The runs that began since then, oldest first."""
    rows = (
        store.scan(Q)
        .filter(pl.col(Q.run_date) >= since.date(), pl.col(Q.started_at) >= since)
        .filter(pl.col(Q.severity).is_in([ALARM, HALT]), pl.col(Q.success).is_not_null())
        .sort(Q.started_at, Q.run_id, Q.severity, Q.expectation, descending=[False, False, True, False])
        .collect()
    )
    runs: dict[str, list[dict[str, Any]]] = {}
    for row in rows.iter_rows(named=True):
        runs.setdefault(row[Q.run_id], []).append(row)
    return [_judged(verdicts, store.home) for verdicts in runs.values()]


def _judged(verdicts: list[dict[str, Any]], home: Home) -> Judged:
    run, failed = verdicts[0], [row for row in verdicts if not row[Q.success]]
    follows = run[Q.run_id] == followed(run[Q.table_name], run[Q.first_version], run[Q.last_version])
    halts = follows and any(row[Q.severity] == HALT for row in failed)
    return Judged(
        run[Q.table_name],
        run[Q.started_at].isoformat(),
        frozenset(row[Q.expectation] for row in verdicts if row[Q.success]),
        frozenset(row[Q.expectation] for row in failed),
        halts,
        _message(run, failed, halts, home),
    )


def _over(since: Mapping[str, str], now: str) -> list[dict[str, Any]]:
    """What is met again, in a message."""
    return [
        {"expectation": name, "since": began, "lasted_seconds": _apart(began, now).total_seconds()}
        for name, began in sorted(since.items())
    ]


def _since(kept: Mapping[str, Any]) -> dict[str, str]:
    """What is not met, of a file; one from before it said since when has a list of names."""
    not_met = kept["not_met"]
    return dict(not_met) if isinstance(not_met, dict) else dict.fromkeys(not_met, kept["told"])


def _apart(earlier: str, later: str) -> timedelta:
    """Never, for one who was not told yet."""
    return datetime.fromisoformat(later) - datetime.fromisoformat(earlier) if earlier else timedelta.max


def post(url: str, message: Message) -> None:
    """An address may hold a key, so that only its host is named."""
    host = urlsplit(url).hostname
    try:
        answer = httpx.post(url, json=message, timeout=ANSWER_LIMIT_S)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise NotSent(f"{host} does not answer ({type(error).__name__}); see LAKEHOUSE_QUALITY_WEBHOOK") from None
    if not answer.is_success:
        raise NotSent(f"{host} answers {answer.status_code}; see LAKEHOUSE_QUALITY_WEBHOOK")


def run_command(argv: list[str], message: Message) -> None:
    """From a list and without a shell: what is in the message is data to it."""
    remedy = "see LAKEHOUSE_QUALITY_COMMAND"
    try:
        done = subprocess.run(
            argv, input=json.dumps(message), capture_output=True, text=True, timeout=COMMAND_LIMIT_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise NotSent(f"{argv[0]} has not ended after {COMMAND_LIMIT_S:g} s; {remedy}") from None
    except OSError as error:
        raise NotSent(f"{argv[0]} cannot be run: {error.strerror}; {remedy}") from None
    if done.returncode:
        said = " ".join(done.stderr.split())[-200:]
        raise NotSent(f"{argv[0]} ended with exit status {done.returncode}{f' ({said})' if said else ''}; {remedy}")


def _message(run: Mapping[str, Any], failed: list[dict[str, Any]], halted: bool, home: Home) -> Message:
    return {
        "run_id": run[Q.run_id],
        "severity": HALT if halted else ALARM,
        "table": run[Q.table_name],
        "first_version": run[Q.first_version],
        "last_version": run[Q.last_version],
        "rows": run[Q.num_rows],
        "at": run[Q.started_at].isoformat(),
        "home": str(home.root),
        "not_met": [
            {
                "expectation": row[Q.expectation],
                "severity": row[Q.severity],
                "description": row[Q.description],
                "unexpected_count": row[Q.unexpected_count],
                "observed": None if row[Q.observed] is None else json.loads(row[Q.observed]),
                "examples": [json.loads(example) for example in row[Q.examples]],
            }
            for row in failed
        ],
        "remedy": f"lakehouse quality accept {run[Q.run_id]}" if halted else None,
    }


def _load(file: Path) -> dict[str, dict[str, Any]]:
    try:
        kept: dict[str, dict[str, Any]] = json.loads(file.read_text())
        return kept
    except (OSError, ValueError):
        return {}
