"""What must not be shown: every secret that this home and its settings know, and text without them."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any, Final
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from pydantic import SecretStr

from lakehouse.endpoints import Endpoints
from lakehouse.errors import LakehouseError
from lakehouse.home import Home
from lakehouse.settings import SECRET, Settings
from lakehouse.spark import SECRET_NAMES

MASK: Final = "…"

SHORTEST: Final = 4
"""Characters of a secret that is looked for: a shorter one would be found in half of all words."""

# What looks like a secret, of whomever it is: a login in an address, a key of the API, a password in a line of JAAS.
_LOOKS: Final = (
    (re.compile(r"(\w+://[^\s/:@]*):[^\s/@]+@"), rf"\1:{MASK}@"),
    (re.compile(r"\blh_([0-9a-f]{8})_[\w-]{20,}"), rf"lh_\1_{MASK}"),
    (re.compile(r"(?i)\b(password|secret|token)(\"?\s*[=:]\s*)(\"(?:\\.|[^\"])*\"|[^\s,;\"']+)"), rf"\1\2{MASK}"),
)


def secrets_of(settings: Settings, home: Home) -> frozenset[str]:
    """As they are, and as an address writes them."""
    found = {secret for secret in _known(settings, home) if len(secret) >= SHORTEST}
    return frozenset(found | {quote(secret, safe="") for secret in found})


def masked(text: str, secrets: Iterable[str]) -> str:
    """``text`` without any of ``secrets`` and without what looks like one."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, MASK)
    for pattern, replacement in _LOOKS:
        text = pattern.sub(replacement, text)
    return text


def shown(settings: Settings) -> dict[str, Any]:
    """Every setting with its value as JSON has it, and a mask for what is secret."""
    told: dict[str, Any] = {}
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if name in SECRET:
            told[name] = None if value is None else MASK
        elif name == "quality_command" and value is not None:
            told[name] = f"{shlex.split(value)[0]} {MASK}"  # its arguments may be anything
        elif isinstance(value, dict):
            told[name] = {key: MASK if re.search(SECRET_NAMES, key) else text for key, text in value.items()}
        else:
            told[name] = value if isinstance(value, (int, float, bool, type(None))) else _text(value)
    return told


def _known(settings: Settings, home: Home) -> Iterator[str]:
    for name in SECRET:
        value = getattr(settings, name)
        if value is not None:
            text = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
            yield text
            yield from _in_address(text)
    if settings.quality_webhook is not None:
        yield urlsplit(settings.quality_webhook).path.strip("/")  # whoever knows it may post
    yield from (value for name, value in settings.spark_conf.items() if re.search(SECRET_NAMES, name))
    with suppress(OSError, ValueError, AttributeError):
        yield from map(str, json.loads(home.secrets.read_text()).values())
    with suppress(OSError):
        yield home.service_key.read_text().strip()
    with suppress(LakehouseError, ValueError, TypeError):
        endpoints = Endpoints.load(home)
        for address in (endpoints.postgres_owner, endpoints.postgres_writer, endpoints.postgres_reader):
            yield from _in_address(address)
    if settings.dashboard_login_file is not None:
        with suppress(OSError, ValueError):
            yield from _in_login(tomllib.loads(settings.dashboard_login_file.read_text()))


def _in_address(text: str) -> Iterator[str]:
    """The password of an address, wherever it stands in it."""
    with suppress(ValueError):
        address = urlsplit(text)
        if address.password:
            yield address.password
            yield unquote(address.password)
        yield from (value for name, value in parse_qsl(address.query) if re.search(SECRET_NAMES, name))


def _in_login(table: dict[str, Any]) -> Iterator[str]:
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _in_login(value)
        elif re.search(SECRET_NAMES, name):
            yield str(value)


def _text(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else str(value)
