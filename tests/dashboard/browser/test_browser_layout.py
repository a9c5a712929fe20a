"""How pages lie on screens of several widths, on the run's Postgres: in even rows, in line, and nothing left open."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

import pytest
from dashboard_tables import Tables

from benchmarks.browser import PHONE, Screen
from lakehouse.embedded.waiting import until
from tests.dashboard.browser.seen import APPEARS_WITHIN_S, Open, Seen

pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.usefixtures("dashboard")]


@pytest.fixture(autouse=True)
def an_hour(tables: Tables) -> None:
    """Something to be shown, with a figure for all of it."""
    tables.windows(*((f"2025-03-01T10:{minute}0", kind, 50) for minute in "012" for kind in ("view", "purchase")))
    tables.sessions("2025-03-01T10:00", 80, 60, 30, 6)
    tables.status("gold", watermark=datetime(2025, 3, 2, tzinfo=UTC))


def rows_of_figures(seen: Seen) -> list[int]:
    """How many stand beside each other, from the top."""
    boxes = [metric.bounding_box() for metric in seen.page.get_by_test_id("stMetric").all()]
    by_top = Counter(round(box["y"]) for box in boxes if box is not None)
    return [by_top[top] for top in sorted(by_top)]


def place_of(seen: Seen, control: str) -> tuple[int, int]:
    """The top and the height of a segmented control."""
    box = seen.page.get_by_role("radiogroup", name=control, exact=True).bounding_box()
    assert box is not None
    return round(box["y"]), round(box["height"])


@pytest.mark.parametrize(
    ("width", "rows"),
    [
        pytest.param(1440, [5, 4], id="desktop"),
        pytest.param(1024, [5, 4], id="a tablet that lies"),
        pytest.param(390, [2, 2, 2, 2, 1], id="phone"),
        pytest.param(360, [2, 2, 2, 2, 1], id="small phone"),
    ],
)
def test_the_figures_of_now_break_evenly(open_page: Open, width: int, rows: list[int]) -> None:
    seen = open_page("/", screen=Screen("of that width", width, 900), range="All", live="false")

    assert until(lambda: rows_of_figures(seen) == rows, APPEARS_WITHIN_S), rows_of_figures(seen)


def test_what_is_chosen_for_a_funnel_stands_in_one_line(open_page: Open) -> None:
    seen = open_page("/funnel", range="All", live="false")

    controls = ("A bar is", "Compare with", "Tell apart by")
    assert until(lambda: len({place_of(seen, control) for control in controls}) == 1, APPEARS_WITHIN_S), [
        place_of(seen, control) for control in controls
    ]


def test_the_range_is_one_bar_on_a_phone_and_all_of_it_can_be_chosen(open_page: Open) -> None:
    seen = open_page("/", screen=PHONE, range="All", live="false")

    choices = seen.page.get_by_role("radiogroup", name="Range", exact=True).get_by_role("radio")
    assert choices.count() == 6
    assert len({round(box["y"]) for choice in choices.all() if (box := choice.bounding_box()) is not None}) == 1
    for label in ("Custom", "6 hours"):  # from one end to the other; the default does not stand in the address
        seen.choose(label)
        seen.page.wait_for_url(f"**range={label.replace(' ', '+')}*")
