"""Where the services of a running stack answer; written by whoever started them, read by everyone else."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from lakehouse.errors import LakehouseError
from lakehouse.home import Home


@dataclass(frozen=True)
class Endpoints:
    """Addresses of the services; the Postgres ones are ``postgresql://`` with the role's password."""

    kafka: str
    """HOST:PORT of the broker."""
    postgres_owner: str
    """Owner of the database: migrations and roles only."""
    postgres_writer: str
    """May insert, update and delete rows of the mirrors; used by the streams."""
    postgres_reader: str
    """May only read; used by the dashboard and the API."""
    api: str
    """http:// address of the REST API."""
    dashboard: str
    """http:// address of the dashboard."""
    quality: str = ""
    """http:// address of Great Expectations' Data Docs; empty where no validator runs."""

    def save(self, home: Home) -> None:
        """Writes the file that others read, readable by the owner only."""
        # A name of its own: services that are started one by one may write it at the same moment.
        number, part = tempfile.mkstemp(prefix="endpoints-", suffix=".part", dir=home.run)
        with os.fdopen(number, "w") as file:
            json.dump(asdict(self), file, indent=1)
        Path(part).replace(home.endpoints)

    @classmethod
    def load(cls, home: Home) -> Endpoints:
        """Raises LakehouseError where nothing has been started under this home."""
        try:
            return cls(**json.loads(home.endpoints.read_text()))
        except FileNotFoundError:
            raise LakehouseError(f"nothing is running under {home.root}; start it with `lakehouse up`") from None
