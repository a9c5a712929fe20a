"""The colours of pages: those that the theme names, and what lies behind them."""

from __future__ import annotations

import tomllib
from pathlib import Path

THEME = tomllib.loads((Path(__file__).parents[2] / "dashboard" / ".streamlit" / "config.toml").read_text())["theme"]
BACKGROUNDS = {"light": "#FFFFFF", "dark": "#171614"}
"""Streamlit's own, as a browser shows them."""
