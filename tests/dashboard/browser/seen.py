"""A page as a person sees it in a browser: its numbers, its tables, and whatever is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import polars as pl
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import ConsoleMessage, Locator, Page, Response, expect

from benchmarks.browser import visit
from lakehouse.embedded.waiting import until

Open = Callable[..., "Seen"]
"""``open_("/", range="All")``: the page of that address once it is drawn; ``screen`` and ``scheme`` say on what."""

APPEARS_WITHIN_S = 30.0
"""Longest wait for what comes by itself: a pipeline's second or two and a refresh's, on a busy machine."""

SERIOUS = ("serious", "critical")

OF_STREAMLIT = re.compile(r"/\w+/_stcore/(health|host-config)")
"""On any page but the first, Streamlit asks for its server below the page's own address before it asks at the root, for
it cannot know how many parts of the address are its base."""


class Seen:
    """One page in a browser of its own; ``complaints`` is whatever the browser's console said was wrong."""

    def __init__(self, page: Page, address: str) -> None:
        self.page = page
        self.address = address
        self.complaints: list[str] = []
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.complaints.append(f"uncaught: {error}"))
        page.on("response", self._look_at)

    def open(self) -> None:
        visit(self.page, self.address)

    def await_metrics(self, expected: Mapping[str, str]) -> None:
        """Waits until these are shown: after a choice there are still those of before. Fails with what is shown
        instead."""
        for label, value in expected.items():
            metric = self.page.get_by_test_id("stMetric").filter(has=self.page.get_by_text(label, exact=True))
            expect(metric.get_by_test_id("stMetricValue")).to_have_text(value, timeout=APPEARS_WITHIN_S * 1000)

    def await_words(self, *expected: str) -> None:
        """Waits until each of these texts stands somewhere on the page, outside of tables and charts."""
        for words in expected:
            expect(self.page.get_by_test_id("stMain")).to_contain_text(words, timeout=APPEARS_WITHIN_S * 1000)

    def table(self, title: str) -> Locator:
        """The table whose description is ``title``, as a screen reader is told of it: the rows in sight."""
        return self.page.get_by_test_id("stDataFrame").filter(has=self.page.get_by_role("button", name=title)).first

    def rows(self, title: str) -> list[dict[str, str]]:
        """Those rows of a table, by the columns' names, once there are some."""
        _, found = self._look(title)
        return list(found.values())

    def all_rows(self, title: str) -> list[dict[str, str]]:
        """All rows of a table, by the columns in sight: it is scrolled from the first to the last one."""
        count, found = 1, dict[int, dict[str, str]]()
        while len(found) < count:
            known = len(found)
            self.table(title).locator(".dvn-scroller").evaluate(f"scroller => scroller.scrollTop = {known} * 35")
            self.table(title).locator(f"canvas table tbody tr[aria-rowindex='{known + 2}']").wait_for(state="attached")
            count, more = self._look(title)
            found |= more
        return [found[number] for number in sorted(found)]

    def await_all_rows(self, title: str, expected: Sequence[Mapping[str, str]]) -> None:
        """Waits until all rows of a table, by the columns of ``expected``, are these; fails with what they are. A cell
        is compared as far as its text is expected, for a moment may be told in more detail."""
        shown: list[dict[str, str]] = []

        def are_shown() -> bool:
            shown[:] = [
                {
                    name: row.get(name, "")[: len(text)]
                    for name, text in expected[min(number, len(expected) - 1)].items()
                }
                for number, row in enumerate(self.all_rows(title))
            ]
            return shown == list(expected)

        if not until(are_shown, APPEARS_WITHIN_S):
            assert shown == list(expected)

    def await_rows(self, title: str, expected: Sequence[Mapping[str, str]], *, and_more: bool = False) -> None:
        """Waits until the rows in sight, by the columns of ``expected``, are these, ``and_more``: begin with these;
        fails with what they are."""
        shown: list[dict[str, str | None]] = []
        most = len(expected) if and_more else None

        def are_shown() -> bool:
            shown[:] = [{name: row.get(name) for name in expected[0]} for row in self.rows(title)[:most]]
            return shown == list(expected)

        if not until(are_shown, APPEARS_WITHIN_S):
            assert shown == list(expected)

    def download(self, name: str) -> pl.DataFrame:
        """The CSV file behind the button ``name``, as text."""
        with self.page.expect_download() as downloading:
            self.page.get_by_test_id("stDownloadButton").get_by_role("button", name=name).click()
        return pl.read_csv(downloading.value.path(), infer_schema=False)

    def data_of(self, chart: str) -> list[dict[str, str]]:
        """The rows that a chart, by its description, shows in place of itself when it is asked for its data."""
        drawn = self._chart(chart)
        drawn.scroll_into_view_if_needed()
        drawn.hover()
        self.page.get_by_role("button", name=f"Show data: {chart}").click()
        return self.rows(chart)

    def told_at(self, chart: str, across: float) -> str:
        """What the tooltip of a chart, by its description, tells ``across`` of the way from its left edge to the right
        one; without blanks, for they are a matter of its layout."""
        drawn = self._chart(chart)
        drawn.scroll_into_view_if_needed()
        box = drawn.bounding_box()
        assert box is not None
        x, y = box["x"] + across * box["width"], box["y"] + box["height"] / 2
        self.page.mouse.move(x - 5, y)  # it is told where the mouse comes by, and not where it is
        self.page.mouse.move(x, y)
        expect(drawn).not_to_have_text("")
        return "".join((drawn.text_content() or "").split())

    def choose(self, label: str) -> None:
        """Clicks an option of a segmented control."""
        self.page.get_by_role("radio", name=label, exact=True).click()

    def exceptions(self) -> list[str]:
        """Tracebacks on the page."""
        return self.page.get_by_test_id("stException").all_inner_texts()

    def unfit(self) -> list[str]:
        """What axe finds that keeps somebody out: contrast, labels, roles, names. Of charts and tables, which are
        drawn on a canvas, it sees their names only."""
        found: list[dict[str, Any]] = Axe().run(self.page).response["violations"]
        return [
            f"{rule['id']} ({rule['impact']}): {node['html']}"
            for rule in found
            if rule["impact"] in SERIOUS
            for node in rule["nodes"]
        ]

    def tab_stops(self, until: str = "", most: int = 60) -> list[str]:
        """Where Tab leads from the top of the page, by accessible name or text, as far as ``until``; '(unseen) ' where
        a person could not tell that the focus is there."""
        stops: list[str] = []
        for _ in range(most):
            self.page.keyboard.press("Tab")
            stop = self.page.evaluate(_FOCUSED)
            if stop is None:
                break
            stops.append(stop)
            if stop == until:
                break
        return stops

    def _chart(self, description: str) -> Locator:
        return self.page.locator(f'[data-testid="stEChartsChart"][aria-label="{description}"]')

    def _look(self, title: str) -> tuple[int, dict[int, dict[str, str]]]:
        """How many rows a table has, and those in sight by their number: of one moment, the next may have others."""
        table = self.table(title)
        table.scroll_into_view_if_needed()
        table.locator("canvas table tbody tr").first.wait_for(state="attached")
        seen = table.locator("canvas table").evaluate(_TABLE)
        return seen["count"], {
            row["number"]: dict(zip(seen["head"], row["cells"], strict=True)) for row in seen["rows"]
        }

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type == "error" and not _expected(message.location["url"]):
            self.complaints.append(f"console: {message.text}")

    def _look_at(self, response: Response) -> None:
        if response.status >= 400 and not _expected(response.url):
            self.complaints.append(f"{response.status}: {response.url}")


def _expected(url: str) -> bool:
    return OF_STREAMLIT.fullmatch(urlsplit(url).path) is not None


_TABLE = """
table => {
    const texts = cells => [...cells].map(cell => cell.textContent);
    return {
        count: table.getAttribute('aria-rowcount') - 1,
        head: texts(table.querySelectorAll('th')),
        rows: [...table.querySelectorAll('tbody tr')].map(row => ({
            number: row.getAttribute('aria-rowindex') - 2,
            cells: texts(row.querySelectorAll('td')),
        })),
    };
}
"""

# Seen is a focus with an outline or a shadow, or one that changes what is drawn of the element or beside it. A cell's
# is drawn by its table, on the canvas; a button above a chart is told by its tooltip; the page itself needs none.
_FOCUSED = """
async () => {
    const focused = document.activeElement;
    if (!focused || focused === document.body) return null;
    const around = focused.closest('label, [data-baseweb]') || focused.parentElement;
    const frames = [around, around.parentElement, around.parentElement.parentElement];
    const drawn = () => [focused, ...frames, ...around.querySelectorAll('*')].map(element => {
        const style = getComputedStyle(element);
        return [style.outline, style.boxShadow, style.backgroundColor, style.borderColor, style.textDecoration];
    }).join();
    const {outlineStyle, boxShadow} = getComputedStyle(focused);
    let seen = outlineStyle !== 'none' || boxShadow !== 'none' || focused.tagName === 'MAIN'
        || focused.closest('canvas, [data-testid="stElementToolbar"]');
    if (!seen) {
        const still = document.head.appendChild(document.createElement('style'));
        still.textContent = '* { transition: none !important }';
        const withFocus = drawn();
        focused.blur();
        await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
        seen = drawn() !== withFocus;
        focused.focus({preventScroll: true});
        still.remove();
    }
    const name = focused.getAttribute('aria-label') || focused.innerText.split('\\n').filter(line => line).pop() || '';
    return (seen ? '' : '(unseen) ') + name.trim();
}
"""
