"""What a model was made by: the version of the code that computes its features and trains it."""

from __future__ import annotations

import hashlib
from importlib.metadata import version
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
DISTRIBUTION: Final = "interaction-lakehouse"


def code_version() -> str:
    """The project's version and a hash of the sources that decide what a model is, as ``0.1.0+3f2a…``."""
    sources = [ROOT / "gold" / name for name in ("churn_features.py", "counts.py", "user_days.py")]
    return f"{version(DISTRIBUTION)}+{_hash([*sources, *sorted((ROOT / 'ml').glob('*.py'))])}"


def simulation_version() -> str:
    """`code_version`, of simulated history: with the simulator and with the library whose objects a model holds."""
    simulator = [ROOT / "producer" / "simulator.py", ROOT / "lakehouse" / "contracts.py"]
    return f"{code_version()}.{_hash(simulator)}-sklearn{version('scikit-learn')}"


def _hash(files: list[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:12]
