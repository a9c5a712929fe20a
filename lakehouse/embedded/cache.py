"""The cache: what can be fetched or made again, shared by all homes of a user."""

from __future__ import annotations

import os
from pathlib import Path

from lakehouse.settings import Settings


def cache_folder(settings: Settings) -> Path:
    """The setting ``cache``, else ``interaction-lakehouse`` in the user's cache folder; not created here."""
    if settings.cache is not None:
        return settings.cache.expanduser().resolve()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "interaction-lakehouse"
