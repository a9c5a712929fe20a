"""The page of one user: found by the address or the form, whatever the id is made of."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from dashboard_tables import Open, Tables
from test_now_page import NASTY, metrics, said, table

from benchmarks.pictures import scores_are_of_own_model, user_with_most_to_see
from dashboard.user.charts import scores_over_time
from dashboard.user.sessions import sessions
from lakehouse.endpoints import Endpoints
from lakehouse.home import Home
from tests.serving.churn_package import churn_package
from tests.serving.scoring_api import Api

SILENT = "last seen 41 days ago (typical: 12): raises the risk"


def at(time: str) -> datetime:
    return datetime.fromisoformat(f"2025-03-01T{time}+00:00")


def test_without_a_user_it_asks_for_one(open_page: Open) -> None:
    page = open_page("user")
    assert not page.exception
    assert said(page) == "Type a user's id, or select a user on the page Churn."


def test_no_stack_says_how_to_start_one(open_page: Open, tmp_path: Path) -> None:
    Home(tmp_path).endpoints.unlink()
    page = open_page("user", user="ann")
    assert not page.exception
    assert "`lakehouse up`" in said(page)


def test_postgres_away_says_where_and_the_next_refresh_recovers(
    open_page: Open, tables: Tables, endpoints: Endpoints, tmp_path: Path
) -> None:
    tables.score("ann", 0.9)
    replace(endpoints, postgres_reader="postgresql://r:s3cret@127.0.0.1:1/lakehouse").save(Home(tmp_path))
    page = open_page("user", user="ann")
    assert not page.exception
    assert "127.0.0.1:1" in said(page)
    assert "s3cret" not in said(page)

    endpoints.save(Home(tmp_path))
    page.run()
    assert metrics(page) == {"Probability of churn": "90.0 %"}


def test_a_user_of_whom_nothing_is_known_with_those_whose_ids_begin_so(open_page: Open, tables: Tables) -> None:
    tables.score("annabel", 0.9)
    page = open_page("user", user="ann")
    assert not page.exception
    assert "Nothing is known of this user" in said(page)
    assert "annabel" in [text.value for text in page.text]


def test_the_score_with_its_reasons_features_and_how_it_moved(open_page: Open, tables: Tables) -> None:
    tables.past_score("ann", 0.2, at="2025-03-01T10:00", model="2")
    tables.past_score("ann", 0.7, at="2025-03-02T10:00")
    features = {"num_views": 4, "num_purchases": 0}
    tables.score("ann", 0.83, at="2025-03-03T10:00", reasons=[SILENT], features=features)
    page = open_page("user", user="ann")
    assert not page.exception
    assert metrics(page) == {"Probability of churn": "83.0 %"}
    assert "At risk" in said(page)
    assert f"· {SILENT}" in said(page)
    assert "By model 3, as of 2025-03-03 10:00:00 UTC" in said(page)
    assert table(page, "Feature")[:2] == ["Views", "Purchases"]
    assert "No event of this user is kept" in said(page)
    begin = {field.label: field.value for field in page.number_input}
    assert (begin["Views"], begin["Recency days"], begin["Trend"]) == (4, 1.0, None)


def test_a_user_whom_the_api_refused_and_one_not_scored_yet(open_page: Open, tables: Tables) -> None:
    tables.score("ann", None, features={"num_views": 10**17})
    page = open_page("user", user="ann")
    assert not page.exception
    assert "num_views: too many" in said(page)

    tables.event("2025-03-01T10:00", user_id="bob")
    assert "Not scored yet" in said(open_page("user", user="bob"))


def test_events_in_order_and_the_sessions_they_make(open_page: Open, tables: Tables) -> None:
    tables.event("2025-03-01T10:00", session_id="s1")
    tables.event("2025-03-01T10:06", session_id="s1", event_type="add_to_cart")
    tables.event("2025-03-02T09:00", event_type="purchase")
    tables.event("2025-03-02T09:00", user_id="bob")
    page = open_page("user", user="ann")
    assert table(page, "event_type") == ["purchase", "add_to_cart", "view"]
    assert "All that Postgres still keeps" in said(page)
    assert table(page, "num_events") == [1, 2]
    assert table(page, "minutes") == [0.0, 6.0]
    assert "Events that name no session" in said(page)


def test_of_many_events_the_newest_are_shown(open_page: Open, tables: Tables) -> None:
    for number in range(201):
        tables.event(f"{at('00:00') + timedelta(minutes=number):%Y-%m-%dT%H:%M}", product_id=f"{number}")
    page = open_page("user", user="ann")
    assert table(page, "product_id") == [f"{number}" for number in range(200, 0, -1)]
    assert "The newest 200" in said(page)
    assert "may have begun before" in said(page)


@pytest.mark.parametrize("user", [*NASTY, "a'b\"c;--", "a&b=c#d?e/f%20g+h", "ends with a blank "])
def test_any_id_is_only_text_also_in_the_address(open_page: Open, tables: Tables, user: str) -> None:
    tables.score(user, 0.9, model=user, reasons=[user])
    tables.past_score(user, 0.8, at="2025-03-01T10:00", model=user)
    tables.event("2025-03-01T10:00", user_id=user, session_id=user, event_type=user, product_id=user)
    page = open_page("user", user=user)
    assert not page.exception
    assert metrics(page) == {"Probability of churn": "90.0 %"}
    assert table(page, "product_id") == [user[:200]]
    assert page.query_params["user"] == user
    interpreted = "\n".join(str(part.value) for part in [*page.markdown, *page.caption])
    assert user[:50] not in interpreted


@pytest.mark.usefixtures("tables")
def test_an_id_that_no_database_can_hold_is_an_unknown_user(open_page: Open) -> None:
    page = open_page("user", user="nul\0")
    assert not page.exception
    assert "Nothing is known of this user" in said(page)


def test_the_form_finds_another_user_and_keeps_it_in_the_address(open_page: Open, tables: Tables) -> None:
    tables.score("ann", 0.9)
    tables.score("bob", 0.1)
    page = open_page("user", user="ann")
    (field,) = [field for field in page.text_input if field.label == "User"]
    field.set_value("bob")
    (show,) = [button for button in page.button if button.label == "Show"]
    show.click().run()
    assert page.query_params["user"] == "bob"
    assert metrics(page) == {"Probability of churn": "10.0 %"}
    assert "Not at risk" in said(page)


def test_what_if_begins_with_what_is_known_of_the_user(
    open_page: Open, tables: Tables, endpoints: Endpoints, tmp_path: Path
) -> None:
    tables.score("ann", 0.9, features={"num_views": 3, "num_add_to_cart": 1, "num_purchases": 0})
    page = open_page("user", user="ann")
    api = Api(tmp_path, endpoints)
    api.serve(churn_package())
    with api.running():
        replace(endpoints, api=api.address).save(Home(tmp_path))
        (button,) = [button for button in page.button if button.label == "Ask the model"]
        button.click().run()
    assert not page.exception
    assert [metric.label for metric in page.metric] == ["Probability of churn"] * 2
    assert "By model 1." in said(page)


# -- sessions and the chart -------------------------------------------------------------------------------


def test_events_without_a_session_are_parted_by_half_an_hour_and_others_never() -> None:
    rows = [
        (None, "10:00", "view"),
        (None, "10:30", "purchase"),
        (None, "11:01", "view"),
        ("s", "09:00", "view"),
        ("s", "12:00", "add_to_cart"),
    ]
    made = sessions(
        pl.DataFrame(
            [(at(time), kind, session) for session, time, kind in rows],
            {"event_time": pl.Datetime("us", "UTC"), "event_type": pl.String, "session_id": pl.String},
            orient="row",
        )
    )
    assert made.rows() == [
        ("s", at("09:00"), at("12:00"), 180.0, 2, 1, 1, 0),
        (None, at("11:01"), at("11:01"), 0.0, 1, 1, 0, 0),
        (None, at("10:00"), at("10:30"), 30.0, 2, 1, 0, 1),
    ]


def test_each_model_has_a_line_of_its_own_and_the_threshold_is_marked() -> None:
    history = pl.DataFrame(
        [(at("11:00"), 0.7, "3"), (at("10:00"), 0.25, "2"), (at("12:00"), 0.8, "3")],
        {"as_of": pl.Datetime("us", "UTC"), "churn_probability": pl.Float64, "model_version": pl.String},
        orient="row",
    )
    series = scores_over_time(history, 0.5)["series"]
    assert [(line["name"], [point[1] for point in line["data"]]) for line in series] == [
        ("model 2", [25.0]),
        ("model 3", [70.0, 80.0]),
    ]
    assert series[-1]["markLine"]["data"] == [{"yAxis": 50.0}]


# -- the one in the pictures ------------------------------------------------------------------------------


def test_pictures_show_who_bought_most_of_those_with_a_score(endpoints: Endpoints, tables: Tables) -> None:
    assert user_with_most_to_see(endpoints) is None
    bought = (("ann", 1), ("bob", 2), ("cid", 3))
    for user, purchases in bought:
        for minute in range(purchases):
            tables.event(f"2025-03-01T10:0{minute}", user_id=user, event_type="purchase")
    for minute in range(5):
        tables.event(f"2025-03-01T11:0{minute}", user_id="ann")
    tables.score("ann", 0.4)
    tables.score("bob", 0.9)
    tables.score("cid", None)
    assert user_with_most_to_see(endpoints) == "bob"


def test_pictures_wait_for_scores_of_a_model_of_the_events(endpoints: Endpoints, tables: Tables) -> None:
    tables.score("ann", 0.4, "simulated-0.1.0")
    tables.score("bob", 0.9, "1")
    assert not scores_are_of_own_model(endpoints)
    tables.score("ann", 0.5, "1")
    assert scores_are_of_own_model(endpoints)
