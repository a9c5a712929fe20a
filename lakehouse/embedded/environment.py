"""What a child of the project's own is told by its environment."""

from __future__ import annotations

import json
import os
from typing import Any

from pydantic import SecretStr

from lakehouse.settings import SECRET, SECRET_FILES, Settings

NO_TELEMETRY = {
    "DO_NOT_TRACK": "1",
    "GX_ANALYTICS_ENABLED": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "STREAMLIT_BROWSER_GATHER_USAGE_STATS": "false",
}


def inherited() -> dict[str, str]:
    """This process's own environment without secrets: a server of others, perhaps under another account, needs none,
    and a service of the project's own is told those that it needs."""
    secret = {f"LAKEHOUSE_{name.upper()}" for name in SECRET | {"spark_conf"}}
    return {name: value for name, value in os.environ.items() if name not in secret}


def child_environment(settings: Settings) -> dict[str, str]:
    """Makes a child's ``load_settings()`` give these settings, wherever they came from here, and libraries
    keep their usage to themselves. Its output is not buffered, so that a log tells the last line too.

    A secret that lies in a file is read from there by the child as well."""
    in_files = {name for variable, name in SECRET_FILES.items() if os.environ.get(variable)}
    told = {
        f"LAKEHOUSE_{name.upper()}": _text(getattr(settings, name))
        for name in (settings.model_fields_set | {"home"}) - in_files
        if getattr(settings, name) is not None
    }
    return {**NO_TELEMETRY, "PYTHONUNBUFFERED": "1", **told}


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(value)
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return json.dumps(value) if isinstance(value, dict) else str(value)
