"""A door of TLS before a server that has none: what a pooler or a load balancer is to Postgres."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Door:
    port: int
    certificate: Path
    """Of the authority that its clients must trust: the door's own."""

    def address(self, dsn: str, behind: int) -> str:
        """The ``postgresql://`` address ``dsn`` of the server at the port ``behind``, by way of the door, which its
        clients verify. TLS from the first byte: the door does not speak Postgres' way of asking for it."""
        trust = f"sslmode=verify-full&sslnegotiation=direct&sslrootcert={self.certificate}"
        return f"{dsn.replace(f':{behind}/', f':{self.port}/')}?{trust}"


@contextmanager
def tls_door(behind: int, folder: Path) -> Iterator[Door]:
    """A door on loopback to the port ``behind``; its key and certificate are in ``folder``."""
    certificate, key = _certificate(folder)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    context.set_alpn_protocols(["postgresql"])
    opened: Future[int] = Future()
    ended = threading.Event()

    async def serve() -> None:
        server = await asyncio.start_server(lambda r, w: _connect(r, w, behind), LOOPBACK, 0, ssl=context)
        opened.set_result(server.sockets[0].getsockname()[1])
        await asyncio.to_thread(ended.wait)
        server.close()

    thread = threading.Thread(target=asyncio.run, args=(serve(),), name="tls door", daemon=True)
    thread.start()
    try:
        yield Door(opened.result(10), certificate)
    finally:
        ended.set()
        thread.join()


async def _connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, behind: int) -> None:
    try:
        inner_reader, inner_writer = await asyncio.open_connection(LOOPBACK, behind)
    except OSError:
        writer.close()
        return
    await asyncio.gather(_pass_on(reader, inner_writer), _pass_on(inner_reader, writer))


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    with contextlib.suppress(OSError):
        writer.close()


def _certificate(folder: Path) -> tuple[Path, Path]:
    """Of 127.0.0.1, signed by itself, for a day."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a door of TLS")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(LOOPBACK))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate, private = folder / "door.crt", folder / "door.key"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return certificate, private
