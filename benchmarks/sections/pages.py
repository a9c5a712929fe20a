"""The dashboard's pages, in words and a table."""

from __future__ import annotations

from typing import Any

from benchmarks import markdown as md
from benchmarks.sections import notes


def section(result: Any, options: Any) -> list[str]:
    """First paint, data and refresh of each page."""
    pages = result["pages"]
    painted = sum(page["first_paint_s"]["median"] <= result["first_paint_goal_s"] for page in pages)
    refreshed = sum(page["refresh_s"]["median"] <= result["refresh_goal_s"] for page in pages)
    return [
        "## Pages",
        f"Every page of the dashboard in Chromium {result['browser']} without a window, {result['width']} by "
        f"{result['height']}, each time with an empty cache, {notes.times(options['repeats'])}"
        + (f"; {result['data']}, all of it in range" if result["data"] else "")
        + ". First paint, and everything drawn, count from the moment that the address is opened; newer data from the "
        "click on Refresh until everything is drawn again.",
        md.table(
            ("page", "first paint", "everything drawn", "newer data"),
            [
                (page["name"], *(md.spread(page[figure]) for figure in ("first_paint_s", "drawn_s", "refresh_s")))
                for page in pages
            ],
        ),
        f"First paint is to take {md.seconds(result['first_paint_goal_s'])} at most, newer data "
        f"{md.seconds(result['refresh_goal_s'])}: so it was on {painted} and {refreshed} of {len(pages)} pages.",
    ]
