"""What a request must pass before any of it is read: the key, and a limit on its body. ASGI middleware."""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.problems import AsciiJSON

OPEN_PATHS: Final = frozenset({"/", "/healthz", "/readyz", "/docs", "/openapi.json"})
"""Health, and what tells of no data; everything else needs the key, where there is one."""

MB: Final = 1_000_000

LINGER: Final = 8
"""So many times the limit is read and dropped before the answer: a caller that still sends would not see it."""

Headers = Iterable[tuple[bytes, bytes]]


class KeyGate:
    """Answers 401 where neither ``X-API-Key`` nor ``Authorization: Bearer`` holds the key."""

    def __init__(self, app: ASGIApp, key: str) -> None:
        self._app, self._key = app, key.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in OPEN_PATHS and not self._has_key(scope["headers"]):
            detail = "this API needs its key (the setting api_key), in the header X-API-Key or as a bearer token"
            answer = AsciiJSON({"detail": detail}, status_code=401, headers={"WWW-Authenticate": "Bearer"})
            await answer(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _has_key(self, headers: Headers) -> bool:
        given = b""
        for name, value in headers:
            if name == b"x-api-key":
                given = value
            elif name == b"authorization" and value[:7].lower() == b"bearer ":
                given = given or value[7:].strip()
        return hmac.compare_digest(given, self._key)


class BodyGate:
    """Answers 413 to a body of more than ``max_bytes``, whatever its headers say; others go on in one piece."""

    def __init__(self, app: ASGIApp, max_mb: int) -> None:
        self._app, self._max_mb, self._max_bytes = app, max_mb, max_mb * MB

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD"):
            await self._app(scope, receive, send)
            return
        if _length(scope["headers"]) > LINGER * self._max_bytes:
            await self._refuse(scope, receive, send)
            return
        body, size, more = bytearray(), 0, True
        while more:
            message = await receive()
            if message["type"] != "http.request":
                return  # the caller has gone
            size += len(message.get("body", b""))
            if size <= self._max_bytes:
                body += message.get("body", b"")
            more = message.get("more_body", False) and size <= LINGER * self._max_bytes
        if size > self._max_bytes:
            await self._refuse(scope, receive, send)
            return
        whole: list[Message] = [{"type": "http.request", "body": bytes(body), "more_body": False}]

        async def again() -> Message:
            return whole.pop() if whole else await receive()

        await self._app(scope, again, send)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        detail = f"the body is larger than api_max_body_mb={self._max_mb} MB; send fewer rows at once"
        await AsciiJSON({"detail": detail}, status_code=413)(scope, receive, send)


def _length(headers: Headers) -> int:
    """What the header says; 0 where it says nothing. The server has refused what is no number."""
    return next((int(value) for name, value in headers if name == b"content-length" and value.isdigit()), 0)
