"""The dashboard's door in a real browser, with a real OpenID provider: who is named comes in, and nobody else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import oidc_provider_mock
import pytest
from dashboard_tables import Tables
from playwright.sync_api import Browser, Page, expect

from benchmarks.browser import blank, wait_until_drawn
from lakehouse.embedded.ports import LOOPBACK, Door, assign
from lakehouse.endpoints import Endpoints
from lakehouse.home import Home
from tests.dashboard.browser.conftest import serving
from tests.dashboard.browser.seen import APPEARS_WITHIN_S

pytestmark = [pytest.mark.slow, pytest.mark.long]

ELSEWHERE = re.compile(r"https://")
"""Nothing here is beyond this machine."""

LOGIN = """
[auth]
redirect_uri = "http://localhost:{port}/oauth2callback"
cookie_secret = "a-secret-of-this-test-alone"
client_id = "lakehouse"
client_secret = "another-secret-of-this-test"
server_metadata_url = "{provider}/.well-known/openid-configuration"
"""


@pytest.fixture
def provider() -> Iterator[str]:
    with oidc_provider_mock.run_server_in_thread() as server:
        address = f"http://localhost:{server.server_port}"
        for name in ("ann@example.com", "eve@evil.example"):
            claims = {"email": name, "email_verified": True}
            httpx.put(f"{address}/users/{name}", json=claims, trust_env=False).raise_for_status()
        yield address


@pytest.fixture
def locked_dashboard(browser: Browser, endpoints: Endpoints, provider: str, tmp_path: Path) -> Iterator[str]:  # noqa: ARG001 (skips first)
    """The address of a dashboard on the run's Postgres that lets Ann in."""
    port = assign([Door("dashboard", "", LOOPBACK, 0)])["dashboard"]
    address = f"http://localhost:{port}"
    login_file = tmp_path / "login.toml"
    login_file.write_text(LOGIN.format(port=port, provider=provider))
    login_file.chmod(0o600)
    replace(endpoints, dashboard=address).save(Home(tmp_path).make())
    variables = {
        "LAKEHOUSE_DASHBOARD_LOGIN_FILE": str(login_file),
        "LAKEHOUSE_DASHBOARD_USERS": "ann@example.com",
        "NO_PROXY": "localhost,127.0.0.1",
    }
    with serving(tmp_path, port, address, "--secrets.files", str(login_file), **variables):
        yield address


def log_in(page: Page, name: str) -> None:
    page.route(ELSEWHERE, lambda route: route.abort())  # the provider's page waits for its style sheet
    page.get_by_role("button", name="Log in").click()
    page.get_by_placeholder("sub").fill(name)
    page.get_by_role("button", name="Authorize").click()


def log_out(page: Page) -> None:
    """As a person does: the dashboard hands them to the provider, whose page asks, and hands them back.

    Before the provider's page comes the dashboard offers its own `Log in` for a moment, or it does not: whoever waits
    for that has not seen anybody leave.
    """
    wait_until_drawn(page)
    page.get_by_role("button", name="Log out").click()
    page.get_by_role("button", name="End session").click()  # waits for it, as each act on a page does


def is_kept_out(page: Page) -> None:
    expect(page.get_by_role("button", name="Log in")).to_be_visible(timeout=APPEARS_WITHIN_S * 1000)
    assert "1,200" not in page.content()
    assert page.get_by_test_id("stMetric").count() == 0


def test_whoever_is_named_comes_in_and_out_and_nobody_else(
    browser: Browser, locked_dashboard: str, tables: Tables
) -> None:
    tables.windows(("2025-03-01T10:00", "view", 1_200))
    ann, eve = blank(browser), blank(browser)
    try:
        for path in ("/", "/funnel"):
            ann.goto(f"{locked_dashboard}{path}?range=All")
            is_kept_out(ann)
        log_in(ann, "ann@example.com")
        expect(ann.get_by_test_id("stMetric").first).to_be_visible(timeout=APPEARS_WITHIN_S * 1000)
        expect(ann.get_by_text("ann@example.com")).to_be_visible(timeout=APPEARS_WITHIN_S * 1000)

        eve.goto(locked_dashboard)
        log_in(eve, "eve@evil.example")
        expect(eve.get_by_text("eve@evil.example may not look at this dashboard")).to_be_visible(
            timeout=APPEARS_WITHIN_S * 1000
        )
        assert eve.get_by_test_id("stMetric").count() == 0

        log_out(ann)
        is_kept_out(ann)
        ann.goto(f"{locked_dashboard}/?range=All")  # the browser remembers nobody
        is_kept_out(ann)
    finally:
        ann.context.close()
        eve.context.close()
