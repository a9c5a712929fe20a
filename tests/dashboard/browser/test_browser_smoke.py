"""A look through a real browser, on the run's Postgres: numbers are shown, and new ones come without a click."""

from __future__ import annotations

import pytest
from dashboard_tables import Tables

from benchmarks.browser import pages, path
from tests.dashboard.browser.seen import Open

pytestmark = pytest.mark.slow


@pytest.mark.usefixtures("dashboard")
def test_what_comes_into_postgres_is_seen_without_a_click(tables: Tables, open_page: Open) -> None:
    tables.windows(("2025-03-01T10:00", "view", 1_200), ("2025-03-01T10:00", "purchase", 30))
    # Whoever comes first, by the address of any page, gets the whole application: Streamlit runs the files of a folder
    # named `pages` by themselves, until the application's own navigation has run once.
    assert open_page(path(pages()[-1])).page.title() == "Interaction lakehouse"

    seen = open_page("/", range="All")
    seen.await_metrics({"Views": "1,200", "View to purchase": "2.5 %"})
    assert seen.exceptions() == []

    tables.windows(("2025-03-01T10:20", "view", 34))

    seen.await_metrics({"Views": "1,234", "Events": "1,264"})
