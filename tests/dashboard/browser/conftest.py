"""The browser, and what it looks at: a dashboard on the run's Postgres, or a stack with three months of a shop."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import urlopen

import polars as pl
import pytest
from playwright.sync_api import Browser

from benchmarks.browser import DESKTOP, MISSING, Scheme, Screen, blank, browsing, find_chromium
from lakehouse.embedded.ports import LOOPBACK, Door, assign
from lakehouse.embedded.waiting import until
from lakehouse.endpoints import Endpoints
from lakehouse.home import Home
from tests.dashboard.browser import sent
from tests.dashboard.browser.seen import Open, Seen
from tests.pipeline import judge
from tests.pipeline.shop_stack import Shop, in_order

APP = Path(__file__).parents[3] / "dashboard" / "app.py"
STARTS_WITHIN_S = 60.0
REFRESH_S = "1"
SCORED_WITHIN_S = 240.0
SCORES = """
SELECT user_id, churn_probability, churned, as_of FROM churn_prediction
ORDER BY churn_probability DESC NULLS LAST, user_id
"""


# Not for the whole run: while Playwright is at work here, its event loop runs in the thread of the tests, and those of
# other folders start loops of their own.
@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    if find_chromium() is None:
        pytest.skip(MISSING)
    with browsing() as found:
        yield found


@contextmanager
def serving(home: Path, port: int, address: str, *options: str, **variables: str) -> Iterator[None]:
    """Within the block a dashboard of the home answers at ``address``."""
    of_server = ("--server.address", LOOPBACK, "--server.port", str(port), "--server.headless", "true")
    quiet = ("--server.fileWatcherType", "none", "--browser.gatherUsageStats", "false")
    with (home / "dashboard.log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "streamlit", "run", str(APP), *of_server, *quiet, *options],
            env={**os.environ, "LAKEHOUSE_HOME": str(home), **variables},
            stdout=log,
            stderr=log,
        )
        try:
            assert until(lambda: answers(address), STARTS_WITHIN_S), (home / "dashboard.log").read_text()
            yield
        finally:
            server.terminate()
            server.wait(20)


@pytest.fixture
def dashboard(browser: Browser, endpoints: Endpoints, tmp_path: Path) -> Iterator[str]:  # noqa: ARG001 (skips first)
    """The address of a dashboard of its own on the run's Postgres."""
    port = assign([Door("dashboard", "", LOOPBACK, 0)])["dashboard"]
    address = f"http://{LOOPBACK}:{port}"
    replace(endpoints, dashboard=address).save(Home(tmp_path).make())
    with serving(tmp_path, port, address, LAKEHOUSE_DASHBOARD_REFRESH_S=REFRESH_S):
        yield address


@pytest.fixture(scope="package")
def ga4_events(shared_data: Path) -> pl.DataFrame:
    """The shop's events as the file has them, ``event_time`` in UTC; nothing of the project has touched them."""
    return judge.read_events(shared_data / "ga4_store_events.csv.gz")


@pytest.fixture(scope="package")
def shop(
    browser: Browser,  # noqa: ARG001 (skips first)
    tmp_path_factory: pytest.TempPathFactory,
    shared_data: Path,
) -> Iterator[Shop]:
    """A running stack that has taken the shop's events, and after them copies and refused lines, for every page.
    Whoever adds an event to it stands in a file that runs after those that compare numbers."""
    variables = {"LAKEHOUSE_DASHBOARD_REFRESH_S": REFRESH_S, "LAKEHOUSE_QUALITY_VALIDATOR": "true"}
    folder = tmp_path_factory.mktemp("browser")
    events = shared_data / "ga4_store_events.csv.gz"
    running = Shop(folder / "home", variables)
    running.up()
    try:
        running.replay(events)
        running.replay(sent.write(events, folder / "more.csv"))
        yield running
    finally:
        running.run("down")


@pytest.fixture(scope="package")
def scores(shop: Shop) -> pl.DataFrame:
    """user_id, churn_probability, churned, as_of of every user, the likeliest to churn first, once all of them have the
    score of their features."""
    key = ("user_id", "as_of")

    def is_scored() -> bool:
        return in_order(shop.query(SCORES).select(key), *key).equals(in_order(shop.churn_features().select(key), *key))

    assert until(is_scored, SCORED_WITHIN_S, tick_s=1.0), "not every user has a score"
    return shop.query(SCORES)


@pytest.fixture
def open_page(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Open]:
    """Opens pages of the shop's dashboard, and when the test is over looks for errors in the console of each. A page
    of the small dashboard is opened where the test asks for that fixture."""
    if "dashboard" in request.fixturenames:
        address = request.getfixturevalue("dashboard")
    else:
        address = Endpoints.load(Home(request.getfixturevalue("shop").home)).dashboard
    seen: list[Seen] = []

    def open_(path: str = "/", *, screen: Screen = DESKTOP, scheme: Scheme = "light", **query: str) -> Seen:
        seen.append(Seen(blank(browser, screen, scheme), f"{address}{path}?{urlencode(query)}"))
        seen[-1].open()
        return seen[-1]

    yield open_
    for page in seen:
        page.page.context.close()
    assert [complaint for page in seen for complaint in page.complaints] == []


def answers(address: str) -> bool:
    try:
        with urlopen(f"{address}/_stcore/health", timeout=2) as answer:  # noqa: S310 (an address of our own)
            return bool(answer.status == 200)
    except OSError:
        return False
