"""The door of TLS that the cluster's tests go to Postgres by."""

from __future__ import annotations

import socket
import socketserver
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.tls_door import LOOPBACK, Door, tls_door


class Echo(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        self.wfile.write(self.rfile.readline().upper())


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Door]:
    with socketserver.ThreadingTCPServer((LOOPBACK, 0), Echo) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with tls_door(server.server_address[1], tmp_path) as opened:
            yield opened
        server.shutdown()


def said(door: Door, context: ssl.SSLContext) -> bytes:
    with (
        socket.create_connection((LOOPBACK, door.port), 5) as plain,
        context.wrap_socket(plain, server_hostname=LOOPBACK) as connection,
    ):
        connection.sendall(b"hello\n")
        return connection.makefile("rb").readline()


def test_who_trusts_its_certificate_reaches_the_server(door: Door) -> None:
    context = ssl.create_default_context(cafile=str(door.certificate))
    context.set_alpn_protocols(["postgresql"])

    assert said(door, context) == b"HELLO\n"


def test_who_does_not_is_refused(door: Door) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        said(door, ssl.create_default_context())


def test_the_address_leads_through_it(tmp_path: Path) -> None:
    found = Door(4711, tmp_path / "door.crt").address("postgresql://owner:word@127.0.0.1:5432/lakehouse", 5432)

    assert found == (
        "postgresql://owner:word@127.0.0.1:4711/lakehouse?sslmode=verify-full&sslnegotiation=direct&sslrootcert="
        f"{tmp_path}/door.crt"
    )
