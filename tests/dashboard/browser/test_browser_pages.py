"""Every page, in a browser, with three months of a real shop: whole, silent in the console, and fit for everybody."""

from __future__ import annotations

import pytest

from benchmarks.browser import DESKTOP, PHONE, Scheme, Screen, page_files, pages, path
from tests.dashboard.browser.seen import Open

pytestmark = [pytest.mark.slow, pytest.mark.long]

each_page = pytest.mark.parametrize("name", pages())


def test_every_page_is_in_the_navigation() -> None:
    files = page_files()

    assert set(files) == set(files[0].parent.glob("*.py"))


@each_page
@pytest.mark.parametrize(("screen", "scheme"), [(DESKTOP, "light"), (PHONE, "dark")], ids=["desktop", "phone"])
def test_a_page_is_whole_and_fit_for_everybody(open_page: Open, name: str, screen: Screen, scheme: Scheme) -> None:
    seen = open_page(path(name), screen=screen, scheme=scheme)

    assert seen.exceptions() == []
    assert seen.page.get_by_role("heading").count() > 0
    assert seen.page.evaluate("stMain.scrollWidth <= stMain.clientWidth"), "it scrolls sideways"
    assert seen.unfit() == []


@each_page
def test_a_page_can_be_used_by_keyboard(open_page: Open, name: str) -> None:
    stops = open_page(path(name)).tab_stops()

    assert {"Live", "Refresh"} <= set(stops), stops
    assert [stop for stop in stops if stop.startswith("(unseen)")] == []


def test_a_range_is_chosen_by_keyboard(open_page: Open) -> None:
    seen = open_page("/", range="6 hours")

    assert "Last hour" in seen.tab_stops(until="Last hour")  # Tab leads to the group, arrows lead within it
    for key in ("ArrowRight", "ArrowRight", "Space"):
        seen.page.keyboard.press(key)

    seen.page.wait_for_url("**range=24+hours*")
