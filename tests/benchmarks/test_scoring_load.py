"""The load on /predict counts the wait of every request that was due, answered or not."""

from __future__ import annotations

import asyncio

from benchmarks.scoring_load import WARM_UP, Answered, load

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
REFUSAL = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\n{}"


def test_an_api_that_stops_keeps_all_those_waiting_that_are_due_meanwhile() -> None:
    answered = asyncio.run(_loaded(stops_at=WARM_UP + 10))

    waited = [latency for latency in answered.latencies_s if latency > 0.1]
    assert len(answered.latencies_s) == 100
    assert len(waited) >= 20
    assert answered.failed == 0


def test_an_answer_other_than_200_has_failed() -> None:
    answered = asyncio.run(_loaded(refuses_from=WARM_UP + 90))

    assert answered.failed == 10


async def _loaded(stops_at: int = -1, refuses_from: int = 1_000_000) -> Answered:
    """100 requests in a second, of a server that stands still for 0.5 s at one of them."""
    asked, goes_on = 0, asyncio.Event()
    goes_on.set()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        while head := await _head(reader):
            length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
            asked += 1
            number = asked
            if number == stops_at:
                goes_on.clear()
                asyncio.get_running_loop().call_later(0.5, goes_on.set)
            await goes_on.wait()
            writer.write(REFUSAL if number > refuses_from else ANSWER)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        return await load(f"http://127.0.0.1:{port}", 100, 1)
    finally:
        server.close()


async def _head(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return b""
