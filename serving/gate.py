"""What a request must pass before any of it is read: the key, the rate, and a limit on its body. ASGI middleware."""

from __future__ import annotations

import hmac
import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lakehouse.api_keys import SCOPES, KeyRing
from lakehouse.api_keys import Scope as KeyScope
from lakehouse.doors import is_asked_by_this_machine
from serving.problems import AsciiJSON
from serving.rate import RateLimit

PROBES: Final = frozenset({"/healthz", "/readyz"})
"""Asked by supervisors, which must not be turned away: no key, no limit."""

OPEN_PATHS: Final = PROBES | {"/", "/docs", "/openapi.json"}
"""Health, and what tells of no data; everything else needs the key, where there is one."""

MB: Final = 1_000_000

LINGER: Final = 8
"""So many times the limit is read and dropped before the answer: a caller that still sends would not see it."""

Headers = Iterable[tuple[bytes, bytes]]


@dataclass(frozen=True)
class Caller:
    """Who asks, as far as a key or the address tells."""

    name: str
    """By which requests are counted."""
    scopes: tuple[KeyScope, ...] = ()
    """What its key opens; none without a valid key."""


class Lock:
    """Who has a key, and whether one is needed."""

    def __init__(self, ring: KeyRing, full: Iterable[str], always: bool) -> None:
        """``full`` are keys that open all; a key is needed where ``always``, or once one was made in ``ring``."""
        self._ring, self._full, self._always = ring, [key.encode() for key in full], always

    @property
    def is_shut(self) -> bool:
        return self._always or self._ring.locks()

    def caller(self, scope: Scope) -> Caller:
        given = _key(scope["headers"])
        client = scope.get("client")
        stranger = Caller(f"address {client[0] if client else 'unknown'}")
        if not given:
            return stranger
        for number, key in enumerate(self._full):
            if hmac.compare_digest(given, key):
                return Caller(f"full {number}, {stranger.name}", SCOPES)  # the stack's own services have such a key
        kept = self._ring.find(given.decode("latin-1"), datetime.now(UTC))
        return stranger if kept is None else Caller(f"key {kept.id}", kept.scopes)


class Gate:
    """Answers 429 to whoever asks too often, 401 without a valid key, 403 where the key is for something else, and 421
    where no key is needed and the request was meant for another host."""

    def __init__(self, app: ASGIApp, lock: Lock, limit: RateLimit | None) -> None:
        self._app, self._lock, self._limit = app, lock, limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in PROBES:
            await self._app(scope, receive, send)
            return
        answer = self._refusal(scope)
        await (self._app if answer is None else answer)(scope, receive, send)

    def _refusal(self, scope: Scope) -> AsciiJSON | None:
        caller = self._lock.caller(scope)
        wait_s = 0.0 if self._limit is None else self._limit.wait_s(caller.name)
        if wait_s > 0:
            headers = {"Retry-After": str(math.ceil(wait_s))}
            return AsciiJSON(
                {"detail": "too many requests (api_requests_per_minute)"}, status_code=429, headers=headers
            )
        if scope["path"] in OPEN_PATHS:
            return None
        if not self._lock.is_shut:
            if is_asked_by_this_machine(_host(scope["headers"])):
                return None
            detail = (
                "without a key this API answers on loopback only, and the header Host names something else; make a key "
                "with `lakehouse api-key create`"
            )
            return AsciiJSON({"detail": detail}, status_code=421)
        if not caller.scopes:
            detail = "this API needs a valid key, in the header X-API-Key or as a bearer token"
            return AsciiJSON({"detail": detail}, status_code=401, headers={"WWW-Authenticate": "Bearer"})
        needed = scope_of(scope["path"])
        if needed not in caller.scopes:
            return AsciiJSON({"detail": f"this needs a key with the scope {needed!r}"}, status_code=403)
        return None


def scope_of(path: str) -> KeyScope:
    """What a key must be for."""
    return "score" if path == "/predict" or path.startswith("/predict/") else "read"


def _key(headers: Headers) -> bytes:
    given = b""
    for name, value in headers:
        if name == b"x-api-key":
            given = value
        elif name == b"authorization" and value[:7].lower() == b"bearer ":
            given = given or value[7:].strip()
    return given


def _host(headers: Headers) -> str:
    return next((value.decode("latin-1") for name, value in headers if name == b"host"), "")


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
