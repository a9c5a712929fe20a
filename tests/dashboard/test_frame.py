"""What is on top of every page: the alert rules that fire, and whether anybody looks at them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from dashboard_tables import Open
from page_words import said

from lakehouse.alerts import Alerts, Firing, Over
from lakehouse.home import Home


@pytest.mark.usefixtures("tables")
@pytest.mark.parametrize("page", ["now", "pipeline"])
def test_an_alert_is_on_top_of_every_page_as_text(open_page: Open, tmp_path: Path, page: str) -> None:
    now = datetime.now(UTC)
    firing = Firing("**Low** :red[x]", "purchases for each view: 0.001, below 0.01", now, now)
    Alerts(now, (firing,), problem="rule 2: give one of *below* and *above*").save(Home(tmp_path).make())
    shown = open_page(page)
    assert not shown.exception
    texts = [text.value for text in shown.text]
    assert any(text.startswith("**Low** :red[x] · purchases for each view: 0.001, below 0.01") for text in texts)
    assert "rule 2: give one of *below* and *above*" in texts


@pytest.mark.usefixtures("tables")
def test_an_alert_that_is_over_is_shown_for_a_while_as_text(open_page: Open, tmp_path: Path) -> None:
    now, home = datetime.now(UTC), Home(tmp_path).make()
    begin = now - timedelta(minutes=30)
    over = [
        Over(name, ":red[x]", begin, begin + timedelta(minutes=12), found)
        for name, found in (("Lately", now - timedelta(minutes=13)), ("Long ago", now - timedelta(minutes=61)))
    ]
    Alerts(now, over=tuple(over)).save(home)
    shown = open_page()
    assert not shown.exception
    (told,) = (text.value for text in shown.text if "over since" in text.value)
    assert told.startswith("Lately · :red[x] · over since ")
    assert told.endswith(" UTC, after 0:12:00")
    assert "Alert is over" in said(shown)


@pytest.mark.usefixtures("tables")
def test_rules_at_which_nobody_looks_are_said_to_be_so(open_page: Open, tmp_path: Path) -> None:
    home, now = Home(tmp_path).make(), datetime.now(UTC)
    Alerts(now - timedelta(hours=1), (Firing("Low", "below", now, now),)).save(home)
    assert "alerts.toml" not in said(open_page())

    home.alert_rules.write_text("")
    shown = open_page()
    assert "Nobody looks at the rules of alerts.toml" in said(shown)
    assert not [text.value for text in shown.text if "Low" in text.value]
