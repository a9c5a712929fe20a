"""The environments of the peers: made by uv, each of its own, outside the project's."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from benchmarks import peers
from benchmarks.contenders.contender import Contender
from lakehouse.errors import LakehouseError

INSTALL_LIMIT_S: Final = 900.0


@dataclass(frozen=True)
class Peer:
    """An engine from the registry, and the program that uses it."""

    name: str
    requirements: tuple[str, ...]
    program: str
    """A file of the package ``benchmarks.peers``."""
    what: str


PEERS: Final = (
    Peer(
        "bytewax",
        ("bytewax==0.21.1", "confluent-kafka", "psycopg2-binary"),
        "bytewax_windows.py",
        "count_window by user and type, rows inserted as windows close; from its imports done to the last row",
    ),
    Peer(
        "pathway",
        ("pathway==0.33.0", "psycopg2-binary"),
        "pathway_windows.py",
        "windowby tumbling in static mode, its own Postgres writer (snapshot); from its imports done to its end",
    ),
    Peer(
        "quixstreams",
        ("quixstreams[postgresql]==3.28.1",),
        "quixstreams_windows.py",
        "tumbling_window reduced by user, RocksDB state with changelog, its own Postgres sink; from its imports done "
        "to the last commit",
    ),
)


def install(peer: Peer, folder: Path) -> Contender:
    """An environment under ``folder`` with the peer in it, ready to run. Raises LakehouseError with uv's reason."""
    uv = os.environ.get("UV") or shutil.which("uv")
    if uv is None:
        raise LakehouseError("uv is not on PATH (and UV does not name it), so its environment cannot be made")
    python = folder / peer.name / "bin" / "python"
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    if not python.is_file():
        _call([uv, "venv", "--quiet", "--python", version, str(folder / peer.name)])
    _call([uv, "pip", "install", "--quiet", "--python", str(python), *peer.requirements])
    program = Path(peers.__file__).parent / peer.program
    return Contender(peer.name, (str(python), str(program)), peer.what, {"WORKERS": str(psutil.cpu_count() or 1)})


def _call(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_LIMIT_S, check=False)
    except subprocess.TimeoutExpired:
        raise LakehouseError(f"its environment was not there after {INSTALL_LIMIT_S:g} s") from None
    if done.returncode:
        raise LakehouseError(f"it could not be installed: {' '.join(done.stderr.split())[:300]}")
