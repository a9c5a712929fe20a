"""What is opened of each page: as it opens by itself, and the views of it that read the most."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlencode

from benchmarks import browser as chromium


@dataclass(frozen=True)
class View:
    """A page, and what is chosen on it."""

    page: str
    name: str
    """In words; the first of a page is how it opens."""
    query: Mapping[str, str] = field(default_factory=dict)
    """As it stands in the address."""

    def url(self, address: str, **more: str) -> str:
        """Under the dashboard's ``address``."""
        return f"{address}{chromium.path(self.page)}?{urlencode({**self.query, **more})}"


def views(user: str = "") -> tuple[View, ...]:
    """In the order of the pages; of a page without a place here, how it opens. ``user``: whom the page User shows."""
    known = (
        View("now", "last hour"),
        View("now", "all", {"range": "All"}),
        View("funnel", "24 hours"),
        View("funnel", "all", {"range": "All"}),
        View("funnel", "users, all", {"by": "Users", "range": "All"}),
        View("retention", "12 weeks"),
        View("retention", "60 days", {"unit": "day", "days": "60"}),
        View("churn", "at risk"),
        View("churn", "all users", {"show": "All"}),
        View("user", "the most active" if user else "none", {"user": user} if user else {}),
        View("quality", "24 hours"),
        View("quality", "7 days", {"trend": "7 days"}),
        View("time_travel", "24 hours"),
        View("time_travel", "all", {"range": "All"}),
        View("time_travel", "silver.events, all", {"table": "silver.events", "range": "All"}),
        View("pipeline", "last hour"),
        View("pipeline", "24 hours", {"since": "24 hours"}),
    )
    of_page = {page: tuple(view for view in known if view.page == page) for page in chromium.pages()}
    return tuple(view for page, found in of_page.items() for view in found or (View(page, "as it opens"),))
