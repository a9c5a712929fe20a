"""``python -m benchmarks.load``: simulated events at a steady rate, from a process of its own, until SIGTERM.

A line on its input names what goes wrong with them from then on, of `benchmarks.wrong.WRONGS`; an empty one, nothing.
Ends with one JSON line: what was sent, and the processor time that sending it took from the stack beside it.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

from benchmarks.wrong import WRONGS
from lakehouse.settings import load_settings
from producer.client import ConfluentSender
from producer.produce import config_of
from producer.simulator import simulate
from producer.stop import stop_on

LEAD_IN = timedelta(seconds=5)
"""Making many users takes a while; the first event is due after it."""

TICK_S = 0.01
"""Events due within a tick are sent together: a sleep for each would cost more than the event."""


@dataclass(frozen=True)
class Sent:
    """What a load has sent."""

    events: int
    """As simulated, before anything went wrong with them."""
    seconds: float
    processor_seconds: float

    @property
    def per_second(self) -> float:
        return self.events / self.seconds if self.seconds else 0.0


class Load:
    """A running load."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.pid = process.pid

    def becomes(self, wrong: str) -> None:
        """What goes wrong with the messages from now on; an empty text for nothing."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{wrong}\n")
        self._process.stdin.flush()

    def stop(self) -> Sent:
        """Ends it when all that it has sent is in the broker."""
        self._process.send_signal(signal.SIGTERM)
        out, err = self._process.communicate(timeout=120)
        if self._process.returncode:
            raise RuntimeError(f"the load failed: {err.strip()[-500:]}")
        return Sent(**json.loads(out))


@contextmanager
def load(bootstrap: str, topic: str, rate: int, users: int) -> Iterator[Load]:
    """Sends ``rate`` events/s of ``users`` users to HOST:PORT ``bootstrap`` until it is stopped."""
    command = [sys.executable, "-m", "benchmarks.load", bootstrap, topic, str(rate), str(users)]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
    try:
        yield Load(process)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def main(bootstrap: str, topic: str, rate: int, users: int) -> None:
    settings = load_settings(simulator_users=users)
    wrong = ""

    def listen() -> None:
        nonlocal wrong
        for line in sys.stdin:
            wrong = line.strip()

    threading.Thread(target=listen, daemon=True).start()
    sender = ConfluentSender(bootstrap, topic)
    with stop_on(signal.SIGTERM, signal.SIGINT) as stop:
        start = datetime.now(UTC) + LEAD_IN
        events = simulate(config_of(settings, rate=rate, start=start))
        stop.sleep((start - datetime.now(UTC)).total_seconds())
        began = time.monotonic()
        sent = 0
        for event in events:
            while (ahead := sent / rate - (time.monotonic() - began)) > 0 and not stop.is_set():
                time.sleep(max(ahead, TICK_S))
            if stop.is_set():
                break
            for value in WRONGS[wrong](sent, event.value) if wrong else [event.value]:
                sender.send(event.key, value)
            sent += 1
        seconds = time.monotonic() - began
        sender.flush()
    sys.stdout.write(json.dumps(asdict(Sent(sent, round(seconds, 3), round(time.process_time(), 3)))))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
