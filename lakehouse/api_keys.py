"""Keys of the API: made, listed and revoked by `lakehouse api-key`, looked up by the API at each request.

A key is 256 random bits, and what is kept of it is its SHA-256. A slow hash such as bcrypt is for passwords that people
think up, which can be guessed from their hash; nobody guesses 256 bits, and a hash that takes 100 ms would let anyone
keep the API busy by sending it wrong keys.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Literal, get_args

from lakehouse.embedded.locks import Held, exclusively
from lakehouse.errors import LakehouseError
from lakehouse.home import Home

Scope = Literal["score", "read"]
SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)

State = Literal["valid", "expired", "revoked"]

PREFIX: Final = "lh"
LOCK_LIMIT_S: Final = 5.0


@dataclass(frozen=True)
class ApiKey:
    """What is kept of a key. Times are in UTC."""

    id: str
    """The middle part of the key: names it in `list`, and opens nothing."""
    name: str
    """Whose it is, for people."""
    scopes: tuple[Scope, ...]
    """``score``: POST /predict and below. ``read``: everything else."""
    sha256: str
    """Of the whole key, in hex."""
    created: datetime
    expires: datetime | None = None
    revoked: datetime | None = None

    def state(self, now: datetime) -> State:
        if self.revoked is not None:
            return "revoked"
        return "expired" if self.expires is not None and self.expires <= now else "valid"


def id_of(key: str) -> str:
    """The part of a key that names it; empty where ``key`` is none."""
    parts = key.split("_", 2)
    return parts[1] if len(parts) == 3 and parts[0] == PREFIX else ""


def matches(kept: ApiKey, key: str) -> bool:
    """Whether ``key`` is the one that was ``kept``; takes as long for a wrong one."""
    return hmac.compare_digest(_sha256(key), kept.sha256)


def make(scopes: Iterable[Scope], name: str, days: float | None, now: datetime) -> tuple[str, ApiKey]:
    """A new key that expires after ``days`` (None: never), and what is to be kept of it."""
    number = secrets.token_hex(4)
    key = f"{PREFIX}_{number}_{secrets.token_urlsafe(32)}"
    expires = None if days is None else now + timedelta(days=days)
    wanted = set(scopes)
    return key, ApiKey(number, name, tuple(scope for scope in SCOPES if scope in wanted), _sha256(key), now, expires)


def load(home: Home) -> tuple[ApiKey, ...]:
    """Those of the home, in the order they were made. Raises LakehouseError where the file is damaged."""
    try:
        return tuple(_from_json(told) for told in json.loads(home.api_keys.read_text()))
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        raise LakehouseError(
            f"{home.api_keys} cannot be read as keys of the API; restore it from a backup, or delete it with the stack "
            "stopped and hand out new keys"
        ) from None


def add(home: Home, key: ApiKey) -> None:
    """Raises LakehouseError as `load` does, or where another command holds the file."""
    _change(home, lambda keys: (*keys, key))


def revoke(home: Home, named: str, now: datetime) -> ApiKey:
    """Takes the key with the id ``named`` back, for good. Raises LakehouseError where there is none, or as `add`."""
    done: list[ApiKey] = []

    def without(keys: tuple[ApiKey, ...]) -> tuple[ApiKey, ...]:
        found = next((key for key in keys if key.id == named), None)
        if found is None:
            known = ", ".join(key.id for key in keys) or "there are none"
            raise LakehouseError(f"there is no key {named[:40]!r} (known: {known}); `lakehouse api-key list` shows all")
        done.append(found if found.revoked is not None else replace(found, revoked=now))
        return tuple(done[0] if key is found else key for key in keys)

    _change(home, without)
    return done[0]


class KeyRing:
    """The keys of a home as they are now: the file is read again when it is another one than before."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._seen: tuple[int, ...] | None = None
        self._keys: dict[str, ApiKey] = {}

    def locks(self) -> bool:
        """Whether any key was ever made here: a door with a lock stays locked when its last key is taken back."""
        return self._look() is not None

    def find(self, key: str, now: datetime) -> ApiKey | None:
        """What is kept of ``key`` where it is valid."""
        self._look()
        kept = self._keys.get(id_of(key))
        return kept if kept is not None and matches(kept, key) and kept.state(now) == "valid" else None

    def _look(self) -> tuple[int, ...] | None:
        """A file that cannot be read has no valid key in it."""
        try:
            stat = self._home.api_keys.stat()
            seen: tuple[int, ...] | None = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
        except FileNotFoundError:
            seen = None
        if seen != self._seen:
            try:
                self._keys = {key.id: key for key in load(self._home)}
            except LakehouseError:
                self._keys = {}
            self._seen = seen
        return seen


def service_key(home: Home) -> str:
    """By which the stack's own services ask the API; made at first use, in a file that only its owner may read."""
    path = home.service_key
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{path.name}.{os.getpid()}.part")
        _write(part, secrets.token_urlsafe(32))
        try:
            path.hardlink_to(part)  # of several that make one at once, one wins
        except FileExistsError:
            pass
        finally:
            part.unlink()
    key = path.read_text().strip()
    if len(key) < 32:
        raise LakehouseError(f"{path} is damaged; delete it and start the stack again, which makes another one")
    return key


def _change(home: Home, change: Any) -> None:
    home.make()
    try:
        with exclusively(home.run / "api-keys.lock", LOCK_LIMIT_S):
            told = [asdict(key) for key in change(load(home))]
            part = home.api_keys.with_suffix(".part")
            _write(part, json.dumps(told, default=datetime.isoformat, indent=1))
            part.replace(home.api_keys)
    except Held:
        raise LakehouseError(f"another command is changing {home.api_keys}; try again") from None


def _write(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _from_json(told: dict[str, Any]) -> ApiKey:
    scopes = tuple(told["scopes"])
    if not set(scopes) <= set(SCOPES):
        raise ValueError(f"unknown scopes: {scopes}")
    times = {name: _moment(told.get(name)) for name in ("expires", "revoked")}
    created = datetime.fromisoformat(told["created"]).astimezone(UTC)
    return ApiKey(str(told["id"]), str(told["name"]), scopes, str(told["sha256"]), created, **times)


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text).astimezone(UTC)


def _sha256(key: str) -> str:
    return hashlib.sha256(key.encode(errors="surrogateescape")).hexdigest()
