"""Gives a home that has no champion one of simulated history: ``python -m ml.first_champion``, run by `lakehouse up`.

It never touches the topic or a table. What it makes is kept in the user's cache by the version of the code, so that
the next new home only copies it.
"""

from __future__ import annotations

import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from lakehouse.contracts import SIMULATED_MODEL
from lakehouse.embedded.cache import cache_folder
from lakehouse.errors import LakehouseError
from lakehouse.home import Home
from lakehouse.settings import Settings, load_settings
from ml.versions import simulation_version

LEAST_PRIORITY: Final = 19
"""It runs while the stack starts, and must not slow that down."""


def main() -> int:
    os.nice(LEAST_PRIORITY)
    try:
        sys.stdout.write(f"{give(load_settings())}\n")
    except LakehouseError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


def give(settings: Settings) -> str:
    """Makes the champion, unless there is one by then, and says what was done. Raises LakehouseError on a bad cache."""
    home, began = Home(settings.home), time.monotonic()
    if home.champion.exists():
        return "there is a champion already"
    cached = cached_champion(settings)
    try:
        if not cached.exists():
            _make(cached, settings.churn_lookback_days)
        taken = _take(cached, home)
    except OSError as error:
        raise LakehouseError(f"no champion of simulated data: {error}") from None
    return f"champion of simulated data in {time.monotonic() - began:.1f} s" if taken else "there is a champion already"


def cached_champion(settings: Settings) -> Path:
    """Where this code's champion of simulated data is kept, whether or not it has been made."""
    name = f"{simulation_version()}-{settings.churn_lookback_days}d.pkl"
    return cache_folder(settings) / "champions" / name


def _make(cached: Path, lookback_days: int) -> None:
    from ml.dataset import AllDays  # these take seconds to import: not where a copy will do
    from ml.package import save, save_note
    from ml.packaging import packaged
    from ml.planning import plan_cuts
    from ml.simulated import simulated_user_days
    from ml.training import Plan, train

    days = simulated_user_days()
    plan = Plan(plan_cuts(days, lookback_days=lookback_days), "users", bootstrap_rounds=50)
    version = f"{SIMULATED_MODEL}{simulation_version()}"
    package = packaged(train(AllDays(days), plan), plan, datetime.now(UTC), version=version, simulated=True)
    cached.parent.mkdir(parents=True, exist_ok=True)
    save_note(package.card, cached.with_suffix(".json"))
    save(package, cached)


def _take(cached: Path, home: Home) -> bool:
    """Copies it to where the champion is; False where another has come there by then, which stays."""
    home.models.mkdir(parents=True, exist_ok=True)
    copy = home.champion.with_name(f".first.{os.getpid()}")
    try:
        copy.write_bytes(cached.read_bytes())
        os.link(copy, home.champion)
    except FileExistsError:
        return False
    finally:
        copy.unlink(missing_ok=True)
    home.champion_note.write_bytes(cached.with_suffix(".json").read_bytes())
    return True


if __name__ == "__main__":
    sys.exit(main())
