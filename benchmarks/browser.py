"""A real browser on the dashboard: the system's Chromium without a window, driven by Playwright."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlencode

from playwright.sync_api import Browser, Error, Page, sync_playwright

from lakehouse.errors import LakehouseError

Scheme = Literal["light", "dark"]
SCHEMES: Final[tuple[Scheme, ...]] = ("light", "dark")

NAMES: Final = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
MISSING: Final = "there is no Chromium here; install the system's package (Debian: apt-get install chromium)"

LIMIT_S: Final = 60.0
"""Longest wait for a page to be drawn: much more than anybody would."""

# A page is drawn once its script has run to its end and nothing on it is stale or a placeholder any more; charts and
# tables, whose code is loaded when the first of them comes, are placeholders until they are there. What a closed
# expander holds is not drawn before somebody opens it.
_DRAWN: Final = """
() => {
    const shown = selector => [...document.querySelectorAll(selector)].filter(
        element => element.closest('details:not([open])') === null
    );
    return document.querySelector('[data-testid="stApp"][data-test-script-state="notRunning"]') !== null
        && document.querySelector('[data-testid="stHeading"]') !== null
        && shown('[data-testid="stSkeleton"], [data-testid="stAppSkeleton"], [data-testid="stSpinner"]').length === 0
        && shown('[data-stale="true"]').length === 0
        && shown('[data-testid="stEChartsChart"], [data-testid="stDataFrame"]')
            .every(element => element.querySelector('canvas'))
        && performance.now();
}
"""

_REFRESHED: Final = """
drawn => new Promise(done => {
    const app = document.querySelector('[data-testid="stApp"]');
    const button = [...document.querySelectorAll('button')].find(button => button.innerText.includes('Refresh'));
    let began, hasRun = false;
    new MutationObserver((_, observer) => {
        hasRun ||= app.dataset.testScriptState === 'running';
        if (hasRun && eval(drawn)()) {
            observer.disconnect();
            requestAnimationFrame(() => done(performance.now() - began));
        }
    }).observe(app, {attributes: true, childList: true, subtree: true});
    began = performance.now();
    button.click();
})
"""

_WATCH: Final = """
drawn => {
    const app = document.querySelector('[data-testid="stApp"]');
    const look = () => {
        const now = performance.now();
        if (app.dataset.testScriptState === 'running') {
            window.runBegan ??= now;
        } else if (window.runBegan !== undefined && eval(drawn)()) {
            window.runs.push([window.runBegan, now]);
            window.runBegan = undefined;
        }
    };
    window.runs = [];
    window.runBegan = undefined;
    new MutationObserver(look).observe(app, {attributes: true, childList: true, subtree: true});
}
"""

PAUSE_MS: Final = 1_000.0
"""Panels refresh one after the other, each as a run of its own; what begins so soon after another is one refresh."""


@dataclass(frozen=True)
class Screen:
    """What a person holds or sits at; CSS pixels."""

    name: str
    width: int
    height: int


DESKTOP: Final = Screen("desktop", 1440, 900)
PHONE: Final = Screen("phone", 390, 844)


@dataclass(frozen=True)
class Timing:
    """Seconds from the address to the first painted content, and to everything drawn."""

    first_paint_s: float
    drawn_s: float


def find_chromium() -> str | None:
    """The path of the system's Chromium."""
    return next(filter(None, map(shutil.which, NAMES)), None)


def pages() -> tuple[str, ...]:
    """The names of the dashboard's pages as ``dashboard/app.py`` lists them; the first is the one that opens first."""
    return tuple(file.stem for file in page_files())


def page_files() -> tuple[Path, ...]:
    package = find_spec("dashboard")
    if package is None or not package.submodule_search_locations:
        raise LakehouseError("the package `dashboard` is not installed; reinstall the project")
    app = Path(package.submodule_search_locations[0]) / "app.py"
    return tuple(app.parent / file for file in re.findall(r'st\.Page\(\s*"([\w/]+\.py)"', app.read_text()))


def path(name: str) -> str:
    """Where the page ``name`` lies under the dashboard's address; the first one lies at its root."""
    return "/" if name == pages()[0] else f"/{name}"


def url(address: str, name: str, query: Mapping[str, str]) -> str:
    """The page ``name`` of the dashboard at ``address``, with what is chosen on it."""
    return f"{address}{path(name)}?{urlencode(query)}"


@contextmanager
def browsing() -> Iterator[Browser]:
    """The browser, closed at the end. Raises LakehouseError where there is none, or it does not start."""
    executable = find_chromium()
    if executable is None:
        raise LakehouseError(MISSING)
    with sync_playwright() as playwright:
        try:
            # Chromium's sandbox refuses to run as root, as which containers do; it opens nothing but our own pages.
            browser = playwright.chromium.launch(executable_path=executable, chromium_sandbox=False)
        except Error as error:
            raise LakehouseError(f"{executable} does not start: {error.message.splitlines()[0]}") from None
        try:
            yield browser
        finally:
            browser.close()


def blank(browser: Browser, screen: Screen = DESKTOP, scheme: Scheme = "light") -> Page:
    """A page of a browser profile of its own: nothing is in its cache. To be closed with its ``context``."""
    context = browser.new_context(
        viewport={"width": screen.width, "height": screen.height}, color_scheme=scheme, locale="en-GB"
    )
    context.set_default_timeout(LIMIT_S * 1000)
    return context.new_page()


def visit(page: Page, url: str) -> Timing:
    """Opens ``url``, a page of the dashboard, and waits until it is drawn. Raises LakehouseError where it is not."""
    try:
        page.goto(url)
        drawn_ms = wait_until_drawn(page)
    except Error as error:
        raise LakehouseError(f"{url} is not drawn: {error.message.splitlines()[0]}") from None
    (paint_ms,) = page.evaluate("performance.getEntriesByName('first-contentful-paint').map(entry => entry.startTime)")
    return Timing(paint_ms / 1000, drawn_ms / 1000)


def wait_until_drawn(page: Page) -> float:
    """Waits until all of the page is drawn; returns the page's own time of that, in milliseconds since its address
    was opened. Raises playwright's TimeoutError."""
    return float(page.wait_for_function(_DRAWN, polling="raf").json_value())


def refresh(page: Page) -> float:
    """Clicks Refresh and returns the seconds until everything is drawn again; on a page that is drawn, and not live."""
    return float(page.evaluate(_REFRESHED, _DRAWN)) / 1000


def watch(page: Page) -> None:
    """From now on each refresh of the page, which is drawn, is noted: see `watched`."""
    page.evaluate(_WATCH, _DRAWN)


def watched(page: Page) -> list[float]:
    """The seconds of each refresh that the page has made by itself since `watch`: from its first panel's beginning
    until all were drawn again."""
    return refreshes(page.evaluate("window.runs"))


def refreshes(runs: Sequence[Sequence[float]]) -> list[float]:
    """Seconds of each refresh; ``runs`` are beginnings and ends in milliseconds, in their order. Pure."""
    found: list[list[float]] = []
    for began, ended in runs:
        if found and began - found[-1][1] <= PAUSE_MS:
            found[-1][1] = ended
        else:
            found.append([began, ended])
    return [(ended - began) / 1000 for began, ended in found]


def whole_height(page: Page) -> int:
    """The height at which nothing of the page needs scrolling, in CSS pixels."""
    return int(page.evaluate("document.querySelector('[data-testid=\"stMain\"]').scrollHeight"))
