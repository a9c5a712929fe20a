"""Alarms and halts, to whom the settings name: a webhook, a command, or both.

`quality.results` is what there is to send, and a file under the home says, for each of them, up to which run it was
sent. So nothing is forgotten by a kill or an outage: each run is sent at least once, and twice only where this process
dies between the answer and the note of it. What is older than a day is news no more and is not sent.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
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
ANSWER_LIMIT_S = 10.0
COMMAND_LIMIT_S = 60.0
FIRST_RETRY_S = 1.0
LONGEST_RETRY_S = 300.0


class NotSent(Exception):
    """The reason, in one line that names no secret."""


@dataclass
class Recipient:
    """Who is sent each message, one after the other; ``send`` raises NotSent."""

    name: str
    send: Callable[[Message], None]
    since: str = ""
    """When the settings named it first: it is told of nothing that was before. ISO 8601, in UTC."""
    sent: dict[str, str] = field(default_factory=dict)
    """For each table when its last run began that was sent."""
    failures: int = 0

    def wants(self, table_name: str, began: str) -> bool:
        """Whether a run has not been sent yet."""
        return began > self.sent.get(table_name, self.since)


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
            recipient.sent = known.get("sent", {})
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
        messages = [each for each in news(self._store, utc_now()) if recipient.wants(each["table"], each["at"])]
        for number, message in enumerate(messages):
            try:
                recipient.send(message)
            except NotSent as reason:
                if not recipient.failures:
                    waiting = len(messages) - number
                    self._log(f"{recipient.name}: {reason}; {waiting} alarms wait, and it is tried again")
                recipient.failures += 1
                return float(min(self._retry_s * 2 ** (recipient.failures - 1), LONGEST_RETRY_S))
            if recipient.failures:
                self._log(f"{recipient.name}: answers again after {recipient.failures} failures")
            recipient.failures = 0
            recipient.sent[message["table"]] = message["at"]
            self._save()
        return None

    def _save(self) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        part = self._file.with_suffix(".part")
        part.write_text(json.dumps({each.name: {"since": each.since, "sent": each.sent} for each in self.recipients}))
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


def news(store: TableStore, now: datetime) -> list[Message]:
    """The runs of the last day that raise an alarm or halt, oldest first, one message each."""
    since = now - NEWS_FOR
    rows = (
        store.scan(Q)
        .filter(pl.col(Q.run_date) >= since.date(), pl.col(Q.started_at) >= since)
        .filter(pl.col(Q.severity).is_in([ALARM, HALT]), pl.col(Q.success).eq_missing(other=False))
        .sort(Q.started_at, Q.run_id, Q.severity, Q.expectation, descending=[False, False, True, False])
        .collect()
    )
    runs: dict[str, list[dict[str, Any]]] = {}
    for row in rows.iter_rows(named=True):
        runs.setdefault(row[Q.run_id], []).append(row)
    return [_message(failed, store.home) for failed in runs.values()]


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


def _message(failed: list[dict[str, Any]], home: Home) -> Message:
    run = failed[0]
    follows = run[Q.run_id] == followed(run[Q.table_name], run[Q.first_version], run[Q.last_version])
    halted = follows and any(row[Q.severity] == HALT for row in failed)
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
