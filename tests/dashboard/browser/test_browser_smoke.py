"""One look through a real browser, on the run's Postgres: numbers are shown, and new ones come without a click."""

from __future__ import annotations

import pytest
from dashboard_tables import Tables

from tests.dashboard.browser.seen import Open

pytestmark = pytest.mark.slow


@pytest.mark.usefixtures("dashboard")
def test_what_comes_into_postgres_is_seen_without_a_click(tables: Tables, open_page: Open) -> None:
    tables.windows(("2025-03-01T10:00", "view", 1_200), ("2025-03-01T10:00", "purchase", 30))
    seen = open_page("/", range="All")
    assert seen.metrics()["Views"] == "1,200"
    assert seen.metrics()["View to purchase"] == "2.5 %"
    assert seen.exceptions() == []

    tables.windows(("2025-03-01T10:20", "view", 34))

    seen.await_metrics({"Views": "1,234", "Events": "1,264"})
