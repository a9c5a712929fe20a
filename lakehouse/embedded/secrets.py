"""The passwords of a home, made at its first start."""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import asdict, dataclass

from lakehouse.embedded.locks import Held, exclusively
from lakehouse.errors import LakehouseError
from lakehouse.home import Home

LIMIT_S = 10.0
"""How long another process may take to make them."""


@dataclass(frozen=True)
class Secrets:
    """One password for each Postgres role."""

    postgres_owner: str
    postgres_writer: str
    postgres_reader: str


def load_secrets(home: Home) -> Secrets:
    """Those of the home, made where it has none; in a file that only its owner may read.

    Raises LakehouseError where the file is unreadable, or lost while the database that knows them is there.
    """
    try:
        return Secrets(**json.loads(home.secrets.read_text()))
    except FileNotFoundError:
        pass
    except (ValueError, TypeError):
        raise LakehouseError(f"{home.secrets} is damaged; restore it from a backup of this home") from None
    if home.postgres.joinpath("data").exists():
        raise LakehouseError(
            f"{home.secrets} is missing, and the database under {home.postgres} knows no other passwords; restore it"
        )
    try:
        with exclusively(home.run / "secrets.lock", LIMIT_S):
            if not home.secrets.exists():
                _make(home)
    except Held:
        raise LakehouseError(f"another process is making {home.secrets}; try again") from None
    return load_secrets(home)


def _make(home: Home) -> None:
    made = Secrets(*(secrets.token_urlsafe(24) for _ in range(3)))
    part = home.secrets.with_suffix(".part")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(asdict(made), file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    part.replace(home.secrets)
