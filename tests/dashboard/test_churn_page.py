"""The page Churn as a person sees it: broken, empty, full, and full of text that is up to no good."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from dashboard_tables import Open, Tables
from streamlit.testing.v1 import AppTest
from test_now_page import NASTY, metrics, said, table

from dashboard.churn.queries import Bought, Filter, Show, export_users, read_users
from dashboard.churn.what_if import COUNTS, OTHERS
from gold.churn_features import COUNTS as NEEDED
from lakehouse.endpoints import Endpoints
from lakehouse.home import Home
from serving.features import GIVEN
from tests.serving.churn_package import churn_package
from tests.serving.scoring_api import Api

SILENT = "last seen 41 days ago (typical: 12): raises the risk"
WATCH: dict[str, Any] = {
    "model_version": "1",
    "at": "2026-03-02",
    "users": 812,
    "indices": {"recency_days": 0.31, "score": 0.12, "num_views": 0.01},
    "realised": [
        {
            "model_version": "1",
            "horizon_days": 30,
            "predictions": 900,
            "users": 500,
            "first": "2026-01-05",
            "last": "2026-01-30",
            "roc_auc": {"value": 0.75, "low": 0.7, "high": 0.8},
            "brier": {"value": 0.1, "low": 0.09, "high": 0.11},
            "mean_predicted": {"value": 0.8, "low": 0.79, "high": 0.81},
            "observed_share": {"value": 0.85, "low": 0.83, "high": 0.87},
        }
    ],
    "not_realised": None,
    "due": ["its scores have moved"],
    "due_again": "2026-04-30",
}


@pytest.fixture
def api(open_page: Open, tmp_path: Path, endpoints: Endpoints) -> Iterator[Api]:
    """The scoring API with a small model; the page's home knows where it answers."""
    del open_page  # has written the home's endpoints, which are written anew here
    api = Api(tmp_path, endpoints)
    api.serve(churn_package())
    with api.running():
        replace(endpoints, api=api.address).save(Home(tmp_path))
        yield api


def names(page: AppTest) -> list[object]:
    return table(page, "user_id")


def ask(page: AppTest, label: str, value: float) -> None:
    """The form, sent with another value."""
    (field,) = [field for field in page.number_input if field.label == label]
    field.set_value(value)
    (button,) = [button for button in page.button if button.label == "Ask the model"]
    button.click().run()


def test_no_stack_says_how_to_start_one(open_page: Open, tmp_path: Path) -> None:
    Home(tmp_path).endpoints.unlink()
    page = open_page("churn")
    assert not page.exception
    assert "`lakehouse up`" in said(page)
    assert not page.metric


def test_postgres_away_leaves_the_model_to_be_seen_and_the_next_refresh_recovers(
    open_page: Open, tables: Tables, api: Api, endpoints: Endpoints, tmp_path: Path
) -> None:
    tables.score("ann", 0.9)
    here = replace(endpoints, api=api.address)
    replace(here, postgres_reader="postgresql://lakehouse_reader:s3cret@127.0.0.1:1/lakehouse").save(Home(tmp_path))
    page = open_page("churn")
    assert not page.exception
    assert "127.0.0.1:1" in said(page)
    assert "s3cret" not in said(page)
    assert "ROC AUC" in metrics(page)

    here.save(Home(tmp_path))
    page.run()
    assert metrics(page)["At risk"] == "1"
    assert "127.0.0.1:1" not in said(page)


@pytest.mark.usefixtures("tables")
def test_without_scores_and_without_the_api_it_says_what_they_need(open_page: Open) -> None:
    page = open_page("churn")
    assert not page.exception
    assert "No user is scored yet" in said(page)
    assert "`lakehouse train`" in said(page)
    assert "No such users." in said(page)
    assert "The API is away, or has no model yet" in said(page)
    assert "`lakehouse model drift`" in said(page)


def test_how_many_are_at_risk_and_how_that_moved(open_page: Open, tables: Tables) -> None:
    tables.score("ann", 0.9, at="2025-03-01T10:00")
    tables.score("bob", 0.2, at="2025-03-01T10:00")
    tables.score("cid", 0.7, at="2025-03-05T10:00")
    tables.score("cid", 0.3, at="2025-03-08T10:00")
    tables.score("dan", None, at="2025-03-08T10:00")
    page = open_page("churn")
    assert not page.exception
    assert metrics(page) | {} == {"Users scored": "3", "At risk": "1", "Share at risk": "33.3 %"}
    assert [metric.delta for metric in page.metric] == ["0", "-1", ""]
    assert "a day before: 2 of 3 at risk (66.7 %) · a week before: 1 of 2 at risk (50.0 %)" in said(page)
    assert "1 user could not be scored" in said(page)


def test_what_was_before_the_first_day_is_a_dash_that_says_why(open_page: Open, tables: Tables) -> None:
    tables.score("ann", 0.9, at="2025-03-01T10:00")
    page = open_page("churn")
    assert "a day before: — · a week before: —" in said(page)
    assert "counted since 2025-03-01" in said(page)
    assert "One day of event time is known so far" in said(page)


def test_users_who_are_scored_again_and_a_model_of_simulated_data_are_named(open_page: Open, tables: Tables) -> None:
    for user, model in (("ann", "simulated-0.1.0"), ("bob", "simulated-0.1.0"), ("cid", "7")):
        tables.score(user, 0.9, model)
    page = open_page("churn")
    assert "1 user still has the score of model 7" in said(page)
    assert "a model of simulated data" in said(page)


def test_the_likeliest_come_first_with_their_reasons_and_counts(open_page: Open, tables: Tables) -> None:
    counts = {"num_views": 4, "num_add_to_cart": 2, "num_purchases": 1, "recency_days": 1.5}
    tables.score("ann", 0.8, at="2025-03-03T12:00", reasons=[SILENT, "few views"], features=counts)
    tables.score("bob", 0.95)
    tables.score("cid", 0.1)
    page = open_page("churn")
    assert names(page) == ["bob", "ann"]
    assert table(page, "reasons") == ["", f"{SILENT}; few views"]
    assert table(page, "num_add_to_cart")[1] == 2
    assert f"{table(page, 'last_seen')[1]}" == "2025-03-02 00:00:00+00:00"


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (Filter(), ["dan", "ann", "anna"]),
        (Filter(Show.NOT_AT_RISK), ["bob"]),
        (Filter(Show.ALL), ["dan", "ann", "anna", "bob", "eve"]),
        (Filter(Show.REFUSED), ["eve"]),
        (Filter(Show.ALL, prefix="ann"), ["ann", "anna"]),
        (Filter(Show.ALL, prefix="a%"), []),
        (Filter(Show.ALL, low=20, high=80), ["ann", "anna", "bob"]),
        (Filter(reason="LAST SEEN"), ["ann"]),
        (Filter(bought=Bought.YES), ["dan"]),
        (Filter(bought=Bought.NO), ["ann", "anna"]),
        (Filter(prefix="\0"), []),
    ],
)
def test_users_are_found_by_each_filter(endpoints: Endpoints, tables: Tables, wanted: Filter, found: list[str]) -> None:
    st.cache_data.clear()
    tables.score("anna", 0.5)
    tables.score("ann", 0.8, reasons=[SILENT])
    tables.score("bob", 0.2)
    tables.score("dan", 1.0, features={"days_since_purchase": 3.5})
    tables.score("eve", None)
    users, more = read_users(endpoints.postgres_reader, wanted, 1)
    assert (users["user_id"].to_list(), more) == (found, False)


def test_filters_and_the_page_come_from_the_address(open_page: Open, tables: Tables) -> None:
    for number in range(60):
        tables.score(f"u{number:02}", 0.5 + number / 200)
    tables.score("bob", 0.9)
    assert names(open_page("churn", begins="u", page="2")) == [f"u{number:02}" for number in range(9, -1, -1)]

    page = open_page("churn", begins="u", page="2", show="All")
    (prefix,) = [field for field in page.text_input if field.label == "User begins with"]
    prefix.set_value("bo").run()
    assert names(page) == ["bob"]  # another filter begins at its first page


def test_a_selected_row_opens_the_page_of_the_user_that_was_listed_then(open_page: Open, tables: Tables) -> None:
    tables.score("ann", 0.9)
    tables.score("b o&b=?#", 0.8)
    page = open_page("churn")
    tables.score("cid", 0.99)  # comes first from now on

    page.session_state["users"] = {"selection": {"rows": [1], "columns": [], "cells": []}}
    page.run()

    assert not page.exception
    assert page.query_params["user"] == "b o&b=?#"
    assert "User b o&b=?#" in [text.value for text in page.text]


def test_text_of_users_is_never_read_as_markup(open_page: Open, tables: Tables) -> None:
    for number, text in enumerate(NASTY):
        tables.score(text, 0.9 - number / 100, model=text, reasons=[text])
    page = open_page("churn")
    assert not page.exception
    assert names(page) == [text[:200] for text in NASTY]
    interpreted = "\n".join(str(part.value) for part in [*page.markdown, *page.caption, *page.warning])
    assert not [text for text in NASTY if text[:50] in interpreted]


def test_the_file_has_all_users_of_the_filters_and_no_formulas(
    open_page: Open, endpoints: Endpoints, tables: Tables
) -> None:
    tables.score('=HYPERLINK("http://x")', 0.9, at="2025-03-03T12:00", reasons=["-1, or less"])
    for number in range(60):
        tables.score(f"u{number:02}", 0.8)
    tables.score("cid", 0.1)
    assert [button.label for button in open_page("churn").download_button] == ["Download as CSV"]

    lines = export_users(endpoints.postgres_reader, Filter()).decode().splitlines()

    assert lines[0].startswith("user_id,churn_probability,churned,reasons,last_seen,")
    assert lines[1].startswith(""""'=HYPERLINK(""http://x"")",0.9,true,"'-1, or less",2025-03-02T12:00:00.000000Z,""")
    assert len(lines) == 1 + 1 + 60


def test_what_if_asks_the_model_that_serves(open_page: Open, tables: Tables, api: Api) -> None:
    del tables, api
    page = open_page("churn")
    ask(page, "Purchases", 9)
    as_buyer = metrics(page)["Probability of churn"]
    assert not page.exception
    assert "Not at risk" in said(page)
    assert "By model 1." in said(page)
    assert any(text.value.endswith("the risk") for text in page.text)

    ask(page, "Purchases", 0)
    assert float(metrics(page)["Probability of churn"].split()[0]) > float(as_buyer.split()[0])


def test_a_value_that_cannot_be_is_named_and_an_api_that_is_away_is_told_where_it_was_asked(
    open_page: Open, tables: Tables, api: Api, endpoints: Endpoints, tmp_path: Path
) -> None:
    tables.score("ann", 0.9)
    page = open_page("churn")
    ask(page, "Trend", 7.0)
    assert "trend: Input should be less than or equal to 1" in said(page)

    replace(endpoints, api="http://127.0.0.1:1").save(Home(tmp_path))
    ask(page, "Trend", 0.5)
    assert not page.exception
    assert "the API at http://127.0.0.1:1 does not answer" in said(page)
    assert metrics(page)["At risk"] == "1"
    del api


def test_the_form_has_what_the_api_takes() -> None:
    assert {*COUNTS, *OTHERS} == set(GIVEN)
    assert set(COUNTS) == set(NEEDED)


def test_the_model_with_its_metrics_calibration_and_drift(
    open_page: Open, tables: Tables, api: Api, tmp_path: Path
) -> None:
    del tables, api
    Home(tmp_path).models.mkdir()
    Home(tmp_path).champion_watch.write_text(json.dumps(WATCH))
    page = open_page("churn")
    assert not page.exception
    (auc,) = [metric for metric in page.metric if metric.label == "ROC AUC"]
    assert (auc.value, auc.delta) == ("0.790", "0.770 to 0.820")
    assert "trained on simulated data" in said(page)
    assert "rows of gold.user_days version 12" in said(page)
    assert table(page, "Metric") == ["ROC AUC", "Calibration slope"]
    assert "Users of the test in bins of equal size" in said(page)
    assert table(page, "Verdict") == ["another population", "moved", "as in training"]
    assert "To be trained again: its scores have moved" in said(page)
    assert (table(page, "From"), table(page, "Came true")) == ([date(2026, 1, 5)], ["85.0 %"])


def test_what_was_found_of_an_earlier_model_does_not_pass_for_the_one_that_serves(
    open_page: Open, tables: Tables, api: Api, tmp_path: Path
) -> None:
    del tables, api
    Home(tmp_path).models.mkdir()
    Home(tmp_path).champion_watch.write_text(json.dumps(WATCH | {"model_version": "simulated-**0**"}))
    page = open_page("churn")
    assert not page.exception
    assert "Nobody has looked yet at the model that serves" in said(page)
    assert "To be trained again" not in said(page)
    (earlier,) = [part for part in page.expander if "earlier model" in part.label]
    assert [text.value for text in earlier.text] == ["Model simulated-**0**"]
    assert table(page, "Verdict") == ["another population", "moved", "as in training"]


def test_a_watch_that_cannot_be_read_is_told(open_page: Open, tables: Tables, tmp_path: Path) -> None:
    del tables
    Home(tmp_path).models.mkdir()
    Home(tmp_path).champion_watch.write_text("{}")
    page = open_page("churn")
    assert not page.exception
    assert "watch.json: cannot be read" in said(page)
