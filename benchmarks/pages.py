"""Pages: how long each page of the dashboard takes in a browser, to its first paint, to its data, and to newer data."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from playwright.sync_api import Browser

from benchmarks import browser as chromium
from benchmarks import pictures
from benchmarks.browser import DESKTOP, Timing
from benchmarks.measure import Repeated, repeated
from benchmarks.stack import Stack, fresh_home, running
from dashboard.database import SHARED_FOR_S
from lakehouse.contracts import FunnelWindows
from lakehouse.embedded.waiting import until
from lakehouse.endpoints import Endpoints
from lakehouse.errors import LakehouseError
from lakehouse.home import Home
from lakehouse.maintenance.log import Log
from lakehouse.settings import Settings

FIRST_PAINT_GOAL_S: Final = 2.0
REFRESH_GOAL_S: Final = 1.0

SHOP: Final = Path("../shared/data/ga4_store_events.csv.gz")
"""Three months of a real shop; it lies beside the project."""

EVERYWHERE: Final = {"range": "All"}
"""What is opened: of all that the pages offer, the view that reads the most."""

SETTLED_WITHIN_S: Final = 300.0


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
class Served:
    """The dashboard that is measured, and what there is to be seen."""

    address: str
    data: str
    """In words; empty where the stack was there before."""
    views: pictures.Views


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
    settings: Settings,
    work: Path,
    say: Callable[[str], None],
    *,
    file: Path = SHOP,
    screenshots: Path | None = None,
) -> Pages:
    """Each page of the dashboard; then pictures of each, light and dark, on a desktop and a phone, into the folder
    ``screenshots``. Raises LakehouseError where there is no browser, no file, or a page is not drawn."""
    with (
        chromium.browsing() as browser,
        _dashboard(options, settings, work, file, say, trained=screenshots is not None) as served,
    ):
        pages = tuple(_times(browser, served, name, options.repeats, say) for name in chromium.pages())
        if screenshots is not None:
            for picture in pictures.take(browser, served.address, served.views, screenshots):
                say(str(picture))
        return Pages(
            FIRST_PAINT_GOAL_S, REFRESH_GOAL_S, served.data, browser.version, DESKTOP.width, DESKTOP.height, pages
        )


@contextmanager
def _dashboard(
    options: Options, settings: Settings, work: Path, file: Path, say: Callable[[str], None], *, trained: bool
) -> Iterator[Served]:
    """One of its own takes the file in two parts, where it can be cut, so that there is something to travel back to;
    ``trained``: and a model is made of the events."""
    if options.url:
        address = options.url.rstrip("/")
        yield Served(address, "", _views(_of_home(settings, address)))
        return
    if not file.is_file():
        raise LakehouseError(f"{file} is not there; name a file of events by --file, or a running dashboard by --url")
    with fresh_home(work, "pages") as home, running(home) as stack:
        produced, earlier = 0, None
        for part in pictures.in_two(file, home.root) or (file,):
            if produced:
                earlier = Log(home.table(FunnelWindows.name)).commits()[-1]
            say(f"the stack takes {part.name}")
            replayed = json.loads(stack.run("replay", str(part), "--mapping", options.mapping, "--json"))
            produced += int(replayed["produced"])
            stack.drain(SETTLED_WITHIN_S)
            if not until(lambda: _settled(stack), SETTLED_WITHIN_S, tick_s=2.0):
                say("some pages are not full: the champion or the verdicts are not there yet")
        if trained:
            say("a model is trained of the events")
            try:
                _train(stack)
            except LakehouseError as error:
                say(f"{error}; the scores stay those of the model of simulated data")
        views = _views(stack.endpoints, earlier)
        yield Served(stack.endpoints.dashboard, f"{produced:,} events of {file.name}", views)


def _train(stack: Stack) -> None:
    """Makes a model of the events, has it compared with today's users, and waits until every score is by it. Raises
    LakehouseError where there are too few events for a model."""
    stack.run("train")
    stack.run("model", "drift", may_fail=True)  # it ends with 1 where a training is due, too
    until(lambda: pictures.scores_are_of_own_model(stack.endpoints), SETTLED_WITHIN_S, tick_s=2.0)


def _views(endpoints: Endpoints | None, earlier: int | None = None) -> pictures.Views:
    """With a user and an earlier state that have something to show, as far as they are known."""
    of_page: dict[str, dict[str, str]] = {}
    if endpoints is not None and (user := pictures.user_with_most_to_see(endpoints)) is not None:
        of_page["user"] = {"user": user}
    if earlier is not None:
        of_page["time_travel"] = {"table": FunnelWindows.name, "as_of": "Version", "version": str(earlier)}
    return pictures.Views(EVERYWHERE, of_page)


def _of_home(settings: Settings, address: str) -> Endpoints | None:
    """Where the settings' home has its servers, if the dashboard at ``address`` is one of them."""
    try:
        found = Endpoints.load(Home(settings.home))
    except LakehouseError:
        return None
    return found if found.dashboard.rstrip("/") == address else None


def _settled(stack: Stack) -> bool:
    """Whether what comes after the events is there too: a model, and verdicts."""
    told = json.loads(stack.run("status", "--json", may_fail=True) or "{}")
    judged = (told.get("quality") or {}).get("tables", {})
    return told.get("champion") is not None and (judged.get("gold.user_days") or {}).get("validated") is not None


def _times(browser: Browser, served: Served, name: str, repeats: int, say: Callable[[str], None]) -> PageTimes:
    query = {**served.views[name], "live": "false"}  # a refresh by itself would come in between
    url = chromium.url(served.address, name, query)
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
