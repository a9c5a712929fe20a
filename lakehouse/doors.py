"""Who may come in: nobody but this machine, or whoever has a key or a login."""

from __future__ import annotations

import ipaddress
import os
import tomllib
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

from lakehouse.api_keys import load, service_key
from lakehouse.errors import LakehouseError
from lakehouse.home import Home
from lakehouse.settings import Settings

LOOPBACK = "127.0.0.1"

VERIFIED = frozenset({"verify-ca", "verify-full"})

LOGIN_NEEDS = ("redirect_uri", "cookie_secret")
"""What [auth] of Streamlit's secrets must say; the provider may stand there too, or in a table of its own below."""


def require_key(settings: Settings) -> None:
    """Raises LakehouseError where the API is to listen on more than loopback and no key would be valid."""
    if is_loopback(settings.bind_address) or settings.api_key is not None:
        return
    now = datetime.now(UTC)
    if any(key.state(now) == "valid" for key in load(Home(settings.home))):
        return
    raise LakehouseError(
        f"LAKEHOUSE_BIND_ADDRESS={settings.bind_address}: the API needs a key where it listens on more than loopback; "
        "make one with `lakehouse api-key create`, set LAKEHOUSE_API_KEY, or listen on 127.0.0.1"
    )


def own_key(settings: Settings) -> str:
    """The key by which the stack's own services ask the API, whether or not it asks for one.

    Raises LakehouseError where the one of the home is damaged.
    """
    return settings.api_key.get_secret_value() if settings.api_key is not None else service_key(Home(settings.home))


def require_login(settings: Settings) -> None:
    """Raises LakehouseError where the dashboard is to listen on more than loopback and nobody is asked who they are,
    or where the file that says how they are cannot be used."""
    if settings.dashboard_login_file is not None:
        _check_login(settings)
    elif not (is_loopback(settings.bind_address) or settings.dashboard_guarded):
        raise LakehouseError(
            f"LAKEHOUSE_BIND_ADDRESS={settings.bind_address}: the dashboard needs a login where it listens on more "
            "than loopback; set LAKEHOUSE_DASHBOARD_LOGIN_FILE, or put a proxy with a login before it and set "
            "LAKEHOUSE_DASHBOARD_GUARDED=true (docs/security.md), or listen on 127.0.0.1"
        )


def spoken_in_plain(settings: Settings) -> list[str]:
    """A sentence for each server on another machine that is spoken to without TLS, or whoever it is."""
    said = []
    hosts = [each.rpartition(":")[0] for each in (settings.kafka_bootstrap or "").split(",") if each]
    if not settings.kafka_security_protocol.endswith("SSL") and not all(map(is_loopback, hosts)):
        said.append(
            f"Kafka at {settings.kafka_bootstrap} is spoken to in plain text; "
            "LAKEHOUSE_KAFKA_SECURITY_PROTOCOL=SASL_SSL keeps events between the two (docs/security.md)"
        )
    address = urlsplit(settings.postgres_dsn or "")
    mode = parse_qs(address.query).get("sslmode", [os.environ.get("PGSSLMODE", "")])[-1]
    if address.hostname and not is_loopback(address.hostname) and mode not in VERIFIED:
        said.append(
            f"Postgres at {address.hostname} is asked for no certificate, and may be spoken to in plain text; end "
            "LAKEHOUSE_POSTGRES_DSN in ?sslmode=verify-full&sslrootcert=FILE (docs/security.md)"
        )
    return said


def docs_address(settings: Settings) -> str:
    """Where the Data Docs listen: they show values of refused rows and have no login of their own, so beyond loopback
    only where something else guards them."""
    may = is_loopback(settings.bind_address) or settings.dashboard_guarded
    return settings.bind_address if may else LOOPBACK


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches ``host``; a name other than localhost might be anything."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def is_asked_by_this_machine(host: str) -> bool:
    """Whether the header Host, HOST or HOST:PORT, names loopback, or nothing.

    A page of the web can have its own name resolve to 127.0.0.1 in a browser here, which then takes what answers for a
    part of that page and lets it read it. The header tells.
    """
    name, colon, port = host.rpartition(":")
    return not host or is_loopback(name.lower() if colon and port.isdigit() else host.lower())


def _check_login(settings: Settings) -> None:
    file = settings.dashboard_login_file
    assert file is not None  # noqa: S101 (for mypy)
    said = f"LAKEHOUSE_DASHBOARD_LOGIN_FILE={file}"
    try:
        if file.stat().st_mode & 0o077:
            raise LakehouseError(f"{said}: others may read it, and it holds secrets; `chmod 600` it")
        auth = tomllib.loads(file.read_text()).get("auth")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no TOML"
        raise LakehouseError(f"{said}: cannot be read ({reason}); docs/security.md shows one") from None
    if not isinstance(auth, dict) or any(not auth.get(name) for name in LOGIN_NEEDS):
        raise LakehouseError(
            f"{said}: needs a table [auth] with {' and '.join(LOGIN_NEEDS)}; docs/security.md shows one"
        )
