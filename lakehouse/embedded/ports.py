"""Ports: which are free, and who would have to move where one is not."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterable
from dataclasses import dataclass

from lakehouse.errors import LakehouseError

LOOPBACK = "127.0.0.1"

BELOW_EPHEMERAL = range(20_000, 32_768)
"""Where free ports are picked: from 32,768 on the kernel gives them to outgoing connections, which could take
one between the pick and the start."""


@dataclass(frozen=True)
class Door:
    """A port that a service is to listen on."""

    service: str
    setting: str
    """Name of the setting that says the port."""
    host: str
    port: int
    """0: any free one."""


def assign(doors: Iterable[Door]) -> dict[str, int]:
    """The port of each service. Raises LakehouseError naming the first that is taken and the setting to change."""
    ports: dict[str, int] = {}
    for door in sorted(doors, key=lambda door: door.port == 0):  # the fixed ones first
        if door.port == 0:
            ports[door.service] = _free(door.host, set(ports.values()))
        elif door.port in ports.values() or not is_free(door.host, door.port):
            raise LakehouseError(
                f"port {door.port} of {door.host}, which {door.service} is to listen on, is taken; "
                f"end what listens there or set {door.setting} to another port (0 picks a free one)"
            )
        else:
            ports[door.service] = door.port
    return ports


def is_free(host: str, port: int) -> bool:
    """Whether a server could listen there now."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: closing connections don't count
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def accepts(host: str, port: int, timeout_s: float = 0.5) -> bool:
    """Whether something listens there."""
    try:
        socket.create_connection((host, port), timeout_s).close()
    except OSError:
        return False
    return True


def _free(host: str, taken: set[int]) -> int:
    for port in random.sample(BELOW_EPHEMERAL, 500):
        if port not in taken and is_free(host, port):
            return port
    raise LakehouseError(f"no free port was found on {host}; is it an address of this machine?")
