"""Alarms and halts reach whom the settings name: each once, whoever was away meanwhile."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

import pytest

from lakehouse.gatekeeper import Gatekeeper
from lakehouse.home import Home
from lakehouse.settings import Settings
from lakehouse.stages import utc_now
from lakehouse.store import TableStore
from quality.telling import NotSent, Recipient, Teller, recipients
from quality.verdicts import Run, Severity, Verdict, followed


class Hook:
    """A webhook that keeps what it is sent and answers what it is told to."""

    def __init__(self) -> None:
        self.received: list[dict[str, Any]] = []
        self.status = 200
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if hook.status == 200:
                    hook.received.append(json.loads(body))
                self.send_response(hook.status)
                self.end_headers()

            def log_message(self, *_: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/key-of-a-room"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def hook() -> Iterator[Hook]:
    hook = Hook()
    yield hook
    hook.server.shutdown()


@pytest.fixture
def gatekeeper(tmp_path: Path) -> Gatekeeper:
    settings = Settings(home=tmp_path, commit_engine="delta-rs")
    store = TableStore(Home(tmp_path).make(), settings, cast(Any, None))
    store.create_all()
    return Gatekeeper(store)


def record(
    gatekeeper: Gatekeeper, first: int, last: int, began: datetime, met: str = "always", **failed: Severity
) -> None:
    verdicts = [Verdict(name, "type", None, severity, "Why.", False, 7, 2) for name, severity in failed.items()]
    verdicts.append(Verdict(met, "type", None, Severity.alarm, "Why.", True))
    run = Run(followed("silver.events", first, last), "silver.events", "new", first, last, 9, began, 0.1, verdicts)
    gatekeeper.record(run.rows(), {"silver.events": last})


def teller(gatekeeper: Gatekeeper, told: list[str], *whom: Recipient) -> Teller:
    """As a validator that has just started has it."""
    made = Teller(list(whom), gatekeeper.store, told.append)
    made.open()
    return made


def runs(received: list[dict[str, Any]]) -> list[str]:
    return [message["run_id"] for message in received]


def webhook(hook: Hook) -> Recipient:
    (found,) = recipients(Settings(quality_webhook=hook.url))
    return found


def test_alarms_and_halts_are_sent_once_and_warnings_never(gatekeeper: Gatekeeper, hook: Hook) -> None:
    told: list[str] = []
    sender = teller(gatekeeper, told, webhook(hook))
    now = utc_now()
    record(gatekeeper, 0, 4, now, types=Severity.halt, shares=Severity.alarm)
    record(gatekeeper, 5, 5, now + timedelta(seconds=30), size=Severity.warn)

    assert sender.send_all() is None
    assert sender.send_all() is None
    teller(gatekeeper, told, webhook(hook)).send_all()  # another process, after a restart

    (message,) = hook.received
    assert (message["run_id"], message["severity"]) == ("silver.events@0-4", "halt")
    assert [each["expectation"] for each in message["not_met"]] == ["types", "shares"]
    assert message["not_met"][0]["observed"] == 7
    assert message["remedy"] == "lakehouse quality accept silver.events@0-4"
    assert told == []


def test_who_is_away_is_told_later_and_keeps_nobody_else_waiting(
    gatekeeper: Gatekeeper, hook: Hook, tmp_path: Path
) -> None:
    told: list[str] = []
    file = tmp_path / "told"
    program = f"import sys, pathlib; pathlib.Path({str(file)!r}).open('a').write(sys.stdin.read() + chr(10))"
    (command,) = recipients(Settings(quality_command=f'{sys.executable} -c "{program}"'))
    sender = teller(gatekeeper, told, webhook(hook), command)
    record(gatekeeper, 0, 4, utc_now(), types=Severity.alarm)
    record(gatekeeper, 5, 5, utc_now(), shares=Severity.alarm)

    hook.status = 503
    assert [sender.send_all(), sender.send_all()] == [1.0, 2.0]
    assert runs([json.loads(line) for line in file.read_text().splitlines()]) == [
        "silver.events@0-4",
        "silver.events@5-5",
    ]
    assert told == [
        "webhook: 127.0.0.1 answers 503; see LAKEHOUSE_QUALITY_WEBHOOK; 2 alarms wait, and it is tried again"
    ]

    hook.status = 200
    assert sender.send_all() is None
    assert runs(hook.received) == ["silver.events@0-4", "silver.events@5-5"]
    assert told[1:] == ["webhook: answers again after 2 failures"]


def test_an_alarm_that_lasts_is_told_of_once_a_day_and_again_where_it_comes_back(
    gatekeeper: Gatekeeper, hook: Hook
) -> None:
    sender = teller(gatekeeper, [], webhook(hook))
    now = utc_now()
    sender.recipients[0].since = (now - timedelta(days=2)).isoformat()

    def look(version: int, hours_ago: float, **found: Any) -> None:
        record(gatekeeper, version, version, now - timedelta(hours=hours_ago), **found)
        sender.send_all()

    look(0, 23.9, types=Severity.alarm)
    look(1, 23.5, types=Severity.alarm)
    look(2, 3, types=Severity.alarm, shares=Severity.alarm)  # something else, too
    look(3, 2.5, shares=Severity.alarm, met="types")
    look(4, 2, types=Severity.alarm)  # again
    look(5, 1, types=Severity.alarm)
    look(6, -22.5, types=Severity.alarm)  # a day later

    assert [(message["run_id"], message["state"]) for message in hook.received] == [
        ("silver.events@0-0", "begun"),
        ("silver.events@2-2", "begun"),
        ("silver.events@3-3", "over"),
        ("silver.events@4-4", "begun"),
        ("silver.events@6-6", "lasts"),
    ]


def test_what_is_met_again_is_told_once_with_how_long_it_was_not(gatekeeper: Gatekeeper, hook: Hook) -> None:
    sender, now = teller(gatekeeper, [], webhook(hook)), utc_now()
    record(gatekeeper, 0, 0, now, types=Severity.alarm, shares=Severity.alarm)
    sender.send_all()
    hook.received.clear()

    hook.status = 503
    record(gatekeeper, 1, 1, now + timedelta(seconds=90), met="types", shares=Severity.alarm)
    record(gatekeeper, 2, 2, now + timedelta(seconds=95), met="types", shares=Severity.alarm)
    sender.send_all()
    hook.status = 200
    restarted = teller(gatekeeper, [], webhook(hook))
    restarted.send_all()
    restarted.send_all()

    (message,) = hook.received
    assert (message["state"], message["table"], message["not_met"]) == ("over", "silver.events", [])
    assert message["over"] == [{"expectation": "types", "since": now.isoformat(), "lasted_seconds": 90.0}]


def test_one_message_tells_what_begins_and_what_is_over(gatekeeper: Gatekeeper, hook: Hook) -> None:
    sender, now = teller(gatekeeper, [], webhook(hook)), utc_now()
    record(gatekeeper, 0, 0, now, types=Severity.alarm)
    record(gatekeeper, 1, 1, now + timedelta(seconds=30), met="types", shares=Severity.alarm)
    sender.send_all()

    assert hook.received[1]["state"] == "begun"
    assert [each["expectation"] for each in hook.received[1]["not_met"]] == ["shares"]
    assert [each["expectation"] for each in hook.received[1]["over"]] == ["types"]


def test_what_was_noted_by_names_alone_is_read(gatekeeper: Gatekeeper, hook: Hook) -> None:
    sender, now = teller(gatekeeper, [], webhook(hook)), utc_now()
    record(gatekeeper, 0, 0, now, types=Severity.alarm)
    sender.send_all()
    file = gatekeeper.store.home.quality / "sent.json"
    kept = json.loads(file.read_text())
    known = kept["webhook"]["known"]["silver.events"]
    known["not_met"] = list(known["not_met"])
    file.write_text(json.dumps(kept))

    record(gatekeeper, 1, 1, now + timedelta(minutes=1), met="types")
    teller(gatekeeper, [], webhook(hook)).send_all()

    assert hook.received[1]["over"][0]["since"] == now.isoformat()


def test_what_was_before_it_was_named_or_is_a_day_old_is_no_news(gatekeeper: Gatekeeper, hook: Hook) -> None:
    now = datetime.now(UTC)
    record(gatekeeper, 0, 4, now - timedelta(seconds=5), types=Severity.alarm)
    sender = teller(gatekeeper, [], webhook(hook))
    sender.recipients[0].since = (now - timedelta(days=9)).isoformat()
    record(gatekeeper, 5, 5, now - timedelta(hours=25), types=Severity.alarm)
    sender.send_all()
    assert runs(hook.received) == ["silver.events@0-4"]

    teller(gatekeeper, [], Recipient("another", hook.received.append)).send_all()
    assert runs(hook.received) == ["silver.events@0-4"]


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("no-such-program --now", "no-such-program cannot be run: No such file or directory"),
        (f"{sys.executable} -c 'import sys; sys.exit(\"no line\")'", "ended with exit status 1 (no line)"),
    ],
)
def test_a_command_that_fails_is_one_line(command: str, reason: str) -> None:
    (found,) = recipients(Settings(quality_command=command))

    with pytest.raises(NotSent) as failed:
        found.send({"run_id": "silver.events@0-4"})

    assert reason in str(failed.value)
    assert str(failed.value).endswith("; see LAKEHOUSE_QUALITY_COMMAND")


def test_a_webhook_that_does_not_answer_is_named_without_its_key() -> None:
    (found,) = recipients(Settings(quality_webhook="http://127.0.0.1:1/a-key"))

    with pytest.raises(NotSent, match=r"^127\.0\.0\.1 does not answer \(ConnectError\); see"):
        found.send({})
