"""What every commit says of itself, so that the table is the truth about how far it has come.

The text is JSON in the commit's ``userMetadata``: Spark writes it by a session conf or option, delta-rs as a
custom entry of the same name, and DESCRIBE HISTORY shows it for both.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import datetime
from typing import Any

KEY = "userMetadata"

REBUILT = "rebuilt"
"""The marker of a commit that put rows made anew in the place of those that were there: who follows the table makes
anew what came of them."""


@dataclass(frozen=True)
class Commit:
    """One commit's account of the micro-batch that made it."""

    query: str
    """The stream that wrote it."""
    generation: int
    """Which life of that stream: a rebuild, a restore or a lost checkpoint begins the next one."""
    batch_id: int
    """The micro-batch: never less than an earlier one of its generation."""
    offsets: Mapping[str, int] = field(default_factory=dict)
    """For each ``source_id/partition`` the next Kafka offset: all before it are in (bronze, silver, users' days)."""
    source_version: int | None = None
    """The source table's last version that is in (silver, gold); ``batch_id`` is the same number, except where
    that can be done again."""
    rows_in: int = 0
    rows_out: int = 0
    rows_duplicate: int = 0
    rows_refused: int = 0
    watermark: datetime | None = None
    """Gold: newest valid event time less the allowed lateness; it never goes back."""
    finalized: datetime | None = None
    """Gold: every window that ended by then is marked as final."""
    refreshed: datetime | None = None
    """Churn features: every user's row is as of then or later."""
    validated: Mapping[str, int] | None = None
    """Verdicts: for each table the last version whose new rows were judged."""
    halted: Sequence[str] | None = None
    """Verdicts: the runs that halt what comes after their tables, and that nobody had decided about by then."""
    marker: str | None = None
    """Set where the commit moved no events: what it did instead."""

    @property
    def app_id(self) -> str:
        """The transaction id under which the batch is committed once."""
        return f"{self.query}/{self.generation}"

    def to_json(self) -> str:
        return json.dumps({k: v for k, v in asdict(self).items() if v is not None}, default=_text, sort_keys=True)

    @classmethod
    def from_json(cls, text: str | None) -> Commit | None:
        """None where the commit was made by someone else and carries no account of ours."""
        try:
            values: dict[str, Any] = json.loads(text or "")
            for name in ("watermark", "finalized", "refreshed"):
                if name in values:
                    values[name] = datetime.fromisoformat(values[name])
            known = {field.name for field in fields(cls)}  # another release may have written more
            return cls(**{name: value for name, value in values.items() if name in known})
        except (ValueError, TypeError, AttributeError):
            return None

    def with_(self, **changes: Any) -> Commit:
        return replace(self, **changes)


def upkeep(what: str) -> str:
    """What a commit of maintenance says of itself: no account, for it moved no events.

    Whoever asks a table how far it has come looks past it.
    """
    return json.dumps({"maintenance": what})


def _text(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{value!r} does not belong into a commit's metadata")
