"""The books, drawn up by the running writer when somebody asks: never by themselves, for they read every table."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import streamlit as st

from lakehouse.errors import LakehouseError
from lakehouse.home import Home
from lakehouse.jobs import call

SILENT_FOR_S: Final = 900.0
"""How long one step of an audit may take."""


class Busy(LakehouseError):
    """They are being drawn up already."""


@dataclass(frozen=True)
class Balance:
    """One line: two sides, each counted on its own."""

    name: str
    left: str
    left_value: str
    right: str
    right_value: str
    note: str
    agrees: bool


@dataclass(frozen=True)
class Books:
    """As the writer drew them up."""

    at: datetime
    full: bool
    agrees: bool
    balances: tuple[Balance, ...]
    lag: int | None
    """Events that were in Kafka only."""


@dataclass
class Ledger:
    """The newest books of a home, for all who look at the page."""

    newest: Books | None = None
    _drawing_up: threading.Lock = field(default_factory=threading.Lock)

    def draw_up(self, home: Home, full: bool, progress: Callable[[str], None]) -> Books:
        """Asks the writer of ``home``; ``progress`` is told each step. Raises Busy, LakehouseError with its reason."""
        if not self._drawing_up.acquire(blocking=False):
            raise Busy("the books are being drawn up for somebody else; their result will be shown here")
        try:
            found = call(home, "audit", {"full": full}, timeout_s=SILENT_FOR_S, progress=progress)
            self.newest = _books(found)
            return self.newest
        finally:
            self._drawing_up.release()


@st.cache_resource(max_entries=4, show_spinner=False)
def ledger(home: Home) -> Ledger:  # noqa: ARG001 (it is what tells one ledger from another)
    return Ledger()


def _books(found: dict[str, Any]) -> Books:
    balances = (
        Balance(
            line["name"],
            line["left"],
            _side(line["left_value"]),
            line["right"],
            _side(line["right_value"]),
            line["note"],
            line["agrees"],
        )
        for line in found["balances"]
    )
    return Books(datetime.now(UTC), found["full"], found["agrees"], tuple(balances), found["lag"])


def _side(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else "none" if value is None else str(value)
