"""A PostgreSQL that lets nobody in but by TLS and with a password proved by SCRAM.

The one that the project brings along is built without OpenSSL and so cannot; it takes one of the system's.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from lakehouse.embedded.account import Account, own, unprivileged
from lakehouse.embedded.ports import LOOPBACK, Door, assign
from lakehouse.embedded.postgres import DATABASE, OWNER, answers, dsn
from lakehouse.embedded.process import launcher
from lakehouse.embedded.waiting import until
from tests.security.certificates import HOST, Certificates

STARTS_WITHIN_S = 30.0

# Whoever comes without TLS is refused by the second line; "trust" is nowhere.
WHO_MAY = "hostssl all all 127.0.0.1/32 scram-sha-256\nhostnossl all all all reject\n"


def with_tls() -> Path | None:
    """The folder of a PostgreSQL's programs that was built with OpenSSL; None where the machine has none."""
    found = [Path(name) for name in (shutil.which("postgres"),) if name is not None]
    for server in [*found, *sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), reverse=True)]:
        told = subprocess.run([server, "--describe-config"], capture_output=True, text=True, check=False).stdout
        ciphers = next((line.split("\t") for line in told.splitlines() if line.startswith("ssl_ciphers\t")), [])
        if ciphers and "none" not in ciphers:
            return server.resolve().parent
    return None


@contextmanager
def locked_postgres(binaries: Path, folder: Path, certificates: Certificates, password: str) -> Iterator[str]:
    """Yields the owner's address, which asks for TLS and verifies the server."""
    account = unprivileged(folder, binaries)
    own(folder, account)
    data, secret = folder / "data", folder / "password"
    secret.write_text(password)
    for name, file in (("server.key", certificates.key), ("server.crt", certificates.chain)):
        shutil.copyfile(file, folder / name)
        (folder / name).chmod(0o600)
    _own_all(folder, account)
    made = ["initdb", "-D", str(data), "-U", OWNER, f"--pwfile={secret}", "--auth=scram-sha-256", "--encoding=UTF8"]
    _run([str(binaries / made[0]), *made[1:], "--locale=C", "--no-sync"], account)
    _run(
        [str(binaries / "postgres"), "--single", "-D", str(data), "postgres"], account, f"CREATE DATABASE {DATABASE}\n"
    )
    (data / "pg_hba.conf").write_text(WHO_MAY)
    port = assign([Door("postgres", "", LOOPBACK, 0)])["postgres"]
    options = {
        "listen_addresses": LOOPBACK,
        "port": str(port),
        "unix_socket_directories": "",
        "ssl": "on",
        "ssl_cert_file": str(folder / "server.crt"),
        "ssl_key_file": str(folder / "server.key"),
        "password_encryption": "scram-sha-256",
    }
    settings = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
    address = f"{dsn(OWNER, password, HOST, port)}?sslmode=verify-full&sslrootcert={quote(str(certificates.ca))}"
    argv = [str(binaries / "postgres"), "-D", str(data), *settings]
    with (folder.parent / "postgres.log").open("w") as log:
        server = subprocess.Popen(launcher(account, signal.SIGINT, argv), cwd="/", stdout=log, stderr=log)
        try:
            assert until(answers(address), STARTS_WITHIN_S), (folder.parent / "postgres.log").read_text()[-5000:]
            yield address
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(30)


def _own_all(folder: Path, account: Account | None) -> None:
    for path in folder.iterdir():
        if account is not None:
            shutil.chown(path, account.uid, account.gid)


def _run(argv: list[str], account: Account | None, stdin: str = "") -> None:
    command = launcher(account, signal.SIGTERM, argv)
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, cwd="/", check=False)
    assert done.returncode == 0, done.stdout + done.stderr
