"""What somebody needs who is asked for help and cannot look: one ZIP, without secrets and without events."""

from __future__ import annotations

import json
import platform
import sys
import zipfile
from importlib.metadata import distributions
from pathlib import Path
from typing import Any, Final

from lakehouse.embedded.status import look
from lakehouse.errors import LakehouseError
from lakehouse.home import Home
from lakehouse.masks import masked, secrets_of, shown
from lakehouse.settings import Settings

LAST_LINES: Final = 500
LAST_BYTES: Final = 1_000_000
"""Of a log; its lines may be long."""


def documents(settings: Settings, home: Home) -> dict[str, str]:
    """The bundle's files by name, as text, with a mask in the place of each secret."""
    report = look(home)
    status = {"running": False, "home": str(home.root)} if report is None else report.as_document(home)
    found = {"settings.json": _json(shown(settings)), "versions.json": _json(versions()), "status.json": _json(status)}
    # Only logs: what a replay has refused lies beside them, and is of users.
    for log in sorted([*home.logs.glob("*.log"), *home.logs.glob("*.log.1")]):
        found[f"logs/{log.name}"] = _end(log)
    secrets = secrets_of(settings, home)
    return {name: masked(text, secrets) for name, text in found.items()}


def versions() -> dict[str, Any]:
    """Of the machine, of Python and of all packages."""
    packages = {each.metadata["Name"]: each.version for each in distributions() if each.metadata["Name"]}
    return {
        "machine": platform.platform(),
        "python": sys.version,
        "packages": dict(sorted(packages.items(), key=lambda each: each[0].lower())),
    }


def write(settings: Settings, home: Home, path: Path) -> list[str]:
    """Makes the ZIP at ``path``, readable by its owner only; returns the names in it.

    Raises LakehouseError where something is there, or it cannot be written.
    """
    found = documents(settings, home)
    try:
        path.touch(mode=0o600, exist_ok=False)
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as bundle:
            for name, text in found.items():
                bundle.writestr(name, text)
    except FileExistsError:
        raise LakehouseError(f"--out {path}: there is such a file already; name another") from None
    except OSError as error:
        raise LakehouseError(f"--out {path}: cannot be written ({error.strerror})") from None
    return list(found)


def _end(log: Path) -> str:
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - LAST_BYTES))
        lines = file.read().decode(errors="replace").splitlines()
    return "\n".join(lines[-LAST_LINES:]) + "\n"


def _json(document: Any) -> str:
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"
