"""``python -m benchmarks.scoring_load ADDRESS RATE SECONDS``: a steady rate of /predict, from a process of its own.

An open loop: requests are due at fixed moments, whether or not those before them were answered, and a latency counts
from the moment the request was due. So an API that stops for a second is seen to have kept 300 requests waiting, where
a client that waits for its answers would have sent one. Ends with one JSON line, what `Answered` holds.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from dataclasses import asdict, dataclass, field
from typing import Final
from urllib.parse import urlsplit

from serving.features import EXAMPLE, EXAMPLE_OF_ALL

CONNECTIONS: Final = 32
"""Kept open. A request that is due while all are taken waits for one, and the wait counts."""

WARM_UP: Final = 100
"""Requests that count nowhere."""

SOME: Final = EXAMPLE
ALL: Final = {**EXAMPLE_OF_ALL, "days_since_purchase": 20.0}
"""Every other request: both models are asked."""


@dataclass
class Answered:
    """What came back."""

    seconds: float = 0.0
    latencies_s: list[float] = field(default_factory=list)
    failed: int = 0
    """Answers other than 200, and requests without one."""


async def load(address: str, rate: float, seconds: float) -> Answered:
    """``rate`` requests/s for ``seconds``."""
    where = urlsplit(address)
    bodies = [_request(where.netloc, features) for features in (SOME, ALL)]
    free: asyncio.Queue[_Connection] = asyncio.Queue()
    for _ in range(CONNECTIONS):
        free.put_nowait(await _Connection.open(where.hostname or "", where.port or 80))
    answered = Answered()
    for number in range(WARM_UP):
        await _ask(free, bodies[number % 2], time.perf_counter(), Answered())
    count, began = int(rate * seconds), time.perf_counter() + 0.1
    asked = []
    for number in range(count):
        due = began + number / rate
        if (wait := due - time.perf_counter()) > 0:
            await asyncio.sleep(wait)
        asked.append(asyncio.create_task(_ask(free, bodies[number % 2], due, answered)))
    await asyncio.gather(*asked)
    answered.seconds = time.perf_counter() - began
    return answered


class _Connection:
    """HTTP/1.1, as much of it as is needed here: a library would take more of the core than the API does."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def open(cls, host: str, port: int) -> _Connection:
        return cls(*await asyncio.open_connection(host, port))

    async def status(self, request: bytes) -> int:
        """Of the answer, once all of it is there."""
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        await self._reader.readexactly(length)
        return int(head.split(b" ", 2)[1])


async def _ask(free: asyncio.Queue[_Connection], request: bytes, due: float, answered: Answered) -> None:
    connection = await free.get()
    try:
        status = await connection.status(request)
    except (OSError, EOFError):
        status = 0
    answered.latencies_s.append(time.perf_counter() - due)
    answered.failed += status != 200
    free.put_nowait(connection)


def _request(host: str, features: dict[str, float]) -> bytes:
    body = json.dumps(features).encode()
    head = (
        f"POST /predict HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    )
    return head.encode() + b"\r\n" + body


def main() -> None:
    address, rate, seconds = sys.argv[1:]
    print(json.dumps(asdict(asyncio.run(load(address, float(rate), float(seconds))))))


if __name__ == "__main__":
    main()
