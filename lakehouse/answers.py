"""What an answer of the API that is none says, in a line for people."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import httpx


def detail_of(answer: httpx.Response) -> Any:
    """What the API says is wrong: a text, or a list of complaints with their places."""
    try:
        return answer.json()["detail"]
    except (ValueError, KeyError, TypeError):
        return answer.text or answer.reason_phrase


def in_words(detail: Any) -> str:
    """``detail`` in one line of at most 300 characters."""
    if isinstance(detail, list):
        detail = "; ".join(complaint(part) for part in detail)
    text = detail if isinstance(detail, str) else json.dumps(detail)
    return " ".join(text.split())[:300]


def complaint(part: Any) -> str:
    """``num_views: Input should be …``."""
    if not isinstance(part, dict):
        return str(part)
    place = list(part.get("loc") or ())
    where = place[-1] if place and isinstance(place[-1], str) else None
    return f"{where}: {part.get('msg')}" if where else str(part.get("msg"))
