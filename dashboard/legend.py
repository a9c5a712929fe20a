"""The legend below a chart: in sight as a whole where it can be."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

BELOW_PX: Final = 60
"""What a chart leaves for it: two lines, as it takes on a phone."""
_TWO_LINES: Final = 90
_MARK: Final = 7
"""In letters: the mark of a name, and what is between two names."""


def legend(names: Iterable[str]) -> dict[str, Any]:
    """Of lines or bars with these names; of more than two lines on a phone one line that is paged through."""
    is_short = sum(len(name) + _MARK for name in names) <= _TWO_LINES
    return {"type": "plain" if is_short else "scroll", "bottom": 0, "left": "center", "itemGap": 8}
