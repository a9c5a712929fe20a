"""Who may look at the dashboard, and that nothing is read before it is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from dashboard_tables import Open
from page_words import said

from dashboard.login import may_enter, providers
from lakehouse.doors import docs_address, require_login
from lakehouse.errors import LakehouseError
from lakehouse.settings import load_settings

LOGIN = """
[auth]
redirect_uri = "http://localhost:8501/oauth2callback"
cookie_secret = "of-this-test"
client_id = "lakehouse"
client_secret = "of-this-test-too"
server_metadata_url = "http://localhost:1/.well-known/openid-configuration"
"""


@pytest.fixture
def login_file(tmp_path: Path) -> Path:
    file = tmp_path / "login.toml"
    file.write_text(LOGIN)
    file.chmod(0o600)
    return file


@pytest.mark.parametrize(
    ("claims", "may"),
    [
        ({"email": "ann@example.com", "email_verified": True}, True),
        ({"email": "Ann@Example.COM"}, True),
        ({"email": "bob@shop.example"}, True),
        ({"email": "ann@example.com", "email_verified": False}, False),
        ({"email": "eve@example.com"}, False),
        ({"email": "bob@shop.example.evil.com"}, False),
        ({"email": "bob@evil.com@example.com"}, False),
        ({"email": "@shop.example"}, False),
        ({"email": ["ann@example.com"]}, False),
        ({"sub": "ann@example.com"}, False),
        ({}, False),
    ],
)
def test_only_those_named_may_look(claims: dict[str, Any], may: bool) -> None:
    assert may_enter(claims, ("ann@example.com", "@shop.example")) is may


def test_each_provider_has_a_name_to_log_in_by() -> None:
    assert providers({"client_id": "a", "cookie_secret": "b", "client_kwargs": {"prompt": "login"}}) == ["default"]
    assert providers({"cookie_secret": "b", "work": {"client_id": "a"}, "home": {"client_id": "c"}}) == ["work", "home"]


def test_with_a_login_that_streamlit_was_not_told_of_nothing_is_read(
    open_page: Open, login_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAKEHOUSE_DASHBOARD_LOGIN_FILE", str(login_file))
    monkeypatch.setenv("LAKEHOUSE_DASHBOARD_USERS", "ann@example.com")

    page = open_page()

    assert not page.exception
    assert "--secrets.files" in page.error[0].value
    assert "Events" not in said(page)


def test_beyond_loopback_the_dashboard_needs_a_login_or_a_guard(tmp_path: Path, login_file: Path) -> None:
    everywhere = {"home": tmp_path, "bind_address": "0.0.0.0"}  # noqa: S104
    with pytest.raises(LakehouseError, match=r"the dashboard needs a login .* LAKEHOUSE_DASHBOARD_GUARDED=true"):
        require_login(load_settings(**everywhere))

    for remedy in (
        {"dashboard_guarded": True},
        {"dashboard_login_file": login_file, "dashboard_users": "@example.com"},
        {"bind_address": "127.0.0.1"},
    ):
        require_login(load_settings(**{**everywhere, **remedy}))


def test_the_data_docs_which_have_no_login_stay_on_loopback_unless_guarded(tmp_path: Path, login_file: Path) -> None:
    everywhere = {"home": tmp_path, "bind_address": "0.0.0.0"}  # noqa: S104
    login = {"dashboard_login_file": login_file, "dashboard_users": "@example.com"}

    assert docs_address(load_settings(**everywhere, **login)) == "127.0.0.1"
    assert docs_address(load_settings(**everywhere, dashboard_guarded=True)) == "0.0.0.0"  # noqa: S104
    assert docs_address(load_settings(home=tmp_path, bind_address="::1")) == "::1"


@pytest.mark.parametrize(
    ("text", "mode", "reason"),
    [
        (LOGIN, 0o644, "others may read it"),
        ("[auth", 0o600, "it is no TOML"),
        ("[oauth]", 0o600, r"needs a table \[auth\] with redirect_uri and cookie_secret"),
        (LOGIN.replace("cookie_secret", "cookie"), 0o600, r"needs a table \[auth\]"),
    ],
)
def test_a_file_that_would_not_lock_is_refused(login_file: Path, text: str, mode: int, reason: str) -> None:
    login_file.write_text(text)
    login_file.chmod(mode)
    settings = load_settings(dashboard_login_file=login_file, dashboard_users="@example.com")

    with pytest.raises(LakehouseError, match=reason) as refused:
        require_login(settings)
    assert "of-this-test" not in str(refused.value)
