"""Who may come in: nobody but this machine, or whoever has the key."""

from __future__ import annotations

import ipaddress

from lakehouse.errors import LakehouseError
from lakehouse.settings import Settings


def api_key(settings: Settings) -> str | None:
    """The key of the API; None where none is set, and it listens on loopback.

    Raises LakehouseError where it listens on more than loopback without one.
    """
    if settings.api_key is not None:
        return settings.api_key.get_secret_value()
    if is_loopback(settings.bind_address):
        return None
    raise LakehouseError(
        f"LAKEHOUSE_BIND_ADDRESS={settings.bind_address}: the API needs a key where it listens on more than loopback; "
        "set LAKEHOUSE_API_KEY, or listen on 127.0.0.1"
    )


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches ``host``; a name other than localhost might be anything."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
