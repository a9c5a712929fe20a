"""Pages: how long each page of the dashboard takes in a browser, to its first paint, to its data, and to newer data."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

from PIL import Image
from playwright.sync_api import Browser

from benchmarks import browser as chromium
from benchmarks.browser import DESKTOP, PHONE, SCHEMES, Scheme, Screen, Timing
from benchmarks.measure import Repeated, repeated
from benchmarks.stack import Stack, fresh_home, running
from dashboard.database import SHARED_FOR_S
from lakehouse.embedded.waiting import until
from lakehouse.errors import LakehouseError
from lakehouse.settings import Settings

FIRST_PAINT_GOAL_S: Final = 2.0
REFRESH_GOAL_S: Final = 1.0

SHOP: Final = Path("../shared/data/ga4_store_events.csv.gz")
"""Three months of a real shop; it lies beside the project."""

VIEW: Final = {"range": "All"}
"""What is opened: of all that the pages offer, the view that reads the most."""

SETTLED_WITHIN_S: Final = 300.0
TALLEST: Final = 6_000
"""Pixels of a picture; whatever is below them is cut."""
COLOURS: Final = 256


@dataclass(frozen=True)
class Options:
    """What to measure."""

    url: str = ""
    """Address of a dashboard that runs; where empty, that of a stack of its own, with the events of a file."""
    mapping: str = "ga4"
    """How the file is read."""
    repeats: int = 5
    """Visits of each page, each by a browser whose cache is empty, and as many refreshes."""


QUICK: Final = Options(repeats=1)


@dataclass(frozen=True)
class PageTimes:
    """One page; seconds."""

    name: str
    first_paint_s: Repeated
    """From the address to the first content."""
    drawn_s: Repeated
    """From the address until all numbers, charts and tables are there."""
    refresh_s: Repeated
    """From the click on Refresh until all are there again."""


@dataclass(frozen=True)
class Pages:
    first_paint_goal_s: float
    refresh_goal_s: float
    data: str
    """In words; empty where the stack was there before."""
    browser: str
    width: int
    height: int
    pages: tuple[PageTimes, ...]


def measure(
    options: Options,
    settings: Settings,  # noqa: ARG001 (the stack's own are the environment's)
    work: Path,
    say: Callable[[str], None],
    *,
    file: Path = SHOP,
    screenshots: Path | None = None,
) -> Pages:
    """Each page of the dashboard; then pictures of each, light and dark, on a desktop and a phone, into the folder
    ``screenshots``. Raises LakehouseError where there is no browser, no file, or a page is not drawn."""
    with chromium.browsing() as browser, _dashboard(options, work, file, say) as (address, data):
        pages = tuple(_times(browser, address, name, options.repeats, say) for name in chromium.pages())
        if screenshots is not None:
            for picture in _pictures(browser, address, screenshots):
                say(str(picture))
        return Pages(FIRST_PAINT_GOAL_S, REFRESH_GOAL_S, data, browser.version, DESKTOP.width, DESKTOP.height, pages)


@contextmanager
def _dashboard(options: Options, work: Path, file: Path, say: Callable[[str], None]) -> Iterator[tuple[str, str]]:
    """The dashboard's address, and what it has to show."""
    if options.url:
        yield options.url.rstrip("/"), ""
        return
    if not file.is_file():
        raise LakehouseError(f"{file} is not there; name a file of events by --file, or a running dashboard by --url")
    with fresh_home(work, "pages") as home, running(home) as stack:
        say(f"the stack takes {file.name}")
        replayed = json.loads(stack.run("replay", str(file), "--mapping", options.mapping, "--json"))
        stack.drain(SETTLED_WITHIN_S)
        if not until(lambda: _settled(stack), SETTLED_WITHIN_S, tick_s=2.0):
            say("some pages are not full: the champion or the verdicts are not there yet")
        yield stack.endpoints.dashboard, f"{replayed['produced']:,} events of {file.name}"


def _settled(stack: Stack) -> bool:
    """Whether what comes after the events is there too: a model, and verdicts."""
    told = json.loads(stack.run("status", "--json", may_fail=True) or "{}")
    judged = (told.get("quality") or {}).get("tables", {})
    return told.get("champion") is not None and (judged.get("gold.user_days") or {}).get("validated") is not None


def _times(browser: Browser, address: str, name: str, repeats: int, say: Callable[[str], None]) -> PageTimes:
    url = _url(address, name, live="false")  # a refresh by itself would come in between
    visits: list[Timing] = []
    refreshes: list[float] = []
    for number in range(repeats + 1):
        page = chromium.blank(browser)
        timing = chromium.visit(page, url)
        # Not sooner: for so long the server answers what it has answered already.
        page.wait_for_timeout(SHARED_FOR_S * 1_200)
        refreshed = chromium.refresh(page)
        page.context.close()
        if number:  # the first one has the server import what the page needs
            visits.append(timing)
            refreshes.append(refreshed)
    times = PageTimes(
        name,
        repeated([visit.first_paint_s for visit in visits]),
        repeated([visit.drawn_s for visit in visits]),
        repeated(refreshes),
    )
    say(
        f"{name}: first paint {times.first_paint_s.median:.2f} s, drawn {times.drawn_s.median:.2f} s, "
        f"refreshed {times.refresh_s.median:.2f} s"
    )
    return times


def _pictures(browser: Browser, address: str, folder: Path) -> Iterator[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    for name in chromium.pages():
        for screen in (DESKTOP, PHONE):
            for scheme in SCHEMES:
                target = folder / f"{name}-{screen.name}-{scheme}.png"
                _picture(browser, _url(address, name), screen, scheme, target)
                yield target


def _picture(browser: Browser, url: str, screen: Screen, scheme: Scheme, target: Path) -> None:
    """The whole page, in few colours: flat areas and text look the same in a third of the bytes."""
    page = chromium.blank(browser, screen, scheme)
    chromium.visit(page, url)
    height = min(TALLEST, chromium.whole_height(page))
    page.set_viewport_size({"width": screen.width, "height": max(screen.height, height)})
    chromium.wait_until_drawn(page)
    page.screenshot(path=target, animations="disabled")
    page.context.close()
    with Image.open(target) as full:
        few = full.convert("RGB").quantize(COLOURS, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    few.save(target, optimize=True)


def _url(address: str, name: str, **query: str) -> str:
    return f"{address}{chromium.path(name)}?{urlencode({**VIEW, **query})}"
