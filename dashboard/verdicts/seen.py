"""What the judge saw, as people read it. Pure.

It is kept as the judge's library gives it, as JSON: how many rows were looked at and how many of them failed, or a
value; and of some that failed their keys, or, where a figure beside the rows was judged, the whole row of that figure.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from dashboard.words import per_cent

Figure = Mapping[str, Any]


def told(observed: str | None, examples: Sequence[str]) -> str | None:
    """In a few words; as it is kept where it is of no known kind. None where nothing was seen."""
    if observed is None:
        return None
    seen, first = _read(observed), _read(examples[0]) if examples else None
    if isinstance(first, dict):
        words = next((say(first) for columns, say in _FIGURES if columns <= first.keys()), None)
        if words is not None:
            return words + _others(seen)
    if isinstance(seen, dict) and _is_number(seen.get("rows")) and _is_number(seen.get("failed")):
        return f"{seen['failed']:,} of {seen['rows']:,} rows"
    if isinstance(seen, dict) and seen:
        return _listed(seen)
    return _value("", seen) if _is_number(seen) else observed


def _read(text: str) -> Any:
    """None where it is no JSON, as where it was cut."""
    try:
        return json.loads(text)
    except ValueError:
        return None


def _others(seen: Any) -> str:
    failed = seen.get("failed") if isinstance(seen, dict) else None
    return f", and {failed - 1:,} more" if isinstance(failed, int) and failed > 1 else ""


def _of_messages(figure: Figure) -> str:
    """A share, and the first count of the figure, which is the part."""
    whose = f"{figure['outcome']}: " if "outcome" in figure else ""
    counts = [value for name, value in figure.items() if _is_count(value) and name != "of"]
    if not counts:
        return whose + per_cent(figure["share"])
    return f"{whose}{counts[0]:,} of {figure['of']:,} ({per_cent(figure['share'])})"


def _of_an_hour(figure: Figure) -> str:
    kind = "all types" if figure["event_type"] == "*" else figure["event_type"]
    return f"{kind} at {str(figure['hour'])[:16]}: {figure['events']:,}, usually {figure['usual']:,.0f}"


def _of_a_part(figure: Figure) -> str:
    """Of a mirror and its table."""
    return f"{figure['part']}: {_listed({name: value for name, value in figure.items() if name != 'part'})}"


def _listed(figure: Figure) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {_value(name, value)}" for name, value in figure.items())


def _value(name: str, value: Any) -> str:
    if not _is_number(value):
        return str(value)
    if name.endswith("share"):
        return per_cent(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}" if abs(value) < 1_000 else f"{value:,.0f}"


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _known(say: Callable[[Figure], str]) -> Callable[[Figure], str | None]:
    """None where a value is missing, or is not of the kind that it should be."""

    def said(figure: Figure) -> str | None:
        try:
            return say(figure)
        except (TypeError, ValueError):
            return None

    return said


_FIGURES: Final[tuple[tuple[set[str], Callable[[Figure], str | None]], ...]] = (
    ({"seconds"}, _known(lambda f: f"{f['seconds']:,.1f} s")),
    ({"share", "of"}, _known(_of_messages)),
    (
        {"event_type", "share", "usual_share"},
        _known(lambda f: f"{f['event_type']}: {per_cent(f['share'])}, usually {per_cent(f['usual_share'])}"),
    ),
    ({"hour", "event_type", "events", "usual"}, _known(_of_an_hour)),
    ({"carts", "purchases"}, _known(lambda f: f"{f['purchases']:,} purchases of {f['carts']:,} carts")),
    (
        {"balance", "expected", "found"},
        _known(lambda f: f"{f['balance']}: {f['found']:,} found, {f['expected']:,} expected"),
    ),
    ({"version", "rows_in", "rows_added"}, _known(lambda f: f"version {f['version']:,} does not add up")),
    ({"copies"}, _known(lambda f: f"a key {f['copies']:,} times")),
    ({"part"}, _known(_of_a_part)),
)
"""By the columns that the figure has, see `quality.views`; the first that fits."""
